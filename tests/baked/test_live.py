"""Live minutes and hours, and the days of a model that they move on: one curve in time from the newest price."""

import math
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from crypto_predict.baked.evaluation import PROPHET, Evaluator
from crypto_predict.baked.extremes import Extremes
from crypto_predict.baked.live import HOURS_HOLD, MINUTES_HOLD, Live, newest
from crypto_predict.baked.schema import HORIZON_DAYS, Anchor, PairForecast
from crypto_predict.market import DAY
from crypto_predict.market.forecast import HOURS_AHEAD, MINUTES_AHEAD, HourForecast, MinuteForecast
from tests.support.live_forecasts import hours_of, minutes_of
from tests.support.models import LAST, make_forecast, make_model, quantiles, with_hours

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
MIDNIGHT = datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC) + DAY  # the last close
BAKED = next(iter(with_hours(make_model()).forecasts.values()))  # from noon on
MODELS = 300


def joined(seed: int) -> tuple[PairForecast, Live]:
    """A forecast whose minutes, hours and days are up to six times as wild as each other, and a model of days ago."""
    rng = random.Random(seed)
    daily, hourly, minutely = (rng.uniform(0.002, 0.012) for _ in range(3))
    elapsed, price = rng.randrange(24), rng.uniform(50_000, 80_000)
    days = [(day - elapsed / 24) ** rng.uniform(0.4, 0.6) for day in range(1, HORIZON_DAYS + 1)]
    forecast = make_forecast(
        anchor=Anchor(MIDNIGHT + elapsed * HOUR, price),
        prophet_weights=tuple([rng.choice([0.0, 0.1])] * HORIZON_DAYS),
        forecast_quantiles=tuple(quantiles(-5 * daily * reach, 5 * daily * reach) for reach in sorted(days)),
        hours=hours_of(MIDNIGHT, price, hourly).quantiles,
    )
    at = forecast.anchor.at + rng.choice([1, 5, 30, 100, 600]) * HOUR
    hours = hours_of(at, price * rng.uniform(0.8, 1.2), hourly, [rng.uniform(0.5, 2) for _ in range(HOURS_AHEAD)])
    now = at + rng.randrange(60) * MINUTE
    minutes = minutes_of(now, hours.price * rng.uniform(0.95, 1.05), minutely, rng.uniform(-1e-5, 1e-5))
    live = newest(forecast, hours, minutes if rng.random() < 0.8 else None, now)
    assert live is not None
    return forecast, live


def width(evaluator: Evaluator, moment: date | datetime) -> float:
    """The width of the 80 % interval in log price."""
    prices = evaluator.distribution(moment).log_prices
    return prices[5] - prices[1]


def test_nothing_jumps_or_crosses_where_one_clock_gives_way_to_the_next() -> None:
    """A second before and after the last minute, the first hour, the end of the hours, and the closes near them."""
    for seed in range(MODELS):
        forecast, live = joined(seed)
        evaluator, start = Evaluator(forecast, live), live.anchor.at
        midnight = MIDNIGHT + (start - MIDNIGHT) // DAY * DAY
        joints = [MINUTE, MINUTES_AHEAD * MINUTE, HOUR, 18 * HOUR, HOURS_AHEAD * HOUR]
        for change in (*(start + joint for joint in joints), midnight + DAY, midnight + 2 * DAY, midnight + 9 * DAY):
            if change - start < 2 * SECOND:
                continue
            before, at, after = (evaluator.distribution(change + n * SECOND).log_prices for n in (-1, 0, 1))
            assert all(abs(b - a) < 0.0002 for a, b in pairwise(p[3] for p in (before, at, after))), seed
            near, far = (prices[5] - prices[1] for prices in (before, after))
            assert far == pytest.approx(near, rel=0.03), (seed, change - start)
            for prices in (before, at, after):
                assert list(prices) == sorted(prices), seed


def test_no_later_time_is_surer_than_an_earlier_one() -> None:
    """Also where wild minutes are followed by calm hours, and these by days that would be calm."""
    for seed in range(MODELS):
        forecast, live = joined(seed)
        evaluator, start = Evaluator(forecast, live), live.anchor.at
        moments = [*(n * 20 * SECOND for n in range(1, 240)), *(n * 47 * MINUTE for n in range(2, 80))]
        reached = [width(evaluator, start + each) for each in moments]
        first = (start - MIDNIGHT) // DAY + 4
        reached += [width(evaluator, LAST + n * DAY) for n in (first, first + 1, first + 20, HORIZON_DAYS)]
        assert all(b >= a - 1e-12 for a, b in pairwise(reached)), seed


def test_each_clock_has_its_own_quantiles_from_the_newest_price_on() -> None:
    """Minutes up to 15, then hours; the curve starts at the price of the newest minute."""
    at = BAKED.anchor.at + 2 * HOUR + 7 * MINUTE
    hours, minutes = hours_of(BAKED.anchor.at + 2 * HOUR, 70_000.0, 0.01), minutes_of(at, 70_500.0, 0.004, 1e-6)
    live = newest(BAKED, hours, minutes, at + 10 * SECOND)
    evaluator = Evaluator(BAKED, live)
    for minute in (1, 8, 15):
        prices = evaluator.distribution(at + minute * MINUTE).log_prices
        expected = [math.log(price) for price in minutes.quantiles[minute - 1]]
        assert prices == pytest.approx(expected, abs=2e-5), "but for what the days move in these minutes"
    for hour in (1, 5, 18):
        prices = evaluator.distribution(at + hour * HOUR).log_prices
        assert [price - prices[3] for price in prices] == pytest.approx(hours.quantiles[hour - 1], abs=1e-12)
        assert prices[3] == pytest.approx(math.log(70_500), abs=0.002)
    assert evaluator.at(at).price == 70_500
    assert width(evaluator, at - HOUR) == 0, "what has passed is known"


