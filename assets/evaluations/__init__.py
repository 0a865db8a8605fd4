"""Backtests, metrics, the leakage audit and the report."""
