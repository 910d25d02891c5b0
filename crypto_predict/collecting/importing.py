"""``--import``: an exported folder into a database, month by month."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from crypto_predict.collecting.windows import uncovered
from crypto_predict.dataset import files, tables
from crypto_predict.dataset.manifest import Entry, Series
from crypto_predict.errors import UnusableDataset
from crypto_predict.market import DAY, Candle, SeriesKey, Span
from crypto_predict.market.ports import (
    CandleWriter,
    CoverageReader,
    GapWriter,
    Reservations,
    SeriesWriter,
    StreamReader,
    StreamWriter,
)
from crypto_predict.wording import counted


class ImportDatabase(
    SeriesWriter, CandleWriter, CoverageReader, GapWriter, StreamReader, StreamWriter, Reservations, Protocol
):
    """What an import needs of a database."""


@dataclass
class Imported:
    """What an import has done."""

    files: int = 0
    candles: int = 0  # in these files
    changed: int = 0  # candles that were new to the database, or differed

    def summary(self, folder: Path) -> str:
        """Return one line."""
        of = f"{counted(self.candles, 'candle')} in {counted(self.files, 'file')}"
        return f"{folder}: {of}, {self.changed:,} new or changed"


def import_folder(database: ImportDatabase, folder: Path, selection: Sequence[Series], now: datetime) -> Imported:
    """Store some series of a folder with what was known of them; `now` is in UTC.

    A candle replaces another one of the database, whose values are kept in the table `revisions`. Each month is several
    transactions, which the same command continues after any kind of end. Raise `UnusableDataset` for a file that is
    not the one of the manifest, `SeriesHeld` if another process writes a series, and as `follow`.
    """
    imported = Imported()
    for series in selection:
        key = series.key
        with database.hold(key):
            is_new = all(collected.series != key for collected in database.collected(key.pair))
            database.follow(key, simulated=series.simulated)
            if is_new:
                database.set_state(key, series.state, series.since)
            for entry in series.files:
                if any(end > now + DAY for end in (entry.end, *(span.end for span in entry.coverage))):
                    raise UnusableDataset(folder, f"{entry.path}: it describes the future; check the clock")
                month = files.read(folder, entry, key.interval)
                candles = [stored.candle for stored in tables.candles(month)]
                imported.changed += _store(database, key, entry, candles)
                imported.files += 1
                imported.candles += len(candles)
            # at the end: a gap is one once the next candle is stored, which may be that of a later month
            database.restore_gaps(key, [gap for entry in series.files for gap in entry.gaps])
    return imported


def _store(database: ImportDatabase, series: SeriesKey, entry: Entry, candles: Sequence[Candle]) -> int:
    """Store a month; return how many candles were new or differed. What was asked for before is not counted again."""
    for stream in entry.streams:
        if stream.stream() not in database.streams(series.source, series.pair, Span(stream.start, stream.end)):
            database.write_streams(series.source, [series.pair], stream.stream())
    covered = database.coverage(series)
    pieces = [piece for span in entry.coverage for piece in uncovered(span, covered)]
    changed = database.write(series, candles, pieces[0] if pieces else None)
    for piece in pieces[1:]:
        database.write(series, (), piece)
    return changed
