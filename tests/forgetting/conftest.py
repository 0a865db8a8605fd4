"""A home to forget in, as the tests of raw data have it."""

from tests.raw.conftest import house

__all__ = ["house"]
