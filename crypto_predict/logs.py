"""Structured logs: one JSON object a line, so that no value a stranger sends can forge or break one.

``{"time": "2024-06-01T12:00:00.000Z", "level": "info", "event": "serving", ...}``: every further field belongs to the
event. Times are UTC.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TextIO

from crypto_predict.errors import InvalidValue

LEVELS = ("debug", "info", "warning", "error")

_FIELDS = "crypto_predict_fields"  # where a record carries them


def configure(level: str, stream: TextIO) -> None:
    """Write every event of at least `level`, from whichever library, to `stream`. Undoes what was configured before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def event(logger: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log what happened, called `name`, with its `fields`: plain values, or anything that has a ``str``."""
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={_FIELDS: fields})


def level_name(text: str) -> str:
    """Read the name of a level.

    Raises:
        InvalidValue: There is no such level.
    """
    if text.lower() not in LEVELS:
        raise InvalidValue("log level", text, f"one of {', '.join(LEVELS)}")
    return text.lower()


class JsonLines(logging.Formatter):
    """A log record as one line of JSON in ASCII: line breaks and control characters can only appear escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
