"""The register of a dataset: when a source had no candle of any pair."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.dataset.layout import path_of
from crypto_predict.dataset.manifest import Entry, Manifest, Series
from crypto_predict.market import Interval, Pair, SeriesKey, Span, StoredGap
from crypto_predict.market.collected import MOST_ATTEMPTS, QUARANTINED
from crypto_predict.release.dataset.silences import LEAST, register, silences

START = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)  # before a month ends
MINUTE = timedelta(minutes=1)
BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")


def gap(first: int, after: int, cause: str = "no candle", attempts: int = MOST_ATTEMPTS) -> StoredGap:
    """Return a gap of minutes after `START`."""
    return StoredGap(START + first * MINUTE, START + after * MINUTE, after - first, cause, attempts)


def entry(series: SeriesKey, span: Span, gaps: list[StoredGap]) -> Entry:
    rows = (span.end - span.start) // MINUTE
    inside = tuple(each for each in gaps if each.start < span.end and each.end > span.start)
    path = path_of(series, span.start, "parquet")
    return Entry(path, rows, rows, span.start, span.end, 1, "0" * 64, "0" * 64, {}, inside, (), (), {})


def described(*pairs: tuple[Pair, int, int, list[StoredGap]], source: str = "coinbase") -> Manifest:
    """Return a manifest of minutes: for each pair its first minute, the one after its last, and its gaps."""
    manifest = Manifest("parquet")
    for pair, first, after, gaps in pairs:
        key = SeriesKey(source, pair, Interval.MINUTE_1)
        span, month = Span(START + first * MINUTE, START + after * MINUTE), datetime(2026, 11, 1, tzinfo=UTC)
        parts = [Span(span.start, min(span.end, month)), Span(max(span.start, month), span.end)]
        files = tuple(entry(key, part, gaps) for part in parts if part.start < part.end)
        manifest.add(Series(source, pair, "1m", False, "active", None, files))
    return manifest


def test_a_silence_is_what_all_pairs_have_in_common_and_says_what_became_of_its_minutes() -> None:
    """One that lies in two months is one event."""
    manifest = described(
        (BTC, 0, 100, [gap(10, 50), gap(60, 62)]), (ETH, 0, 100, [gap(20, 40, QUARANTINED), gap(40, 45, attempts=1)])
    )
    (event,) = silences(manifest)
    assert (event.start, event.end, event.seconds) == (START + 20 * MINUTE, START + 45 * MINUTE, 1_500)
    assert (event.id, event.cause, event.pairs) == ("coinbase-20261031T235000Z", "no candle", (BTC, ETH))
    assert (event.minutes, event.lost, event.rejected, event.awaited, event.filled) == (50, 25, 20, 5, 0)
    document = json.loads(register(manifest))
    assert [each["id"] for each in document["outages"]] == [event.id]
    assert [(month["month"], month["exchange"]["minutes"]) for month in document["months"]] == [
        ("2026-11", 15.0),
        ("2026-10", 10.0),
    ]
    assert document["missing_outside"] == {"without a recorded stream": 17}


@pytest.mark.parametrize("minutes", [4, 5])
def test_a_silence_shorter_than_five_minutes_is_not_listed(minutes: int) -> None:
    assert bool(silences(described((BTC, 0, 100, [gap(10, 10 + minutes)])))) == (minutes * MINUTE >= LEAST)


def test_a_pair_that_has_not_begun_or_has_ended_does_not_speak_for_its_source() -> None:
    events = silences(described((BTC, 0, 100, [gap(10, 30), gap(80, 90)]), (ETH, 25, 70, [])))
    assert [(event.seconds // 60, event.pairs) for event in events] == [(10, (BTC,)), (15, (BTC,))]


edges = st.lists(st.integers(1, 59), unique=True, max_size=12).map(sorted)
PAIRS = st.lists(st.tuples(st.integers(0, 10), st.integers(50, 60), edges), min_size=1, max_size=3)


@given(PAIRS)
def test_each_minute_without_a_candle_of_any_pair_is_in_one_silence(pairs: list[tuple[int, int, list[int]]]) -> None:
    """Compared with a count of the minutes, one by one."""
    given, present, missing = [], Counter[int](), Counter[int]()
    for number, (first, after, edges) in enumerate(pairs):
        inside = [edge for edge in edges if first < edge < after]
        holes = list(zip(inside[::2], inside[1::2], strict=False))
        given.append((Pair(f"A{number}", "USD"), first, after, [gap(*hole) for hole in holes]))
        present.update(range(first, after))
        missing.update(minute for hole in holes for minute in range(*hole))
    expected: list[list[int]] = []
    for minute in (minute for minute in range(60) if present[minute] and present[minute] == missing[minute]):
        if expected and expected[-1][-1] == minute - 1:
            expected[-1].append(minute)
        else:
            expected.append([minute])
    found = [((event.start - START) // MINUTE, event.seconds // 60) for event in reversed(silences(described(*given)))]
    assert found == [(minutes[0], len(minutes)) for minutes in expected if len(minutes) >= 5]