def test_the_days_are_as_far_ahead_of_the_newest_price_as_they_were_at_the_training() -> None:
    """A model that is moved on by a whole day has tomorrow's quantiles where it had today's."""
    flat = replace(BAKED, prophet_weights=(0.0,) * HORIZON_DAYS, hours=())
    baked = Evaluator(flat)
    later = flat.anchor.at + DAY
    live = newest(flat, hours_of(later, 2 * flat.anchor.price, 1e-6), None, later)
    moved = Evaluator(flat, live)
    for days in (2, 7, 30, HORIZON_DAYS - 1):
        before, after = (
            evaluator.distribution(LAST + (days + shift) * DAY).log_prices
            for evaluator, shift in ((baked, 0), (moved, 1))
        )
        assert after == pytest.approx([price + math.log(2) for price in before], abs=1e-9)
    assert moved.distribution(LAST - 3 * DAY) == baked.distribution(LAST - 3 * DAY)


def test_other_models_and_the_past_are_not_moved() -> None:
    at = BAKED.anchor.at + 5 * HOUR
    live = newest(BAKED, hours_of(at, 60_000.0, 0.01), None, at)
    baked, moved = Evaluator(BAKED), Evaluator(BAKED, live)
    for moment in (LAST, MIDNIGHT - 7 * HOUR):
        assert moved.at(moment) == baked.at(moment)
    for moment in (LAST + DAY, MIDNIGHT + 30 * HOUR):
        assert moved.at(moment, PROPHET) == baked.at(moment, PROPHET)


START = BAKED.anchor.at
HOURS, MINUTES = hours_of(START + HOUR, 68_000.0, 0.01), minutes_of(START + HOUR + MINUTE, 68_100.0, 0.004)
AT_ONCE = minutes_of(START + MINUTE, 67_000.0, 0.004)  # before newer hours are known
CHOICES = {  # hours, minutes, minutes from the price of the model to the question, and the cutoffs that answer
    "both": (HOURS, MINUTES, 61, (60, 61)),
    "hours alone": (HOURS, None, 61, (60, None)),
    "minutes that are too old": (HOURS, MINUTES, 64, (60, None)),
    "minutes of the same close": (HOURS, replace(MINUTES, cutoff=HOURS.cutoff), 60, (60, 60)),
    "minutes before the hours": (HOURS, AT_ONCE, 60, (60, None)),
    "hours that are too old": (HOURS, None, 181, None),
    "hours of a clock that is ahead": (HOURS, None, 50, None),
    "minutes after the model's own hours": (None, AT_ONCE, 2, (0, 1)),
    "hours that the model has already": (replace(HOURS, cutoff=START), AT_ONCE, 2, (0, 1)),
    "nothing newer": (replace(HOURS, cutoff=START), None, 2, None),
    "nothing": (None, None, 2, None),
}


@pytest.mark.parametrize(("hours", "minutes", "asked", "cutoffs"), CHOICES.values(), ids=CHOICES)
def test_the_newest_forecasts_answer_while_they_are_fresh(
    hours: HourForecast | None, minutes: MinuteForecast | None, asked: int, cutoffs: tuple[int, int | None] | None
) -> None:
    """Hours for two hours, minutes for two minutes; else the model alone."""
    assert (HOURS_HOLD, MINUTES_HOLD) == (2 * HOUR, 2 * MINUTE)
    live = newest(BAKED, hours, minutes, START + asked * MINUTE)
    if cutoffs is None:
        assert live is None
        return
    assert live is not None
    at = None if live.minutes is None else (live.minutes.cutoff - START) // MINUTE
    assert ((live.hours_at - START) // MINUTE, at) == cutoffs
    assert live.anchor.at == START + (cutoffs[0] if at is None else at) * MINUTE
    assert live.holds_until >= START + asked * MINUTE


def test_without_any_hours_there_is_no_curve_for_minutes_to_join() -> None:
    assert newest(make_forecast(), None, AT_ONCE, START + 2 * MINUTE) is None


@pytest.mark.parametrize("farther", [0.95, 0.999, 1.001, 1.03])
def test_a_touch_is_never_less_probable_than_a_close_nor_until_a_later_time(farther: float) -> None:
    """From the first second after the newest price, through minutes, hours and days."""
    for seed in (1, 2, 3):
        forecast, live = joined(seed)
        evaluator = Evaluator(forecast, live)
        extremes, before = Extremes(evaluator, "combined"), 0.0
        price = farther * extremes.price
        assert (extremes.since, extremes.price) == (live.anchor.at, live.anchor.price)
        for minutes in (0.1, 0.5, 1, 2, 4, 7, 14.9, 15.1, 22, 40, 59, 61, 200, 900, 1439, 1441, 2000, 9000):
            moment = live.anchor.at + minutes * MINUTE
            now, distribution = extremes.touched(moment, price), evaluator.distribution(moment)
            closed = distribution.above(price) if farther > 1 else distribution.below(price)
            assert now >= max(before - 1e-9, closed)
            before = now
