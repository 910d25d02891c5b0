"""What is known of a market at the close of a minute: the same in both forms, and nothing of the future."""

import math
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.forecasting.minutes.features import (
    AFTER_GAP,
    AFTER_JUMP,
    LEAST_HISTORY,
    LONGEST_QUIET,
    Minutes,
    MinuteState,
    calendar,
    decayed_sums,
    signs,
    sizes,
)
from crypto_predict.market import Candle
from tests.support.minute_markets import DAY, MINUTE, START, USUAL, columns, later, market, state_of, still


@st.composite
def histories(draw: st.DrawFn) -> list[Candle]:
    """Draw a few candles with quiet minutes, gaps, jumps, and values that are missing or zero."""
    minute, price, candles = draw(st.integers(0, 3 * DAY)), 100.0, []
    for _ in range(draw(st.integers(1, 15))):
        opened = price * draw(st.sampled_from([1.0, 1.0, 1.0001, 0.9, 2.0]))
        close = opened * draw(st.sampled_from([1.0, 1.001, 0.9995, 0.5, 1.5]))
        high, low = max(opened, close) * draw(st.floats(1, 1.01)), min(opened, close) * draw(st.floats(0.99, 1))
        volume = draw(st.just(0.0) | st.floats(1e-6, 1e6))
        taker = draw(st.none() | st.floats(0, 1))
        trades = draw(st.none() | st.integers(0, 10**6))
        taken = None if taker is None else taker * volume
        candles.append(Candle(START + minute * MINUTE, opened, high, low, close, volume, None, trades, taken))
        minute += draw(st.sampled_from([1, 1, 1, 2, 5, LONGEST_QUIET + 1, LONGEST_QUIET + 2, 2 * DAY]))
        price = close
    return candles


@given(histories())
def test_one_candle_at_a_time_gives_the_same_numbers_as_all_at_once(candles: list[Candle]) -> None:
    """Coefficients are fitted to the arrays and applied to the state."""
    minutes, state = Minutes.of(columns(candles)), MinuteState()
    traded = iter(np.flatnonzero(minutes.traded).tolist())
    all_sizes, all_signs = sizes(minutes.known, USUAL), signs(minutes.known, USUAL)
    for candle in candles:
        state.add(candle)
        row = next(traded)
        assert state.minute == minutes.minute[row]
        assert state.cutoff == candle.open_time + MINUTE
        known, expected = state.known(), minutes[row : row + 1].known
        assert np.allclose(known, expected, rtol=1e-9, atol=1e-12, equal_nan=True)
        assert np.allclose(sizes(known, USUAL), all_sizes[row], rtol=0, atol=1e-9)
        assert np.allclose(signs(known, USUAL), all_signs[row], rtol=0, atol=1e-9)
    assert next(traded, None) is None


def test_both_forms_refuse_the_same_minutes() -> None:
    first = market(1, 2 * DAY, flow=True)
    gap = later(market(2, 200, flow=True), 2 * DAY + 500)
    jump = later(market(3, 200), 2 * DAY + 700, times=1.6)
    frozen = still(jump[-1], 100)
    candles = [*first, *gap, *jump, *frozen, *later(market(4, 50), 2 * DAY + 1000)]
    minutes, state, refused = Minutes.of(columns(candles)), MinuteState(), set()
    for candle, can_speak in zip(candles, minutes.can_speak[minutes.traded].tolist(), strict=True):
        state.add(candle)
        fault = state.fault()
        assert (fault is None) == can_speak
        refused.add("" if fault is None else fault.split(", ")[-1].partition(" ")[0])
    assert len(refused) == 5, refused  # none, and each of the four reasons


def test_what_a_source_does_not_have_is_what_a_usual_minute_has() -> None:
    """Trades and taker volumes may be missing: their features are 0, not NaN."""
    with_flow, without = (sizes(Minutes.of(columns(market(5, DAY, flow=flow))).known, USUAL) for flow in (True, False))
    differing = np.flatnonzero((with_flow != without).any(axis=0))
    assert len(differing) == 3 + 2
    assert not without[:, differing].any()
    assert np.isfinite(with_flow).all()
    assert np.isfinite(without).all()


def test_volume_that_ends_is_a_surprise_with_a_bound_and_a_constant_flow_is_none() -> None:
    """Nor is no volume at all, as in a file without a column of volumes."""
    candles = market(5, 2 * DAY)
    constant = [candle._replace(volume=3.0, trades=7) for candle in candles[:300]]
    known = Minutes.of(columns([candle._replace(volume=0.0) for candle in candles[:300]])).known
    assert sizes(Minutes.of(columns(constant)).known, USUAL)[:, 11:17] == pytest.approx(0, abs=1e-12)
    assert not sizes(known, USUAL)[:, 11:14].any()
    assert not known[:, -1].any()
    surprises = sizes(Minutes.of(columns([*candles, *still(candles[-1], 60)])).known, USUAL)[-1, 11:14]
    assert (surprises < -0.5).all()
    assert (surprises >= math.log(0.05 / 1.05)).all()


