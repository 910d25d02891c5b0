"""How probable a price is touched until a day, from the distributions of all days before."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.baked.extremes import Extremes
from crypto_predict.baked.schema import HORIZON_DAYS, PairForecast
from crypto_predict.errors import OutOfRange
from crypto_predict.market import DAY
from tests.support.models import LAST, make_forecast, make_model, make_quantiles, with_hours
from tests.support.strategies import forecasts

WALK = make_forecast(touches=(), prophet_weights=(0.0,) * HORIZON_DAYS)  # around the newest price, without a trend
PRICES = st.floats(0.05, 20)  # in units of the present one
AHEAD = st.integers(1, HORIZON_DAYS)


def of(forecast: PairForecast, model: str = COMBINED) -> tuple[Extremes, Evaluator]:
    evaluator = Evaluator(forecast)
    return Extremes(evaluator, model), evaluator


def beyond(evaluator: Evaluator, extremes: Extremes, moment: date | datetime, price: float) -> float:
    """The probability of a close beyond a price, by our forecast."""
    distribution = evaluator.distribution(moment)
    return distribution.above(price) if price > extremes.price else distribution.below(price)


@pytest.mark.parametrize("days", [1, 2, 30, 365])
@pytest.mark.parametrize("farther", [0.7, 0.9, 0.99, 1.01, 1.05, 1.3])
def test_of_a_random_walk_a_price_is_touched_twice_as_often_as_closed_beyond(days: int, farther: float) -> None:
    """The distances are kept for some probabilities, and what lies between two of them is interpolated."""
    extremes, evaluator = of(WALK)
    day, price = LAST + days * DAY, farther * extremes.price
    assert extremes.touched(day, price) == pytest.approx(2 * beyond(evaluator, extremes, day, price), abs=0.01)


@settings(max_examples=40)
@given(forecasts(), AHEAD, st.lists(PRICES, min_size=2, max_size=8).map(sorted))
def test_whatever_the_model_a_nearer_price_is_touched_more_often_and_no_price_less_than_by_a_close(
    forecast: PairForecast, days: int, prices: list[float]
) -> None:
    extremes, evaluator = of(forecast)
    day = forecast.last + timedelta(days=days)
    asked = [share * extremes.price for share in prices]
    answers = [extremes.touched(day, price) for price in asked]
    for price, answer in zip(asked, answers, strict=True):
        assert beyond(evaluator, extremes, day, price) <= answer <= 1
    for (lower, one), (higher, other) in pairwise(zip(asked, answers, strict=True)):
        if lower >= extremes.price:
            assert other <= one + 1e-9
        elif higher <= extremes.price:
            assert one <= other + 1e-9


@settings(max_examples=40)
@given(forecasts(), PRICES, st.lists(AHEAD, min_size=2, max_size=8).map(sorted))
def test_whatever_the_model_a_later_close_is_no_less_probable(
    forecast: PairForecast, farther: float, days: list[int]
) -> None:
    """Its quantiles here are as they come: from one day to the next they may move in any direction, by any distance."""
    extremes, _ = of(forecast)
    answers = [extremes.touched(forecast.last + timedelta(days=each), farther * extremes.price) for each in days]
    assert all(later >= earlier - 0.01 for earlier, later in pairwise(answers))


@pytest.mark.parametrize("model", [COMBINED, PROPHET, "garch"])
@pytest.mark.parametrize("farther", [0.4, 0.8, 0.97, 0.999, 1.001, 1.04, 1.2, 2.5])
def test_the_probability_grows_with_every_hour_of_the_year(model: str, farther: float) -> None:
    """Also where the model's own curve moves away from the price for weeks, as Prophet's seasons do."""
    extremes, _ = of(make_forecast(models={"garch": make_quantiles(67_000.0, 0)}), model)
    price, before = farther * extremes.price, 0.0
    for hours in range(1, 24 * HORIZON_DAYS - 24, 7):
        now = extremes.touched(extremes.since + timedelta(hours=hours), price)
        assert now >= before - (1e-9 if model == COMBINED else 0.001)
        before = now


@pytest.mark.parametrize("farther", [0.9, 0.98, 0.999, 1.001, 1.03, 1.2])
def test_with_hours_the_probability_grows_from_minute_to_minute_beyond_the_joint(farther: float) -> None:
    """Hours here are twice as wild as days, and end where the days go on."""
    hours = next(iter(with_hours(make_model()).forecasts.values())).hours
    wild = tuple(tuple(2 * distance for distance in row) for row in hours)
    for forecast in (replace(WALK, hours=hours), replace(WALK, hours=wild)):
        extremes, evaluator = of(forecast)
        price, before = farther * extremes.price, 0.0
        for minutes in range(7, 60 * 60, 7):
            moment = extremes.since + timedelta(minutes=minutes)
            now = extremes.touched(moment, price)
            assert now >= max(before - 1e-9, beyond(evaluator, extremes, moment, price))
            before = now


def test_an_instant_at_midnight_is_the_close_of_the_day_before() -> None:
    extremes, _ = of(make_forecast())
    midnight = datetime(2024, 6, 2, tzinfo=UTC)
    assert extremes.touched(midnight, 70_000) == extremes.touched(date(2024, 6, 1), 70_000)
    just_before, just_after = (extremes.touched(midnight + timedelta(seconds=s), 70_000) for s in (-1, 1))
    assert just_before == pytest.approx(just_after, abs=1e-5)


def test_the_present_price_is_touched_at_once() -> None:
    extremes, _ = of(WALK)
    assert (extremes.price, extremes.since) == (67_010.0, datetime(2024, 5, 18, 12, tzinfo=UTC))
    assert extremes.touched(LAST + DAY, 67_010.0) == 1
    assert extremes.touched(LAST + DAY, 67_010.1) == pytest.approx(1, abs=0.001)


def test_other_models_start_at_the_last_close() -> None:
    extremes, _ = of(WALK, PROPHET)
    assert (extremes.price, extremes.since) == (66_900.5, datetime(2024, 5, 18, tzinfo=UTC))


def test_what_has_passed_is_not_answered() -> None:
    extremes, _ = of(WALK)
    for moment in (LAST, extremes.since, datetime(2024, 5, 18, 6, tzinfo=UTC), LAST + (HORIZON_DAYS + 1) * DAY):
        with pytest.raises(OutOfRange):
            extremes.touched(moment, 70_000)


def test_a_price_stays_above_a_limit_unless_it_touches_it() -> None:
    extremes, _ = of(WALK)
    day = LAST + 30 * DAY
    down, up = extremes.touched(day, 60_000), extremes.touched(day, 80_000)
    assert extremes.stays(day, 60_000, None) == pytest.approx(1 - down)
    assert extremes.stays(day, None, 80_000) == pytest.approx(1 - up)
    assert max(0, 1 - up - down) < extremes.stays(day, 60_000, 80_000) < 1 - max(up, down)


@pytest.mark.parametrize(("above", "below"), [(67_010, None), (70_000, 80_000), (None, 67_010), (50_000, 60_000)])
def test_a_corridor_without_the_present_price_has_been_left(above: float | None, below: float | None) -> None:
    extremes, _ = of(WALK)
    assert not extremes.contains(above, below)
    assert extremes.stays(LAST + DAY, above, below) == 0


@pytest.mark.parametrize("price", [5e-324, 1e-300, 1e300, 1.7e308])
def test_prices_that_no_market_reaches_are_not_touched(price: float) -> None:
    extremes, _ = of(WALK)
    assert extremes.touched(LAST + 365 * DAY, price) < 1e-12


def test_a_price_that_is_known_stays_there() -> None:
    """A stablecoin, or a market that stands still: its quantiles are one price."""
    still = make_forecast(
        touches=(), prophet_weights=(0.0,) * HORIZON_DAYS, forecast_quantiles=((0.0,) * 7,) * HORIZON_DAYS
    )
    extremes, _ = of(still)
    assert extremes.touched(LAST + 30 * DAY, 67_011) == 0
    assert extremes.stays(LAST + 30 * DAY, 67_009, 67_011) == 1


def test_a_market_that_returns_from_spikes_touches_more() -> None:
    curves = make_forecast().touches
    farther = tuple(replace(curve, scores=tuple(1.2 * score for score in curve.scores)) for curve in curves)
    (usual, _), (spiky, _) = of(make_forecast()), of(make_forecast(touches=farther))
    assert spiky.touched(LAST + DAY, 70_000) > usual.touched(LAST + DAY, 70_000)
