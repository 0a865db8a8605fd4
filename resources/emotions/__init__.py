"""Which emotions a text shows: labels, models as folders, and how their probabilities become decisions. No store and no warehouse here."""
