"""The forecasts of the past, as the page shows them: fans that do not overlap, and only where the outcome is known."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.models import Hindcast, move_text
from crypto_predict.web.page import hindcasts
from crypto_predict.web.page.hindcasts import FAN_DAYS, FANS
from tests.support.models import make_forecast, make_hindcast

FORECAST = make_forecast()


@given(every=st.integers(1, 60), place=st.integers(0, 2))
def test_fans_are_the_newest_a_month_apart_and_their_outcome_is_known(every: int, place: int) -> None:
    """As close to each other as the cutoffs allow, and never on the same day."""
    fans = hindcasts.fans(FORECAST, make_hindcast(FORECAST, place, every))
    assert 0 < len(fans) <= FANS
    assert fans[-1].target <= FORECAST.last
    for fan in fans:
        index = (fan.day - FORECAST.first).days
        assert fan.close == FORECAST.closes[index]
        for n, actual in enumerate(fan.actual, 1):
            close = FORECAST.closes[index + n]
            assert (actual is None) == (close is None)
            assert close is None or math.isclose(fan.price(actual or 0.0), close)
        assert fan.actual[-1] is not None
        assert len(fan.inside()) == sum(actual is not None for actual in fan.actual)
    assert all((later.day - earlier.target).days >= 1 for earlier, later in pairwise(fans))


@pytest.mark.parametrize("place", [0, 2])
def test_a_fan_is_what_was_forecast_at_its_horizons_and_widens_in_between(place: int) -> None:
    hindcast = make_hindcast(FORECAST, place, 1)
    rows = dict(zip(hindcast.cutoffs, hindcasts.moves_of(hindcast), strict=True))
    for fan in hindcasts.fans(FORECAST, hindcast):
        row = rows[(fan.day - FORECAST.first).days]
        for days, expected in zip(hindcast.horizons, row, strict=True):
            assert fan.moves[days - 1] == pytest.approx(expected)
        widths = [high - low for low, _, high in fan.moves]
        assert widths == sorted(widths)


def test_a_model_of_a_week_has_fans_of_a_week() -> None:
    hindcast = make_hindcast(FORECAST, 0, 1)
    week = Hindcast(hindcast.cutoffs, hindcast.horizons[:2], move_text([row[:2] for row in hindcast.moves()]))
    fans = hindcasts.fans(FORECAST, week)
    assert {len(fan.moves) for fan in fans} == {7}
    assert len(fans) == FANS


def test_a_day_without_a_candle_is_no_outcome() -> None:
    """A fan that would end on it is another one, a day earlier."""
    hindcast, last = make_hindcast(FORECAST, 0, 1), len(FORECAST.closes) - 1
    usual = hindcasts.fans(FORECAST, hindcast)[-1]
    closes = (*FORECAST.closes[:last], None)
    assert hindcasts.fans(replace(FORECAST, closes=closes), hindcast)[-1].day < usual.day
    assert len(usual.moves) == FAN_DAYS
