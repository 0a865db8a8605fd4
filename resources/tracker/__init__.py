"""Where what was trained is kept for people and other programs: an MLflow server or a SQLite file in the home.

It keeps what it is told; which models there are and which of them serve is for the warehouse.
"""

from resources.tracker.tracker import Figure, Record, Tracker, TrackerError

__all__ = ["Figure", "Record", "Tracker", "TrackerError"]
