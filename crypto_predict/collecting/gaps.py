"""Why candles are missing, how often they were asked for, and whether they can still come."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from crypto_predict.collecting.options import CollectSettings
from crypto_predict.collecting.status import ReportDatabase
from crypto_predict.collecting.windows import due_at, is_final, uncovered
from crypto_predict.history import closing_limit
from crypto_predict.logs import instant
from crypto_predict.market import Gap, SeriesKey, Span
from crypto_predict.market.collected import StoredGap
from crypto_predict.market.verdict import Silence, silences
from crypto_predict.wording import counted

NOT_ASKED = "not asked for"
BACKFILL = "a backfill asks for it"

_LISTED = 5  # verdicts with their reasons, in the line of one hole


@dataclass(frozen=True, slots=True)
class Hole:
    """Candles that are missing in one series."""

    series: SeriesKey
    gap: Gap
    stored: StoredGap | None  # None: the source has not been asked for them
    silences: Sequence[Silence]  # what was known of the live stream meanwhile, ascending


def find(reader: ReportDatabase, series: Sequence[SeriesKey], settings: CollectSettings, now: datetime) -> list[Hole]:
    """Return the holes of these series between the days of `settings`, up to `now` (UTC), ascending in each series.

    Raises:
        DatabaseError: The database cannot be read.
    """
    limit = closing_limit(settings.until, now)
    return [hole for key in series for hole in _holes(reader, key, Span(settings.start, key.interval.floor(limit)))]


def as_text(holes: Sequence[Hole], now: datetime) -> str:
    """Describe the holes in words; `now` is in UTC."""
    lines = []
    for series, group in groupby(holes, key=lambda hole: hole.series):
        holes_of_pair = list(group)
        missing = sum(hole.gap.missing for hole in holes_of_pair)
        title = str(series)
        lines.append(f"{title}: {counted(len(holes_of_pair), 'gap')}, {counted(missing, 'candle')} missing")
        lines += [f"  {_described(hole, now)}" for hole in holes_of_pair]
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
            "verdicts": [
                {
                    "start": instant(silence.span.start.timestamp()),
                    "end": instant(silence.span.end.timestamp()),
                    "verdict": silence.verdict.value,
                    "reason": silence.reason,
                }
                for silence in hole.silences
            ],
        }
        for hole in holes
    ]
    return json.dumps({"gaps": gaps}, indent=1)


def _holes(reader: ReportDatabase, series: SeriesKey, span: Span) -> list[Hole]:
    """Return the gaps that overlap `span`, and what was not asked for between the stored parts of it."""
    covered = reader.coverage(series)
    if not covered:
        return []
    inside = Span(max(span.start, covered[0].start), min(span.end, covered[-1].end))
    gaps: list[tuple[Gap, StoredGap | None]] = [(stored.gap, stored) for stored in reader.gaps(series, span)]
    for part in uncovered(inside, covered):
        missing = (part.end - part.start) // series.interval.length
        gaps.append((Gap(part.start, part.end, missing), None))
    if not gaps:
        return []
    whole = Span(min(gap.start for gap, _ in gaps), max(gap.end for gap, _ in gaps))
    streams = reader.streams(series.source, series.pair, whole)
    holes = [
        Hole(series, gap, stored, list(silences(Span(gap.start, gap.end), series.interval, streams)))
        for gap, stored in gaps
    ]
    return sorted(holes, key=lambda hole: hole.gap.start)


def _described(hole: Hole, now: datetime) -> str:
    return "\n".join([_explained(hole, now), f"    {_heard(hole)}"])


def _heard(hole: Hole) -> str:
    """Summarize the verdicts on the candles of a hole, in the order in which each first occurs."""
    counts = Counter[str]()
    for silence in hole.silences:
        title = f"{silence.verdict.value} ({silence.reason})" if silence.reason else silence.verdict.value
        counts[title] += (silence.span.end - silence.span.start) // hole.series.interval.length
    shown = [f"{counted(count, 'candle')} {title}" for title, count in counts.items()]
    more = [f"and {counted(len(shown) - _LISTED, 'more reason')}"] if len(shown) > _LISTED else []
    return f"live: {'; '.join([*shown[:_LISTED], *more])}"


def _explained(hole: Hole, now: datetime) -> str:
    gap = hole.gap
    what = f"{gap.start:%Y-%m-%d %H:%M} to {gap.end:%Y-%m-%d %H:%M} UTC, {counted(gap.missing, 'candle')}"
    if hole.stored is None:
        return f"{what}: {NOT_ASKED}; {BACKFILL}"
    attempts = f"asked for {counted(hole.stored.attempts, 'time')}"
    due = due_at(hole.stored)
    if is_final(hole.stored):
        again = "is not asked for again"
    elif due is None:
        again = "the next --backfill asks again"
    elif due <= now:
        again = "the next --once asks again"
    else:
        again = f"is asked for again from {due:%Y-%m-%d %H:%M} UTC on"
    return f"{what}: {hole.stored.cause}\n    {attempts}; verdict: {hole.stored.verdict}; {again}"


def _due(stored: StoredGap) -> str | None:
    due = due_at(stored)
    return None if due is None else instant(due.timestamp())
