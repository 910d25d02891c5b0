"""The register of outages: when it is brought up to date, and its report."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from crypto_predict.baked import plain
from crypto_predict.collecting import gaps
from crypto_predict.collecting.options import CollectSettings
from crypto_predict.collecting.status import ReportDatabase
from crypto_predict.history import closing_limit
from crypto_predict.market import DAY, Interval, Span
from crypto_predict.market.collected import QUARANTINED, CollectedSeries, Difference
from crypto_predict.market.downtime import MonthOfOutages, OutageReport, monthly, report, report_difference
from crypto_predict.market.ports import OutageReader, OutageWriter
from crypto_predict.market.register import Fate, RegisteredOutage
from crypto_predict.market.verdict import NO_STREAM, Verdict
from crypto_predict.wording import counted, duration

OFTEN = DAY  # how far back the register is looked at again each minute: a clock that was wrong may be right again
SELDOM = timedelta(days=30)  # the same each hour, since candles may be filled in late

QUIET, NOT_HEARD = "quiet", "without a recorded stream"
_PAGE = 1_000  # outages
_LISTED = 5  # pairs of an outage, in words
_MINUTE = Interval.MINUTE_1
_FATES = tuple(fate.value for fate in Fate)


class RegisterDatabase(ReportDatabase, OutageReader, Protocol):
    """What the report reads."""


class Register:
    """Everything that was asked for: outages, the newest first, and what is missing outside of them."""

    def __init__(
        self, database: RegisterDatabase, stored: Sequence[CollectedSeries], settings: CollectSettings, now: datetime
    ) -> None:
        """Read the outages of these series between the days of `settings`, up to `now` (UTC)."""
        minutes = [collected for collected in stored if collected.series.interval is _MINUTE]
        names = {(collected.series.source, collected.series.pair) for collected in minutes}
        span = Span(settings.start, closing_limit(settings.until, now))
        self.outages = [
            outage
            for source in sorted({source for source, _ in names})
            for outage in _pages(database, source, span, now)
            if any((source, pair) in names for pair in outage.pairs)
        ]
        self.outages.sort(key=lambda outage: outage.span.start, reverse=True)
        self.months = monthly(
            (
                (
                    outage.source,
                    outage.cause.is_ours,
                    Span(max(outage.span.start, span.start), min(outage.span.end, span.end)),
                )
                for outage in self.outages
            ),
            now,
        )
        self.differences = list(_differences(minutes))
        self.missing = _missing(
            gaps.find(database, [collected.series for collected in minutes], settings, now), self.outages
        )


def since(now: datetime, often: bool, kept: timedelta | None) -> datetime:
    """Return from when on (UTC) the register is looked at again; minutes are `kept` for so long, None: for ever."""
    within = OFTEN if often else SELDOM
    return now - (within if kept is None else min(within, max(kept - DAY, timedelta(0))))


def bring_up_to_date(database: OutageWriter, now: datetime) -> None:
    """Bring the register up to `now` (UTC), where no live collector does."""
    database.record_outages(now - SELDOM, now)


def as_json(register: Register) -> str:
    """Return the register as one JSON object; times are in UTC."""
    document = {
        "outages": [report(outage) for outage in register.outages],
        "months": register.months,
        "differences": list(map(report_difference, register.differences)),
        "missing_outside": dict(register.missing),
    }
    return json.dumps(plain.encode(document), indent=1)


def as_text(register: Register) -> str:
    """Describe the register in words."""
    lines = [line for outage in map(report, register.outages) for line in _described(outage)] or ["no outage"]
    lines += ["", *map(_month, register.months)] if register.months else []
    lines.append("")
    for difference in register.differences:
        of = f"{difference.mismatched:,} of {difference.compared:,}"
        lines.append(f"{difference.source}: {of} candles of the stream differed from those of REST")
    missing = [f"{counted(count, 'minute')} {kind}" for kind, count in register.missing.items()] or ["no minute"]
    lines.append(f"missing outside of outages: {', '.join(missing)}")
    return "\n".join(lines)


def _pages(database: OutageReader, source: str, span: Span, now: datetime) -> Iterator[RegisteredOutage]:
    """Yield the outages of a source, the newest first."""
    while span.start < span.end:
        page = database.outages(span, _PAGE, now, source=source)
        yield from page
        if len(page) < _PAGE:
            return
        span = Span(span.start, page[-1].span.start)


def _differences(stored: Sequence[CollectedSeries]) -> Iterator[Difference]:
    """Yield how often the streams of these series have differed from REST, by source."""
    for source in sorted({collected.series.source for collected in stored}):
        own = [collected for collected in stored if collected.series.source == source]
        yield Difference(source, sum(each.compared for each in own), sum(each.mismatched for each in own))


def _missing(holes: gaps.Holes, outages: Sequence[RegisteredOutage]) -> Mapping[str, int]:
    """Count the missing minutes that are not in an outage, by what is known of them."""
    counts = Counter[str]()
    for series, of_series in holes.items():
        own = [
            outage.touched
            for outage in outages
            if outage.cause.is_ours and outage.source == series.source and series.pair in outage.pairs
        ]
        for gap, silent in of_series:
            for span, verdict, reason in silent:
                minutes = (span.end - span.start) // _MINUTE.length
                if gap.cause in {QUARANTINED, gaps.NOT_ASKED}:
                    counts[gap.cause] += minutes
                elif verdict is Verdict.QUIET:
                    counts[QUIET] += minutes
                elif reason == NO_STREAM:  # a collector that did not run left no record either
                    counts[NOT_HEARD] += minutes - _covered(span, own)
    return {kind: count for kind, count in sorted(counts.items()) if count}


def _covered(span: Span, outages: Sequence[Span]) -> int:
    """Return how many minutes of a span, which consists of whole ones, are in outages, which descend and are apart."""
    parts = (min(span.end, outage.end) - max(span.start, outage.start) for outage in outages)
    return sum(max(part, timedelta(0)) // _MINUTE.length for part in parts)


def _described(outage: OutageReport) -> Iterator[str]:
    pairs = [str(pair) for pair in outage.pairs[:_LISTED]]
    more = [f"{len(outage.pairs) - _LISTED} more"] if len(outage.pairs) > _LISTED else []
    end = "goes on" if outage.end is None else f"to {outage.end:%Y-%m-%d %H:%M:%S}"
    length = duration(timedelta(seconds=outage.seconds))
    yield f"{outage.start:%Y-%m-%d %H:%M:%S} {end} UTC, {length}: {outage.source}, {outage.cause}: {outage.reason}"
    fates = [f"{count:,} {name}" for name in _FATES if (count := getattr(outage, name))]
    minutes = f"{counted(outage.minutes, 'minute')} of {counted(len(outage.pairs), 'pair')}"
    yield f"    {minutes} ({', '.join([*pairs, *more])}): {', '.join(fates) or 'none has ended'}"


def _month(month: MonthOfOutages) -> str:
    sides = ((month.source, month.exchange), ("ours", month.collector))
    texts = [
        f"{name}: {counted(side.outages, 'outage')}, {side.minutes:.1f} minutes, {side.share:.2%}"
        if side.outages
        else f"{name}: none"
        for name, side in sides
    ]
    return f"{month.month}  {'; '.join(texts)}"
