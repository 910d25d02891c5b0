"""The distribution of the evaluator, which agrees with its interval at every moment."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import COMBINED, MODELS, PROPHET, Evaluator
from crypto_predict.baked.schema import PairForecast
from crypto_predict.errors import NoProphetInterval, OutOfRange
from crypto_predict.market import DAY
from tests.baked.test_evaluation import END, EVALUATOR, FIRST, LAST, close_of, midnight
from tests.support import strategies
from tests.support.models import make_forecast

ANY_MODEL = st.sampled_from(MODELS)
DAYS = st.dates(FIRST, END)
INSTANTS = st.datetimes(
    midnight(FIRST).replace(tzinfo=None), close_of(END).replace(tzinfo=None), timezones=st.just(UTC)
)
LAST_CLOSE, NOON = close_of(LAST), close_of(LAST) + DAY / 2  # the newest price is that of noon


@given(DAYS | INSTANTS, ANY_MODEL)
def test_the_interval_lies_between_the_quantiles_at_10_and_90_percent(moment: date | datetime, model: str) -> None:
    """Two ways to one fact must not differ, not even by a cent."""
    prediction = EVALUATOR.at(moment, model)
    distribution = EVALUATOR.distribution(moment, model)
    ends = [round(distribution.quantile(level), EVALUATOR.decimals) for level in (0.1, 0.9)]
    assert ends == [prediction.low, prediction.high]


@given(DAYS, ANY_MODEL)
def test_a_day_has_the_distribution_of_its_close(day: date, model: str) -> None:
    assert EVALUATOR.distribution(day, model) == EVALUATOR.distribution(close_of(day), model)


@given(strategies.forecasts(), st.floats(0, 1), ANY_MODEL)
def test_the_quantiles_of_every_sound_forecast_ascend(forecast: PairForecast, share: float, model: str) -> None:
    assume(model == COMBINED or forecast.prophet_bands)
    end = close_of(forecast.end)
    moment = midnight(forecast.first) + share * (end - midnight(forecast.first))
    log_prices = Evaluator(forecast).distribution(min(moment, end), model).log_prices
    assert all(a <= b for a, b in pairwise(log_prices))


def test_the_distribution_widens_from_the_newest_price_on() -> None:
    """At the newest price there is nothing to forecast; between two closes the variance grows linearly."""
    widths = []
    for hours in (0, 3, 6, 9, 12):
        log_prices = EVALUATOR.distribution(NOON + timedelta(hours=hours)).log_prices
        widths.append((log_prices[-1] - log_prices[0]) ** 2)
    assert widths == pytest.approx([0, widths[4] / 4, widths[4] / 2, widths[4] * 3 / 4, widths[4]])
    assert widths[4] > 0


def test_the_price_between_the_last_close_and_the_newest_price_is_known() -> None:
    distribution = EVALUATOR.distribution(LAST_CLOSE + DAY / 4)
    assert len(set(distribution.log_prices)) == 1


@pytest.mark.parametrize(
    "moment", [FIRST - DAY, END + DAY, midnight(FIRST) - timedelta(seconds=1), close_of(END) + timedelta(seconds=1)]
)
def test_a_distribution_outside_the_range_is_refused(moment: date | datetime) -> None:
    with pytest.raises(OutOfRange):
        EVALUATOR.distribution(moment)


def test_without_a_backtest_prophet_alone_has_no_distribution_of_the_future() -> None:
    short = Evaluator(replace(make_forecast(), prophet_bands=()))
    assert short.distribution(LAST, PROPHET) == short.distribution(LAST, COMBINED)
    with pytest.raises(NoProphetInterval):
        short.distribution(LAST + DAY, PROPHET)
