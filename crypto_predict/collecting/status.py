"""What is stored, and how complete it is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from crypto_predict.logs import instant
from crypto_predict.market import EPOCH, Interval, SeriesKey, Span
from crypto_predict.market.collected import ACTIVE, CollectedSeries, MinuteRecord, StreamSpan, StreamState
from crypto_predict.market.forecast import MinuteModel
from crypto_predict.market.ports import (
    CoverageReader,
    ForecastReader,
    HourForecastReader,
    RecordReader,
    SeriesReader,
    ShardReader,
    SizeReader,
    StreamReader,
)
from crypto_predict.wording import duration

WIDEST = 100  # columns of the table
PAIR = 20  # columns of a pair, before the state of its stream is cut
NOTHING = "nothing is stored yet; `python collect.py --backfill --since 2021-01-01` collects the minutes of five pairs"

_HEAD = ("pair", "source", "every", "from", "to (UTC)", "lag", "gaps", "missing", "rows", "size")
_FORECAST_HEAD = ("pair", "source", "forecast (UTC)", "fitted (UTC)", "outcomes", "error", "interval")
_HOURS_HEAD = ("pair", "source", "next hours from (UTC)", "price")
_LIVE_HEAD = ("pair", "source", "state", "differing", "stream (UTC)")
_SHARD_HEAD = ("shard", "collected by", "beside its own")
_RIGHT = frozenset({"gaps", "missing", "rows", "size", "differing", "outcomes", "error", "interval", "price"})

_EVER = Span(EPOCH, datetime.max.replace(tzinfo=UTC))
WITHIN = timedelta(days=30)  # how far back the state of a stream is looked for
SILENT = timedelta(seconds=60)  # a running collector stores the state of a stream every 15 s
ENDED = "the collector does not run, or cannot use the database"


class ReportDatabase(
    SeriesReader,
    CoverageReader,
    StreamReader,
    SizeReader,
    ForecastReader,
    HourForecastReader,
    RecordReader,
    ShardReader,
    Protocol,
):
    """What reports read."""


Row = dict[str, Any]  # one series, or one shard, as it stands in JSON; times are in UTC


def rows(database: ReportDatabase, stored: Sequence[CollectedSeries], now: datetime) -> list[Row]:
    """Return one row for each series; `now` is in UTC."""
    sizes, models, records = database.sizes(), database.minute_models(), database.minute_records()
    table = []
    for collected in stored:
        series, lag = collected.series, collected.lag(now)
        is_minute = series.interval is Interval.MINUTE_1  # streams and forecasts are of minutes
        newest = database.minute_forecasts(series, _EVER, 1, newest=True) if is_minute else ()
        hourly = database.hour_forecasts(series, _EVER, 1, newest=True) if is_minute else ()
        stream = present(database, series, now) if is_minute else None
        row = {
            "pair": str(series.pair),
            "source": series.source,
            "interval": series.interval.label,
            "simulated": collected.simulated,
            "state": collected.state,
            "start": iso(collected.first_open),
            "end": iso(collected.newest_close),
            # since the newest candle that could be there; a clock that was put back would make it negative
            "lag_seconds": None if lag is None else max(lag.total_seconds(), 0.0),
            "gaps": collected.gaps,
            "missing": collected.missing,
            "rows": collected.candles,
            "bytes": sizes.get(series, 0),
            "compared": collected.compared,
            "mismatched": collected.mismatched,
            "mismatch_rate": collected.mismatched / collected.compared if collected.compared else None,
            "stream": stream
            and {"state": stream.state.value, "since": iso(stream.span.start), "reason": stream.reason},
            "forecasts": _forecasts(newest[0].cutoff if newest else None, models.get(series), records.get(series)),
            "hour_forecast": {"cutoff": iso(hourly[0].cutoff), "price": hourly[0].price} if hourly else None,
        }
        table.append(row)
    return table


def shard_rows(database: ShardReader) -> list[Row]:
    """Return one row for each shard that a live collector collects or was started for; none of a file of SQLite."""
    return [
        {"shard": str(state.shard), "collector": state.collector or None, "is_guest": state.is_guest}
        for state in database.shards()
    ]


def _forecasts(cutoff: datetime | None, model: MinuteModel | None, record: MinuteRecord | None) -> Row | None:
    """Return what is known of the minute forecasts of a series; None if there never were any.

    The ratios are those of the absolute error and the Winkler score of all horizons to those of persistence.
    """
    if (cutoff, model, record) == (None, None, None):
        return None
    scores = record.scores if record else ()
    error, persistence_error = sum(score.error for score in scores), sum(score.persistence_error for score in scores)
    winkler, peer = sum(score.winkler for score in scores), sum(score.persistence_winkler for score in scores)
    return {
        "cutoff": iso(cutoff),
        "fitted": iso(model.fitted_at if model else None),
        "outcomes": sum(score.forecasts for score in scores),  # of any horizon
        "error_ratio": error / persistence_error if persistence_error else None,
        "interval_ratio": winkler / peer if peer else None,
    }


def present(database: StreamReader, series: SeriesKey, now: datetime) -> StreamSpan | None:
    """Return the state of the stream of a series at `now`, since it began; None if nothing is known of one."""
    spans = database.streams(series.source, series.pair, Span(now - WITHIN, now + SILENT))
    if not spans or now - spans[-1].span.end <= SILENT:
        return spans[-1] if spans else None
    return StreamSpan(Span(spans[-1].span.end, now), StreamState.DISCONNECTED, ENDED)


def as_table(table: Sequence[Row], shards: Sequence[Row] = ()) -> str:
    """Format series and shards for a terminal, at most `WIDEST` columns wide: pairs with long names are cut."""
    if not table:
        return NOTHING
    parts = [_format(_HEAD, [_cells(row) for row in table])]
    # there is more to say than what a backfill leaves
    if live := [_live_cells(row) for row in table if row["stream"] or row["state"] != ACTIVE or row["compared"]]:
        parts.append(_format(_LIVE_HEAD, live))
    if forecasts := [_forecast_cells(row) for row in table if row["forecasts"]]:
        parts.append(_format(_FORECAST_HEAD, forecasts))
    if hours := [_hours_cells(row) for row in table if row["hour_forecast"]]:
        parts.append(_format(_HOURS_HEAD, hours))
    if shards:
        parts.append(_format(_SHARD_HEAD, [_shard_cells(row) for row in shards]))
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


def _cells(row: Row) -> list[str]:
    megabytes, lag = row["bytes"] / 1e6, row["lag_seconds"]
    return [
        row["pair"],
        row["source"],
        row["interval"],
        _minute(row["start"])[:10],
        _minute(row["end"]),
        "" if lag is None else duration(timedelta(seconds=lag)),
        *(f"{row[name]:,}" for name in ("gaps", "missing", "rows")),
        f"{megabytes:,.1f} MB" if megabytes < 1e3 else f"{megabytes / 1e3:,.2f} GB",
    ]


def _live_cells(row: Row) -> list[str]:
    stream, described = row["stream"], ""
    if stream is not None:
        described = f"{stream['state']} since {_minute(stream['since'])}"
        described += f": {stream['reason']}" if stream["reason"] else ""
    differing = f"{row['mismatched']:,} of {row['compared']:,}" if row["compared"] else ""
    return [row["pair"], row["source"], row["state"], differing, described]


def _forecast_cells(row: Row) -> list[str]:
    facts = row["forecasts"]
    times = (_minute(facts["cutoff"]), _minute(facts["fitted"]))
    ratios = ["" if ratio is None else f"{ratio:.3f}" for ratio in (facts["error_ratio"], facts["interval_ratio"])]
    return [row["pair"], row["source"], *times, f"{facts['outcomes']:,}", *ratios]


def _hours_cells(row: Row) -> list[str]:
    facts = row["hour_forecast"]
    return [row["pair"], row["source"], _minute(facts["cutoff"]), f"{facts['price']:,.10g}"]


def _shard_cells(row: Row) -> list[str]:
    return [row["shard"], row["collector"] or "no process yet", "yes" if row["is_guest"] else ""]


def _minute(time: str | None) -> str:
    return "" if time is None else time[:16].replace("T", " ")


def iso(time: datetime | None) -> str | None:
    """Return an instant as reports in JSON write it, in UTC."""
    return None if time is None else instant(time.timestamp())
