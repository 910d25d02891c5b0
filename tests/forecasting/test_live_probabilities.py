"""Probabilities at round prices: the same as the server's, and scored as by hand."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.schema import LiveProbabilities
from crypto_predict.forecasting import live_probabilities
from crypto_predict.forecasting.live_probabilities import MOST_PRICES, TAIL, TENTHS, losses, round_prices
from crypto_predict.market.forecast import LEVELS

SCORES = [NormalDist().inv_cdf(level) for level in LEVELS]


def row(middle: float, width: float) -> list[float]:
    """The log prices at `LEVELS` of a log-normal price."""
    return [math.log(middle) + width * score for score in SCORES]


def asked(low: float, high: float) -> list[float]:
    rows, prices = round_prices(np.array([low]), np.array([high]))
    assert set(rows.tolist()) <= {0}
    result: list[float] = prices.tolist()
    return result


def scored(actual: list[float], middle: list[float], width: list[float], sigma: float = 0.05) -> LiveProbabilities:
    """The scores of forecasts that begin at 100, by their outcomes."""
    quantiles = np.array([row(*shape) for shape in zip(middle, width, strict=True)])
    count = len(actual)
    sums = losses(np.log(actual), np.full(count, math.log(100)), np.full(count, sigma), quantiles)
    scores = live_probabilities.scores({name: float(values.sum()) for name, values in sums.items()}, count, None)
    assert scores is not None
    return scores


def test_prices_are_round_as_people_say_them() -> None:
    assert asked(93_211.0, 121_873.0) == [95_000, 100_000, 105_000, 110_000, 115_000, 120_000]
    assert asked(58_000.0, 71_500.0) == [58_000, 60_000, 62_000, 64_000, 66_000, 68_000, 70_000]
    assert asked(0.0712, 0.1391) == pytest.approx([0.08, 0.09, 0.1, 0.11, 0.12, 0.13])
    assert asked(20.0, 900.0) == [100, 200, 300, 400, 500, 600, 700, 800, 900]


@given(st.floats(1e-6, 1e6), st.floats(1e-4, 3))
def test_there_are_as_many_round_prices_as_nine_allow(low: float, width: float) -> None:
    """All multiples of one round step that lie within; the next smaller step would have more than nine."""
    high = low * math.exp(width)
    prices = asked(low, high)
    assert 3 <= len(prices) <= MOST_PRICES
    assert low * (1 - 1e-9) <= prices[0] <= prices[-1] <= high * (1 + 1e-9)
    step = min(np.diff(prices))
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - whole) for whole in (1, 2, 5)) < 1e-3
    assert [price / step for price in prices] == pytest.approx([round(price / step) for price in prices], rel=1e-9)
    assert prices[0] - step < low * (1 + 1e-9)
    assert prices[-1] + step > high * (1 - 1e-9)
    smaller = step * {1: 0.5, 2: 0.5, 5: 0.4}[round(mantissa)]
    assert math.floor(high / smaller + 1e-6) - math.ceil(low / smaller - 1e-6) + 1 > MOST_PRICES


def test_most_ranges_have_five_or_more() -> None:
    random = np.random.default_rng(0)
    low = np.exp(random.uniform(-7, 12, 5_000))
    rows, _ = round_prices(low, low * np.exp(random.uniform(0.05, 1.5, 5_000)))
    counts = np.bincount(rows, minlength=5_000)
    assert np.mean(counts >= 5) > 0.85


@given(st.floats(0.01, 1e5), st.sets(st.integers(-30, 30), min_size=7, max_size=7))
def test_the_probability_is_that_of_the_server(middle: float, moves: set[int]) -> None:
    """At the prices within the range of 98 % of the distribution that `/probability` evaluates."""
    quantiles = np.array([[math.log(middle) + move / 100 for move in sorted(moves)]])
    server = Distribution(LEVELS, tuple(quantiles[0].tolist()))
    expected = [server.above(price) for price in asked(server.quantile(TAIL), server.quantile(1 - TAIL))]
    sums = losses(np.full(1, -1e3), np.zeros(1), np.ones(1), quantiles)
    assert int(sums["questions"][0]) == len(expected)
    # Nothing came about, so the score of each is its square.
    assert float(sums["brier"][0]) == pytest.approx(sum(p * p for p in expected))
    assert sum(float(sums[f"said_{tenth}"][0]) for tenth in range(TENTHS)) == pytest.approx(sum(expected))


def test_the_scores_are_those_computed_by_hand() -> None:
    """A forecast of 10 % around 100 is asked for 80, 90 ... 120; the close is 103.

    Persistence has the same middle, and half the width.
    """
    prices = np.array([80.0, 90, 100, 110, 120])
    scores = scored([103.0], [100.0], [0.1], sigma=0.05)
    came = (prices < 103).astype(float)
    said = np.array([1 - NormalDist().cdf(math.log(price / 100) / 0.1) for price in prices])
    persistence = np.array([1 - NormalDist().cdf(math.log(price / 100) / 0.05) for price in prices])
    assert (scores.questions, scores.days) == (len(prices), 1)
    assert scores.ours.brier == pytest.approx(np.mean((said - came) ** 2), abs=2e-3)  # the tails are not Gaussian
    assert scores.persistence.brier == pytest.approx(np.mean((persistence - came) ** 2), rel=1e-4)
    assert scores.uncertainty == pytest.approx(came.mean() * (1 - came.mean()), rel=1e-4)
    assert sum(tenth.questions for tenth in scores.tenths) == len(prices)
    assert [tenth.said for tenth in scores.tenths] == sorted(tenth.said for tenth in scores.tenths)


@given(st.lists(st.tuples(st.floats(60, 160), st.floats(80, 120), st.floats(0.01, 0.5)), min_size=1, max_size=20))
def test_the_score_is_the_sum_of_its_parts(forecasts: list[tuple[float, float, float]]) -> None:
    actual, middle, width = (list(column) for column in zip(*forecasts, strict=True))
    scores = scored(actual, middle, width)
    for part in (scores.ours, scores.persistence):
        assert part.brier == pytest.approx(part.reliability - part.resolution + scores.uncertainty, abs=1e-5)
        assert 0 <= part.reliability <= 1
    assert all(0 <= tenth.came <= 1 for tenth in scores.tenths)
    assert all(tenth.said <= other.said + 1e-5 for tenth, other in zip(scores.tenths, scores.tenths[1:], strict=False))


def test_a_right_forecast_is_reliable_and_a_narrow_one_is_not() -> None:
    """Of 2,000 outcomes with a deviation of 10 %. The score of the right one is lower, and the tenths tell why."""
    outcomes = (100 * np.exp(0.1 * np.random.default_rng(2).standard_normal(2_000))).tolist()
    right, narrow, equal = (scored(outcomes, [100.0] * 2_000, [w] * 2_000, sigma=0.1) for w in (0.1, 0.04, 0.1))
    assert right.ours.reliability < 0.001
    assert narrow.ours.reliability > 0.005
    assert right.ours.brier < narrow.ours.brier
    assert all(abs(tenth.said - tenth.came) < 0.03 for tenth in right.tenths)
    assert max(abs(tenth.said - tenth.came) for tenth in narrow.tenths) > 0.1
    assert equal.ours.brier == pytest.approx(equal.persistence.brier, rel=0.01)


def test_persistence_without_volatility_is_sure() -> None:
    """It says 1 below the price, 0 above it, and one half at it: 100 itself is asked."""
    scores = scored([100.5], [100.0], [0.1], sigma=0.0)
    assert scores.persistence.brier == pytest.approx(0.25 / scores.questions, rel=1e-4)


@pytest.mark.parametrize("same", [0.0, 700.0, -740.0])
def test_a_forecast_without_a_width_is_asked_nothing(same: float) -> None:
    """As those of early releases, which have no quantiles; extreme prices raise no error."""
    sums = losses(np.full(2, same), np.full(2, same), np.zeros(2), np.full((2, 7), same))
    assert sums["questions"].tolist() == [0, 0]
    assert live_probabilities.scores(dict.fromkeys(sums, 0.0), 0, None) is None
    wide = losses(np.full(1, same), np.full(1, same), np.ones(1), np.linspace(-744.0, 709.0, 7)[None, :])
    assert np.isfinite(list(wide.values())).all()
    assert len(sums) == 2 + 2 * (1 + 3 * TENTHS)
