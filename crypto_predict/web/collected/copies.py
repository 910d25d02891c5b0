"""The entity tags of recent answers, so that most conditional requests are answered without reading candles."""

from __future__ import annotations

from collections.abc import Hashable
from threading import Lock

MOST = 1_000  # answers that are remembered


class Copies:
    """Entity tags by what an answer depends on. Safe to share between threads."""

    def __init__(self) -> None:
        self._etags: dict[Hashable, str] = {}  # the oldest first
        self._lock = Lock()

    def etag(self, answer: Hashable) -> str | None:
        """Return the entity tag of an answer; None if it is not known."""
        return self._etags.get(answer)

    def add(self, answer: Hashable, etag: str) -> None:
        """Remember the entity tag of an answer, in place of the oldest one."""
        with self._lock:
            self._etags[answer] = etag
            if len(self._etags) > MOST:
                del self._etags[next(iter(self._etags))]
