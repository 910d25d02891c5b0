"""What highs and lows of the past teach about touches, in markets whose paths are known."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.touches import REFLECTED, TOUCHED, stay
from crypto_predict.forecasting.distribution.days import learn
from crypto_predict.forecasting.evaluation.touches import (
    BY_DAY,
    HORIZONS,
    LearnedTouches,
    TouchForecasts,
    corridor_scores,
    curve_of,
    learn_touches,
    score_corridors,
    score_touches,
    touch_scores,
)
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS
from tests.support.markets import DAILY, FIRST_DAY, random_walk, real_series, series_of

STEPS = 200  # of a path within a day
DAYS = 1500
SCORES = np.array([NormalDist().inv_cdf(level) for level in LEVELS])


def walk(seed: int, days: int = DAYS, *, returning: float = 0.0) -> DailySeries:
    """A random walk of many steps a day. What is `returning` is noise that is gone by the next step, in deviations."""
    random = np.random.default_rng(seed)
    path = 10 + np.cumsum(random.standard_normal((days, STEPS)) * DAILY / STEPS**0.5).reshape(days, STEPS)
    spikes = returning * DAILY * np.abs(random.standard_normal((2, days)))
    opens, closes = np.concatenate([[10.0], path[:-1, -1]]), path[:, -1]
    return DailySeries(
        np.arange(FIRST_DAY, FIRST_DAY + days),
        closes,
        np.ones(days, dtype=bool),
        log_open=opens,
        log_high=np.maximum(path.max(axis=1), opens) + spikes[0],
        log_low=np.minimum(path.min(axis=1), opens) - spikes[1],
        volume=np.full(days, 1000.0),
    )


def known(days: int = DAYS, horizons: tuple[int, ...] = HORIZONS) -> dict[int, FloatArray]:
    """The true quantiles of a random walk at every close."""
    return {horizon: np.tile(SCORES * DAILY * horizon**0.5, (days, 1)) for horizon in horizons}


def learned(series: DailySeries, quantiles: dict[int, FloatArray] | None = None) -> list[LearnedTouches]:
    cutoffs = np.arange(365, len(series))
    return list(learn_touches(series, quantiles or known(len(series)), cutoffs))


def test_in_a_random_walk_the_rule_holds_and_what_is_said_comes() -> None:
    """Six markets together: one has fifty months that do not overlap."""
    markets = [learned(walk(seed)) for seed in range(6)]
    for place, horizon in enumerate(HORIZONS):
        answers = [market[place].forecasts for market in markets]
        pooled = TouchForecasts(*map(np.concatenate, zip(*answers, strict=True)))
        scores = score_touches(horizon, pooled)
        assert scores is not None
        assert scores.said == pytest.approx(scores.came, abs=0.02)
        assert scores.brier == pytest.approx(scores.brier_reflection, rel=0.01)
        assert scores.brier < scores.uncertainty
        curves = np.mean([market[place].latest for market in markets], axis=0)
        assert curves[2:] == pytest.approx(REFLECTED[2:], rel=0.06)


def test_spikes_that_are_gone_by_the_close_are_learned() -> None:
    """The rule says too little, as no close shows them. Far ahead they matter less."""
    tomorrow, *_, later = learned(walk(1, returning=0.5))
    scores = score_touches(1, tomorrow.forecasts)
    assert scores is not None
    assert scores.brier < 0.98 * scores.brier_reflection
    assert scores.said == pytest.approx(scores.came, abs=0.01)
    assert tomorrow.latest[3] > 1.2 * REFLECTED[3]
    assert later.latest[3] < tomorrow.latest[3]


def test_an_answer_rests_on_what_lay_before_it() -> None:
    """Whatever comes after a cutoff changes nothing of what is said there."""
    series, cut = walk(2), 900
    other = walk(3)
    changed = replace(
        series,
        **{
            name: np.concatenate([getattr(series, name)[: cut + 1], getattr(other, name)[cut + 1 :]])
            for name in ("log_close", "log_high", "log_low")
        },
    )
    for one, two in zip(learned(series), learned(changed), strict=True):
        before = one.forecasts.cutoffs <= cut
        assert before.any()
        assert np.array_equal(one.forecasts.probability[before], two.forecasts.probability[before])
        assert not np.array_equal(one.latest, two.latest)


def test_a_span_with_a_day_without_a_candle_teaches_nothing() -> None:
    """Nobody knows how far the price went on that day."""
    series = walk(4)
    gap = 800
    gapped = replace(series, known=series.known & (np.arange(DAYS) != gap), log_high=series.log_high + 0.0)
    gapped.log_high[gap] += 5
    for whole, each in zip(learned(series), learned(gapped), strict=True):
        missing = np.setdiff1d(whole.forecasts.cutoffs, each.forecasts.cutoffs)
        assert missing.tolist() == list(range(gap - each.horizon, gap + 1))


@pytest.mark.parametrize("days", [2, 60, 61, 62, 90])
def test_a_short_history_leaves_the_rule_nearly_as_it_is(days: int) -> None:
    for each in learn_touches(walk(5, days), known(days), np.arange(days)):
        assert each.latest == pytest.approx(REFLECTED, rel=0.6)
        assert not list(curve_of(each).faults())
        assert (score_touches(each.horizon, each.forecasts) is None) == (days <= 60 + each.horizon)


@pytest.mark.parametrize("width", [0.0, 1e-9, 1.0])
def test_a_market_that_stands_still_has_a_sound_curve(width: float) -> None:
    still = series_of(np.full(500, 3.0))
    quantiles = {horizon: np.tile(SCORES * width, (500, 1)) for horizon in HORIZONS}
    for each in learned(still, quantiles):
        assert not list(curve_of(each).faults())
        assert not each.forecasts.touched.any()
        assert np.isfinite(each.forecasts.probability).all()


def test_the_forecast_of_a_wild_market_is_calibrated() -> None:
    """Quiet and wild times alternate, and the distribution is the learned one."""
    series = series_of(random_walk(1, 1200))
    quantiles = learn(series, HORIZONS)[1]
    for each in learned(series, {horizon: quantiles[:, place] for place, horizon in enumerate(HORIZONS)}):
        probability, closed = each.forecasts.probability, each.forecasts.closed
        assert (probability >= closed).all()
        assert probability.mean() == pytest.approx(each.forecasts.touched.mean(), abs=0.06)


def test_scores_are_those_of_the_answers() -> None:
    """A hundred answers of 0.25, of which forty came, and a hundred of 0.65, of which sixty did."""
    probability = np.repeat([[0.25], [0.65]], 100, axis=0).reshape(20, 10)
    touched = np.concatenate([np.arange(100) < 40, np.arange(100) < 60]).reshape(20, 10)
    scores = score_touches(7, TouchForecasts(np.arange(20), probability / 2.5, probability, touched))
    assert scores is not None
    assert (scores.horizon_days, scores.cutoffs, scores.questions) == (7, 20, 200)
    assert scores.said == pytest.approx(0.45)
    assert scores.came == pytest.approx(0.5)
    parts = scores.reliability - scores.resolution + scores.uncertainty
    assert scores.brier == pytest.approx(parts, abs=1e-5)
    assert scores.brier == pytest.approx((40 * 0.75**2 + 60 * 0.25**2 + 60 * 0.35**2 + 40 * 0.65**2) / 200, abs=1e-5)
    assert scores.brier_reflection == pytest.approx((40 * 0.8**2 + 60 * 0.2**2 + 60 * 0.48**2 + 40 * 0.52**2) / 200)
    questions = [tenth.questions for tenth in scores.tenths]
    assert questions == [0, 0, 100, 0, 0, 0, 100, 0, 0, 0]
    assert (scores.tenths[2].said, scores.tenths[2].came) == (0.25, 0.4)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_corridors_are_asked_with_the_probability_that_is_served(pairs: list[tuple[float, float]]) -> None:
    """Where both borders are near the price, far from it, or one of them is: of five moves and their opposites."""
    probability = np.tile(0.5, (len(pairs), 10))
    probability[:, [3, 6]] = pairs
    answers = TouchForecasts(
        np.arange(len(pairs)), probability / 2, probability, np.zeros((len(pairs), 10), dtype=bool)
    )
    scores = score_corridors(1, answers)
    assert scores is not None
    assert scores.questions == 5 * len(pairs)
    expected = [stay(down, up) for down, up in pairs] + [stay(0.5, 0.5)] * 4 * len(pairs)
    assert scores.said == pytest.approx(np.mean(expected), abs=2e-6)


def test_scores_of_corridors_are_those_computed_by_hand() -> None:
    """Prices 2 % below and 5 % above were touched once each. By the rule all that is twice as probable is left."""
    touched = np.zeros((2, 10), dtype=bool)
    touched[0, 4] = touched[1, 6] = True
    answers = TouchForecasts(np.arange(2), np.full((2, 10), 0.1), np.full((2, 10), 0.2), touched)
    scores = score_corridors(7, answers)
    assert scores is not None
    assert (scores.horizon, scores.questions, scores.came) == ((7, "day"), 10, 0.8)
    said, came = stay(0.2, 0.2), np.array([0, 0] + [1] * 8)
    assert scores.brier == pytest.approx(np.mean((said - came) ** 2), rel=1e-5)
    assert scores.brier_reflection == pytest.approx(np.mean((0.6 - came) ** 2), rel=1e-5)
    assert corridor_scores([LearnedTouches(14, np.array(REFLECTED), answers)]) == ()


def test_in_a_random_walk_corridors_hold_as_often_as_is_said() -> None:
    """Six markets together. The highest price and the lowest are those of one path, which `stay` knows."""
    markets = [learned(walk(seed)) for seed in range(6)]
    answers = TouchForecasts(*map(np.concatenate, zip(*(market[1].forecasts for market in markets), strict=True)))
    scores = score_corridors(7, answers)
    assert scores is not None
    assert scores.said == pytest.approx(scores.came, abs=0.02)
    assert scores.brier < scores.brier_reflection < scores.uncertainty


def test_the_card_has_a_day_a_week_and_a_month() -> None:
    assert [score.horizon_days for score in touch_scores(learned(walk(6)))] == [1, 7, 30]


def test_curves_are_of_days_also_if_steps_are_not() -> None:
    curve = curve_of(LearnedTouches(6, np.array(REFLECTED), learned(walk(7, 100))[0].forecasts), steps_a_day=24)
    assert curve.horizon_days == 0.25
    assert curve.scores == pytest.approx(REFLECTED, rel=1e-5)


def test_real_touches_are_better_foretold_than_by_the_rule() -> None:
    """Four years of Bitcoin: the figures of docs/figures.md are of four pairs."""
    series = real_series("BTC")
    quantiles = learn(series, HORIZONS)[1]
    past = {horizon: quantiles[:, place] for place, horizon in enumerate(HORIZONS)}
    for each in learn_touches(series, past, np.arange(len(series) // 2, len(series))):
        scores = score_touches(each.horizon, each.forecasts)
        assert scores is not None
        assert scores.brier < 1.005 * scores.brier_reflection
        assert scores.said == pytest.approx(scores.came, abs=0.03)
        assert scores.questions > 10_000
    assert len(BY_DAY.moves) == 10
    assert len(TOUCHED) == 6
