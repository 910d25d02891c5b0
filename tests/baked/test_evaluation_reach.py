import math
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import COMBINED, MODELS, Evaluator, faults
from crypto_predict.baked.schema import HORIZON_DAYS, KNOTS, Anchor, Band, PairForecast, Seasonality, Trend
from crypto_predict.market import DAY
from tests.baked.test_evaluation import ANCHOR, END, FIRST, close_of, midnight
from tests.support import strategies
from tests.support.models import make_forecast, quantiles


def only_last(value: float) -> tuple[float, ...]:
    """Zero on every day except the last."""
    return (0.0,) * (HORIZON_DAYS - 1) + (value,)


LEVEL = Trend(FIRST, 502, 0.0, 0.9, (), ())
CHEAP = {"last_close": 1.0, "anchor": Anchor(ANCHOR.at, 1.0)}
EARLY = {"first": date.min, "last": date(1, 3, 1), "trend": LEVEL}  # days before 1970 are negative


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": 1e308},
        {"level_correction": -1e300},
        {"fitted_band": Band(-1e300, 0.1)},
        {"seasonalities": (Seasonality("tiny", 5e-324, (0.1, 0.1)),)},
        {"seasonalities": (Seasonality("high", 7.0, (1e3, 0.0)),)},
        {"trend": Trend(date(2023, 1, 1), 502, 0.2, 0.9, (0.5,), (-1e5,))},
        {"trend": Trend(FIRST, 502, 200.0, 0.0, (0.5, 1.0), (-400.0, 200.0))},  # a mountain between two plains
        {**CHEAP, "prophet_weights": only_last(100.0)},  # of a curve far from a price of 1
        {**CHEAP, "prophet_weights": only_last(-100.0)},
        {"scale": 0.0, "prophet_weights": only_last(100.0)},  # of a curve that is 0
        {"forecast_quantiles": (quantiles(-0.1, 0.1),) * (HORIZON_DAYS - 1) + (quantiles(-0.1, 1e3),)},
        {"prophet_bands": (Band(-0.1, 0.1),) * (len(KNOTS) - 1) + (Band(-1e3, 0.1),)},
        {"prophet_weights": only_last(math.nan)},
        {"other_increments": only_last(-1e3)},
        {"other_increments": only_last(math.nan)},
        {"last_close": 5e-324},
        {"anchor": Anchor(ANCHOR.at, 5e-324)},
        {"trend": Trend(FIRST, 1, -1e6, 0.9, (0.0,), (1e6,))},  # infinite only on the day before the first
        {"trend": Trend(END, 1, 0.0, 0.9, (0.0, 0.0), (1e308, 1e308))},  # infinity times 0, on the last day
        {**EARLY, "seasonalities": (Seasonality("fast", 1e-302, (0.1, 0.1)),)},
    ],
)
def test_a_forecast_with_prices_beyond_floats_has_a_fault(changes: dict[str, Any]) -> None:
    assert faults(make_forecast()) == faults(make_forecast(**EARLY)) == faults(make_forecast(**CHEAP)) == []
    assert len(faults(make_forecast(**changes))) == 1


@pytest.mark.parametrize("weight", [-0.5, 0.0, 1.0, 1.5])
def test_a_forecast_of_ordinary_numbers_has_no_fault(weight: float) -> None:
    """Weights learned by regression may be negative or above 1."""
    assert faults(make_forecast(prophet_weights=(weight,) * HORIZON_DAYS)) == []


BOLD_BANDS = st.builds(Band, st.floats(-200, 0), st.floats(0, 200))
BOLD_FORECASTS = st.builds(
    make_forecast,
    last=st.dates(FIRST, FIRST + 900 * DAY),
    last_close=st.floats(-600, 600).map(math.exp),
    scale=st.floats(-9, 9),
    trend=strategies.trends(st.dates(FIRST - 900 * DAY, FIRST + 900 * DAY), st.floats(-3, 3)),
    level_correction=st.floats(-50, 50),
    prophet_weights=strategies.by_horizon(st.floats(-3, 3)),
    other_increments=strategies.by_horizon(st.floats(-200, 200)),
    fitted_band=BOLD_BANDS,
    forecast_quantiles=strategies.by_horizon(strategies.quantiles(200)),
    prophet_bands=strategies.bands_at_knots(BOLD_BANDS),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much])
@given(BOLD_FORECASTS, st.floats(0, 1), st.sampled_from(MODELS))
def test_a_forecast_without_a_fault_can_be_evaluated_in_its_whole_range(
    forecast: PairForecast, share: float, model: str
) -> None:
    """A server that has loaded a model answers every question, with an interval around the price."""
    assume(not faults(forecast) and (model == COMBINED or forecast.prophet_bands))
    evaluator, last = Evaluator(forecast), forecast.last
    days = (forecast.first, last, *(last + h * DAY for h in (1, 2, 3, 100, 365)))
    closes = [evaluator.at(day, model) for day in days]
    openings = [midnight(forecast.first), midnight(last), forecast.last_close_time, close_of(last + 364 * DAY)]
    moments = [*(opening + share * DAY for opening in openings), forecast.anchor.at]
    for prediction in (*closes, *(evaluator.at(moment, model) for moment in moments)):
        assert 0 < prediction.low <= prediction.price <= prediction.high < math.inf
