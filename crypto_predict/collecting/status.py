"""What is stored, and how complete it is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from crypto_predict.logs import instant
from crypto_predict.market import EPOCH, Interval, SeriesKey, Span
from crypto_predict.market.collected import ACTIVE, CollectedSeries, MinuteRecord, SeriesSize, StreamSpan, StreamState
from crypto_predict.market.forecast import MinuteForecast, MinuteModel
from crypto_predict.market.ports import (
    CoverageReader,
    ForecastReader,
    RecordReader,
    SeriesReader,
    SizeReader,
    StreamReader,
)
from crypto_predict.wording import duration

WIDEST = 100  # columns of the table
PAIR = 20  # columns of a pair, before the state of its stream is cut
NOTHING = "nothing is stored yet; `python collect.py --backfill --since 2021-01-01` collects the minutes of five pairs"

_HEAD = ("pair", "source", "every", "from", "to (UTC)", "lag", "gaps", "missing", "rows", "size")
_LIVE_HEAD = ("pair", "source", "state", "differing", "stream (UTC)")
_FORECAST_HEAD = ("pair", "source", "forecast (UTC)", "fitted (UTC)", "outcomes", "error", "interval")
_RIGHT = frozenset({"gaps", "missing", "rows", "size", "differing", "outcomes", "error", "interval"})

_EVER = Span(EPOCH, datetime.max.replace(tzinfo=UTC))
WITHIN = timedelta(days=30)  # how far back the state of a stream is looked for
SILENT = timedelta(seconds=60)  # a running collector stores the state of a stream every 15 s
ENDED = "the collector does not run, or cannot use the database"


class ReportDatabase(SeriesReader, CoverageReader, StreamReader, SizeReader, ForecastReader, RecordReader, Protocol):
    """What reports read."""


@dataclass(frozen=True, slots=True)
class Forecasting:
    """How far the minute forecasts of one series have come. Ratios are of the sums over all horizons."""

    cutoff: datetime | None  # UTC, of the newest one; None: none is stored
    fitted_at: datetime | None  # UTC, when its coefficients were fitted; None: they were not
    outcomes: int  # scored forecasts of any horizon
    error: float | None  # the absolute error relative to that of persistence; None before it has an error
    interval: float | None  # the same of the Winkler score


@dataclass(frozen=True, slots=True)
class Row:
    """One stored series."""

    stored: CollectedSeries
    lag: timedelta | None  # since the newest candle that could be there; None before the first candle
    rows: int
    bytes: int
    stream: StreamSpan | None = None  # the present state, since it began; None if nothing is known of a live stream
    forecasting: Forecasting | None = None  # None if its minutes were never forecast

    @property
    def is_live(self) -> bool:
        """Whether there is more to say than what a backfill leaves."""
        return self.stream is not None or self.stored.state != ACTIVE or self.stored.compared > 0


def rows(database: ReportDatabase, stored: Sequence[CollectedSeries], now: datetime) -> list[Row]:
    """Return one row for each series; `now` is in UTC.

    Raises:
        DatabaseError: The database cannot be read.
    """
    by_series: dict[SeriesKey, SeriesSize] = {size.series: size for size in database.sizes()}
    models, records = database.minute_models(), database.minute_records()
    lines = []
    for collected in stored:
        size, lag = by_series.get(collected.series), collected.lag(now)
        # A clock that was put back would make it negative.
        lag = None if lag is None else max(lag, timedelta(0))
        stream = present(database, collected, now)
        forecasting = _forecasting(
            database, collected.series, models.get(collected.series), records.get(collected.series)
        )
        lines.append(Row(collected, lag, size.rows if size else 0, size.bytes if size else 0, stream, forecasting))
    return lines


def present(database: ReportDatabase, collected: CollectedSeries, now: datetime) -> StreamSpan | None:
    """Return the state of the stream of a series at `now`, since it began; None if nothing is known of one.

    Raises:
        DatabaseError: The database cannot be read.
    """
    if collected.series.interval is not Interval.MINUTE_1:  # streams are of minutes
        return None
    spans = database.streams(collected.series.source, collected.series.pair, Span(now - WITHIN, now + SILENT))
    if not spans:
        return None
    last = spans[-1]
    if now - last.span.end <= SILENT:
        return last
    return StreamSpan(Span(last.span.end, now), StreamState.DISCONNECTED, ENDED)


def _forecasting(
    database: ReportDatabase, series: SeriesKey, model: MinuteModel | None, record: MinuteRecord | None
) -> Forecasting | None:
    newest: Sequence[MinuteForecast] = ()
    if series.interval is Interval.MINUTE_1:
        newest = database.minute_forecasts(series, _EVER, 1, newest=True)
    if not newest and model is None and record is None:
        return None
    scores = record.scores if record else ()
    return Forecasting(
        newest[0].cutoff if newest else None,
        model.fitted_at if model else None,
        sum(score.forecasts for score in scores),
        _ratio(sum(score.error for score in scores), sum(score.persistence_error for score in scores)),
        _ratio(sum(score.winkler for score in scores), sum(score.persistence_winkler for score in scores)),
    )


def _ratio(ours: float, peer: float) -> float | None:
    return ours / peer if peer else None


def as_table(table: Sequence[Row]) -> str:
    """Format the rows for a terminal, at most `WIDEST` columns wide: pairs with long names are cut."""
    if not table:
        return NOTHING
    text = _format(_HEAD, [_cells(row) for row in table])
    live = [_live_cells(row) for row in table if row.is_live]
    forecasts = [_forecast_cells(row.stored.series, row.forecasting) for row in table if row.forecasting is not None]
    parts = [text]
    parts += [_format(_LIVE_HEAD, live)] if live else []
    parts += [_format(_FORECAST_HEAD, forecasts)] if forecasts else []
    return "\n\n".join(parts)


def _format(head: Sequence[str], rows: Sequence[list[str]]) -> str:
    cells = [list(head), *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    gaps = 2 * (len(head) - 1)
    if head is _LIVE_HEAD:
        widths[-1] = min(widths[-1], WIDEST - gaps - sum(widths[1:-1]) - min(widths[0], PAIR))
    widths[0] = max(8, min(widths[0], WIDEST - gaps - sum(widths[1:])))
    lines = []
    for row in cells:
        if len(row[0]) > widths[0]:
            row[0] = f"{row[0][: widths[0] - 1]}…"
        if len(row[-1]) > widths[-1]:
            row[-1] = f"{row[-1][: widths[-1] - 1]}…"
        line = [
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for name, cell, width in zip(head, row, widths, strict=True)
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
            "compared": row.stored.compared,
            "mismatched": row.stored.mismatched,
            "mismatch_rate": row.stored.mismatched / row.stored.compared if row.stored.compared else None,
            "stream": None
            if row.stream is None
            else {
                "state": row.stream.state.value,
                "since": _iso(row.stream.span.start),
                "reason": row.stream.reason,
            },
            "forecasts": None if row.forecasting is None else _forecasts_as_json(row.forecasting),
        }
        for row in table
    ]
    return json.dumps({"time": _iso(now), "series": series}, indent=1)


def _forecasts_as_json(forecasting: Forecasting) -> dict[str, object]:
    return {
        "cutoff": _iso(forecasting.cutoff),
        "fitted": _iso(forecasting.fitted_at),
        "outcomes": forecasting.outcomes,
        "error_ratio": forecasting.error,
        "interval_ratio": forecasting.interval,
    }


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


def _live_cells(row: Row) -> list[str]:
    stored, stream = row.stored, row.stream
    described = ""
    if stream is not None:
        described = f"{stream.state.value} since {stream.span.start:%Y-%m-%d %H:%M}"
        described += f": {stream.reason}" if stream.reason else ""
    differing = f"{stored.mismatched:,} of {stored.compared:,}" if stored.compared else ""
    return [str(stored.series.pair), stored.series.source, stored.state, differing, described]


def _forecast_cells(series: SeriesKey, forecasting: Forecasting) -> list[str]:
    return [
        str(series.pair),
        series.source,
        "" if forecasting.cutoff is None else f"{forecasting.cutoff:%Y-%m-%d %H:%M}",
        "" if forecasting.fitted_at is None else f"{forecasting.fitted_at:%Y-%m-%d %H:%M}",
        f"{forecasting.outcomes:,}",
        "" if forecasting.error is None else f"{forecasting.error:.3f}",
        "" if forecasting.interval is None else f"{forecasting.interval:.3f}",
    ]


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else instant(time.timestamp())
