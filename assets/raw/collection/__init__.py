"""Collection of live sources: what is due, what it may cost, and the run that lands it. Collectors are resources."""
