"""Styles: clusters of videos that look, sound and read alike, followed over time."""
