"""Speech: sound by blocks, where somebody speaks in it, what is said, and how many words of it are wrong."""
