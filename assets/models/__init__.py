"""Training sets, forecasters and their stored versions."""
