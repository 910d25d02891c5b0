"""``manifest.json``: what is known of each file of an exported folder.

It is written last. Meanwhile each file is announced in a journal beside it, just before it takes its name: so after a
kill every file is described, by the manifest or by the journal, whichever has the SHA-256 of its bytes. The next export
joins both.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from crypto_predict.baked import plain
from crypto_predict.baked.files import opened, write_atomically
from crypto_predict.dataset.layout import KINDS, MANIFEST, month_of, most_rows, path_of
from crypto_predict.errors import InvalidValue, UnusableDataset
from crypto_predict.market import Interval, Pair, SeriesKey, Span, StoredGap
from crypto_predict.market.collected import SERIES_STATES, StreamSpan, StreamState
from crypto_predict.market.verdict import Verdict

JOURNAL = ".manifest.journal"

_FORMAT, _VERSION = "crypto-predict dataset", 1
_MOST_BYTES = 2**28  # of a manifest: some 300,000 files
_MOST_FILE_BYTES = 2**26  # of one month
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """A span in which the stream of the pair was in one state, as `StreamSpan`."""

    start: datetime  # UTC, included
    end: datetime  # UTC, not included
    state: str  # a value of `StreamState`
    reason: str

    @classmethod
    def of(cls, stream: StreamSpan) -> "StreamEntry":
        """Return the entry of a span of a stream."""
        return cls(stream.span.start, stream.span.end, stream.state.value, stream.reason)

    def stream(self) -> StreamSpan:
        """Return the span of the stream."""
        return StreamSpan(Span(self.start, self.end), StreamState(self.state), self.reason)

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if self.state not in {state.value for state in StreamState}:
            yield f"{self.state!r} is not a state of a stream"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: a month of a series."""

    path: str  # in the folder
    rows: int  # one for each opening
    candles: int  # openings that have one
    start: datetime  # UTC, the first opening
    end: datetime  # UTC, the end of the last candle
    bytes: int
    sha256: str  # of the bytes
    digest: str  # of the candles, as `market.digest` and the endpoint /digest compute it
    verdicts: dict[str, int]  # openings by verdict
    gaps: tuple[StoredGap, ...]  # that overlap the month
    coverage: tuple[Span, ...]  # what the source was asked for, in the month, or before or after all candles
    streams: tuple[StreamEntry, ...]  # in the month
    versions: dict[str, str]  # of the programs that wrote the file

    @property
    def span(self) -> Span:
        """From the first opening to the end of the last one."""
        return Span(self.start, self.end)

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        month = month_of(self.start)
        if not (self.start < self.end and month.start < self.end):
            yield f"the span from {self.start} to {self.end} is not a part of one month"
        if not 0 <= self.candles <= self.rows or self.rows < 1:
            yield f"{self.candles} candles in {self.rows} rows are not possible"
        if not 0 < self.bytes <= _MOST_FILE_BYTES:
            yield f"{self.bytes} bytes are not those of a month, at most {_MOST_FILE_BYTES:,}"
        for name, digest in (("sha256", self.sha256), ("digest", self.digest)):
            if len(digest) != 64 or not set(digest) <= _HEX:
                yield f"{name} is not a SHA-256 in hexadecimal digits"
        if sum(self.verdicts.values()) != self.rows or not self.verdicts.keys() <= {each.value for each in Verdict}:
            yield f"the verdicts {self.verdicts} are not those of {self.rows} rows"
        spans = [
            *self.coverage,
            *(Span(gap.start, gap.end) for gap in self.gaps),
            *(Span(stream.start, stream.end) for stream in self.streams),
        ]
        if any(span.start >= span.end for span in spans):
            yield "a span ends before it begins"


@dataclass(frozen=True, slots=True)
class Series:
    """One series of candles, and its files, ascending."""

    source: str
    pair: Pair
    interval: str  # such as 1m
    simulated: bool
    state: str  # one of `SERIES_STATES`
    since: datetime | None  # UTC, how far back it shall be collected
    files: tuple[Entry, ...]

    @property
    def key(self) -> SeriesKey:
        """The name of the series."""
        return SeriesKey(self.source, self.pair, Interval.parse(self.interval))

    def faults(self) -> Iterator[str]:
        """Yield the violated rules. A path follows from the series and the month: none leaves the folder."""
        try:
            paths = [{path_of(self.key, entry.start, kind) for kind in KINDS} for entry in self.files]
        except InvalidValue as error:
            yield str(error)
            return
        if self.state not in SERIES_STATES:
            yield f"{self.state!r} is not a state of a series"
        for entry, expected in zip(self.files, paths, strict=True):
            if entry.path not in expected:
                yield f"the path {entry.path!r} is not that of its series and month"
            if entry.rows > most_rows(self.key):
                yield f"{entry.path}: {entry.rows} rows are more than a month has"


