"""What wakes the platform: landing files."""
