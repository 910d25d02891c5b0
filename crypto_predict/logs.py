"""Structured logs: one JSON object a line, so that a value from a request cannot forge or break a line.

``{"time": "2024-06-01T12:00:00.000Z", "level": "info", "event": "serving", ...}``, with further fields of the event.
"""

import json
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from crypto_predict.errors import InvalidValue

LEVELS = ("debug", "info", "warning", "error")

quoted = json.encoder.encode_basestring_ascii  # a text as ASCII JSON, with its quotation marks

_PIPE_BYTES = getattr(select, "PIPE_BUF", 4096)  # maximum size of an atomic write to a pipe
_FIELDS = "crypto_predict_fields"  # attribute of a log record


def configure(level: str, write: Callable[[str], None]) -> None:
    """Pass a line for every event of at least `level`, from any library, to `write`; replace an earlier `write`."""
    logging.basicConfig(level=level.upper(), handlers=[_JsonHandler(write)], force=True)


def event(logger: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log the event `name` with its `fields`: plain values, or anything that has a ``str``."""
    logger.log(level, "%s", name, extra={_FIELDS: fields})


def level_name(text: str) -> str:
    """Read the name of a level, in any case."""
    if text.lower() not in LEVELS:
        raise InvalidValue("log level", text, f"one of {', '.join(LEVELS)}")
    return text.lower()


def line(seconds: float, level: str, name: str, fields: Mapping[str, object]) -> str:
    """Return the event `name`, at `seconds` since 1970, as one line of ASCII JSON without a line end."""
    return json.dumps({"time": instant(seconds), "level": level, "event": name, **fields}, default=str)


def instant(seconds: float) -> str:
    """Format seconds since 1970 in UTC: ``2024-06-01T12:00:00.000Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _JsonHandler(logging.Handler):
    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        fields = dict(getattr(record, _FIELDS, {}))
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._write(line(record.created, record.levelname.lower(), record.getMessage(), fields))


class Lines:
    """A writer of lines to a file descriptor (-1: to none) that never blocks its caller: a thread writes batches.

    Lines beyond `MOST_BYTES` while the reader stalls, and lines that cannot be written, are dropped and counted. A
    batch is an atomic write to a pipe, so that a process that ends leaves whole lines; a longer line can be cut.
    """

    MOST_BYTES = 2**20
    GATHER_SECONDS = 0.05  # to collect a batch: a system call for each line would cost more than a request
    STALLED_SECONDS = 0.25  # without progress, after which `close` gives up

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._size = 0  # bytes waiting or being written
        self._lock = threading.Lock()  # guards the two above and `dropped`
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
            self._waiting.append(data)
            self._size += len(data)
        if not self._arrived.is_set():
            self._arrived.set()

    def close(self, seconds: float, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """Write the waiting lines for at most `seconds`, less if the reader stalls or `is_hurried()`."""
        if self._closing.is_set():  # a second call
            return
        self._closing.set()
        self._arrived.set()
        deadline = time.monotonic() + seconds
        before = -1
        while self._thread.is_alive() and time.monotonic() < deadline and before != self._size:
            before = self._size
            self._thread.join(self.STALLED_SECONDS)
            if is_hurried():
                break

    def _run(self) -> None:
        while not self._closing.is_set():
            self._arrived.wait()
            self._arrived.clear()
            self._closing.wait(self.GATHER_SECONDS)
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        while self._waiting:
            batch = bytearray()
            with self._lock:
                count = len(self._waiting)
                while self._waiting and (not batch or len(batch) + len(self._waiting[0]) <= _PIPE_BYTES):
                    batch += self._waiting.popleft()
                count -= len(self._waiting)
            is_written = self._put(bytes(batch))
            with self._lock:
                self._size -= len(batch)
                self.dropped += 0 if is_written else count

    def _put(self, data: bytes) -> bool:
        """Write a batch. Return whether that was possible."""
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # the descriptor, which other processes may share, is non-blocking
                time.sleep(self.GATHER_SECONDS)
            except OSError:  # the disk is full, or the reader has closed the pipe
                return False
        return True
