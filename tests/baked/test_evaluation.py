import math
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import COMBINED, PROPHET, Curve, Evaluator, Prediction, faults
from crypto_predict.baked.schema import HORIZON_DAYS, KNOTS, Anchor, Band, PairForecast, Seasonality, Trend
from crypto_predict.errors import NoProphetInterval, OutOfRange
from crypto_predict.market import DAY, price_decimals
from tests.support import strategies
from tests.support.models import make_forecast, make_quantiles
from tests.support.models import quantiles as around

RIVALS = {name: make_quantiles(66_900.5, place) for place, name in enumerate(("garch", "mine"))}
FORECAST = make_forecast(models=RIVALS)
EVALUATOR = Evaluator(FORECAST)
MODELS = (COMBINED, PROPHET, *RIVALS)
FIRST, LAST, END = FORECAST.first, FORECAST.last, FORECAST.end
FLAT = Trend(FIRST, 502, 0.0, 0.9, (), ())
DAYS = [FIRST + day * DAY for day in range((END - FIRST).days + 1)]
TINY = timedelta(microseconds=1)


def midnight(day: date) -> datetime:
    """The opening of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def close_of(day: date) -> datetime:
    """The instant at which a UTC day's candle closes."""
    return midnight(day) + DAY


OPENING, CLOSE = midnight(FIRST), close_of(END)  # of the forecast's range
LAST_CLOSE, NEXT_CLOSE = close_of(LAST), close_of(LAST + DAY)
ANCHOR = FORECAST.anchor  # half-way between the two
INSTANTS = st.datetimes(OPENING.replace(tzinfo=None), CLOSE.replace(tzinfo=None), timezones=st.just(UTC))


SMALL = st.floats(-2, 2)


@given(st.lists(st.tuples(st.floats(0, 1), SMALL), max_size=6), SMALL, SMALL, st.lists(SMALL, min_size=8, max_size=8))
def test_the_curve_equals_the_published_formulas(
    bends: list[tuple[float, float]], growth: float, offset: float, coefficients: list[float]
) -> None:
    """In the matrix notation of Taylor and Letham: g(t) = (k + a(t)' d) t + (m + a(t)' c), s(t) = X(t) b.

    The scale multiplies the trend and both seasonalities.
    """
    changepoints, deltas = (np.array(sorted(bends)).reshape(-1, 2)).T
    days = np.arange(-50, 700, 7)
    ordinals = [(date(2023, 1, 1) + int(day) * DAY).toordinal() for day in days]
    t = days / 500
    passed = t[:, None] >= changepoints[None, :]  # (days, changepoints)
    trend = (growth + passed @ deltas) * t + offset + passed @ (-changepoints * deltas)
    epoch_days = np.array(ordinals) - date(1970, 1, 1).toordinal()
    angles = 2 * np.pi * np.outer(epoch_days, np.array([1, 2, 3, 0]) / 365.25 + np.array([0, 0, 0, 1]) / 7)
    seasonal = np.sin(angles) @ coefficients[::2] + np.cos(angles) @ coefficients[1::2]
    baked = Trend(date(2023, 1, 1), 500, growth, offset, tuple(changepoints.tolist()), tuple(deltas.tolist()))
    waves = (
        Seasonality("yearly", 365.25, tuple(coefficients[:6])),
        Seasonality("weekly", 7.0, tuple(coefficients[6:])),
    )
    curve = Curve(11.5, baked, waves)
    np.testing.assert_allclose([curve.at(day) for day in ordinals], 11.5 * (trend + seasonal), rtol=1e-9, atol=1e-9)


def log_price(day: date) -> float:
    """The fitted curve at the close of a day."""
    return Curve(FORECAST.scale, FORECAST.trend, FORECAST.seasonalities).at(day.toordinal())


def priced(middle: float, low: float, high: float) -> Prediction:
    """The prices of three logarithms, to the cent."""
    return Prediction(*(round(math.exp(value), 2) for value in (middle, low, high)))


@pytest.mark.parametrize("day", [FIRST - DAY, FIRST, date(2023, 7, 4), LAST])
def test_past_days_have_the_fitted_curve_and_its_band(day: date) -> None:
    """Also the instant at which the first candle opens."""
    curve, band = log_price(day), FORECAST.fitted_band
    assert EVALUATOR.at(close_of(day)) == priced(curve, curve + band.low, curve + band.high)


