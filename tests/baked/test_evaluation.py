import math
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import COMBINED, MODELS, PROPHET, Curve, Evaluator, Prediction
from crypto_predict.baked.schema import HORIZON_DAYS, KNOTS, Anchor, Band, PairForecast, Seasonality, Trend
from crypto_predict.errors import NoProphetInterval, OutOfRange
from crypto_predict.market import DAY, price_decimals
from tests.support.models import make_forecast

FORECAST = make_forecast()
EVALUATOR = Evaluator(FORECAST)
FIRST, LAST, END = FORECAST.first, FORECAST.last, FORECAST.end
LEVEL = Trend(date(2023, 1, 1), 100, 0.0, 0.0, (), ())
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


@pytest.mark.parametrize(
    ("days", "expected"),
    [(-10, -0.1), (0, 0.0), (25, 0.25), (40, 0.25), (50, 0.25), (75, 0.75), (100, 1.25), (200, 3.25)],
)
def test_the_trend_is_a_line_that_bends_at_its_changepoints(days: int, expected: float) -> None:
    """Computed by hand: slope 1, level from t = 0.25 on, slope 2 from t = 0.5 on, also outside [0, 1]."""
    bent = Trend(date(2023, 1, 1), 100, growth=1.0, offset=0.0, changepoints=(0.25, 0.5), deltas=(-1.0, 2.0))
    curve = Curve(1.0, bent, ())
    assert curve.at((date(2023, 1, 1) + days * DAY).toordinal()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("days", "expected"), [(0, 20.0), (1, 10.0), (2, -20.0), (3, -10.0), (4, 20.0), (-1, -10.0)])
def test_the_phase_of_a_seasonality_starts_in_1970(days: int, expected: float) -> None:
    """Computed by hand: a sine of amplitude 10 and a cosine of amplitude 20 over four days."""
    curve = Curve(1.0, LEVEL, (Seasonality("four days", 4.0, (10.0, 20.0)),))
    assert curve.at((date(1970, 1, 1) + days * DAY).toordinal()) == pytest.approx(expected, abs=1e-9)


def test_scale_multiplies_trend_and_seasonalities_together() -> None:
    trend = Trend(date(1970, 1, 1), 10, growth=1.0, offset=3.0, changepoints=(), deltas=())
    seasonalities = (Seasonality("a", 4.0, (0.0, 0.5)), Seasonality("b", 2.0, (0.0, 0.25)))
    assert Curve(7.0, trend, seasonalities).at(date(1970, 1, 6).toordinal()) == pytest.approx(7 * (3.5 - 0.25))


SMALL = st.floats(-2, 2)


@given(st.lists(st.tuples(st.floats(0, 1), SMALL), max_size=6), SMALL, SMALL, st.lists(SMALL, min_size=8, max_size=8))
def test_the_curve_equals_the_published_formulas(
    bends: list[tuple[float, float]], growth: float, offset: float, coefficients: list[float]
) -> None:
    """In the matrix notation of Taylor and Letham: g(t) = (k + a(t)' d) t + (m + a(t)' c), s(t) = X(t) b."""
    changepoints, deltas = (np.array(sorted(bends)).reshape(-1, 2)).T
    days = np.arange(-50, 700, 7)
    ordinals = [(date(2023, 1, 1) + int(day) * DAY).toordinal() for day in days]
    t = days / 500
    passed = t[:, None] >= changepoints[None, :]  # (days, changepoints)
    trend = (growth + passed @ deltas) * t + offset + passed @ (-changepoints * deltas)
    epoch_days = np.array(ordinals) - date(1970, 1, 1).toordinal()
    angles = 2 * np.pi * np.outer(epoch_days, np.arange(1, 5)) / 365.25  # (days, orders)
    seasonal = np.sin(angles) @ coefficients[::2] + np.cos(angles) @ coefficients[1::2]
    baked = Trend(date(2023, 1, 1), 500, growth, offset, tuple(changepoints.tolist()), tuple(deltas.tolist()))
    curve = Curve(11.5, baked, (Seasonality("yearly", 365.25, tuple(coefficients)),))
    np.testing.assert_allclose([curve.at(day) for day in ordinals], 11.5 * (trend + seasonal), rtol=1e-9, atol=1e-9)


def log_price(day: date) -> float:
    """The fitted curve at the close of a day."""
    return Curve(FORECAST.scale, FORECAST.trend, FORECAST.seasonalities).at(day.toordinal())


def priced(middle: float, low: float, high: float) -> Prediction:
    """The prices of three logarithms, to the cent."""
    return Prediction(*(round(math.exp(value), 2) for value in (middle, low, high)))


