"""Confidence intervals of dependent losses."""

import math

import numpy as np
import pytest
from scipy import stats

from crypto_predict.baked.schema import Confidence
from crypto_predict.forecasting.evaluation.bootstrap import Bootstrap, mean_block
from crypto_predict.history.columns import FloatArray


def losses_of_walks(horizon: int, count: int, walks: int) -> FloatArray:
    """Absolute moves of random walks over a horizon from consecutive cutoffs, (walks, count)."""
    steps = np.random.default_rng(horizon).standard_normal((walks, count + horizon))
    price = np.cumsum(steps, axis=1)
    return np.abs(price[:, horizon:] - price[:, :-horizon])


def holds(confidence: Confidence | None, value: float) -> bool:
    return confidence is not None and confidence.low <= value <= confidence.high


@pytest.mark.parametrize(
    ("horizon", "count", "least"), [(1, 400, 0.9), (7, 700, 0.88), (30, 1500, 0.85)], ids=["1", "7", "30"]
)
def test_the_interval_covers_the_expected_loss_of_overlapping_forecasts(horizon: int, count: int, least: float) -> None:
    """In nearly 95 % of the histories. An interval that ignores the overlap covers it far less often."""
    walks, expected = 200, math.sqrt(2 * horizon / math.pi)
    bootstrap, losses = Bootstrap(count, horizon), losses_of_walks(horizon, count, walks)
    covered = np.mean([holds(bootstrap.mean(row), expected) for row in losses])
    assert least <= covered <= 0.99
    naive = 1.96 * losses.std(axis=1) / math.sqrt(count)
    ignorant = np.mean(np.abs(losses.mean(axis=1) - expected) <= naive)
    assert horizon == 1 or ignorant < covered - 0.15


def test_the_interval_of_a_ratio_covers_it_and_is_narrower_than_those_of_its_parts() -> None:
    """Both losses are large at the same cutoffs, which a joint resample keeps."""
    losses = losses_of_walks(7, 700, 200)
    # A half-width of 4 and one of 5 around persistence, by the Winkler score.
    ours, reference = (2 * half + 10 * np.maximum(0, losses - half) for half in (3.0, 4.0))
    normal = stats.norm(scale=math.sqrt(7))
    # Of 10 max(0, |x| - half), in closed form.
    expected = [2 * half + 20 * (7 * normal.pdf(half) - half * normal.sf(half)) for half in (3.0, 4.0)]
    bootstrap = Bootstrap(700, 7)
    result = [bootstrap.ratio(*pair) for pair in zip(ours, reference, strict=True)]
    assert None not in result
    assert 0.88 <= np.mean([holds(confidence, expected[0] / expected[1]) for confidence in result]) <= 0.99
    ratio, mean = bootstrap.ratio(ours[0], reference[0]), bootstrap.mean(ours[0])
    assert ratio is not None
    assert mean is not None
    assert (ratio.high - ratio.low) < 0.5 * (mean.high - mean.low) / ours[0].mean()


def test_independent_losses_have_nearly_the_interval_of_the_textbook() -> None:
    losses = np.random.default_rng(1).standard_normal(1000)
    confidence = Bootstrap(1000, 1).mean(losses)
    assert confidence is not None
    textbook = stats.norm.ppf(0.975) / math.sqrt(1000)
    assert (confidence.high - confidence.low) / 2 == pytest.approx(textbook, rel=0.15)
    assert (confidence.low + confidence.high) / 2 == pytest.approx(losses.mean())


def test_a_share_lies_between_0_and_1() -> None:
    """One miss of many is far from a Gaussian."""
    hits = np.arange(60) > 0
    confidence = Bootstrap(60, 1).share(hits)
    assert confidence is not None
    assert 0 < confidence.low < 59 / 60 < confidence.high == 1.0


def test_without_enough_blocks_or_any_variation_nothing_is_claimed() -> None:
    """One year of forecasts over a quarter holds fewer than three blocks; a share of 100 % has no known error."""
    losses = np.random.default_rng(4).random(365)
    assert Bootstrap(365, 90).mean(losses) is None
    assert Bootstrap(365, 90).ratio(losses, losses) is None
    assert Bootstrap(365, 7).share(losses >= 0) is None
    assert Bootstrap(365, 7).mean(np.zeros(365)) is None
    assert Bootstrap(365, 7).ratio(losses, np.zeros(365)) is None
    assert Bootstrap(365, 7).ratio(losses, np.full(365, np.nan)) is None
    assert Bootstrap(365, 7).ratio(losses, losses) == Confidence(1.0, 1.0)


def test_blocks_are_twice_as_long_as_spans_overlap_or_the_root_of_the_number() -> None:
    assert mean_block(1000, 1) == pytest.approx(10)
    assert mean_block(1000, 30) == 60
