"""The small finished home and copies of it."""

from tests.orchestration.small_home import finished, small_home

__all__ = ["finished", "small_home"]
