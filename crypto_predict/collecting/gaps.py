"""Why candles are missing, how often they were asked for, and whether they can still come."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

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

# A gap, and what was known of the live stream meanwhile, ascending. One without attempts was not asked for yet.
Hole = tuple[StoredGap, Sequence[Silence]]
Holes = Mapping[SeriesKey, Sequence[Hole]]


def find(reader: ReportDatabase, series: Sequence[SeriesKey], settings: CollectSettings, now: datetime) -> Holes:
    """Return the holes of these series between the days of `settings`, up to `now` (UTC), ascending in each series.

    Raises:
        DatabaseError: The database cannot be read.
    """
    limit = closing_limit(settings.until, now)
    return {key: _holes(reader, key, Span(settings.start, key.interval.floor(limit)), now) for key in series}


def as_text(holes: Holes, now: datetime) -> str:
    """Describe the holes in words; `now` is in UTC."""
    lines = []
    for series, of_series in holes.items():
        if of_series:
            missing = counted(sum(stored.gap.missing for stored, _ in of_series), "candle")
            lines.append(f"{series}: {counted(len(of_series), 'gap')}, {missing} missing")
        for stored, silent in of_series:
            lines += [f"  {_explained(stored, now)}", f"    {_heard(series, silent)}"]
    return "\n".join(lines) or "no candle is missing"


def as_json(holes: Holes) -> str:
    """Return the holes as one JSON object; times are in UTC."""
    gaps = [
        {
            "pair": str(series.pair),
            "source": series.source,
            "interval": series.interval.label,
            "start": _iso(stored.gap.start),
            "end": _iso(stored.gap.end),
            "missing": stored.gap.missing,
            "cause": stored.cause,
            "attempts": stored.attempts,
            "verdict": stored.verdict,
            "found_at": _iso(stored.found_at) if stored.attempts else None,
            "asked_again_from": _iso(due) if stored.attempts and (due := due_at(stored)) else None,
            "verdicts": [
                {
                    "start": _iso(silence.span.start),
                    "end": _iso(silence.span.end),
                    "verdict": silence.verdict.value,
                    "reason": silence.reason,
                }
                for silence in silent
            ],
        }
        for series, of_series in holes.items()
        for stored, silent in of_series
    ]
    return json.dumps({"gaps": gaps}, indent=1)


def _holes(reader: ReportDatabase, series: SeriesKey, span: Span, now: datetime) -> list[Hole]:
    """Return the gaps that overlap `span`, and what was not asked for between the stored parts of it."""
    covered = reader.coverage(series)
    if not covered:
        return []
    inside = Span(max(span.start, covered[0].start), min(span.end, covered[-1].end))
    gaps = list(reader.gaps(series, span))
    for part in uncovered(inside, covered):
        missing = (part.end - part.start) // series.interval.length
        gaps.append(StoredGap(Gap(part.start, part.end, missing), NOT_ASKED, 0, BACKFILL, now))
    if not gaps:
        return []
    gaps.sort(key=lambda stored: stored.gap.start)
    whole = Span(gaps[0].gap.start, max(stored.gap.end for stored in gaps))
    streams = reader.streams(series.source, series.pair, whole)
    return [
        (stored, list(silences(Span(stored.gap.start, stored.gap.end), series.interval, streams))) for stored in gaps
    ]


def _heard(series: SeriesKey, silent: Sequence[Silence]) -> str:
    """Summarize the verdicts on the candles of a hole, in the order in which each first occurs."""
    counts = Counter[str]()
    for silence in silent:
        title = f"{silence.verdict.value} ({silence.reason})" if silence.reason else silence.verdict.value
        counts[title] += (silence.span.end - silence.span.start) // series.interval.length
    shown = [f"{counted(count, 'candle')} {title}" for title, count in counts.items()]
    more = [f"and {counted(len(shown) - _LISTED, 'more reason')}"] if len(shown) > _LISTED else []
    return f"live: {'; '.join([*shown[:_LISTED], *more])}"


def _explained(stored: StoredGap, now: datetime) -> str:
    gap = stored.gap
    what = f"{gap.start:%Y-%m-%d %H:%M} to {gap.end:%Y-%m-%d %H:%M} UTC, {counted(gap.missing, 'candle')}"
    if not stored.attempts:
        return f"{what}: {stored.cause}; {stored.verdict}"
    due = due_at(stored)
    if is_final(stored):
        again = "is not asked for again"
    elif due is None:
        again = "the next --backfill asks again"
    elif due <= now:
        again = "the next --once asks again"
    else:
        again = f"is asked for again from {due:%Y-%m-%d %H:%M} UTC on"
    attempts = f"asked for {counted(stored.attempts, 'time')}"
    return f"{what}: {stored.cause}\n    {attempts}; verdict: {stored.verdict}; {again}"


def _iso(time: datetime) -> str:
    return instant(time.timestamp())
