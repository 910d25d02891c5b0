"""Structured logs: one JSON object a line, so that a value from a request cannot forge or break a line.

``{"time": "2024-06-01T12:00:00.000Z", "level": "info", "event": "serving", ...}``: every further field belongs to the
event. Times are UTC.
"""

from __future__ import annotations

import json
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted

from crypto_predict.errors import InvalidValue

LEVELS = ("debug", "info", "warning", "error")

__all__ = ["LEVELS", "JsonLines", "Lines", "configure", "event", "instant", "level_name", "line", "quoted"]

_PIPE_BYTES = getattr(select, "PIPE_BUF", 4096)  # maximum size of an atomic write to a pipe
_FIELDS = "crypto_predict_fields"  # attribute of a log record


def configure(level: str, write: Callable[[str], None]) -> None:
    """Pass a line for every event of at least `level`, from any library, to `write`.

    Replaces an earlier configuration.
    """
    handler = _Handler(write)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def event(logger: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log the event `name` with its `fields`: plain values, or anything that has a ``str``."""
    logger.log(level, "%s", name, extra={_FIELDS: fields})


def level_name(text: str) -> str:
    """Read the name of a level.

    Raises:
        InvalidValue: The level does not exist.
    """
    if text.lower() not in LEVELS:
        raise InvalidValue("log level", text, f"one of {', '.join(LEVELS)}")
    return text.lower()


def line(seconds: float, level: str, name: str, fields: Mapping[str, object]) -> str:
    """Return an event as one line of ASCII JSON without a line end. Control characters are escaped.

    Args:
        seconds: Its time since the Unix epoch.
        level: One of `LEVELS`.
        name: The event.
        fields: Its fields; the names ``time``, ``level`` and ``event`` are reserved.
    """
    return json.dumps({"time": instant(seconds), "level": level, "event": name, **fields}, default=str)


def instant(seconds: float) -> str:
    """Format seconds since the Unix epoch as in a line: ``2024-06-01T12:00:00.000Z``."""
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat(timespec='milliseconds')[: -len('+00:00')]}Z"


class _Handler(logging.Handler):
    """Passes the lines of records to a function."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        self._write(self.format(record))


class JsonLines(logging.Formatter):
    """Log records as JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record, without a line end."""
        fields = dict(getattr(record, _FIELDS, {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return line(record.created, record.levelname.lower(), record.getMessage(), fields)


class Lines:
    """A non-blocking writer of lines to a file descriptor: a thread of its own writes them, in batches.

    Lines beyond `MOST_BYTES` while the reader stalls, and lines that cannot be written, are dropped and counted. A
    batch is at most an atomic write to a pipe, so that a process that ends does not leave half a line. Only a line
    longer than that can be cut.

    Args:
        descriptor: Where lines are written; None drops all of them.
    """

    MOST_BYTES = 2**20
    GATHER_SECONDS = 0.05  # to collect a batch: a system call for each line would cost more than a request
    STALLED_SECONDS = 0.25  # without progress, after which `close` gives up

    def __init__(self, descriptor: int | None) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._size = 0  # bytes waiting
        self._written = 0  # bytes written
        self._lock = threading.Lock()  # guards the three above and `dropped`
        self._arrived = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Queue one line of ASCII without a line end, or drop it."""
        data = f"{text}\n".encode("ascii")
        with self._lock:
            if self._size + len(data) > self.MOST_BYTES:
                self.dropped += 1
                return
            is_first = not self._waiting
            self._waiting.append(data)
            self._size += len(data)
        if is_first:
            self._arrived.set()

    def close(self, seconds: float, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """Write the waiting lines. Give up earlier if the reader stalls. A second call does nothing.

        Args:
            seconds: The longest time that it takes.
            is_hurried: Whether to stop after `STALLED_SECONDS`; called repeatedly.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        self._arrived.set()
        deadline = time.monotonic() + seconds
        written = -1
        while self._thread.is_alive() and time.monotonic() < deadline and written != self._written:
            written = self._written
            self._thread.join(self.STALLED_SECONDS)
            if is_hurried():
                break

    def _run(self) -> None:
        while not (self._closing.is_set() and not self._waiting):
            self._arrived.wait()
            self._arrived.clear()
            self._closing.wait(self.GATHER_SECONDS)
            while lines := self._next():
                written = self._put(b"".join(lines))
                with self._lock:
                    self._size -= sum(map(len, lines))
                    self._written += written
                    self.dropped += 0 if written else len(lines)

    def _next(self) -> list[bytes]:
        """Remove and return the next batch."""
        lines: list[bytes] = []
        room = _PIPE_BYTES
        with self._lock:
            while self._waiting and (not lines or len(self._waiting[0]) <= room):
                lines.append(self._waiting.popleft())
                room -= len(lines[-1])
        return lines

    def _put(self, data: bytes) -> int:
        """Write a batch. Return the number of bytes written: all or 0."""
        written = 0
        while self._descriptor is not None and written < len(data):
            try:
                written += os.write(self._descriptor, data[written:])
            except BlockingIOError:  # the descriptor, which other processes may share, is non-blocking
                time.sleep(self.GATHER_SECONDS)
            except OSError:  # the disk is full, or the reader has closed the pipe
                return 0
        return written
