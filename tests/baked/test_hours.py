"""The next 24 hours, and how they are joined with the days: one curve in time."""

import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from crypto_predict.baked.evaluation import PROPHET, SURE, Evaluator
from crypto_predict.baked.schema import HORIZON_DAYS, Anchor, PairForecast
from crypto_predict.market import DAY
from crypto_predict.market.forecast import HOURS_AHEAD
from tests.support.models import LAST, make_forecast, quantiles

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
MIDNIGHT = datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC) + DAY  # the last close
MODELS = 200


def joined(seed: int) -> PairForecast:
    """A forecast whose hours may be twice as wild as its days, or half, from a price of any hour of the day."""
    rng = random.Random(seed)
    daily, hourly = rng.uniform(0.005, 0.05), rng.uniform(0.005, 0.05)
    left, right = rng.uniform(0.6, 1.6), rng.uniform(0.6, 1.6)
    growth, habits = rng.uniform(0.4, 0.6), [rng.uniform(0.5, 2) for _ in range(HOURS_AHEAD)]
    elapsed = rng.randrange(HOURS_AHEAD)
    variance = [sum(habits[: hour + 1]) / HOURS_AHEAD for hour in range(HOURS_AHEAD)]
    days = [(day - elapsed / HOURS_AHEAD) ** growth for day in range(1, HORIZON_DAYS + 1)]
    return make_forecast(
        anchor=Anchor(MIDNIGHT + elapsed * HOUR, rng.uniform(50_000, 80_000)),
        prophet_weights=tuple([rng.choice([0.0, 0.1])] * HORIZON_DAYS),
        hours=tuple(quantiles(-left * hourly * share**0.5, right * hourly * share**0.5) for share in variance),
        forecast_quantiles=tuple(quantiles(-daily * reach, daily * reach) for reach in days),
    )


def widths(evaluator: Evaluator, moment: date | datetime) -> float:
    """The width of the 80 % interval in log price."""
    prices = evaluator.distribution(moment).log_prices
    return prices[5] - prices[1]


@pytest.mark.parametrize("hour", [1, 7, SURE])
def test_a_whole_hour_has_the_quantiles_of_that_hour(hour: int) -> None:
    forecast = joined(1)
    prices = Evaluator(forecast).distribution(forecast.anchor.at + hour * HOUR).log_prices
    assert [price - prices[3] for price in prices] == pytest.approx(forecast.hours[hour - 1], abs=1e-12)


def test_nothing_jumps_or_crosses_where_one_clock_gives_way_to_the_next() -> None:
    """A second before and after the newest hour, the end of the hours, and each close of a day near them."""
    for seed in range(MODELS):
        forecast = joined(seed)
        evaluator, start = Evaluator(forecast), forecast.anchor.at
        for change in (start + HOUR, start + HOURS_AHEAD * HOUR, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY):
            if change <= start:
                continue
            before, at, after = (evaluator.distribution(change + n * SECOND).log_prices for n in (-1, 0, 1))
            assert all(abs(b - a) < 0.0002 for a, b in pairwise(p[3] for p in (before, at, after))), seed
            near, far = (prices[5] - prices[1] for prices in (before, after))
            assert far == pytest.approx(near, rel=0.03), seed
            for prices in (before, at, after):
                assert list(prices) == sorted(prices), seed


def test_no_later_time_is_surer_than_an_earlier_one() -> None:
    """Also where wild hours are followed by days that would be calm."""
    for seed in range(MODELS):
        forecast = joined(seed)
        evaluator = Evaluator(forecast)
        reached = [widths(evaluator, forecast.anchor.at + n * 45 * timedelta(minutes=1)) for n in range(1, 80)]
        reached += [widths(evaluator, forecast.last + n * DAY) for n in (4, 5, 30, 365)]
        assert all(b >= a - 1e-12 for a, b in pairwise(reached)), seed


def test_the_close_of_a_day_within_the_hours_is_the_instant_of_its_end() -> None:
    forecast = joined(2)
    evaluator = Evaluator(forecast)
    for day in range(1, 4):
        assert evaluator.at(forecast.last + day * DAY) == evaluator.at(MIDNIGHT + day * DAY)


def test_where_the_hours_end_the_days_answer_alone() -> None:
    """From a price at the close of a day the next day is 24 hours ahead: its scores are those of the days."""
    calm = tuple(quantiles(-0.001 * hour**0.5, 0.001 * hour**0.5) for hour in range(1, HOURS_AHEAD + 1))
    days = make_forecast(anchor=Anchor(MIDNIGHT, 66_900.5))
    both = make_forecast(anchor=Anchor(MIDNIGHT, 66_900.5), hours=calm)
    first, second = Evaluator(days), Evaluator(both)
    for day in (1, 2, 3, 30, 365):
        assert second.distribution(LAST + day * DAY) == first.distribution(LAST + day * DAY)
    assert widths(second, MIDNIGHT + 6 * HOUR) < widths(first, MIDNIGHT + 6 * HOUR)


def test_the_past_and_other_models_do_not_change() -> None:
    without, forecast = make_forecast(), make_forecast(hours=joined(3).hours)
    first, second = Evaluator(without), Evaluator(forecast)
    for moment in (LAST, MIDNIGHT - 7 * HOUR, MIDNIGHT + 3 * HOUR, without.anchor.at):
        assert first.at(moment) == second.at(moment)
    for hours in (1, 13, 30):
        assert first.at(MIDNIGHT + hours * HOUR, PROPHET) == second.at(MIDNIGHT + hours * HOUR, PROPHET)