def test_minutes_without_a_candle_are_quiet() -> None:
    """The price stays, the volume is 0, and the next candle moves from the last close."""
    candles = market(6, 10)
    minutes = Minutes.of(columns([*candles[:3], *candles[6:]]))
    assert len(minutes) == 10
    assert minutes.traded.tolist() == [True] * 3 + [False] * 3 + [True] * 4
    assert minutes.returns[3:6].tolist() == [0, 0, 0]
    assert minutes.returns[6] == pytest.approx(math.log(candles[6].close / candles[2].close))


def test_a_long_gap_is_not_quiet() -> None:
    """No minute is invented, and the move across the gap is no minute's return."""
    candles = [*market(6, 10), *later(market(7, 10), 10 + LONGEST_QUIET + 1, times=1.2)]
    minutes = Minutes.of(columns(candles))
    assert len(minutes) == 20
    assert minutes.traded.all()
    assert np.abs(minutes.returns).max() < 0.1
    assert np.isnan(minutes.moves(5)[5:10]).all()
    assert np.isfinite(minutes.moves(5)[10:15]).all()


def test_a_move_ends_where_it_is_known() -> None:
    candles = market(8, 30)
    moves = Minutes.of(columns([*candles[:10], *candles[12:]])).moves(3)
    expected = [math.log(candles[at + 3].close / candles[at].close) for at in range(27)]
    missing = {7, 8, 10, 11}  # which end or begin in a minute without a candle
    for at in range(27):
        assert math.isnan(moves[at]) if at in missing else moves[at] == pytest.approx(expected[at])
    assert np.isnan(moves[27:]).all()
    assert np.isnan(Minutes.of(columns(candles)).moves(30)).all()


def test_a_short_history_and_a_gap_are_refused_until_enough_has_followed() -> None:
    assert MinuteState().fault() == "0 minutes of history, 1,440 are needed"
    assert state_of(market(9, 10)).fault() == "10 minutes of history, 1,440 are needed"
    state = state_of(market(9, LEAST_HISTORY))
    assert state.fault() is None
    after = later(market(10, AFTER_GAP), LEAST_HISTORY + 300)
    state.add(after[0])
    assert state.fault() == "1 minute since a gap of 300 minutes, 30 are needed"
    for candle in after[1:]:
        state.add(candle)
    assert state.fault() is None


@pytest.mark.parametrize(("times", "jumped"), [(0.5, "-50%"), (1.5, "+50%")])
def test_a_price_that_jumps_by_half_is_refused_for_a_while(times: float, jumped: str) -> None:
    """It is an error of the feed, or a market that nobody has seen."""
    candles = market(11, 2 * DAY)
    state, flat = state_of(candles), candles[-1].close
    after = still(candles[-1]._replace(close=flat * times), AFTER_JUMP + 1, volume=1.0)
    after[0] = after[0]._replace(open=flat, high=max(flat, flat * times), low=min(flat, flat * times))
    after = [
        candle._replace(high=candle.high * 1.0001, close=candle.close * (1 + number % 2 / 1e4))
        for number, candle in enumerate(after)
    ]
    faults = []
    for candle in after:
        state.add(candle)
        faults.append(state.fault())
    assert faults[0] == f"the price jumped by {jumped} 0 minutes ago, 15 minutes are waited for"
    assert [fault is None for fault in faults] == [False] * AFTER_JUMP + [True]


def test_a_frozen_price_is_refused_when_it_is_longer_than_it_ever_was() -> None:
    candles = market(12, 2 * DAY, tick=0.1)
    state = state_of(candles)
    share = np.mean([a.close == b.close for a, b in pairwise(candles)])
    faults = []
    for candle in still(candles[-1], 120, volume=1.0):
        state.add(candle)
        faults.append(state.fault())
    first = next(number for number, fault in enumerate(faults, 1) if fault is not None)
    assert first == pytest.approx(math.log(1e-12) / math.log(share), rel=0.2)
    assert all(fault is not None for fault in faults[first:])
    assert "the price has not moved for " in str(faults[-1])


def test_candles_come_in_the_order_of_time() -> None:
    first, second = market(13, 2)
    state = state_of([second])
    for wrong in (first, second):
        with pytest.raises(ValueError, match="2024-05-17 00:01:00"):
            state.add(wrong)


def test_the_calendar_is_that_of_the_minutes_ahead() -> None:
    """At 13:57 the next 15 minutes have one that begins an hour, and three that begin five minutes."""
    friday = (START + timedelta(hours=13, minutes=57)).timestamp() // 60
    rows = calendar(np.array([friday, friday], dtype=np.int64), np.array([2, 15]))
    assert rows[0, 8:13] == pytest.approx([0, 0, 0, 0, 0])
    assert rows[1, 8:13] == pytest.approx([1 / 15, 0, 0, 0, 3 / 15])
    assert rows[:, 13:].argmax(axis=1).tolist() == [4, 4]
    late = calendar(np.array([friday + 10 * 60], dtype=np.int64), np.array([15]))
    assert late[0, 13:].argmax() == 5
    assert rows[0, 0] == pytest.approx(math.sin(2 * math.pi * (13 * 60 + 59) / DAY))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.floats(0.1, 0.999))
def test_decayed_sums_are_those_of_the_definition(values: list[float], decay: float) -> None:
    total, expected = 0.0, []
    for value in values:
        total = decay * total + value
        expected.append(total)
    assert decayed_sums(np.array(values), decay) == pytest.approx(np.array(expected), abs=1e-12)
