import json
import math
from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from crypto_predict.baked import plain
from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.schema import KNOTS, Backtest, ProphetScore, Score
from crypto_predict.forecasting.distribution.days import learn
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.evaluation.replay import Replay, gaussian_half_widths, replay
from crypto_predict.forecasting.evaluation.scoring import (
    disjoint,
    only,
    prophet_words,
    score,
    words,
)
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import flat, make_history, wandering
from tests.support.markets import prophet_replay

DAYS = 200


def series(days: int = DAYS) -> DailySeries:
    return DailySeries.of(make_history(days))


def forecasting(increments: Any, cutoffs: range, horizon: int = 1, half_width: float = 0.05) -> Replay:
    """A backtest in which the forecast at the cutoff `c` was `increments(c)` from the last close."""
    at = np.array(cutoffs)
    predicted = np.array([[increments(cutoff)] for cutoff in at.tolist()])
    weights = np.ones_like(predicted)
    quantiles, alone = gaussian_quantiles(np.full((len(at), 1), half_width)), prophet_replay(series(), at, [horizon])
    distribution = learn(series(), [horizon])[0]
    return Replay(series(), at, (horizon,), predicted, weights, quantiles, distribution, alone)


def gaussian_quantiles(half_widths: FloatArray) -> FloatArray:
    """Return the quantiles at `LEVELS` of Gaussians whose central 80 % have these half-widths, in a last axis."""
    scores = np.array([NormalDist().inv_cdf(level) for level in LEVELS]) / GAUSSIAN
    return np.asarray(half_widths[..., None] * scores)


def truth(cutoff: int, horizon: int = 1) -> float:
    """Return the actual increment; 0 if it is in the future."""
    return math.log(wandering(cutoff + horizon) / wandering(cutoff)) if cutoff + horizon < DAYS else 0.0


@pytest.mark.parametrize(
    ("horizon", "relative", "p_value", "expected"),
    [
        (1, 0.979, 0.012, "better than persistence at 1 day by 2.1%, p = 0.01"),
        (7, 1.5, 0.0004, "worse than persistence at 7 days by 50.0%, p < 0.01"),
        (7, 0.93, 0.41, "no better than persistence at 7 days, p = 0.41"),
        (7, 1.07, 0.41, "no better than persistence at 7 days, p = 0.41"),
        (30, 0.93, 0.05, "no better than persistence at 30 days, p = 0.05"),
        (30, 0.9999, 0.0001, "no better than persistence at 30 days, p < 0.01"),
        (90, None, 1.0, "not comparable with persistence at 90 days: too few forecasts, or a price that never moved"),
        (90, 0.9, None, "not comparable with persistence at 90 days: too few forecasts, or a price that never moved"),
    ],
)
def test_the_words_describe_the_comparison(
    horizon: int, relative: float | None, p_value: float | None, expected: str
) -> None:
    """A difference that is not significant, or too small to print, does not count."""
    assert words(horizon, relative, p_value) == expected


def scored(backtest: Backtest | None) -> Backtest:
    assert backtest is not None
    return backtest


def assert_finite(backtest: Backtest) -> None:
    """JSON has neither NaN nor infinity, and a card with them cannot be served."""
    json.dumps(plain.encode(backtest), allow_nan=False)


def score_of(increments: Any, cutoffs: range = range(100, DAYS), horizon: int = 1) -> Score:
    """The score of a backtest with these `increments`, at its one horizon."""
    [only_score] = scored(score(forecasting(increments, cutoffs, horizon), [horizon])).scores
    return only_score


