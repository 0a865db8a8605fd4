"""What the benchmarks measure against: plain SQL and pandas that do the same work."""
