"""The ledger: a file of all released forecasts and their outcomes, to which entries are only ever appended.

Each line is an entry that names the digest of the line before (see `entries`). So nothing can be changed, inserted,
removed or reordered without breaking the chain, except lines missing at its end. Therefore a model names the digest of
its ledger's last entry, by which `Ledger.read` detects a ledger that lost its end or was replaced.

The ledger is written before the model, and the model is the commit point: `Ledger.read` drops entries after the one
that the model names, because they were never released.

A release of a pair takes 1.3 to 3 kB and an outcome 0.3 kB: four releases a day of one pair come to 250 MB in fifty
years at most. The file is read line by line and not kept in memory.
"""

from __future__ import annotations

import hashlib
import logging
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from crypto_predict.baked.entries import (
    MOST_LINE_BYTES,
    NO_ENTRY,
    RESTORE,
    Entry,
    EntryFault,
    Outcome,
    Release,
    entry_after,
    read_entry,
)
from crypto_predict.errors import BrokenLedger

MOST_BYTES = 2**30  # fifty years of four pairs
MOST_AT_ONCE = 10_000  # releases of one instant, kept to detect duplicates

_CHUNK = 2**20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stored:
    """The file that holds the first entries of a ledger."""

    path: Path
    size: int  # bytes
    sha256: str

    def content(self) -> Iterator[bytes]:
        digest, left = hashlib.sha256(), self.size
        with self.path.open("rb") as file:
            while left and (chunk := file.read(min(left, _CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
                yield chunk
        if left or digest.hexdigest() != self.sha256:
            raise BrokenLedger(self.path, None, "it was changed during the training; train again")


@dataclass(slots=True)
class Ledger:
    """A whole chain of entries, empty or made by `Ledger.read`, and those appended to it."""

    entries: int = 0
    head: str = NO_ENTRY  # the digest of the last entry, which determines all the others
    newest: list[Release] = field(default_factory=list, compare=False)  # the last releases, made at one instant
    _stored: _Stored | None = field(default=None, compare=False, repr=False)
    _appended: list[bytes] = field(default_factory=list, compare=False, repr=False)  # lines after those stored

    @classmethod
    def read(
        cls,
        path: Path,
        heads: Collection[str] = (),
        before: datetime | None = None,
        visit: Callable[[Release | Outcome], None] | None = None,
    ) -> Ledger:
        """Read a ledger file without trusting it.

        Args:
            path: The file.
            heads: `Scorecard.head` of models that were released with it. Entries after the last one that they name were
                never released, and are dropped with a warning.
            before: The training time of a first release that was not completed. Entries from then on are dropped, too.
            visit: Called with the content of each entry. An `EntryFault` that it raises is reported with the line.

        Raises:
            BrokenLedger: The file is absent, empty, too large, truncated, altered or of a newer format (the line is
                named), or lacks an entry that a model names: its end is missing, or it belongs to another model.
        """
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise BrokenLedger(path, None, "it is not a regular file")
            if status.st_size > MOST_BYTES:
                raise BrokenLedger(
                    path, None, f"{status.st_size:,} bytes are more than a ledger may have ({MOST_BYTES:,})"
                )
            return cls._read(path, heads, before, visit)
        except FileNotFoundError as error:
            raise BrokenLedger(path, None, "the file does not exist; to begin a new ledger, omit --ledger") from error
        except OSError as error:
            raise BrokenLedger(path, None, f"it cannot be read: {error.strerror}") from error

    @classmethod
    def _read(
        cls,
        path: Path,
        heads: Collection[str],
        before: datetime | None,
        visit: Callable[[Release | Outcome], None] | None,
    ) -> Ledger:
        ledger, digest, size, dropped = cls(), hashlib.sha256(), 0, 0
        missing = set(heads) - {NO_ENTRY}
        ends = bool(missing)  # at the last of them
        with path.open("rb") as file:
            for line in iter(lambda: file.readline(MOST_LINE_BYTES + 2), b""):
                try:
                    entry = read_entry(_without_line_feed(line), ledger.head)
                    content = entry.content
                    if before is not None and isinstance(content, Release) and content.made_at >= before:
                        dropped = 1 + _count_lines(file)
                        break
                    if visit is not None:
                        visit(content)
                    ledger._add(entry)
                except EntryFault as fault:
                    raise BrokenLedger(path, ledger.entries + 1, str(fault)) from fault
                digest.update(line)
                size += len(line)
                missing.discard(entry.sha256)
                if ends and not missing:
                    dropped = _count_lines(file)
                    break
        if not size and not dropped:
            raise BrokenLedger(path, None, f"it is empty; to begin a new ledger, omit --ledger; otherwise {RESTORE}")
        if missing:
            raise BrokenLedger(
                path,
                None,
                f"its {ledger.entries} entries do not contain {min(missing)[:12]}..., the last entry of the model "
                f"released before: its end is missing, or it belongs to another model; {RESTORE}",
            )
        if dropped:
            _log.warning("%s: entries dropped from the end: %d. Their training was interrupted", path, dropped)
        ledger._stored = _Stored(path, size, digest.hexdigest())
        return ledger

    @property
    def size(self) -> int:
        """Bytes of the ledger as a file."""
        return (self._stored.size if self._stored else 0) + sum(map(len, self._appended))

    def append(self, content: Release | Outcome) -> None:
        """Append an entry.

        Raises:
            EntryFault: It is a release that was made before an earlier one.
            UnusableHistory: The forecasts or the price cannot be scored.
        """
        entry = entry_after(content, self.head)
        self._add(entry)
        self._appended.append(entry.line + b"\n")

    def content(self) -> Iterator[bytes]:
        """Yield the bytes of the ledger file, in pieces.

        Raises:
            BrokenLedger: The file that it was read from has changed since.
        """
        if self._stored is not None:
            yield from self._stored.content()
        yield from self._appended

    def _add(self, entry: Entry) -> None:
        if isinstance(entry.content, Release):
            self._add_to_newest(entry.content)
        self.entries += 1
        self.head = entry.sha256

    def _add_to_newest(self, release: Release) -> None:
        newest = self.newest[-1].made_at if self.newest else release.made_at
        if release.made_at < newest:
            raise EntryFault(f"its release was made at {release.made_at}, before an earlier one of {newest}; {RESTORE}")
        if release.made_at > newest:
            self.newest.clear()
        elif len(self.newest) == MOST_AT_ONCE:
            raise EntryFault(f"more than {MOST_AT_ONCE:,} releases were made at {newest}; {RESTORE}")
        self.newest.append(release)


def size_up_to(path: Path, head: str) -> int | None:
    """Return the size of a ledger file up to and including the entry with the digest `head`; None if it lacks it.

    Raises:
        OSError: The file cannot be read.
    """
    end, size = f'"sha256":"{head}"}}\n'.encode(), 0
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE_BYTES):
            size += len(line)
            if line.endswith(end):
                return size
    return None


def _without_line_feed(line: bytes) -> bytes:
    if not line.endswith(b"\n") and len(line) <= MOST_LINE_BYTES:  # `read_entry` refuses lines that are too long
        raise EntryFault(f"it is cut off: the line feed at its end is missing; {RESTORE}")
    return line.removesuffix(b"\n")


def _count_lines(file: IO[bytes]) -> int:
    """Count the remaining lines; the last one may lack its line feed."""
    count, last = 0, b"\n"
    while chunk := file.read(_CHUNK):
        count, last = count + chunk.count(b"\n"), chunk
    return count + (not last.endswith(b"\n"))