@pytest.mark.parametrize(
    ("increments", "relative_mae", "skill", "direction", "expected"),
    [
        (truth, 0.0, 1.0, 1.0, "better than persistence at 1 day by 100.0%, p < 0.01"),
        (lambda cutoff: -truth(cutoff), 2.0, -1.0, 0.0, "worse than persistence at 1 day by 100.0%, p < 0.01"),
        (
            lambda _: 0.0,
            1.0,
            0.0,
            None,
            "no better than persistence at 1 day, p = 1.00: it is persistence, Prophet has not earned a weight",
        ),
    ],
    ids=["perfect", "opposite", "persistence"],
)
def test_a_forecast_is_compared_with_persistence(
    increments: Any, relative_mae: float, skill: float, direction: float | None, expected: str
) -> None:
    """The opposite of the truth has twice the error of persistence, which forecasts no direction."""
    result = score_of(increments)
    assert result.forecasts == 99
    assert (result.relative_mae, result.skill) == pytest.approx((relative_mae, skill), abs=1e-12)
    assert direction == result.direction
    assert direction in {result.direction_low, result.direction_high}
    assert result.words == expected


def test_too_few_forecasts_are_not_compared() -> None:
    """Five overlapping forecasts over seven days cannot be tested."""
    result = score_of(lambda _: 0.0, range(188, DAYS), horizon=7)
    assert (result.forecasts, result.p_value) == (5, None)
    assert result.words.startswith("not comparable")


def of_prophet(curve: Any, cutoffs: range, horizon: int = 7) -> Replay:
    """A backtest in which Prophet's curve was level, `curve(c)` above the last close at the cutoff `c`."""
    at, past = np.array(cutoffs), series()
    off = np.array([curve(cutoff) for cutoff in cutoffs])
    count = len({*KNOTS, horizon})
    alone = prophet_replay(past, at, [horizon], np.repeat((past.log_close[at] + off)[:, None], count, axis=1))
    return replace(forecasting(lambda _: 0.0, cutoffs, horizon), prophet=alone)


def test_prophet_alone_is_scored_with_its_own_interval_relative_to_persistence() -> None:
    """Recomputed from its errors, and from the half-widths known at each cutoff."""
    past = of_prophet(lambda cutoff: 0.2 * math.sin(cutoff), range(100, DAYS))
    prophet_backtest = scored(score(past, [7])).prophet
    assert prophet_backtest is not None
    due = slice(0, DAYS - 100 - 7)
    log_close = past.series.log_close
    move = (log_close[107:] - log_close[100 : DAYS - 7])[: DAYS - 107]
    error = move - 0.2 * np.sin(np.arange(100, DAYS - 7))
    half_width = past.prophet.half_widths_80[due, past.prophet.horizons.index(7)]
    missed = 10 * np.maximum(0, np.abs(error) - half_width)
    gaussian = gaussian_half_widths(log_close, 7)[100 : DAYS - 7]
    reference = 2 * gaussian + 10 * np.maximum(0, np.abs(move) - gaussian)
    [result] = prophet_backtest.scores
    assert (result.horizon_days, result.forecasts) == (7, DAYS - 107)
    assert result.relative_mae == pytest.approx(np.abs(error).mean() / np.abs(move).mean(), rel=1e-5)
    assert result.coverage == pytest.approx(np.mean(np.abs(error) <= half_width), rel=1e-5)
    assert result.relative_winkler == pytest.approx(np.mean(2 * half_width + missed) / np.mean(reference), rel=1e-5)


def test_cutoffs_without_a_fit_of_prophet_count_for_the_others() -> None:
    few = scored(score(of_prophet(lambda cutoff: 0.1 if cutoff > 150 else math.nan, range(100, DAYS)), [7]))
    assert few.prophet is not None
    assert (few.scores[0].forecasts, few.prophet.scores[0].forecasts) == (93, 42)
    none = scored(score(of_prophet(lambda _: math.nan, range(100, DAYS)), [7]))
    assert (none.scores[0].forecasts, none.prophet) == (93, None)


def test_the_words_on_prophet_alone_name_every_horizon_once() -> None:
    scores = [ProphetScore(1, 90, 4.883, 0.791, 4.1, 0.0), ProphetScore(7, 84, 2.178, 0.805, 2.0, 0.5)]
    assert prophet_words(scores) == (
        "Prophet alone: error 4.88 and 2.18 times persistence's at 1 and 7 days; its interval held 79 and 80 % of the "
        "outcomes"
    )
    assert prophet_words(scores[:1]) == (
        "Prophet alone: error 4.88 times persistence's at 1 day; its interval held 79 % of the outcomes"
    )
    assert prophet_words([ProphetScore(1, 90, None, 1.0, None, 0.0)]) == (
        "Prophet alone: not comparable with persistence; its interval held 100 % of the outcomes"
    )