@pytest.mark.parametrize(
    "forecast",
    [
        FORECAST,
        make_forecast(prophet_weights=(0.0,) * HORIZON_DAYS),
        make_forecast(prophet_weights=(1.0,) * HORIZON_DAYS),
    ],
    ids=["combined", "persistence", "the corrected curve"],
)
@pytest.mark.parametrize("horizon", [1, 2, 30, 364, 365])
def test_future_days_add_the_weighted_move_of_prophet(forecast: PairForecast, horizon: int) -> None:
    """The move goes from the anchor to the corrected curve; the interval is that of the horizon."""
    day, start = LAST + horizon * DAY, math.log(ANCHOR.price)
    middle = start + forecast.prophet_weights[horizon - 1] * (log_price(day) + forecast.level_correction - start)
    quantiles = forecast.forecast_quantiles[horizon - 1]
    assert Evaluator(forecast).at(day) == priced(middle, middle + quantiles[1], middle + quantiles[-2])


@given(INSTANTS, st.sampled_from(MODELS[1:]))
@example(LAST_CLOSE, "mine")
@example(LAST_CLOSE + timedelta(hours=1), "mine")
def test_the_combined_forecast_is_the_default_and_in_the_past_the_only_one(instant: datetime, model: str) -> None:
    """Up to the last close every model answers with the fitted curve. Just after it most are that close to the cent."""
    assume(not LAST_CLOSE < instant < LAST_CLOSE + timedelta(minutes=1))
    default, other = EVALUATOR.at(instant), EVALUATOR.at(instant, model)
    assert default == EVALUATOR.at(instant, COMBINED)
    assert (default == other) == (instant <= LAST_CLOSE)


def test_the_models_are_ours_and_those_of_the_file() -> None:
    assert EVALUATOR.models == MODELS
    assert Evaluator(make_forecast()).models == (COMBINED, PROPHET)


@pytest.mark.parametrize("model", RIVALS)
@pytest.mark.parametrize("horizon", [1, 2, 30, 364, 365])
def test_another_model_is_its_median_with_its_quantiles(horizon: int, model: str) -> None:
    """Nothing of ours is added, neither the newest price nor a correction."""
    day, row = LAST + horizon * DAY, RIVALS[model][horizon - 1]
    elsewhere = Evaluator(make_forecast(models=RIVALS, anchor=Anchor(ANCHOR.at, 10 * ANCHOR.price)))
    assert EVALUATOR.at(day, model) == elsewhere.at(day, model) == priced(row[3], row[1], row[-2])
    assert EVALUATOR.distribution(day, model).log_prices == pytest.approx(row)


@pytest.mark.parametrize("model", RIVALS)
@pytest.mark.parametrize("share", [1e-11, 0.1, 0.5, 0.9, 1])
def test_another_model_opens_from_the_last_close_with_the_square_root_of_time(share: float, model: str) -> None:
    """It was trained on daily closes: at the last one the price is known, and the first day's quantiles follow."""
    start, row = math.log(FORECAST.last_close), RIVALS[model][0]
    middle = start + share * (row[3] - start)
    expected = [middle + (quantile - row[3]) * share**0.5 for quantile in row]
    distribution = EVALUATOR.distribution(LAST_CLOSE + share * DAY, model)
    assert distribution.log_prices == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("index", range(len(KNOTS)))
def test_prophet_alone_is_its_curve_with_the_interval_of_the_horizon(index: int) -> None:
    """The curve is not shifted to the newest price."""
    day, band = LAST + KNOTS[index] * DAY, FORECAST.prophet_bands[index]
    curve = log_price(day)
    assert EVALUATOR.at(day, PROPHET) == priced(curve, curve + band.low, curve + band.high)
    assert EVALUATOR.at(close_of(day), PROPHET) == EVALUATOR.at(day, PROPHET)


@pytest.mark.parametrize("horizon", [4, 10, 31, 89, 91, 200, 364])
def test_between_two_knots_the_square_of_the_prophet_band_is_linear(horizon: int) -> None:
    after = next(index for index, knot in enumerate(KNOTS) if knot > horizon)
    share = (horizon - KNOTS[after - 1]) / (KNOTS[after] - KNOTS[after - 1])
    near, far = FORECAST.prophet_bands[after - 1 : after + 1]
    curve = log_price(LAST + horizon * DAY)
    low = curve - math.sqrt((1 - share) * near.low**2 + share * far.low**2)
    high = curve + math.sqrt((1 - share) * near.high**2 + share * far.high**2)
    assert EVALUATOR.at(LAST + horizon * DAY, PROPHET) == priced(curve, low, high)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_prophet_alone_does_not_use_the_anchor(share: float) -> None:
    """On the day after the last candle it is interpolated between two closes as on any other day."""
    instant = LAST_CLOSE + share * DAY
    elsewhere = Evaluator(make_forecast(anchor=Anchor(ANCHOR.at, 10 * ANCHOR.price)))
    before, after = log_price(LAST), log_price(LAST + DAY)
    prediction = EVALUATOR.at(instant, PROPHET)
    assert prediction == elsewhere.at(instant, PROPHET)
    assert prediction.price == pytest.approx(math.exp(before + share * (after - before)), abs=0.01)


