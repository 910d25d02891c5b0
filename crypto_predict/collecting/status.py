"""What is stored, and how complete it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_predict.logs import instant
from crypto_predict.market.ports import CollectedSeries, SeriesSize
from crypto_predict.wording import duration

WIDEST = 100  # columns of the table
NOTHING = "nothing is stored yet; `python collect.py --backfill --since 2021-01-01` collects the minutes of five pairs"

_HEAD = ("pair", "source", "every", "from", "to (UTC)", "lag", "gaps", "missing", "rows", "size")
_RIGHT = frozenset({"gaps", "missing", "rows", "size"})


@dataclass(frozen=True, slots=True)
class Row:
    """One stored series."""

    stored: CollectedSeries
    lag: timedelta | None  # since the newest candle that could be there; None before the first candle
    rows: int
    bytes: int


def rows(stored: Sequence[CollectedSeries], sizes: Sequence[SeriesSize], now: datetime) -> list[Row]:
    """Return one row for each series; `now` is in UTC."""
    by_series = {size.series: size for size in sizes}
    found = []
    for one in stored:
        size, lag = by_series.get(one.series), one.lag(now)
        # A clock that was put back would make it negative.
        lag = None if lag is None else max(lag, timedelta(0))
        found.append(Row(one, lag, size.rows if size else 0, size.bytes if size else 0))
    return found


def as_table(table: Sequence[Row]) -> str:
    """Format the rows for a terminal, at most `WIDEST` columns wide: pairs with long names are cut."""
    if not table:
        return NOTHING
    cells = [list(_HEAD), *(_cells(row) for row in table)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    gaps = 2 * (len(_HEAD) - 1)
    widths[0] = max(8, min(widths[0], WIDEST - gaps - sum(widths[1:])))
    lines = []
    for row in cells:
        if len(row[0]) > widths[0]:
            row[0] = f"{row[0][: widths[0] - 1]}…"
        line = [
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for name, cell, width in zip(_HEAD, row, widths, strict=True)
        ]
        lines.append("  ".join(line).rstrip())
    return "\n".join(lines)


def as_json(table: Sequence[Row], now: datetime) -> str:
    """Return the rows as one JSON object; times are in UTC."""
    series = [
        {
            "pair": str(row.stored.series.pair),
            "source": row.stored.series.source,
            "interval": row.stored.series.interval.label,
            "simulated": row.stored.simulated,
            "state": row.stored.state,
            "start": _iso(row.stored.first_open),
            "end": _iso(row.stored.newest_close),
            "lag_seconds": None if row.lag is None else row.lag.total_seconds(),
            "gaps": row.stored.gaps,
            "missing": row.stored.missing,
            "rows": row.rows,
            "bytes": row.bytes,
        }
        for row in table
    ]
    return json.dumps({"time": _iso(now), "series": series}, indent=1)


def _cells(row: Row) -> list[str]:
    stored = row.stored
    return [
        str(stored.series.pair),
        stored.series.source,
        stored.series.interval.label,
        "" if stored.first_open is None else f"{stored.first_open:%Y-%m-%d}",
        "" if stored.newest_close is None else f"{stored.newest_close:%Y-%m-%d %H:%M}",
        "" if row.lag is None else duration(row.lag),
        f"{stored.gaps:,}",
        f"{stored.missing:,}",
        f"{row.rows:,}",
        _size(row.bytes),
    ]


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else instant(time.timestamp())
