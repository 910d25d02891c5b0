"""The register of outages as it is reported: each outage in plain values, and the downtime of each month."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from crypto_predict.market.collected import Difference
from crypto_predict.market.interval import Interval, Span
from crypto_predict.market.pair import Pair
from crypto_predict.market.register import Fate, RegisteredOutage

_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class OutageReport:
    """One outage. `minutes` are those of its pairs, counted one by one, and the sum of the four counts that follow."""

    id: str
    source: str
    cause: str  # a value of `Cause`
    reason: str
    start: datetime  # UTC, the last sign of life before it
    end: datetime | None  # UTC, the first one after it; None: it goes on
    seconds: int  # that it has lasted
    pairs: tuple[Pair, ...]
    minutes: int  # in which a stream was not connected throughout
    filled: int  # whose candle is stored nevertheless
    awaited: int  # whose candle is still to be asked for
    lost: int  # that the source does not have
    rejected: int  # of which the source has what cannot be a candle


@dataclass(frozen=True, slots=True)
class Downtime:
    """The outages of one side in one month."""

    outages: int  # that the month has a part of
    minutes: float  # of these parts
    share: float  # of what has passed of the month


@dataclass(frozen=True, slots=True)
class MonthOfOutages:
    """The outages of one source in one month (UTC), those on its side and those on ours."""

    source: str
    month: str  # such as 2026-06
    exchange: Downtime
    collector: Downtime


@dataclass(frozen=True, slots=True)
class DifferenceReport:
    """How often the stream of a source has differed from REST, since its pairs are collected."""

    source: str
    compared: int  # candles
    mismatched: int  # of these, those that differed
    mismatch_rate: float | None  # their share; None before the first comparison


def report(outage: RegisteredOutage) -> OutageReport:
    """Return an outage in plain values."""
    fates = {fate.value: outage.minutes.get(fate, 0) for fate in Fate}
    return OutageReport(
        id=str(outage.key),
        source=outage.source,
        cause=outage.cause.value,
        reason=outage.reason,
        start=outage.span.start,
        end=outage.span.end if outage.is_over else None,
        seconds=round((outage.span.end - outage.span.start) / _SECOND),
        pairs=outage.pairs,
        minutes=sum(fates.values()),
        **fates,
    )


def report_difference(difference: Difference) -> DifferenceReport:
    """Return a rate of difference in plain values."""
    compared, mismatched = difference.compared, difference.mismatched
    return DifferenceReport(difference.source, compared, mismatched, mismatched / compared if compared else None)


def monthly(spans: Iterable[tuple[str, bool, Span]], now: datetime) -> list[MonthOfOutages]:
    """Sum up outages (source, whether ours, span), which do not overlap on one side; the newest months come first."""
    parts: dict[tuple[datetime, str], tuple[list[timedelta], list[timedelta]]] = defaultdict(lambda: ([], []))
    for source, is_ours, span in spans:
        month = _month(span.start.year, span.start.month)
        while month.start < span.end:
            parts[month.start, source][is_ours].append(min(span.end, month.end) - max(span.start, month.start))
            month = _month(month.end.year, month.end.month)
    return [
        MonthOfOutages(source, f"{start:%Y-%m}", *(_downtime(side, start, now) for side in parts[start, source]))
        for start, source in sorted(parts, key=lambda key: (-key[0].timestamp(), key[1]))
    ]


def whole_months(span: Span) -> Span:
    """Return the months (UTC) that overlap `span`, which is not empty."""
    last = span.end - timedelta(microseconds=1)
    return Span(_month(span.start.year, span.start.month).start, _month(last.year, last.month).end)


def _downtime(lengths: list[timedelta], start: datetime, now: datetime) -> Downtime:
    passed = max(min(now, _month(start.year, start.month).end) - start, Interval.MINUTE_1.length)
    length = sum(lengths, timedelta(0))
    return Downtime(len(lengths), round(length / _MINUTE, 2), min(1.0, length / passed))


@lru_cache(maxsize=120)
def _month(year: int, month: int) -> Span:
    start = datetime(year, month, 1, tzinfo=UTC)
    return Span(start, (start + timedelta(days=31)).replace(day=1))