WITHOUT = Evaluator(make_forecast(prophet_bands=(), models=RIVALS))


@pytest.mark.parametrize("instant", [LAST_CLOSE + TINY, NEXT_CLOSE, CLOSE - TINY, CLOSE])
def test_without_a_backtest_prophet_alone_has_no_interval_for_the_future(instant: datetime) -> None:
    with pytest.raises(NoProphetInterval) as error:
        WITHOUT.at(instant, PROPHET)
    assert (error.value.day, error.value.last) == (instant, LAST)
    with pytest.raises(NoProphetInterval, match="2024-05-18 lies after the last candle, 2024-05-17, and this model"):
        WITHOUT.at(LAST + DAY, PROPHET)
    with pytest.raises(NoProphetInterval):
        WITHOUT.distribution(LAST + DAY, PROPHET)
    assert WITHOUT.at(instant) == EVALUATOR.at(instant)
    assert WITHOUT.at(LAST_CLOSE, PROPHET) == WITHOUT.at(LAST, PROPHET) == EVALUATOR.at(LAST)
    assert WITHOUT.distribution(LAST, PROPHET) == WITHOUT.distribution(LAST, COMBINED)


@given(st.dates(FIRST, END), st.sampled_from(MODELS))
@example(LAST, COMBINED)
@example(END, COMBINED)
def test_midnight_is_the_close_of_the_day_before(day: date, model: str) -> None:
    """A candle ends where the next one opens, so both predictions are of the same price."""
    assert EVALUATOR.at(close_of(day), model) == EVALUATOR.at(day, model)
    assert EVALUATOR.distribution(close_of(day), model) == EVALUATOR.distribution(day, model)


@pytest.mark.parametrize("day", [FIRST, date(2024, 2, 29), LAST + 2 * DAY, END])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_between_two_closes_the_price_is_interpolated_in_log_price_and_the_band_in_its_square(
    day: date, share: float
) -> None:
    """The variance of a random walk grows linearly in time."""
    before, after = EVALUATOR.at(midnight(day)), EVALUATOR.at(close_of(day))
    between = EVALUATOR.at(midnight(day) + share * DAY)

    def mixed(first: float, second: float) -> float:
        return (1 - share) * first + share * second

    price = math.exp(mixed(math.log(before.price), math.log(after.price)))
    up = math.sqrt(mixed(math.log(before.high / before.price) ** 2, math.log(after.high / after.price) ** 2))
    down = math.sqrt(mixed(math.log(before.low / before.price) ** 2, math.log(after.low / after.price) ** 2))
    assert between.price == pytest.approx(price, rel=1e-6)
    assert between.high == pytest.approx(price * math.exp(up), rel=1e-6)
    assert between.low == pytest.approx(price * math.exp(-down), rel=1e-6)


@pytest.mark.parametrize(
    ("day", "model"),
    [(day, model) for day in [*DAYS[::13], LAST] for model in MODELS if day != LAST or model == PROPHET],
)
def test_predictions_are_continuous_at_midnight(day: date, model: str) -> None:
    """Except after the last close, where the fitted curve ends and all forecasts begin but that of Prophet alone."""
    at = close_of(day)
    around = [EVALUATOR.at(moment, model) for moment in (at - TINY, at, min(at + TINY, CLOSE))]
    for prediction in around:
        assert prediction.price == pytest.approx(around[0].price, abs=0.02)
        assert prediction.low == pytest.approx(around[0].low, abs=0.02)
        assert prediction.high == pytest.approx(around[0].high, abs=0.02)


