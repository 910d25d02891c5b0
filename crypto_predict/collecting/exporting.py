"""``--export``: the candles of a database as an exported folder, of which only the months that changed are written."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from crypto_predict import locks
from crypto_predict.baked.files import write_atomically
from crypto_predict.dataset import files, layout, manifest, tables
from crypto_predict.dataset.layout import MANIFEST
from crypto_predict.dataset.manifest import Entry, Manifest, Series, StreamEntry
from crypto_predict.errors import InvalidValue, UnusableDataset, UnusableHistory
from crypto_predict.market import EPOCH, Interval, SeriesKey, Span
from crypto_predict.market.collected import CollectedSeries, StoredMonth, StreamSpan
from crypto_predict.market.ports import ColumnReader, CoverageReader, SeriesReader, StreamReader
from crypto_predict.version import __version__
from crypto_predict.wording import counted

_LOCK = ".export.lock"
_MOST_READS = 100  # of one month, if a collector writes the series meanwhile
_VERSIONS = {"crypto_predict": __version__, "pyarrow": version("pyarrow")}

_log = logging.getLogger(__name__)


class MonthDatabase(SeriesReader, ColumnReader, CoverageReader, StreamReader, Protocol):
    """What a month is read from."""


@dataclass
class Exported:
    """What an export has done."""

    written: list[str] = field(default_factory=list)  # paths
    unchanged: int = 0  # files
    rows: int = 0  # in files that were written
    bytes: int = 0  # of these files

    def count(self, entry: Entry) -> None:
        """Count a file that was written."""
        self.written.append(entry.path)
        self.rows += entry.rows
        self.bytes += entry.bytes

    def summary(self, folder: Path) -> str:
        """Return one line."""
        new = (
            f"{counted(len(self.written), 'file')} written ({counted(self.rows, 'row')}, {counted(self.bytes, 'byte')})"
        )
        return f"{folder}: {new}, {self.unchanged:,} unchanged"


class _Place(NamedTuple):
    """Where months are written."""

    folder: Path
    described: Manifest
    exported: Exported


def export(
    database: MonthDatabase, folder: Path, kind: str, selection: Sequence[CollectedSeries], span: Span
) -> Exported:
    """Write every month of some series that overlaps `span`, whole, if it differs from the file in the folder.

    What a file has from before the first candle of the database stays in it. Raise `InvalidValue` if the folder has
    other files, or if another process exports into it, and `OSError` if a file cannot be written: the files before it
    are whole then, and described.
    """
    pa.set_memory_pool(pa.system_memory_pool())  # which gives back at once what a month has taken
    with _opened(folder, kind) as described:
        place = _Place(folder, described, Exported())
        for collected in selection:
            series = _described(described, collected)
            for month in _months_of(collected, span):
                _export_month(database, place, series, month)
        manifest.save(folder, described)
    return place.exported


def read_month(database: MonthDatabase, series: SeriesKey, month: Span) -> StoredMonth | None:
    """Return what is stored of a month, all of one version of the series; None if no opening lies in it."""
    for _ in range(_MOST_READS):
        collected = _current(database, series)
        if collected is None or collected.first_open is None or collected.newest_close is None:
            return None
        first, end = collected.first_open, collected.newest_close
        span = Span(max(first, series.interval.ceil(month.start)), min(end, series.interval.ceil(month.end)))
        if span.start >= span.end:
            return None
        asked = layout.beyond(month, before=first >= month.start, after=end <= month.end)
        stored = StoredMonth(
            span,
            database.columns(series, span),
            tuple(layout.within(database.coverage(series), asked)),
            tuple(database.gaps(series, span)),
            tuple(_cut(database.streams(series.source, series.pair, asked), asked)),
        )
        now = _current(database, series)
        if now is not None and now.version == collected.version:
            return stored
    raise UnusableHistory(str(series), ["it is being written all the time; export it once its history is complete"])


@contextmanager
def _opened(folder: Path, kind: str) -> Iterator[Manifest]:
    """Hold a folder, which is made if needed; yield its manifest."""

    def refused(holder: str) -> Exception:
        return InvalidValue("--export", str(folder), f"free: {holder} exports into it; wait until that process ends")

    if folder.exists() and not folder.is_dir():
        raise InvalidValue("--export", str(folder), "a folder")
    folder.mkdir(parents=True, exist_ok=True)
    with locks.holding(folder / _LOCK, refused):
        if not manifest.is_export(folder):
            if others := sorted(path.name for path in folder.iterdir() if path.name != _LOCK):
                expected = f"empty, and has no {MANIFEST} of an export, but {others[0]}; name another folder"
                raise InvalidValue("--export", str(folder), expected)
            manifest.save(folder, Manifest(kind))
        described = manifest.load(folder)
        if (folder / manifest.JOURNAL).exists():  # of a killed export; its last line may be torn
            manifest.save(folder, described)
        if described.kind != kind:
            raise InvalidValue("--format", kind, f"{described.kind}, which {folder} has; name another folder")
        for leftover in folder.glob("**/.*.tmp"):
            _log.warning("removing %s, which an earlier run left behind", leftover)
            leftover.unlink(missing_ok=True)
        yield described


def _export_month(database: MonthDatabase, place: "_Place", series: Series, month: Span) -> None:
    key, described = series.key, place.described
    stored = read_month(database, key, month)
    if stored is None:
        return
    path = layout.path_of(key, month.start, described.kind)
    old = described.entries[key].get(path)
    old_table = None if old is None else _unpacked_or_none(place.folder, old)
    if old is not None and old_table is not None and old.start < stored.span.start:
        stored = _joined(old, old_table, stored)
    table = tables.table(stored, key.interval)
    if old is not None and old_table is not None and old_table.equals(table):
        described.add(replace(series, files=(replace(old, **_facts(stored)),)))
        place.exported.unchanged += 1
        return
    content = files.packed(table, described.kind)
    entry = _entry(path, table, stored, content, key.interval)
    (place.folder / path).parent.mkdir(parents=True, exist_ok=True)
    manifest.announce(place.folder, replace(series, files=(entry,)))
    write_atomically(place.folder / path, content)
    described.add(replace(series, files=(entry,)))
    place.exported.count(entry)


def _entry(path: str, table: pa.Table, stored: StoredMonth, content: bytes, interval: Interval) -> Entry:
    return Entry(
        path=path,
        rows=len(table),
        candles=len(table) - table["close"].null_count,
        start=stored.span.start,
        end=stored.span.end,
        bytes=len(content),
        sha256=sha256(content).hexdigest(),
        digest=tables.digest(table, interval),
        verdicts=tables.verdicts(table),
        versions=_VERSIONS,
        **_facts(stored),
    )


def _facts(stored: StoredMonth) -> dict[str, Any]:
    """Return the fields of an entry that are no columns of its file."""
    streams = tuple(StreamEntry.of(stream) for stream in stored.streams)
    return {"gaps": stored.gaps, "coverage": stored.coverage, "streams": streams}


def _joined(old: Entry, old_table: pa.Table, stored: StoredMonth) -> StoredMonth:
    """Return a month with what its old file has from before the first candle of the database, which keeps no others."""
    since = stored.span.start
    kept = tables.columns(old_table.filter(pc.less(old_table["open_time"], pa.scalar(since))))
    before, after = Span(EPOCH, since), layout.beyond(Span(since, since), before=False, after=True)
    return StoredMonth(
        Span(old.start, stored.span.end),
        [[*before_it, *column] for before_it, column in zip(kept, stored.columns, strict=True)],
        tuple(layout.joined([*layout.within(old.coverage, before), *layout.within(stored.coverage, after)])),
        (*(gap for gap in old.gaps if gap.start < since), *stored.gaps),
        (*_cut([entry.stream() for entry in old.streams], before), *_cut(stored.streams, after)),
    )


def _cut(streams: Iterable[StreamSpan], bounds: Span) -> list[StreamSpan]:
    """Return the parts of streams that lie within a span."""
    return [replace(stream, span=part) for stream in streams for part in layout.within([stream.span], bounds)]


def _unpacked_or_none(folder: Path, entry: Entry) -> pa.Table | None:
    """Return the table of a file; None if it is missing or damaged, so that it is written again."""
    try:
        return files.unpacked(folder, entry)
    except UnusableDataset as error:
        _log.warning("%s; writing it again", error)
        return None


def _described(described: Manifest, collected: CollectedSeries) -> Series:
    """Return a series as the manifest has it; raise `InvalidValue` if its prices are not those of the folder."""
    key = collected.series
    layout.path_of(key, EPOCH, described.kind)
    series = Series(key.source, key.pair, key.interval.label, collected.simulated, collected.state, collected.since, ())
    if key in described.series and described.series[key].simulated != collected.simulated:
        kind = "simulated" if collected.simulated else "real"
        raise InvalidValue("--export", str(key), f"a series with {kind} prices in that folder; name another folder")
    described.add(series)
    return series


def _months_of(collected: CollectedSeries, span: Span) -> Iterator[Span]:
    if collected.first_open is not None and collected.newest_close is not None:
        whole = layout.within([Span(collected.first_open, collected.newest_close)], layout.whole_months(span))
        for part in whole:
            yield from layout.months(part)


def _current(database: SeriesReader, series: SeriesKey) -> CollectedSeries | None:
    return next((each for each in database.collected(series.pair) if each.series == series), None)
