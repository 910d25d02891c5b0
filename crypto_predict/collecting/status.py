"""What is stored, and how complete it is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from crypto_predict.logs import instant
from crypto_predict.market import EPOCH, Interval, SeriesKey, Span
from crypto_predict.market.collected import ACTIVE, CollectedSeries, MinuteRecord, StreamSpan, StreamState
from crypto_predict.market.forecast import MinuteModel
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
_FORECAST_HEAD = ("pair", "source", "forecast (UTC)", "fitted (UTC)", "outcomes", "error", "interval")
_LIVE_HEAD = ("pair", "source", "state", "differing", "stream (UTC)")
_RIGHT = frozenset({"gaps", "missing", "rows", "size", "differing", "outcomes", "error", "interval"})

_EVER = Span(EPOCH, datetime.max.replace(tzinfo=UTC))
WITHIN = timedelta(days=30)  # how far back the state of a stream is looked for
SILENT = timedelta(seconds=60)  # a running collector stores the state of a stream every 15 s
ENDED = "the collector does not run, or cannot use the database"


class ReportDatabase(SeriesReader, CoverageReader, StreamReader, SizeReader, ForecastReader, RecordReader, Protocol):
    """What reports read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stored series."""

    stored: CollectedSeries
    lag: timedelta | None  # since the newest candle that could be there; None before the first candle
    bytes: int
    stream: StreamSpan | None  # the present state, since it began; None if nothing is known of a live stream
    cutoff: datetime | None  # UTC, of the newest minute forecast; None: none is stored
    model: MinuteModel | None  # of the minute forecasts; None: it was not fitted
    record: MinuteRecord | None  # of the minute forecasts; None before the first outcome

    @property
    def is_live(self) -> bool:
        """Whether there is more to say than what a backfill leaves."""
        return self.stream is not None or self.stored.state != ACTIVE or self.stored.compared > 0

    @property
    def is_forecast(self) -> bool:
        """Whether the minutes were ever forecast."""
        return (self.cutoff, self.model, self.record) != (None, None, None)

    @property
    def outcomes(self) -> int:
        """The scored forecasts of any horizon."""
        return sum(score.forecasts for score in self.record.scores) if self.record else 0

    @property
    def ratios(self) -> list[float | None]:
        """The absolute error and the Winkler score of all horizons over those of persistence; None without any."""
        scores = self.record.scores if self.record else ()
        sums = (
            (sum(score.error for score in scores), sum(score.persistence_error for score in scores)),
            (sum(score.winkler for score in scores), sum(score.persistence_winkler for score in scores)),
        )
        return [ours / peer if peer else None for ours, peer in sums]


def rows(database: ReportDatabase, stored: Sequence[CollectedSeries], now: datetime) -> list[Row]:
    """Return one row for each series; `now` is in UTC."""
    sizes, models, records = database.sizes(), database.minute_models(), database.minute_records()
    lines = []
    for collected in stored:
        series, lag = collected.series, collected.lag(now)
        is_minute = series.interval is Interval.MINUTE_1
        newest = database.minute_forecasts(series, _EVER, 1, newest=True) if is_minute else ()
        lines.append(
            Row(
                collected,
                None if lag is None else max(lag, timedelta(0)),  # a clock that was put back would make it negative
                sizes.get(series, 0),
                present(database, series, now) if is_minute else None,  # streams are of minutes
                newest[0].cutoff if newest else None,
                models.get(series),
                records.get(series),
            )
        )
    return lines


def present(database: StreamReader, series: SeriesKey, now: datetime) -> StreamSpan | None:
    """Return the state of the stream of a series at `now`, since it began; None if nothing is known of one."""
    spans = database.streams(series.source, series.pair, Span(now - WITHIN, now + SILENT))
    if not spans or now - spans[-1].span.end <= SILENT:
        return spans[-1] if spans else None
    return StreamSpan(Span(spans[-1].span.end, now), StreamState.DISCONNECTED, ENDED)


def as_table(table: Sequence[Row]) -> str:
    """Format the rows for a terminal, at most `WIDEST` columns wide: pairs with long names are cut."""
    if not table:
        return NOTHING
    parts = [_format(_HEAD, [_cells(row) for row in table])]
    if live := [_live_cells(row) for row in table if row.is_live]:
        parts.append(_format(_LIVE_HEAD, live))
    if forecasts := [_forecast_cells(row) for row in table if row.is_forecast]:
        parts.append(_format(_FORECAST_HEAD, forecasts))
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
        for column in (0, -1):
            if len(row[column]) > widths[column]:
                row[column] = f"{row[column][: widths[column] - 1]}…"
        line = [
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for name, cell, width in zip(head, row, widths, strict=True)
        ]
        lines.append("  ".join(line).rstrip())
    return "\n".join(lines)


def as_json(table: Sequence[Row], now: datetime) -> str:
    """Return the rows as one JSON object; times are in UTC."""
    series = []
    for row in table:
        stored, stream, forecasts = row.stored, None, None
        if row.stream is not None:
            since = iso(row.stream.span.start)
            stream = {"state": row.stream.state.value, "since": since, "reason": row.stream.reason}
        if row.is_forecast:
            forecasts = {
                "cutoff": iso(row.cutoff),
                "fitted": iso(row.model.fitted_at if row.model else None),
                "outcomes": row.outcomes,
                "error_ratio": row.ratios[0],
                "interval_ratio": row.ratios[1],
            }
        series.append(
            {
                "pair": str(stored.series.pair),
                "source": stored.series.source,
                "interval": stored.series.interval.label,
                "simulated": stored.simulated,
                "state": stored.state,
                "start": iso(stored.first_open),
                "end": iso(stored.newest_close),
                "lag_seconds": None if row.lag is None else row.lag.total_seconds(),
                "gaps": stored.gaps,
                "missing": stored.missing,
                "rows": stored.candles,
                "bytes": row.bytes,
                "compared": stored.compared,
                "mismatched": stored.mismatched,
                "mismatch_rate": stored.mismatched / stored.compared if stored.compared else None,
                "stream": stream,
                "forecasts": forecasts,
            }
        )
    return json.dumps({"time": iso(now), "series": series}, indent=1)


def _cells(row: Row) -> list[str]:
    stored, megabytes = row.stored, row.bytes / 1e6
    return [
        str(stored.series.pair),
        stored.series.source,
        stored.series.interval.label,
        _minute(stored.first_open)[:10],
        _minute(stored.newest_close),
        "" if row.lag is None else duration(row.lag),
        f"{stored.gaps:,}",
        f"{stored.missing:,}",
        f"{stored.candles:,}",
        f"{megabytes:,.1f} MB" if megabytes < 1e3 else f"{megabytes / 1e3:,.2f} GB",
    ]


def _live_cells(row: Row) -> list[str]:
    stored, stream = row.stored, row.stream
    described = ""
    if stream is not None:
        described = f"{stream.state.value} since {_minute(stream.span.start)}"
        described += f": {stream.reason}" if stream.reason else ""
    differing = f"{stored.mismatched:,} of {stored.compared:,}" if stored.compared else ""
    return [str(stored.series.pair), stored.series.source, stored.state, differing, described]


def _forecast_cells(row: Row) -> list[str]:
    times = (_minute(row.cutoff), _minute(row.model.fitted_at if row.model else None))
    ratios = ["" if ratio is None else f"{ratio:.3f}" for ratio in row.ratios]
    return [str(row.stored.series.pair), row.stored.series.source, *times, f"{row.outcomes:,}", *ratios]


def _minute(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


def iso(time: datetime | None) -> str | None:
    """Return an instant as reports in JSON write it, in UTC."""
    return None if time is None else instant(time.timestamp())
