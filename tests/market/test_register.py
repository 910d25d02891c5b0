"""The register of outages, from states of streams alone: against an oracle that looks at every second."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue
from crypto_predict.market import DAY, Pair, Span, StoredGap
from crypto_predict.market.collected import MOST_ATTEMPTS, QUARANTINED, StreamSpan, StreamState
from crypto_predict.market.downtime import monthly, report, whole_months
from crypto_predict.market.register import (
    NOT_RECORDED,
    Cause,
    Fate,
    OutageKey,
    PairRecord,
    RegisteredOutage,
    outages,
    reconciled,
)

CONNECTED, DISCONNECTED, DOWN = StreamState
KINDS = {"C": CONNECTED, "d": DISCONNECTED, "X": DOWN}
START = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PAIRS = [Pair(base, "USDT") for base in ("BTC", "ETH", "SOL")]
STEP = 20  # seconds of one letter: three in a minute


def streams(letters: str) -> list[StreamSpan]:
    """Return the states that letters describe: C connected, d disconnected, X exchange down, a point: not recorded."""
    result, at = [], START
    for letter, group in groupby(letters):
        end = at + len(list(group)) * STEP * SECOND
        if letter in KINDS:
            reason = {"C": "", "d": "it was silent", "X": "it answered 503"}[letter]
            result.append(StreamSpan(Span(at, end), KINDS[letter], reason))
        at = end
    return result


def record(
    letters: str, pair: Pair = PAIRS[0], *, is_active: bool = True, gaps: Sequence[StoredGap] = ()
) -> PairRecord:
    """Return what is recorded of a pair, whose candles were asked for, but for the last minute."""
    end = START + len(letters) * STEP * SECOND
    return PairRecord(pair, is_active, streams(letters), [Span(START, end - MINUTE)], gaps)


def registered(*letters: str, is_active: bool = True) -> list[RegisteredOutage]:
    records = [record(text, pair, is_active=is_active) for text, pair in zip(letters, PAIRS, strict=False)]
    return outages("binance", records, START + len(letters[0]) * STEP * SECOND)


def seen(found: Sequence[RegisteredOutage]) -> list[tuple[str, int, int, bool]]:
    """Return the cause of each outage, from which letter to which it lasted, and whether it is over."""
    step = STEP * SECOND
    return [
        (each.cause.value, (each.span.start - START) // step, (each.span.end - START) // step, each.is_over)
        for each in found
    ]


def test_what_a_stream_went_through_between_two_connections_is_one_outage() -> None:
    """Its end is noticed first, and that the exchange is down with the next attempt."""
    (outage,) = registered("CCCddXXXXdXXCCC")
    assert seen([outage]) == [("exchange", 3, 12, True)]
    assert (outage.reason, outage.pairs) == ("it answered 503", (PAIRS[0],))
    assert (str(outage.key), outage.key.at) == ("binance-20260601T120100Z", START + MINUTE)


def test_a_collector_that_was_away_during_an_outage_of_the_exchange_makes_two_outages() -> None:
    """The exchange was down before and after, so it was down throughout; a connection that failed tells nothing."""
    assert seen(registered("CCCXXX.....XXXCCC")) == [("exchange", 3, 14, True), ("collector", 6, 11, True)]
    assert seen(registered("CCCddd.....dddCCC")) == [
        ("connection", 3, 6, True),
        ("connection", 11, 14, True),
        ("collector", 6, 11, True),
    ]


def test_pairs_that_overlap_in_part_are_one_outage() -> None:
    """Several collectors share the pairs of a source, each with a connection of its own."""
    (outage,) = registered("CCCdddddCCCCCCC", "CCCCCCXXXXCCCCC", "CCCCCCCCCCCCCCC")
    assert seen([outage]) == [("exchange", 3, 10, True)]
    assert outage.pairs == tuple(PAIRS[:2])
    assert sum(outage.minutes.values()) == 2 + 2, "each pair counts the minutes of its own stream"


def test_outages_that_do_not_share_a_minute_are_apart() -> None:
    assert seen(registered("CCCdCCdCC", "CCCCCCCCC")) == [("connection", 3, 4, True), ("connection", 6, 7, True)]
    assert seen(registered("CCCdCdCCC", "CCCCCCCCC")) == [("connection", 3, 6, True)]


def test_time_before_the_first_state_and_after_a_pair_was_stopped_is_not_an_outage() -> None:
    assert registered("......CCC") == []
    assert registered("......CCC.........", is_active=False) == []
    assert registered("...", is_active=True) == []
    assert seen(registered("CCCddd......", is_active=False)) == [("connection", 3, 6, True)]


def test_an_outage_goes_on_until_the_stream_is_connected_or_recorded_again() -> None:
    """A running collector stores states every 15 s, so that a minute without any means that it does not run."""
    assert seen(registered("CCCXXX")) == [("exchange", 3, 6, False)]
    assert seen(registered("CCC...")) == []
    (outage,) = registered("CCC....")
    assert seen([outage]) == [("collector", 3, 7, False)]
    assert (outage.reason, report(outage).end) == (NOT_RECORDED, None)
    assert seen(registered("CCCXXX....")) == [("exchange", 3, 6, True), ("collector", 6, 10, False)]


def test_a_state_of_the_future_does_not_count() -> None:
    """The clock of this machine was wrong for a while."""
    now = START + 6 * STEP * SECOND
    assert seen(outages("binance", [record("CCCddd......CCC")], now)) == [("connection", 3, 6, False)]
    assert seen(outages("binance", [record("CCC.........CCC")], now)) == []


def test_each_minute_of_an_outage_has_one_fate() -> None:
    """It was filled, is awaited, was lost or rejected. The part of a minute that has not ended is not counted."""
    at = [START + number * MINUTE for number in range(10)]
    gaps = [
        StoredGap(at[2], at[4], 2, "not returned by the source", MOST_ATTEMPTS),
        StoredGap(at[4], at[5], 1, "not returned by the source", 1),
        StoredGap(at[5], at[6], 1, QUARANTINED, MOST_ATTEMPTS),
    ]
    letters = "CCC" + "XXX" * 8 + "XX"  # the minutes from 1 on
    found = outages("binance", [record(letters, gaps=gaps)], START + len(letters) * STEP * SECOND)
    shown = report(found[0])
    assert (shown.minutes, shown.lost, shown.rejected) == (8, 2, 1)
    assert (shown.filled, shown.awaited) == (3, 2), "the last one was not asked for in whole"


@given(st.lists(st.text("CdX.", min_size=40, max_size=40), min_size=1, max_size=3))
@example(["CX.X" * 10, "CCCC" * 10, "C..C" * 10])
def test_every_second_without_a_connection_is_in_one_outage_of_its_side(letters: list[str]) -> None:
    found = registered(*letters)
    now = START + 40 * STEP * SECOND
    for side in (False, True):
        own = sorted((each for each in found if each.cause.is_ours is side), key=lambda each: each.span.start)
        assert all(one.touched.end <= other.touched.start for one, other in pairwise(own))
        assert all(each.span.start < each.span.end <= now for each in own)
        expected = {
            (pair, START + number * STEP * SECOND)
            for pair, text in zip(PAIRS, letters, strict=False)
            for number in oracle(text, ours=side)
        }
        for pair, at in expected:
            (outage,) = [each for each in own if at in each.span]
            assert pair in outage.pairs
        for outage in own:
            inside = {(pair, at) for pair, at in expected if at in outage.span}
            assert {pair for pair, _ in inside} == set(outage.pairs)
            minutes = {(pair, at.replace(second=0)) for pair, at in inside if at.replace(second=0) + MINUTE <= now}
            assert sum(outage.minutes.values()) == len(minutes)


def oracle(letters: str, *, ours: bool) -> set[int]:
    """Return the numbers of the letters that belong to outages of a side."""
    known = letters.rstrip(".")
    silent = len(letters) - len(known)
    shown = letters if silent > 3 else known  # as long as a minute nothing need be recorded
    first = len(letters) - len(letters.lstrip("."))
    if ours:
        return {number for number in range(first, len(shown)) if shown[number] == "."} if known else set()
    result = set()
    for number in range(first, len(shown)):
        if shown[number] in "dX":
            result.add(number)
        elif shown[number] == ".":
            before, after = shown[:number].rsplit("C", 1)[-1], shown[number:].split("C", 1)[0]
            if "X" in before and "X" in after:
                result.add(number)
    return result


def outage_of(cause: Cause, first: int, last: int, pairs: Sequence[Pair] = PAIRS[:1]) -> RegisteredOutage:
    span = Span(START + first * MINUTE, START + last * MINUTE)
    return RegisteredOutage("binance", cause, "", span, True, tuple(pairs), {Fate.FILLED: last - first})


def test_an_outage_that_was_known_keeps_its_start_and_its_name() -> None:
    """Whoever has a link to it finds it, also if its cause is known better by now."""
    known = outage_of(Cause.CONNECTION, 10, 12)
    (after,) = reconciled([known], [outage_of(Cause.EXCHANGE, 9, 15)], START)
    assert (after.key, after.cause, after.span.end) == (known.key, Cause.EXCHANGE, START + 15 * MINUTE)


def test_an_outage_of_the_time_before_stays_with_its_pairs_and_a_later_one_only_if_it_still_is_one() -> None:
    """What old ones were made of may have been deleted. A later one may have been a clock that was wrong."""
    old, longer = outage_of(Cause.COLLECTOR, 0, 5), outage_of(Cause.EXCHANGE, 8, 20, PAIRS)
    late = outage_of(Cause.COLLECTOR, 30, 40)
    since = START + 10 * MINUTE
    after = reconciled([old, longer, late], [outage_of(Cause.EXCHANGE, 15, 25)], since)
    assert [each.key for each in after] == [old.key, longer.key]
    assert (after[1].pairs, after[1].span.end) == (tuple(PAIRS), START + 25 * MINUTE)


def test_of_two_outages_that_were_one_only_the_first_keeps_the_name() -> None:
    known = outage_of(Cause.CONNECTION, 0, 9)
    after = reconciled([known], [outage_of(Cause.CONNECTION, 1, 3), outage_of(Cause.CONNECTION, 5, 9)], START)
    assert [each.span.start for each in after] == [START, START + 5 * MINUTE]


def test_the_name_of_an_outage_says_where_it_is() -> None:
    for ours in (False, True):
        key = OutageKey("binance", ours, START)
        assert OutageKey.parse(str(key)) == key
    for text in (
        "",
        "binance",
        "binance-20260631T120000Z",
        "-20260601T120000Z",
        "binance-2026061T120000Z",
        "-collector-",
    ):
        with pytest.raises(InvalidValue, match="the id of an outage"):
            OutageKey.parse(text)


def test_a_month_sums_up_the_parts_of_outages_that_lie_in_it() -> None:
    """Those of the exchange, and ours. The present month is measured by what has passed of it."""
    july = datetime(2026, 7, 1, tzinfo=UTC)
    spans = [
        ("binance", False, Span(july - 10 * MINUTE, july + 20 * MINUTE)),
        ("binance", False, Span(july + DAY, july + DAY + 24 * MINUTE)),
        ("binance", True, Span(july + 2 * DAY, july + 2 * DAY + 90 * SECOND)),
        ("alpaca", True, Span(july - 5 * DAY, july - 4 * DAY)),
    ]
    months = monthly(spans, july + 10 * DAY)
    assert [(month.month, month.source) for month in months] == [
        ("2026-07", "binance"),
        ("2026-06", "alpaca"),
        ("2026-06", "binance"),
    ]
    newest, alpaca, oldest = months
    assert (newest.exchange.outages, newest.exchange.minutes, newest.collector.minutes) == (2, 44.0, 1.5)
    assert newest.exchange.share == pytest.approx(44 / 14_400)
    assert (oldest.exchange.outages, oldest.exchange.minutes, oldest.collector.outages) == (1, 10.0, 0)
    assert alpaca.collector.share == pytest.approx(1 / 30)
    assert monthly([], july) == []
    assert whole_months(Span(july - SECOND, july)) == Span(datetime(2026, 6, 1, tzinfo=UTC), july)