def test_only_leaves_other_horizons_out_of_the_words_too() -> None:
    past = replay(series(), [1, 7], 25, DAYS)
    assert past is not None
    both, week = scored(score(past, [1, 7])), only(scored(score(past, [1, 7])), [7])
    assert both.prophet is not None
    assert week.prophet is not None
    assert week.prophet.scores == both.prophet.scores[1:]
    assert week.prophet.words == prophet_words(both.prophet.scores[1:])


def test_the_scores_of_a_distribution_follow_from_its_quantiles() -> None:
    """Recomputed from the definitions: each quantile's pinball loss, shares inside, and the served probabilities."""
    past = forecasting(lambda _: 0.0, range(100, DAYS), half_width=0.02)
    forecasts, [result] = past.forecasts(1), scored(score(past, [1])).scores
    below, losses = forecasts.actual[:, None] <= forecasts.quantiles, []
    for column, (level, each) in enumerate(zip(LEVELS, result.quantiles, strict=True)):
        miss = forecasts.actual - forecasts.quantiles[:, column]
        losses.append(np.where(miss > 0, level * miss, (level - 1) * miss).mean())
        assert each.level == level
        assert each.below == pytest.approx(below[:, column].mean(), rel=1e-5)
        assert each.pinball == pytest.approx(losses[-1], rel=1e-5)
    assert result.pinball == pytest.approx(np.mean(losses), rel=1e-5)
    inside = [np.mean(below[:, high] & ~below[:, low]) for low, high in ((2, 4), (1, 5), (0, 6))]
    assert [result.coverage_50, result.coverage, result.coverage_90] == pytest.approx(inside, rel=1e-5)
    rows = zip(np.exp(forecasts.actual).tolist(), forecasts.quantiles.tolist(), strict=True)
    probabilities = [Distribution(LEVELS, tuple(row)).below(actual) for actual, row in rows]
    tenths = np.bincount(np.minimum((10 * np.array(probabilities)).astype(int), 9), minlength=10) / len(probabilities)
    assert result.pit == pytest.approx(tenths, abs=1e-5)
    assert result.pit_p_value == pytest.approx(metrics.uniformity(np.array(probabilities)), rel=1e-5)


def test_persistence_with_its_own_gaussian_distribution_scores_as_itself() -> None:
    """The reference of every relative figure; it differs from our quantiles in the tails only."""
    past = forecasting(lambda _: 0.0, range(100, DAYS))
    half_widths = gaussian_half_widths(past.series.log_close, 1)[past.cutoffs][:, None]
    own = replace(past, quantiles=gaussian_quantiles(half_widths))
    result = scored(score(own, [1])).scores[0]
    assert result.relative_crps == pytest.approx(1, rel=1e-3)
    assert result.relative_winkler == pytest.approx(1)
    assert [each.relative_pinball for each in result.quantiles] == pytest.approx([1] * 7)


def test_every_figure_lies_inside_its_confidence_interval() -> None:
    past = replay(series(400), [1, 7], 3, 400)
    assert past is not None
    for result in scored(score(past, [1, 7])).scores:
        names = {"mae", "pinball", "crps", "winkler", "coverage", "coverage_50", "coverage_90"}
        always = names - {"coverage_90"}  # which may be 100 %
        assert always <= result.confidence.keys() <= names | {"relative_mae", "relative_crps", "relative_winkler"}
        for name, ends in result.confidence.items():
            assert ends.low <= getattr(result, name) <= ends.high
            assert ends.low < ends.high or name == "relative_mae"
        for each in result.quantiles:
            assert each.confidence.keys() <= {"below", "pinball", "relative_pinball"}
            for name, ends in each.confidence.items():
                assert ends.low <= getattr(each, name) <= ends.high