@pytest.mark.parametrize("day", [FIRST, date(2023, 7, 4), LAST])
def test_past_days_have_the_fitted_curve_and_its_band(day: date) -> None:
    curve, band = log_price(day), FORECAST.fitted_band
    assert EVALUATOR.at(day) == priced(curve, curve + band.low, curve + band.high)


NO_INCREMENTS = (0.0,) * HORIZON_DAYS


@pytest.mark.parametrize(
    "forecast",
    [
        FORECAST,
        make_forecast(prophet_weights=NO_INCREMENTS, other_increments=NO_INCREMENTS),
        make_forecast(prophet_weights=(1.0,) * HORIZON_DAYS, other_increments=NO_INCREMENTS),
    ],
    ids=["combined", "persistence", "the corrected curve"],
)
@pytest.mark.parametrize("horizon", [1, 2, 30, 364, 365])
def test_future_days_add_the_weighted_move_of_prophet_and_the_other_increments(
    forecast: PairForecast, horizon: int
) -> None:
    """The move goes from the anchor to the corrected curve; the interval is that of the horizon."""
    day, start = LAST + horizon * DAY, math.log(ANCHOR.price)
    weight, others = forecast.prophet_weights[horizon - 1], forecast.other_increments[horizon - 1]
    middle = start + weight * (log_price(day) + forecast.level_correction - start) + others
    quantiles = forecast.forecast_quantiles[horizon - 1]
    assert Evaluator(forecast).at(day) == priced(middle, middle + quantiles[1], middle + quantiles[-2])


def test_the_combined_forecast_is_the_default() -> None:
    day = LAST + 9 * DAY
    assert EVALUATOR.at(day) == EVALUATOR.at(day, COMBINED) != EVALUATOR.at(day, PROPHET)
    assert EVALUATOR.at(close_of(day)) == EVALUATOR.at(close_of(day), COMBINED) != EVALUATOR.at(close_of(day), PROPHET)


@pytest.mark.parametrize("day", [FIRST, date(2023, 7, 4), LAST])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_both_models_are_equal_in_the_past(day: date, share: float) -> None:
    instant = midnight(day) + share * DAY
    assert EVALUATOR.at(day, PROPHET) == EVALUATOR.at(day)
    assert EVALUATOR.at(instant, PROPHET) == EVALUATOR.at(instant)


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


WITHOUT = Evaluator(make_forecast(prophet_bands=()))


@pytest.mark.parametrize("instant", [LAST_CLOSE + TINY, NEXT_CLOSE, CLOSE - TINY, CLOSE])
def test_without_a_backtest_prophet_alone_has_no_interval_for_the_future(instant: datetime) -> None:
    with pytest.raises(NoProphetInterval) as error:
        WITHOUT.at(instant, PROPHET)
    assert (error.value.day, error.value.last) == (instant, LAST)
    with pytest.raises(NoProphetInterval, match="2024-05-18 lies after the last candle, 2024-05-17, and this model"):
        WITHOUT.at(LAST + DAY, PROPHET)
    assert WITHOUT.at(instant) == EVALUATOR.at(instant)


def test_without_a_backtest_prophet_alone_has_an_interval_for_the_past() -> None:
    assert WITHOUT.at(LAST_CLOSE, PROPHET) == WITHOUT.at(LAST, PROPHET) == EVALUATOR.at(LAST)


@pytest.mark.parametrize("evaluator", [EVALUATOR, WITHOUT])
def test_a_time_outside_the_range_is_refused_for_both_models(evaluator: Evaluator) -> None:
    for day in (FIRST - DAY, END + DAY):
        with pytest.raises(OutOfRange):
            evaluator.at(day, PROPHET)
    for instant in (OPENING - TINY, CLOSE + TINY):
        with pytest.raises(OutOfRange):
            evaluator.at(instant, PROPHET)


