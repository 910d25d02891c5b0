"""``file:PATH`` as a source of daily candles. Minutes and hours in the file become days."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median_low

from crypto_predict.market import EPOCH, Candle, Interval, Pair, Span, resample
from crypto_predict.sources.csv_file.lines import MOST_LINES
from crypto_predict.sources.csv_file.reading import Row, log_assumptions, read


class CsvFile:
    """A file of daily candles as a source. It is read once; more than `most_lines` lines are refused."""

    simulated = False
    intervals = frozenset({Interval.DAY_1})

    def __init__(self, path: str, most_lines: int = MOST_LINES) -> None:
        self.id = f"file:{path}"  # as the user wrote it
        self._path = path
        self._most_lines = most_lines
        self._read: dict[tuple[Path, bool], list[Row]] = {}  # and whether they are days

    def path_for(self, pair: Pair) -> Path:
        """Return the file with the candles of `pair`. Without placeholders it is always the same."""
        return pair.fill(Path(self._path))

    def traded(self, pair: Pair) -> Pair:
        """Return the pair itself: the user names the pair of a file."""
        return pair

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:
        """Return the close of the newest row that closes by `limit` (UTC); without such a row, `limit` rounded down."""
        latest = limit - interval.length  # the rows may reach to the end of the year 9999
        closes = (row.open_time + interval.length for row, _ in self._rows(pair, interval) if row.open_time <= latest)
        return max(closes, default=interval.floor(limit))

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return the candles that open in `span` or later, ascending."""
        return (candle for candle, _ in self.rows(pair, interval, span))

    def rows(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Row]:
        """Return what `candles` returns, each candle with its line."""
        return (row for row in self._rows(pair, interval) if row[0].open_time >= span.start)

    def _rows(self, pair: Pair, interval: Interval) -> list[Row]:
        path, daily = self.path_for(pair), interval is Interval.DAY_1
        if (path, daily) not in self._read:
            rows, assumptions = read(path, self._most_lines, pair.base)
            self._read[path, daily] = _days(rows, assumptions) if daily else rows
            log_assumptions(path, assumptions)
        return self._read[path, daily]


def _days(rows: list[Row], assumptions: list[str]) -> list[Row]:
    """Return the days that rows of equally spaced shorter candles make up, each with the line of its first part.

    Days within which the file begins or ends are left out. Other rows are returned unchanged.
    """
    steps = [later.open_time - earlier.open_time for (earlier, _), (later, _) in pairwise(rows)]
    step = median_low(steps) if steps else timedelta(0)
    length = Interval.DAY_1.length
    on_grid = timedelta(0) < step < length and all((row.open_time - EPOCH) % step == timedelta(0) for row, _ in rows)
    if not on_grid or length % step:
        return rows
    parts = {candle.open_time: (candle, line) for candle, line in rows}  # the last of repeated ones
    lines: dict[datetime, int] = {}
    for opening, (_, line) in parts.items():
        lines.setdefault(Interval.DAY_1.floor(opening), line)
    span = Span(rows[0][0].open_time, rows[-1][0].open_time + step)
    days = list[Candle](resample((candle for candle, _ in parts.values()), span, Interval.DAY_1))
    if not days:
        return rows
    assumptions.append(f"{len(parts):,} candles of {step} are joined to {len(days):,} days")
    return [(day, lines[day.open_time]) for day in days]
