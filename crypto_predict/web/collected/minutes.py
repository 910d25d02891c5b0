"""Every minute of a pair with its verdict: traded, quiet, disconnected or exchange down.

Minutes ascend, one a row, and none is left out, whether it has a candle or not. `verdict` says what was going on:

- `traded`: the candle has a volume or trades.
- `quiet`: it has neither, or is missing although the live stream was connected throughout.
- `exchange down`: the candle is missing, and the exchange had answered that it is not available.
- `disconnected`: the candle is missing, and the stream was not connected throughout; `reason` says why.

`asked` is whether the source has answered for the minute: a candle missing then is one that the source does not have.
`built_open` to `partial` are the candle built from the ticks of a stream that sends no candles, where there is one;
each of its `ticks` is a trade.
Pages are those of `/candles`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from crypto_predict.market import Span, StoredCandle
from crypto_predict.market.collected import ACTIVE, BuiltCandle, CollectedSeries
from crypto_predict.market.verdict import Judged, Verdict, judge
from crypto_predict.web.collected import candles
from crypto_predict.web.collected.database import Connection
from crypto_predict.web.collected.endpoint import INSTANT, MINUTE, NULL, NUMBER, Question, Sample, instant
from crypto_predict.web.collected.tables import Page, Table, Values
from crypto_predict.web.http.schemas import BOOLEAN, TEXT

JUDGED_AFTER = timedelta(minutes=1)  # from the end of a minute, until its candle or the state of the stream is stored


class Minute(NamedTuple):
    """A minute with its verdict."""

    judged: Judged
    built: BuiltCandle | None  # the candle built from the ticks of the stream, if that sends ticks


def read(reader: Connection, collected: CollectedSeries, asks: Question, now: datetime) -> Page[Minute]:
    """Return a page of minutes from `start` on and before `end`: every one, whether it has a candle or not.

    Without a start it is the newest `limit` minutes before the end. Minutes are judged from the first one that was
    collected or asked for, to the newest one; while the series is collected, up to `JUDGED_AFTER` before `now`.
    """
    covered = reader.coverage(collected.series)
    judged = _judged(collected, covered, now)
    if judged is None:
        return Page(collected, ())
    end = judged.end if asks.end is None else min(MINUTE.ceil(asks.end), judged.end)
    first = end - asks.limit * MINUTE.length if asks.start is None else MINUTE.ceil(asks.start)
    start = max(first, judged.start)
    span = Span(start, max(start, min(end, start + asks.limit * MINUTE.length)))
    stored = reader.candles(collected.series, span, asks.limit)
    streams = reader.streams(collected.series.source, collected.series.pair, span)
    built = {candle.open_time: candle for candle in reader.built(collected.series, span, asks.limit)}
    rows = [Minute(minute, built.get(minute.open_time)) for minute in judge(span, MINUTE, stored, streams, covered)]
    has_earlier = asks.start is None and judged.start < start
    return Page(collected, rows, span.end if span.end < end else None, start if has_earlier else None)


def _values(minute: Minute, _: Question) -> Values:
    (judged, built), stored = minute, minute.judged.stored
    candle = [None] * 10 if stored is None else [*stored.candle[1:], stored.vwap]
    ticks: Values = [None] * 8
    if built is not None:
        prices = (built.open, built.high, built.low, built.close, built.volume)
        ticks = [*prices, built.ticks, built.late, built.partial]
    return [instant(judged.open_time), judged.verdict.value, judged.is_asked, judged.reason, *candle, *ticks]


def _judged(collected: CollectedSeries, covered: Sequence[Span], now: datetime) -> Span | None:
    """Return the span of all minutes that have a verdict; None before the first candle or answer."""
    spans = [Span(covered[0].start, covered[-1].end)] if covered else []
    if collected.first_open is not None and collected.newest_close is not None:
        spans.append(Span(collected.first_open, collected.newest_close))
    if not spans:
        return None
    ends = [span.end for span in spans]
    if collected.state == ACTIVE:
        ends.append(MINUTE.floor(now - JUDGED_AFTER))
    return Span(min(span.start for span in spans), max(ends))


def _example(sample: Sample) -> list[Minute]:
    first, second = sample.candles
    built = BuiltCandle(first.open_time, 67_000.5, 67_200.0, 66_900.5, 67_100.0, 57, 1, False, volume=3.5)
    missing = Judged(second.open_time, Verdict.DISCONNECTED, False, "no answer to a ping within 20 s", None)
    traded = Judged(first.open_time, Verdict.TRADED, True, "", StoredCandle(first, 67_066.8))
    return [Minute(traded, built), Minute(missing, None)]


TABLE = Table(
    path="/minutes/{}",
    name="minutes",
    columns=(
        *("time", "verdict", "asked", "reason", *candles.TABLE.columns[1:]),
        *("built_open", "built_high", "built_low", "built_close", "built_volume", "ticks", "late", "partial"),
    ),
    kinds=[INSTANT, TEXT, BOOLEAN, NUMBER, NULL],
    remark=" From the fifth on they may be null.",
    read=read,
    values=_values,
    until_next=candles.until_next,
)
OPERATION = TABLE.operation(__doc__, 2, "Minutes", _example)