@pytest.mark.parametrize("day", [FIRST - DAY, FIRST, LAST - DAY, LAST, LAST + DAY, END - DAY, END])
def test_midnight_is_the_close_of_the_day_before(day: date) -> None:
    """A candle ends where the next one opens, so both predictions are of the same price."""
    at_midnight = EVALUATOR.at(close_of(day))
    if day < FIRST:
        curve, band = log_price(day), FORECAST.fitted_band
        assert at_midnight == priced(curve, curve + band.low, curve + band.high)
    else:
        assert at_midnight == EVALUATOR.at(day)


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
    [(day, model) for day in [*DAYS[::13], LAST] for model in MODELS if (day, model) != (LAST, COMBINED)],
)
def test_predictions_are_continuous_at_midnight(day: date, model: str) -> None:
    """Except after the last close, where the fitted curve ends and the combined forecast begins."""
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


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9, 1])
def test_from_the_anchor_to_the_next_close_the_band_opens_with_the_square_root_of_time(share: float) -> None:
    close = EVALUATOR.at(LAST + DAY)
    between = EVALUATOR.at(ANCHOR.at + share * (NEXT_CLOSE - ANCHOR.at))
    price, quantiles = ANCHOR.price ** (1 - share) * close.price**share, FORECAST.forecast_quantiles[0]
    assert between.price == pytest.approx(price, rel=1e-6)
    assert between.high == pytest.approx(price * math.exp(quantiles[-2] * share**0.5), rel=1e-6)
    assert between.low == pytest.approx(price * math.exp(quantiles[1] * share**0.5), rel=1e-6)


@pytest.mark.parametrize(("at", "known"), [(LAST_CLOSE, FORECAST.last_close), (ANCHOR.at, ANCHOR.price)])
def test_the_forecast_starts_at_a_known_price(at: datetime, known: float) -> None:
    now = EVALUATOR.at(at + TINY)
    assert (now.low, now.price, now.high) == pytest.approx((known,) * 3, abs=0.02)


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


@given(INSTANTS, st.sampled_from(MODELS))
def test_low_price_and_high_are_in_ascending_order_at_every_instant(instant: datetime, model: str) -> None:
    prediction = EVALUATOR.at(instant, model)
    assert 0 < prediction.low <= prediction.price <= prediction.high


@given(INSTANTS, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
def test_equal_instants_in_different_time_zones_have_equal_predictions(instant: datetime, offset: timedelta) -> None:
    assert EVALUATOR.at(instant.astimezone(timezone(offset))) == EVALUATOR.at(instant)


def test_a_time_zone_is_converted_with_its_summer_time() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert EVALUATOR.at(datetime(2024, 6, 2, 2, tzinfo=zone)) == EVALUATOR.at(date(2024, 6, 1))
    assert EVALUATOR.at(datetime(2024, 12, 2, 1, tzinfo=zone)) == EVALUATOR.at(date(2024, 12, 1))


def test_the_range_of_days_is_from_the_first_candle_to_a_year_after_the_last() -> None:
    assert date(2025, 5, 17) == END
    assert all(EVALUATOR.at(day).price > 0 for day in DAYS)
    assert len(DAYS) == (LAST - FIRST).days + HORIZON_DAYS + 1


@pytest.mark.parametrize("day", [FIRST - DAY, END + DAY, date.min, date.max])
def test_a_day_outside_the_range_is_refused_with_the_range(day: date) -> None:
    with pytest.raises(OutOfRange) as error:
        EVALUATOR.at(day)
    assert (error.value.day, error.value.first, error.value.last) == (day, FIRST, END)
    assert str(error.value) == f"{day} lies outside the range of this model, 2023-01-01 to 2025-05-17"


def test_the_range_of_instants_is_from_the_first_opening_to_the_last_close() -> None:
    assert EVALUATOR.at(OPENING).price > 0
    assert EVALUATOR.at(CLOSE).price > 0


@pytest.mark.parametrize(
    "instant",
    [
        OPENING - TINY,
        CLOSE + TINY,
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_an_instant_outside_the_range_is_refused_even_if_it_does_not_exist_in_utc(instant: datetime) -> None:
    with pytest.raises(OutOfRange) as error:
        EVALUATOR.at(instant)
    assert (error.value.day, error.value.first, error.value.last) == (instant, FIRST, END)


def test_models_at_the_ends_of_the_calendar_cover_their_whole_range() -> None:
    level = Trend(FIRST, 502, 0.0, 0.9, (), ())
    early = Evaluator(make_forecast(first=date.min, last=date(1, 3, 1), trend=level))
    assert early.at(date.min).price > 0
    assert early.at(datetime.min.replace(tzinfo=UTC)).price > 0
    late = Evaluator(make_forecast(first=date(9998, 1, 1), last=date.max - HORIZON_DAYS * DAY, trend=level))
    assert late.at(date.max).price > 0
    assert late.at(datetime.max.replace(tzinfo=UTC)).price > 0


def test_a_history_of_one_day_is_enough_for_predictions() -> None:
    evaluator = Evaluator(make_forecast(first=LAST))
    assert evaluator.at(LAST) == EVALUATOR.at(LAST)
    assert evaluator.at(END) == EVALUATOR.at(END)


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
