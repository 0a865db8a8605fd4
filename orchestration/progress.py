"""What a run prints: the lines that assets log for people; Dagster keeps the rest, failures too, in its event log."""

import logging
import sys
from typing import Any

import dagster as dg


class _ForPeople(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return _meta(record).get("dagster_event") is None


class _Plain(logging.Formatter):
    """The line as the asset wrote it, without run and step."""

    def format(self, record: logging.LogRecord) -> str:
        return f"         {_meta(record).get('orig_message') or record.getMessage()}"


def _meta(record: logging.LogRecord) -> dict[str, Any]:
    return getattr(record, "dagster_meta", None) or {}


@dg.logger(config_schema={}, description="Lines for people on standard error.")
def progress_logger(init_context: Any) -> logging.Logger:
    """A logger without Dagster's own events."""
    logger = logging.Logger("upswell", level=logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain())
    handler.addFilter(_ForPeople())
    logger.addHandler(handler)
    return logger
