"""The assets that follow models in use: forecasts before the outcome, their scores, re-evaluations, drift."""