def test_a_horizon_with_few_independent_forecasts_has_no_confidence_interval() -> None:
    """A hundred forecasts over thirty days are not three blocks of twice the horizon, nor ten without overlap."""
    result = score_of(lambda _: 0.0, horizon=30)
    assert (result.forecasts, result.confidence, result.pit_p_value) == (70, {}, None)
    assert all(each.confidence == {} for each in result.quantiles)


def test_disjoint_forecasts_do_not_overlap() -> None:
    """Uneven cutoffs, too; the first one is kept."""
    assert disjoint(np.array([3, 4, 9, 10, 11, 30]), 7).tolist() == [0, 3, 5]
    assert disjoint(np.arange(5), 1).tolist() == [0, 1, 2, 3, 4]


def test_without_a_due_forecast_the_score_is_none() -> None:
    assert score(forecasting(lambda _: 0.0, range(DAYS - 5, DAYS), horizon=7), [7]) is None


def test_the_years_are_those_of_the_cutoffs_and_add_up() -> None:
    """A forecast of January made in December counts for December."""
    days = 500
    past = replay(series(days), [7], every=20, longest=days)
    assert past is not None
    backtest = scored(score(past, [7]))
    assert (backtest.first_cutoff, backtest.last_cutoff) == (date(2021, 9, 17), date(2022, 5, 15))
    assert backtest.cutoffs == len(past.cutoffs)
    rows = list(past.rows([7]))
    expected = {year: len(list(group)) for year, group in groupby(rows, key=lambda row: row.cutoff.year)}
    assert {year.year: year.forecasts for year in backtest.years} == expected
    assert set(expected) == {2021, 2022}
    inside = sum(year.forecasts * year.coverage for year in backtest.years)
    assert inside == pytest.approx(backtest.scores[0].forecasts * backtest.scores[0].coverage, rel=1e-5)


def test_one_loss_of_each_week_is_kept_and_weeks_are_fixed() -> None:
    """A successor trained a day later has the same weeks, so that the two can be compared."""
    earlier, later = (scored(score(forecasting(truth, range(first, DAYS)), [1])).losses for first in (100, 100 + 7))
    weeks = [loss.cutoff.toordinal() // 7 for loss in earlier]
    assert len(weeks) == len(set(weeks)) == 15
    assert [loss.cutoff for loss in later[1:]] == [loss.cutoff for loss in earlier[2:]]
    assert {loss.cutoff - timedelta(days=loss.cutoff.toordinal() % 7) for loss in earlier[1:]} == {
        loss.cutoff for loss in earlier[1:]
    }


def test_a_market_that_never_moves_is_scored_without_dividing_by_zero() -> None:
    """Stablecoins exist."""
    past = replay(DailySeries.of(make_history(DAYS, flat)), [1, 7], every=10, longest=DAYS)
    assert past is not None
    backtest = scored(score(past, [1, 7]))
    for result in backtest.scores:
        assert (result.mae, result.coverage) == (0.0, 1.0)
        assert (
            result.mase,
            result.rmsse,
            result.relative_mae,
            result.skill,
            result.relative_winkler,
            result.direction,
        ) == (None,) * 6
        assert result.words.startswith("not comparable with persistence")
    assert_finite(backtest)


@pytest.mark.parametrize("every", [1, 9, 100])
def test_every_figure_is_a_finite_number_or_none(every: int) -> None:
    cutoffs = range(100, DAYS, every)
    assert_finite(scored(score(forecasting(truth, cutoffs), [1])))
    assert_finite(scored(score(forecasting(lambda _: 0.01, cutoffs, half_width=0.0), [1])))


def test_the_gaussian_interval_of_persistence_uses_the_past_year_only() -> None:
    closes = series(600).log_close
    half_width = gaussian_half_widths(closes, 4)
    assert np.isnan(half_width[:30]).all()
    assert half_width[500] == pytest.approx(1.2815515655446004 * 2 * np.diff(closes[135:501]).std(ddof=1))
    assert gaussian_half_widths(closes[:501], 4)[500] == half_width[500]