@dataclass(frozen=True, slots=True)
class _Document:
    """The manifest as it is written."""

    format: str
    version: int
    files: str
    series: tuple[Series, ...]


@dataclass
class Manifest:
    """The files of a folder, which all have one `kind`."""

    kind: str
    series: dict[SeriesKey, Series] = field(default_factory=dict)  # without their files
    entries: dict[SeriesKey, dict[str, Entry]] = field(default_factory=dict)  # by path

    def add(self, series: Series) -> None:
        """Add a series and its files, in place of those with the same paths."""
        self.series[series.key] = replace(series, files=())
        self.entries.setdefault(series.key, {}).update({entry.path: entry for entry in series.files})

    def files_of(self, series: SeriesKey) -> list[Entry]:
        """Return the files of a series, ascending."""
        return sorted(self.entries[series].values(), key=lambda entry: entry.start)

    def described(self) -> list[Series]:
        """Return every series with its files, sorted."""
        keys = sorted(self.series, key=lambda key: (key.source, key.pair, key.interval.seconds))
        return [replace(self.series[key], files=tuple(self.files_of(key))) for key in keys]

    def document(self) -> bytes:
        """Return the manifest as JSON."""
        document = plain.encode(_Document(_FORMAT, _VERSION, self.kind, tuple(self.described())))
        return json.dumps(document, indent=1).encode() + b"\n"


def is_export(folder: Path) -> bool:
    """Return whether a folder has a manifest."""
    return (folder / MANIFEST).is_file()


def load(folder: Path) -> Manifest:
    """Return the manifest of a folder, with what its journal adds after a kill; raise `UnusableDataset`."""
    document = _document(folder)
    manifest = Manifest(document.files)
    for series in document.series:
        manifest.add(series)
    for series in _announced(folder):
        if all(_has_bytes(folder, entry) for entry in series.files):
            manifest.add(series)
    return manifest


def save(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, which ends the journal. An `OSError` leaves both as they are."""
    write_atomically(folder / MANIFEST, manifest.document())
    (folder / JOURNAL).unlink(missing_ok=True)


def announce(folder: Path, series: Series) -> None:
    """Append files to the journal before they take their names."""
    line = json.dumps(plain.encode(series)).encode() + b"\n"
    with (folder / JOURNAL).open("ab") as journal:
        journal.write(line)
        journal.flush()
        os.fsync(journal.fileno())


def _document(folder: Path) -> _Document:
    def unusable(reason: str) -> UnusableDataset:
        return UnusableDataset(folder, f"{MANIFEST}: {reason}")

    with opened(folder / MANIFEST, "manifest", _MOST_BYTES, "`collect.py --export` writes it", unusable) as file:
        content = file.read()
    try:
        data = json.loads(content)
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise unusable("it is not that of an export")
        if data.get("version") != _VERSION:
            raise unusable(f"version {data.get('version')!r} is not {_VERSION}, which this program reads")
        document = plain.decode(_Document, data, "manifest")
    # RecursionError: too deeply nested
    except (ValueError, RecursionError, plain.Undecodable) as error:
        raise unusable(str(error)) from error
    if document.files not in KINDS:
        raise unusable(f"{document.files!r} is not a kind of files: {', '.join(KINDS)}")
    others = [entry.path for each in document.series for entry in each.files if not entry.path.endswith(document.files)]
    if others:
        raise unusable(f"{others[0]} is not {document.files}, as all files are")
    return document


def _announced(folder: Path) -> Iterator[Series]:
    """Yield the series of the journal. Its last line may be torn, and a line that cannot be read describes no file."""
    with contextlib.suppress(FileNotFoundError), (folder / JOURNAL).open("rb") as journal:
        for line in journal:
            with contextlib.suppress(ValueError, RecursionError, plain.Undecodable):
                yield plain.decode(Series, json.loads(line), "journal")


def _has_bytes(folder: Path, entry: Entry) -> bool:
    path = folder / entry.path
    with contextlib.suppress(OSError):
        return path.stat().st_size == entry.bytes and sha256(path.read_bytes()).hexdigest() == entry.sha256
    return False
