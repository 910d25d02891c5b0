"""The register of a dataset that was fetched over REST: when a source had no candle of any pair.

Nothing listened to streams, so a silence is no proof of an outage: in a dataset with few pairs it may be a quiet
market. It is made of the manifest alone, which keeps the gaps of all months: an event stays as long as its
months do.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_predict.baked import plain
from crypto_predict.dataset.layout import joined, within
from crypto_predict.dataset.manifest import Manifest, Series
from crypto_predict.market import EPOCH, Interval, Pair, Span, StoredGap
from crypto_predict.market.collected import QUARANTINED
from crypto_predict.market.downtime import OutageReport, monthly
from crypto_predict.market.register import Fate, OutageKey, fate
from crypto_predict.wording import counted

LEAST = timedelta(minutes=5)  # a shorter silence is not listed
CAUSE, NOT_HEARD = "no candle", "without a recorded stream"

_MINUTE = Interval.MINUTE_1


@dataclass(frozen=True, slots=True)
class _Minutes:
    """The minutes of one pair."""

    pair: Pair
    span: Span
    gaps: Sequence[StoredGap]  # one that lies in two months is in here once

    @classmethod
    def of(cls, series: Series) -> "_Minutes":
        gaps = {gap.start: gap for entry in series.files for gap in entry.gaps}
        return cls(series.pair, Span(series.files[0].start, series.files[-1].end), list(gaps.values()))

    def missing(self, span: Span) -> Iterator[tuple[StoredGap, int]]:
        """Yield each gap that overlaps a span, with the minutes that both have."""
        for gap in self.gaps:
            for part in within([Span(gap.start, gap.end)], span):
                yield gap, (part.end - part.start) // _MINUTE.length


def register(described: Manifest) -> bytes:
    """Return the register as JSON, with the members of ``collect.py --outages --json``.

    It is that of the end of the newest candle, so that the same dataset has the same register.
    """
    by_source = _by_source(described)
    end = max((each.span.end for minutes in by_source.values() for each in minutes), default=EPOCH)
    events = _silences(by_source)
    missing = Counter[str]()
    for minutes in by_source.values():
        for each in minutes:
            missing.update(_kinds(each.missing(each.span)))
    for span, event in events:
        for each in by_source[event.source]:
            missing.subtract(_kinds(each.missing(span)))
    document = {
        "outages": [event for _, event in events],
        "months": monthly([(event.source, False, span) for span, event in events], end),
        "differences": [],
        "missing_outside": {kind: count for kind, count in sorted(missing.items()) if count},
    }
    return json.dumps(plain.encode(document), indent=1).encode() + b"\n"


def silences(described: Manifest) -> list[OutageReport]:
    """Return the silences of at least `LEAST`, the newest first."""
    return [event for _, event in _silences(_by_source(described))]


def _silences(by_source: Mapping[str, Sequence[_Minutes]]) -> list[tuple[Span, OutageReport]]:
    events = [
        (span, _event(source, span, minutes))
        for source, minutes in by_source.items()
        for span in _silent(minutes)
        if span.end - span.start >= LEAST
    ]
    return sorted(events, key=lambda event: event[0].start, reverse=True)


def _by_source(described: Manifest) -> dict[str, list[_Minutes]]:
    by_source: dict[str, list[_Minutes]] = defaultdict(list)
    for series in described.described():
        if series.key.interval is _MINUTE and series.files:
            by_source[series.source].append(_Minutes.of(series))
    return by_source


def _silent(minutes: Sequence[_Minutes]) -> Iterator[Span]:
    """Yield the spans in which every pair that has begun, and has not ended, has a gap; ascending."""
    changes: dict[datetime, int] = defaultdict(int)  # in the number of pairs that have candles
    edges: dict[datetime, int] = defaultdict(int)  # in the number of pairs that have begun
    for each in minutes:
        for span, by in [(each.span, 1), *((gap, -1) for gap in joined(_spans(each)))]:
            changes[span.start] += by
            changes[span.end] -= by
        edges[each.span.start] += 1
        edges[each.span.end] -= 1
    trading = begun = 0
    began: datetime | None = None
    for instant in sorted(changes):
        trading, begun = trading + changes[instant], begun + edges[instant]
        if begun and not trading:
            began = began or instant
        elif began is not None:
            yield Span(began, instant)
            began = None


def _spans(minutes: _Minutes) -> list[Span]:
    return within([Span(gap.start, gap.end) for gap in minutes.gaps], minutes.span)


def _event(source: str, span: Span, minutes: Sequence[_Minutes]) -> OutageReport:
    counts = Counter[Fate]()
    for each in minutes:
        for gap, count in each.missing(span):
            counts[fate(gap)] += count
    pairs = tuple(sorted(each.pair for each in minutes if within([span], each.span)))
    return OutageReport(
        id=str(OutageKey(source, is_ours=False, at=span.start)),
        source=source,
        cause=CAUSE,
        reason=f"no candle of {counted(len(pairs), 'pair')}",
        start=span.start,
        end=span.end,
        seconds=round((span.end - span.start).total_seconds()),
        pairs=pairs,
        minutes=counts.total(),
        **{each.value: counts[each] for each in Fate},
    )


def _kinds(missing: Iterable[tuple[StoredGap, int]]) -> Counter[str]:
    counts = Counter[str]()
    for gap, count in missing:
        counts[QUARANTINED if gap.cause == QUARANTINED else NOT_HEARD] += count
    return counts