@pytest.mark.parametrize("share", [1e-6, 0.25, 0.5, 0.75, 1 - 1e-6, 1])
def test_between_the_last_close_and_the_anchor_the_band_is_zero(share: float) -> None:
    """Both prices are known: the prediction is interpolated linearly in log price between them."""
    instant = LAST_CLOSE + share * (ANCHOR.at - LAST_CLOSE)
    price = FORECAST.last_close ** (1 - share) * ANCHOR.price**share
    between = EVALUATOR.at(instant)
    assert between.price == pytest.approx(price, abs=0.01)
    assert between.low == between.price == between.high
    assert len(set(EVALUATOR.distribution(instant).log_prices)) == 1


@pytest.mark.parametrize("share", [0, 1e-11, 0.1, 0.25, 0.5, 0.9, 1])
def test_from_the_anchor_to_the_next_close_all_quantiles_open_with_the_square_root_of_time(share: float) -> None:
    """At the newest price there is nothing to forecast; the variance grows linearly."""
    before, after = math.log(ANCHOR.price), math.log(EVALUATOR.at(LAST + DAY).price)
    middle = before + share * (after - before)
    expected = [middle + quantile * share**0.5 for quantile in FORECAST.forecast_quantiles[0]]
    between = EVALUATOR.distribution(ANCHOR.at + share * (NEXT_CLOSE - ANCHOR.at))
    assert between.log_prices == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("after", [timedelta(0), TINY, timedelta(hours=23), DAY - TINY])
def test_the_anchor_can_be_anywhere_in_the_day_after_the_last_candle(after: timedelta) -> None:
    """Also at the last close itself, if no newer price is known. The band never becomes narrower."""
    evaluator = Evaluator(make_forecast(anchor=Anchor(LAST_CLOSE + after, 70_000.0)))
    at_anchor = evaluator.at(LAST_CLOSE + max(after, TINY))
    assert (at_anchor.low, at_anchor.price, at_anchor.high) == pytest.approx((70_000.0,) * 3, abs=0.02)
    moments = [LAST_CLOSE + TINY, *(LAST_CLOSE + hour * timedelta(hours=1) for hour in range(1, 24)), NEXT_CLOSE]
    widths = [math.log(evaluator.at(moment).high / evaluator.at(moment).low) for moment in moments]
    assert all(earlier <= later + 1e-6 for earlier, later in pairwise(widths))
    quantiles = FORECAST.forecast_quantiles[0]
    assert widths[-1] == pytest.approx(quantiles[-2] - quantiles[1], abs=1e-6)


