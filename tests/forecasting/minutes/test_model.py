"""Coefficients of the minute forecasts: what they learn, what they refuse, and the shape of every forecast."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.forecasting.distribution.quantiles import interval_score
from crypto_predict.forecasting.minutes.features import Minutes
from crypto_predict.forecasting.minutes.model import Coefficients, fit_quantile
from crypto_predict.market import Candle
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD, MinuteForecast
from tests.support.minute_markets import DAY, MINUTE, columns, later, market, state_of, still
from tests.support.minutes import real_minutes

CANDLES = market(1, 6 * DAY, flow=True)
FITTED = 4 * DAY  # what is fitted


@pytest.fixture(scope="module")
def fitted() -> Coefficients:
    """What the first days of a market teach."""
    return Coefficients.fit(Minutes.of(columns(CANDLES[:FITTED])))


def assert_sound(forecast: MinuteForecast) -> None:
    """Quantiles rise with their level, contain the point, and never come nearer with the horizon."""
    quantiles, points = np.array(forecast.quantiles), np.array(forecast.points)
    assert quantiles.shape == (MINUTES_AHEAD, len(LEVELS))
    assert np.isfinite(quantiles).all()
    assert (quantiles > 0).all()
    assert (np.diff(quantiles, axis=1) > 0).all()
    assert (quantiles[:, 2] <= points).all()
    assert (points <= quantiles[:, 4]).all()
    for level in range(len(LEVELS)):
        assert (np.diff(quantiles[:, level]) * np.sign(LEVELS[level] - 0.5) >= 0).all()


def test_a_forecast_of_a_random_walk_is_persistence_for_the_15_minutes_after_the_newest_close(
    fitted: Coefficients,
) -> None:
    state = state_of(CANDLES[:FITTED])
    forecast = fitted.forecast(state)
    assert forecast.cutoff == CANDLES[FITTED - 1].open_time + MINUTE
    assert forecast.price == CANDLES[FITTED - 1].close
    assert forecast.points == (forecast.price,) * MINUTES_AHEAD
    assert_sound(forecast)


def test_a_band_holds_as_much_as_it_says_where_volatility_comes_in_clusters(fitted: Coefficients) -> None:
    """Out of sample, and in the calm and in the wild half alike."""
    minutes = Minutes.of(columns(CANDLES))[FITTED:]
    quantiles = fitted.moves(minutes.known, minutes.minute)[1]
    for horizon in (1, 5, 15):
        moves = minutes.moves(horizon)[:-horizon]
        inside = (quantiles[:-horizon, horizon - 1, 1] <= moves) & (moves <= quantiles[:-horizon, horizon - 1, 5])
        width = quantiles[:-horizon, horizon - 1, 5]
        is_wild = width > np.median(width)
        assert inside.mean() == pytest.approx(0.8, abs=0.04)
        assert inside[is_wild].mean() == pytest.approx(0.8, abs=0.08)
        assert inside[~is_wild].mean() == pytest.approx(0.8, abs=0.08)
    assert np.quantile(quantiles[:, 0, 5], 0.9) > 2 * np.quantile(quantiles[:, 0, 5], 0.1)


def test_a_direction_is_forecast_where_it_has_been_right() -> None:
    """In this market every move goes on: half of it is added to the next one."""
    rng, price, move, candles = np.random.default_rng(3), 100.0, 0.0, []
    for first in market(3, 5 * DAY):
        move = 0.5 * move + 0.001 * rng.standard_normal()
        opened, price = price, price * math.exp(move)
        high, low = max(opened, price), min(opened, price)
        candles.append(Candle(first.open_time, opened, high, low, price, 1.0))
    coefficients = Coefficients.fit(Minutes.of(columns(candles[: 4 * DAY])))
    minutes = Minutes.of(columns(candles))[4 * DAY : -1]
    points, moves = coefficients.moves(minutes.known, minutes.minute)[0][:, 0], minutes.moves(1)
    assert np.nanmean(np.abs(moves - points)) < 0.97 * np.nanmean(np.abs(moves))


def test_the_next_minute_of_an_hour_that_is_always_wild_has_a_wide_band() -> None:
    """The calendar of the target counts, not that of the cutoff."""
    candles = market(4, 5 * DAY)
    candles = [
        candle
        if candle.open_time.minute
        else candle._replace(high=max(candle.open, candle.close * 1.01), close=candle.close * 1.01)
        for candle in candles
    ]
    coefficients = Coefficients.fit(Minutes.of(columns(candles)))
    minutes = Minutes.of(columns(candles))[2 * DAY :]
    width = np.log(coefficients.moves(minutes.known, minutes.minute)[1][:, 0, 5])
    minute = minutes.minute % 60
    assert width[minute == 59].mean() > width[minute == 30].mean() + 1


def test_what_cannot_be_fitted_or_forecast_is_refused_with_its_reason(fitted: Coefficients) -> None:
    """Of trades every twenty minutes no two are 15 minutes apart: nothing shows how far the price goes in that time."""
    frozen = [CANDLES[0], *still(CANDLES[0], 2 * DAY, volume=1.0)]
    sparse = [later([candle], 19 * number)[0] for number, candle in enumerate(CANDLES[:1500])]
    for candles, reason in (
        ([], "0 candles"),
        (CANDLES[:10], "10 candles"),
        (CANDLES[: DAY - 1], "1,439 candles"),
        (frozen, "the price moved in"),
        (sparse, "0 pairs of candles 1 minute apart"),
    ):
        with pytest.raises(UnusableHistory, match=reason):
            Coefficients.fit(Minutes.of(columns(candles)))
    with pytest.raises(UnusableHistory, match="10 minutes of history"):
        fitted.forecast(state_of(CANDLES[:10]))


def test_an_hour_without_volume_has_a_forecast(fitted: Coefficients) -> None:
    dry = [candle._replace(volume=0.0, trades=0, taker_base_volume=0.0) for candle in CANDLES[FITTED : FITTED + 60]]
    assert_sound(fitted.forecast(state_of([*CANDLES[:FITTED], *dry])))


def test_after_a_jump_by_half_the_band_is_wider_for_a_while_and_not_for_a_week(fitted: Coefficients) -> None:
    """It would be in every mean of squares for weeks."""
    before, after = CANDLES[:FITTED], later(CANDLES[FITTED:], 0, times=0.5)
    opened = before[-1].close
    after[0] = after[0]._replace(open=opened, high=opened)
    state, widths = state_of(before), {}
    for number, candle in enumerate(after, 1):
        state.add(candle)
        if number in {16, 120, DAY}:
            assert state.fault() is None
            forecast = fitted.forecast(state)
            assert_sound(forecast)
            widths[number] = math.log(forecast.quantiles[0][5] / forecast.quantiles[0][1])
    usual = fitted.forecast(state_of(CANDLES[: FITTED + DAY]))
    assert widths[DAY] < 1.5 * math.log(usual.quantiles[0][5] / usual.quantiles[0][1])
    assert widths[16] > widths[120] > widths[DAY]
    assert widths[120] < 3 * widths[DAY]


def test_a_stablecoin_has_bands_of_few_ticks() -> None:
    """Its price is one of a few ticks, and most minutes do not move at all: the next one probably does not, either."""
    rng, candles = np.random.default_rng(5), []
    ticks = np.cumsum(rng.choice([-1, 0, 1], size=4 * DAY, p=[0.03, 0.94, 0.03]) * 1)
    for number, candle in enumerate(market(5, 4 * DAY)):
        opened, close = (1 + 1e-4 * ticks[max(number - back, 0)] / 50 for back in (1, 0))
        candles.append(Candle(candle.open_time, opened, max(opened, close), min(opened, close), close, 1e6))
    coefficients = Coefficients.fit(Minutes.of(columns(candles)))
    forecast = coefficients.forecast(state_of(candles))
    assert_sound(forecast)
    tick = 1e-4 / 50
    assert tick / 20 < forecast.quantiles[0][5] - forecast.price < tick
    assert tick / 2 < forecast.quantiles[14][5] - forecast.price < 5 * tick


@given(
    st.lists(st.sampled_from([0.5, 0.9, 0.999, 1.0, 1.0, 1.0001, 1.02, 2.0]), min_size=1, max_size=40),
    st.sampled_from([0.0, 1.0, 1e9]),
)
def test_every_forecast_is_sound_whatever_the_market_did(
    fitted: Coefficients, moves: list[float], volume: float
) -> None:
    state, last = state_of(CANDLES[FITTED - DAY : FITTED]), CANDLES[FITTED - 1]
    for times in moves:
        close = last.close * times
        high, low = max(last.close, close), min(last.close, close)
        last = Candle(last.open_time + MINUTE, last.close, high, low, close, volume)
        state.add(last)
        if state.fault() is None:
            assert_sound(fitted.forecast(state))


def test_coefficients_survive_json(fitted: Coefficients) -> None:
    again = Coefficients.from_json(fitted.to_json())
    state = state_of(CANDLES[:FITTED])
    assert again.forecast(state) == fitted.forecast(state)
    assert again.to_json() == fitted.to_json()
    assert (again.minutes, again.usual) == (FITTED, fitted.usual)


def broken(content: dict[str, Any]) -> list[str]:
    """JSON that differs in one way each from what is written."""
    shorter = {**content, "scale": content["scale"][1:]}
    ragged = {**content, "scale": [*content["scale"][1:], content["scale"][0][1:]]}
    return [
        *("", "null", "[]", "{}", "3", "[" * 100_000),
        *(json.dumps({key: value for key, value in content.items() if key != left_out}) for left_out in content),
        *(json.dumps({**content, key: "x"}) for key in content),
        *(json.dumps({**content, key: value}) for key in ("usual", "tick") for value in (0, -1.0, math.nan, math.inf)),
        *(json.dumps({**content, "version": value}) for value in (0, 2, None)),
        *map(json.dumps, (shorter, ragged, {**content, "more": 1}, {**content, "centres": content["quantiles"]})),
        json.dumps({**content, "quantiles": [[row[::-1] for row in bins] for bins in content["quantiles"]]}),
        json.dumps({**content, "scale": [[math.inf] * len(row) for row in content["scale"]]}),
    ]


def test_json_that_is_not_a_model_is_refused(fitted: Coefficients) -> None:
    """An older version of the program may have written it."""
    for text in broken(json.loads(fitted.to_json())):
        with pytest.raises(InvalidValue, match="fit the coefficients again"):
            Coefficients.from_json(text)


def test_an_earlier_fit_changes_only_how_long_the_next_one_takes(fitted: Coefficients) -> None:
    again = Coefficients.fit(Minutes.of(columns(CANDLES[:FITTED])), fitted)
    assert again.scale == pytest.approx(fitted.scale, abs=1e-6)
    assert again.quantiles == pytest.approx(fitted.quantiles, abs=1e-6)


def test_a_quantile_is_fitted_where_sizes_depend_on_a_feature() -> None:
    rng = np.random.default_rng(6)
    x = np.column_stack([np.ones(20_000), rng.standard_normal(20_000)])
    sizes = np.exp(x @ [0.5, 0.8]) * rng.exponential(size=20_000)
    result = fit_quantile(x, sizes, np.array([0.0, 0.5]), np.array([1e-3, 1.0]))
    assert result[1] == pytest.approx(0.8, abs=0.03)
    assert np.mean(sizes <= np.exp(x @ result)) == pytest.approx(0.8, abs=0.02)


def test_the_band_of_real_minutes_is_sharper_than_a_gaussian_one_and_as_right() -> None:
    """A fortnight teaches, the next two days are forecast; `python -m bench --only minutes` measures it all."""
    candles = real_minutes(16)
    minutes = Minutes.of(columns(candles))
    split = int(np.searchsorted(minutes.minute, minutes.minute[0] + 14 * DAY))
    coefficients = Coefficients.fit(minutes[:split])
    part = minutes[split:]
    quantiles = coefficients.moves(part.known, part.minute)[1]
    returns = minutes.returns
    for horizon in (1, 5, 15):
        moves = part.moves(horizon)
        rows = np.flatnonzero(~np.isnan(moves))
        deviation = np.array([returns[split + row + 1 - DAY : split + row + 1].std(ddof=1) for row in rows])
        gaussian = 1.2815515655 * deviation * math.sqrt(horizon)
        low, high = quantiles[rows, horizon - 1, 1], quantiles[rows, horizon - 1, 5]
        reference = interval_score(moves[rows], -gaussian, gaussian, 0.8).mean()
        assert interval_score(moves[rows], low, high, 0.8).mean() < 0.97 * reference
        assert np.mean((low <= moves[rows]) & (moves[rows] <= high)) == pytest.approx(0.8, abs=0.05)
