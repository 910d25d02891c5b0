"""Why candles are missing, how often they were asked for, and whether they can still come."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from crypto_predict.collecting.options import CollectSettings
from crypto_predict.collecting.status import ReportDatabase, iso
from crypto_predict.collecting.windows import due_at, is_final, uncovered
from crypto_predict.history import closing_limit
from crypto_predict.market import SeriesKey, Span, StoredGap
from crypto_predict.market.verdict import Silence, silences
from crypto_predict.wording import counted

NOT_ASKED = "not asked for"
BACKFILL = "a backfill asks for it"

_LISTED = 5  # verdicts with their reasons, in the line of one hole

# A gap, and what was known of the live stream meanwhile, ascending. One without attempts was not asked for yet.
Hole = tuple[StoredGap, Sequence[Silence]]
Holes = Mapping[SeriesKey, Sequence[Hole]]


def find(reader: ReportDatabase, series: Sequence[SeriesKey], settings: CollectSettings, now: datetime) -> Holes:
    """Return the holes of these series between the days of `settings`, up to `now` (UTC), ascending in each series."""
    limit = closing_limit(settings.until, now)
    return {key: _holes(reader, key, Span(settings.start, key.interval.floor(limit))) for key in series}


def as_text(holes: Holes, now: datetime) -> str:
    """Describe the holes in words; `now` is in UTC."""
    lines = []
    for series, of_series in holes.items():
        if of_series:
            missing = counted(sum(gap.missing for gap, _ in of_series), "candle")
            lines.append(f"{series}: {counted(len(of_series), 'gap')}, {missing} missing")
        for gap, silent in of_series:
            lines += [f"  {_explained(gap, now)}", f"    {_heard(series, silent)}"]
    return "\n".join(lines) or "no candle is missing"


def as_json(holes: Holes) -> str:
    """Return the holes as one JSON object; times are in UTC."""
    gaps = [
        {
            "pair": str(series.pair),
            "source": series.source,
            "interval": series.interval.label,
            "start": iso(gap.start),
            "end": iso(gap.end),
            "missing": gap.missing,
            "cause": gap.cause,
            "attempts": gap.attempts,
            "verdict": gap.verdict,
            "found_at": iso(gap.found_at) if gap.attempts else None,
            "asked_again_from": iso(due_at(gap)) if gap.attempts else None,
            "verdicts": [
                {"start": iso(span.start), "end": iso(span.end), "verdict": verdict.value, "reason": reason}
                for span, verdict, reason in silent
            ],
        }
        for series, of_series in holes.items()
        for gap, silent in of_series
    ]
    return json.dumps({"gaps": gaps}, indent=1)


def _holes(reader: ReportDatabase, series: SeriesKey, span: Span) -> list[Hole]:
    """Return the gaps that overlap `span`, and what was not asked for between the stored parts of it."""
    covered = reader.coverage(series)
    if not covered:
        return []
    inside = Span(max(span.start, covered[0].start), min(span.end, covered[-1].end))
    gaps = list(reader.gaps(series, span))
    for part in uncovered(inside, covered):
        missing = (part.end - part.start) // series.interval.length
        gaps.append(StoredGap(part.start, part.end, missing, NOT_ASKED, verdict=BACKFILL))
    if not gaps:
        return []
    gaps.sort(key=lambda gap: gap.start)
    whole = Span(gaps[0].start, max(gap.end for gap in gaps))
    streams = reader.streams(series.source, series.pair, whole)
    return [(gap, list(silences(Span(gap.start, gap.end), series.interval, streams))) for gap in gaps]


def _heard(series: SeriesKey, silent: Sequence[Silence]) -> str:
    """Summarize the verdicts on the candles of a hole, in the order in which each first occurs."""
    counts = Counter[str]()
    for span, verdict, reason in silent:
        title = f"{verdict.value} ({reason})" if reason else verdict.value
        counts[title] += (span.end - span.start) // series.interval.length
    shown = [f"{counted(count, 'candle')} {title}" for title, count in counts.items()]
    more = [f"and {counted(len(shown) - _LISTED, 'more reason')}"] if len(shown) > _LISTED else []
    return f"live: {'; '.join([*shown[:_LISTED], *more])}"


def _explained(gap: StoredGap, now: datetime) -> str:
    what = f"{gap.start:%Y-%m-%d %H:%M} to {gap.end:%Y-%m-%d %H:%M} UTC, {counted(gap.missing, 'candle')}"
    if not gap.attempts:
        return f"{what}: {gap.cause}; {gap.verdict}"
    due = due_at(gap)
    if is_final(gap):
        again = "is not asked for again"
    elif due is None:
        again = "the next --backfill asks again"
    elif due <= now:
        again = "the next --once asks again"
    else:
        again = f"is asked for again from {due:%Y-%m-%d %H:%M} UTC on"
    attempts = f"asked for {counted(gap.attempts, 'time')}"
    return f"{what}: {gap.cause}\n    {attempts}; verdict: {gap.verdict}; {again}"
