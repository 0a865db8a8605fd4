"""What exists, one folder per stage; the Dagster wiring is in files named assets.py and checks.py only."""
