"""What was known of a video at a cutoff, and what became of it."""
