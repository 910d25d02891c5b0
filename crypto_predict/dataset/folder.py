"""An exported folder, open for reading like a database of the market."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path

from crypto_predict.dataset.manifest import Entry, load
from crypto_predict.errors import UnusableDataset, UnusableHistory
from crypto_predict.market import Interval, Pair, SeriesKey, Span, StoredCandle, aggregate
from crypto_predict.market.collected import CollectedSeries


class ExportedFolder:
    """The candles of a folder. Each file is checked when it is read; the month that was read last is kept."""

    def __init__(self, path: Path) -> None:
        """Read the manifest; raise `UnusableHistory` if there is none that can be used."""
        self._path = path
        self._months: tuple[str, Sequence[StoredCandle]] = ("", ())
        try:
            self._manifest = load(path)
        except UnusableDataset as error:
            raise UnusableHistory(f"file:{path}", [error.reason]) from error

    def collected(self, pair: Pair | None = None) -> Sequence[CollectedSeries]:
        """Return every series of the folder, or those of one pair, sorted."""
        return [
            CollectedSeries(
                series=series.key,
                simulated=series.simulated,
                state=series.state,
                first_open=series.files[0].start,
                newest_close=series.files[-1].end,
                gaps=0,
                missing=sum(entry.rows - entry.candles for entry in series.files),
                since=series.since,
                candles=sum(entry.candles for entry in series.files),
            )
            for series in self._manifest.described()
            if series.files and pair in {None, series.pair}
        ]

    def joined(self, series: SeriesKey, interval: Interval, span: Span, limit: int) -> Sequence[StoredCandle]:
        """Return at most `limit` candles of `interval` that open in `span`, made of those of a series.

        Raise `UnusableHistory` for a file that is not sound.
        """
        return list(islice(self._joined(series, interval, span), limit))

    def _joined(self, series: SeriesKey, interval: Interval, span: Span) -> Iterator[StoredCandle]:
        for _, group in groupby(self._in_span(series, span), lambda stored: interval.floor(stored.candle.open_time)):
            parts = list(group)
            yield StoredCandle(next(aggregate((part.candle for part in parts), interval)), parts[-1].vwap)

    def _in_span(self, series: SeriesKey, span: Span) -> Iterator[StoredCandle]:
        for entry in self._manifest.files_of(series):
            if entry.start < span.end and entry.end > span.start:
                yield from (stored for stored in self._month(series, entry) if stored.candle.open_time in span)

    def _month(self, series: SeriesKey, entry: Entry) -> Sequence[StoredCandle]:
        try:
            from crypto_predict.dataset import files, tables  # noqa: PLC0415 pyarrow is needed only here
        except ModuleNotFoundError as error:
            reason = f"the package {error.name} is not installed; install requirements-live.txt with pip"
            raise UnusableHistory(f"file:{self._path}", [reason]) from error
        path, month = self._months
        if path != entry.path:
            try:
                month = list(tables.candles(files.read(self._path, entry, series.interval)))
            except UnusableDataset as error:
                raise UnusableHistory(f"file:{self._path}", [error.reason]) from error
            self._months = entry.path, month
        return month
