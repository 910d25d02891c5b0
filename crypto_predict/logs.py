"""Structured logs: one JSON object a line, so that no value a stranger sends can forge or break one.

``{"time": "2024-06-01T12:00:00.000Z", "level": "info", "event": "serving", ...}``: every further field belongs to the
event. Times are UTC.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import BinaryIO, TextIO

from crypto_predict.errors import InvalidValue

LEVELS = ("debug", "info", "warning", "error")

__all__ = ["LEVELS", "BufferedLines", "JsonLines", "configure", "event", "instant", "level_name", "line", "quoted"]

_FIELDS = "crypto_predict_fields"  # where a record carries them


def configure(level: str, stream: TextIO) -> None:
    """Write every event of at least `level`, from whichever library, to `stream`. Undoes what was configured before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def event(logger: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log what happened, called `name`, with its `fields`: plain values, or anything that has a ``str``."""
    logger.log(level, "%s", name, extra={_FIELDS: fields})


def level_name(text: str) -> str:
    """Read the name of a level.

    Raises:
        InvalidValue: There is no such level.
    """
    if text.lower() not in LEVELS:
        raise InvalidValue("log level", text, f"one of {', '.join(LEVELS)}")
    return text.lower()


def line(seconds: float, level: str, name: str, fields: Mapping[str, object]) -> str:
    """An event as one line of JSON in ASCII, without its end: line breaks and control characters appear escaped.

    Args:
        seconds: When it happened, since the Unix epoch.
        level: One of `LEVELS`.
        name: What happened.
        fields: What belongs to it; ``time``, ``level`` and ``event`` are taken.
    """
    return json.dumps({"time": instant(seconds), "level": level, "event": name, **fields}, default=str)


def instant(seconds: float) -> str:
    """An instant since the Unix epoch as lines write it: ``2024-06-01T12:00:00.000Z``."""
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat(timespec='milliseconds')[: -len('+00:00')]}Z"


class JsonLines(logging.Formatter):
    """Log records as JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record, without its end."""
        fields = dict(getattr(record, _FIELDS, {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return line(record.created, record.levelname.lower(), record.getMessage(), fields)


class BufferedLines:
    """Lines that are too many for the logging library, which spends some 15 microseconds on each.

    A buffered binary stream may be shared between threads, so lines stay whole among those of `configure`'s handler on
    the same stream. They wait in its buffer until it is full or somebody calls `flush`. A log that nobody can write any
    more does not stop the service.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write one line, given in ASCII and without its end."""
        with contextlib.suppress(OSError, ValueError):  # the disk is full, the reader is gone, the stream is closed
            self._stream.write(f"{text}\n".encode("ascii"))

    def flush(self) -> None:
        """Write out what waits."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()
