"""The only code that opens DuckDB: connection and its lock, table contracts, writers, point-in-time reads.

Nothing here knows what a feature, a model or a Dagster asset is.
"""
