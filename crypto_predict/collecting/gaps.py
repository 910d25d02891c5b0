"""Why candles are missing, how often they were asked for, and whether they can still come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from crypto_predict.collecting.missing import due_at, is_final, uncovered
from crypto_predict.collecting.options import CollectSettings
from crypto_predict.history import closing_limit
from crypto_predict.logs import instant
from crypto_predict.market import Gap, SeriesKey, Span
from crypto_predict.market.ports import MarketReader, StoredGap
from crypto_predict.wording import counted

NOT_ASKED = "not asked for"
BACKFILL = "a backfill asks for it"


@dataclass(frozen=True, slots=True)
class Hole:
    """Candles that are missing in one series."""

    series: SeriesKey
    gap: Gap
    stored: StoredGap | None  # None: the source has not been asked for them


def find(reader: MarketReader, series: Sequence[SeriesKey], settings: CollectSettings, now: datetime) -> list[Hole]:
    """Return the holes of these series between the days of `settings`, up to `now` (UTC), ascending in each series.

    Raises:
        DatabaseError: The database cannot be read.
    """
    limit = closing_limit(settings.until, now)
    return [hole for one in series for hole in _holes(reader, one, Span(settings.start, one.interval.floor(limit)))]


def as_text(holes: Sequence[Hole], now: datetime) -> str:
    """Describe the holes in words; `now` is in UTC."""
    lines = []
    for series, group in groupby(holes, key=lambda hole: hole.series):
        found = list(group)
        missing = sum(hole.gap.missing for hole in found)
        title = f"{series.pair} {series.interval.label} from {series.source}"
        lines.append(f"{title}: {counted(len(found), 'gap')}, {counted(missing, 'candle')} missing")
        lines += [f"  {_described(hole, now)}" for hole in found]
    return "\n".join(lines) or "no candle is missing"


def as_json(holes: Sequence[Hole]) -> str:
    """Return the holes as one JSON object; times are in UTC."""
    gaps = [
        {
            "pair": str(hole.series.pair),
            "source": hole.series.source,
            "interval": hole.series.interval.label,
            "start": instant(hole.gap.start.timestamp()),
            "end": instant(hole.gap.end.timestamp()),
            "missing": hole.gap.missing,
            "cause": NOT_ASKED if hole.stored is None else hole.stored.cause,
            "attempts": 0 if hole.stored is None else hole.stored.attempts,
            "verdict": BACKFILL if hole.stored is None else hole.stored.verdict,
            "found_at": None if hole.stored is None else instant(hole.stored.found_at.timestamp()),
            "asked_again_from": None if hole.stored is None else _due(hole.stored),
        }
        for hole in holes
    ]
    return json.dumps({"gaps": gaps}, indent=1)


def _holes(reader: MarketReader, series: SeriesKey, span: Span) -> list[Hole]:
    """Return the gaps that overlap `span`, and what was not asked for between the stored parts of it."""
    covered = reader.coverage(series)
    if not covered:
        return []
    inside = Span(max(span.start, covered[0].start), min(span.end, covered[-1].end))
    holes = [Hole(series, stored.gap, stored) for stored in reader.gaps(series, span)]
    for part in uncovered(inside, covered):
        missing = (part.end - part.start) // series.interval.length
        holes.append(Hole(series, Gap(part.start, part.end, missing), None))
    return sorted(holes, key=lambda hole: hole.gap.start)


def _described(hole: Hole, now: datetime) -> str:
    gap = hole.gap
    what = f"{gap.start:%Y-%m-%d %H:%M} to {gap.end:%Y-%m-%d %H:%M} UTC, {counted(gap.missing, 'candle')}"
    if hole.stored is None:
        return f"{what}: {NOT_ASKED}; {BACKFILL}"
    asked = f"asked for {counted(hole.stored.attempts, 'time')}"
    due = due_at(hole.stored)
    if is_final(hole.stored):
        again = "is not asked for again"
    elif due is None:
        again = "the next --backfill asks again"
    elif due <= now:
        again = "the next --once asks again"
    else:
        again = f"is asked for again from {due:%Y-%m-%d %H:%M} UTC on"
    return f"{what}: {hole.stored.cause}\n    {asked}; verdict: {hole.stored.verdict}; {again}"


def _due(stored: StoredGap) -> str | None:
    due = due_at(stored)
    return None if due is None else instant(due.timestamp())