@given(INSTANTS, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
def test_equal_instants_in_different_time_zones_have_equal_predictions(instant: datetime, offset: timedelta) -> None:
    assert EVALUATOR.at(instant.astimezone(timezone(offset))) == EVALUATOR.at(instant)


def test_the_range_is_from_the_first_candle_to_a_year_after_the_last() -> None:
    """Of days, and of instants from the opening of the first to the close of the last."""
    assert date(2025, 5, 17) == END
    for model in MODELS:
        predictions = [EVALUATOR.at(moment, model) for moment in (OPENING, *DAYS, CLOSE)]
        assert all(0 < low <= price <= high for price, low, high in predictions)
    assert len(DAYS) == (LAST - FIRST).days + HORIZON_DAYS + 1


@pytest.mark.parametrize(
    "moment",
    [
        *(FIRST - DAY, END + DAY, date.min, date.max),
        *(OPENING - TINY, CLOSE + TINY, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
        # Instants that do not exist in UTC.
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_a_time_outside_the_range_is_refused_with_the_range(moment: date | datetime, model: str) -> None:
    for question in (EVALUATOR.at, EVALUATOR.distribution, WITHOUT.at):
        with pytest.raises(OutOfRange) as error:
            question(moment, model)
        assert (error.value.day, error.value.first, error.value.last) == (moment, FIRST, END)
    assert isinstance(moment, datetime) or str(error.value) == (
        f"{moment} lies outside the range of this model, 2023-01-01 to 2025-05-17"
    )


def test_models_of_one_day_and_at_the_ends_of_the_calendar_cover_their_whole_range() -> None:
    day = Evaluator(make_forecast(first=LAST))
    assert (day.at(LAST), day.at(END)) == (EVALUATOR.at(LAST), EVALUATOR.at(END))
    early = Evaluator(make_forecast(first=date.min, last=date(1, 3, 1), trend=FLAT))
    assert early.at(date.min).price > 0
    assert early.at(datetime.min.replace(tzinfo=UTC)).price > 0
    late = Evaluator(make_forecast(first=date(9998, 1, 1), last=date.max - HORIZON_DAYS * DAY, trend=FLAT))
    assert late.at(date.max).price > 0
    assert late.at(datetime.max.replace(tzinfo=UTC)).price > 0


def test_many_threads_get_the_same_predictions_as_one() -> None:
    """A server shares one evaluator among its threads."""
    alone = Evaluator(FORECAST)
    expected = [alone.at(day) for day in DAYS]
    shared = Evaluator(FORECAST)

    def all_days(seed: int) -> dict[date, Prediction]:
        order = random.Random(seed).sample(DAYS, len(DAYS))
        return {day: shared.at(day) for day in order}

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(all_days, range(16)):
            assert [answers[day] for day in DAYS] == expected


@pytest.mark.parametrize(
    ("price", "decimals"),
    [(107_146.5, 2), (1000.0, 2), (100.0, 2), (99.9, 3), (1.0, 4), (0.5, 5), (0.00001234, 9), (1e-12, 16), (1e12, 2)],
)
def test_prices_have_five_significant_digits_and_at_least_two_decimals(price: float, decimals: int) -> None:
    """A price of a thousandth of a cent is not rounded to 0.00."""
    assert price_decimals(price) == decimals


def test_predictions_are_rounded_to_the_decimals_of_the_last_close() -> None:
    cheap: PairForecast = make_forecast(
        last_close=0.00001234,
        scale=1.0,
        trend=Trend(FIRST, 502, 0.0, math.log(0.00001234), (), ()),
        seasonalities=(),
        level_correction=0.0,
        fitted_band=Band(-0.1, 0.1),
    )
    prediction = Evaluator(cheap).at(LAST)
    assert (prediction.low, prediction.price, prediction.high) == (1.1166e-05, 1.234e-05, 1.3638e-05)


# From here on: distributions.


@given(st.dates(FIRST, END) | INSTANTS, st.sampled_from(MODELS))
def test_the_interval_lies_between_the_quantiles_at_10_and_90_percent(moment: date | datetime, model: str) -> None:
    """Two ways to one fact must not differ, not even by a cent."""
    prediction = EVALUATOR.at(moment, model)
    distribution = EVALUATOR.distribution(moment, model)
    ends = [round(distribution.quantile(level), EVALUATOR.decimals) for level in (0.1, 0.9)]
    assert ends == [prediction.low, prediction.high]


# From here on: which forecasts can be evaluated.


def only_last(value: float) -> tuple[float, ...]:
    """Zero on every day except the last."""
    return (0.0,) * (HORIZON_DAYS - 1) + (value,)


CHEAP = {"last_close": 1.0, "anchor": Anchor(ANCHOR.at, 1.0)}
EARLY = {"first": date.min, "last": date(1, 3, 1), "trend": FLAT}  # days before 1970 are negative


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
        {"forecast_quantiles": (around(-0.1, 0.1),) * (HORIZON_DAYS - 1) + (around(-0.1, 1e3),)},
        {"prophet_bands": (Band(-0.1, 0.1),) * (len(KNOTS) - 1) + (Band(-1e3, 0.1),)},
        {"prophet_weights": only_last(math.nan)},
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
    fitted_band=BOLD_BANDS,
    forecast_quantiles=strategies.by_horizon(strategies.quantiles(200)),
    prophet_bands=strategies.bands_at_knots(BOLD_BANDS),
    models=strategies.by_horizon(strategies.quantiles(200)).map(lambda rows: {"garch": rows, "mine": rows[::-1]}),
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(BOLD_FORECASTS, st.floats(0, 1), st.sampled_from(MODELS))
def test_a_forecast_without_a_fault_can_be_evaluated_in_its_whole_range(
    forecast: PairForecast, share: float, model: str
) -> None:
    """A server that has loaded a model answers every question, with an interval around the price."""
    assume(not faults(forecast) and (model == COMBINED or forecast.prophet_bands))
    evaluator, last = Evaluator(forecast), forecast.last
    days = (forecast.first, last, *(last + h * DAY for h in (1, 2, 3, 100, 365)))
    openings = [midnight(forecast.first), midnight(last), forecast.last_close_time, close_of(last + 364 * DAY)]
    moments = [*(opening + share * DAY for opening in openings), forecast.anchor.at]
    for moment in (*days, *moments):
        prediction, quantiles = evaluator.at(moment, model), evaluator.distribution(moment, model).log_prices
        assert 0 < prediction.low <= prediction.price <= prediction.high < math.inf
        assert all(a <= b for a, b in pairwise(quantiles))
