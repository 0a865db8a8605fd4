"""What readers open: the published copy of the warehouse."""
