import math
from itertools import pairwise
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from crypto_predict.baked.distribution import Distribution
from crypto_predict.market.forecast import LEVELS

PRICES = st.floats(5e-324, 1.7976931348623157e308)


@st.composite
def distributions(draw: st.DrawFn, narrowest: float = 0.0, widest: float = 2.0) -> Distribution:
    """Distributions of two to nine quantiles, whose log prices are these distances apart."""
    levels = sorted(draw(st.lists(st.integers(1, 999), min_size=2, max_size=9, unique=True)))
    log_prices = [draw(st.floats(-50, 50))]
    for _ in levels[1:]:
        log_prices.append(log_prices[-1] + draw(st.floats(narrowest, widest)))
    return Distribution(tuple(level / 1000 for level in levels), tuple(log_prices))


SMOOTH = distributions(narrowest=0.01)
STEEP = distributions(widest=200.0).filter(lambda distribution: max(map(abs, distribution.log_prices)) < 600)
WILD = distributions(widest=200.0)  # also known prices, and tails that reach beyond every float


@given(SMOOTH, st.floats(0, 1))
def test_the_quantile_of_a_probability_is_the_price_that_has_it(distribution: Distribution, share: float) -> None:
    """Also in the tails; further out the probability has too few digits to be inverted."""
    low, high = (math.log(distribution.quantile(level)) for level in (1e-6, 1 - 1e-6))
    price = math.exp(low + share * (high - low))
    assert math.log(distribution.quantile(distribution.below(price))) == pytest.approx(math.log(price), abs=1e-6)


@given(WILD, st.lists(PRICES, min_size=2, max_size=20))
def test_the_probability_below_a_price_grows_with_the_price(distribution: Distribution, prices: list[float]) -> None:
    ascending = sorted([*prices, *map(distribution.quantile, distribution.levels)])
    assert all(a <= b for a, b in pairwise(map(distribution.below, ascending)))
    assert all(a >= b for a, b in pairwise(map(distribution.above, ascending)))


@given(WILD, st.lists(st.floats(1e-300, 1 - 1e-16), min_size=2, max_size=20))
def test_quantiles_grow_with_their_level(distribution: Distribution, levels: list[float]) -> None:
    assert all(a <= b for a, b in pairwise(map(distribution.quantile, sorted([*levels, *distribution.levels]))))


@given(WILD, PRICES)
def test_a_price_is_either_above_or_below_any_other(distribution: Distribution, any_price: float) -> None:
    """Also at the ends of what a float can be: an exponential that overflows would be a fault of the server."""
    for price in (any_price, 5e-324, 1e300, 1.7976931348623157e308):
        below, above = distribution.below(price), distribution.above(price)
        assert 0 <= below <= 1
        assert 0 <= above <= 1
        assert below + above == pytest.approx(1, abs=1e-12)
    assert all(0 < distribution.quantile(level) < math.inf for level in (5e-324, 1e-300, 1 - 1e-16))


@given(distributions())
def test_the_given_quantiles_are_kept_exactly(distribution: Distribution) -> None:
    """The interval of an answer and its quantiles at 10 and 90 % are one fact."""
    result = [distribution.quantile(level) for level in distribution.levels]
    assert result == [math.exp(log_price) for log_price in distribution.log_prices]


@given(st.floats(-5, 12), st.floats(0.001, 2), st.floats(0.05, 0.95))
def test_a_log_normal_price_is_exact_between_the_outer_quantiles(mean: float, sigma: float, level: float) -> None:
    normal = NormalDist(mean, sigma)
    distribution = Distribution(LEVELS, tuple(map(normal.inv_cdf, LEVELS)))
    price = math.exp(normal.inv_cdf(level))
    assert distribution.quantile(level) == pytest.approx(price, rel=1e-9)
    assert distribution.below(price) == pytest.approx(level, abs=1e-9)


# Computed by hand for a standard normal: the density at 5 % is 0.103136, so its tail has the mean distance 0.4848.
GAUSSIAN = Distribution(LEVELS, tuple(map(NormalDist().inv_cdf, LEVELS)))
MEAN_DISTANCE = 0.05 / 0.10313564


@pytest.mark.parametrize("distances", [0, 1, 2, 10, 100])
def test_beyond_the_outer_quantiles_the_probability_falls_exponentially(distances: int) -> None:
    distance = 1.64485363 + distances * MEAN_DISTANCE
    expected = pytest.approx(0.05 * math.exp(-distances), rel=1e-5)
    assert GAUSSIAN.above(math.exp(distance)) == expected
    assert GAUSSIAN.below(math.exp(-distance)) == expected


@given(SMOOTH)
def test_the_density_is_continuous_where_a_tail_begins(distribution: Distribution) -> None:
    """A jump would make the first price beyond the last quantile suddenly more or less probable."""
    for end in (distribution.log_prices[0], distribution.log_prices[-1]):
        step = 1e-5
        before, at, after = (distribution.below(math.exp(end + n * step)) for n in (-1, 0, 1))
        assert (after - at) / step == pytest.approx((at - before) / step, rel=0.02)


@pytest.mark.parametrize("price", [1e-12, 1.0, 67_010.0])
def test_a_known_price_has_all_of_the_probability(price: float) -> None:
    """Between the last close and the newest price there is nothing to be forecast."""
    distribution = Distribution((0.1, 0.9), (math.log(price),) * 2)
    assert (distribution.below(price * 1.0001), distribution.above(price * 1.0001)) == (1, 0)
    assert (distribution.below(price * 0.9999), distribution.above(price * 0.9999)) == (0, 1)
    assert {distribution.quantile(level) for level in (0.01, 0.1, 0.5, 0.99)} == {math.exp(math.log(price))}
    assert distribution.covers(price * 1.0001)
    assert distribution.covers(price * 0.9999)


def test_a_price_beyond_the_outer_quantiles_is_not_covered() -> None:
    """An answer about it rests on the assumed tail, and must be able to say so."""
    assert GAUSSIAN.covers(1.0)
    assert not GAUSSIAN.covers(math.exp(1.65))
    assert not GAUSSIAN.covers(math.exp(-1.65))


def integrated(distribution: Distribution, level: float) -> float:
    """The mean of the quantiles up to a level, by adaptive integration over the normal score, piece by piece."""
    normal = NormalDist()
    scores = [-35.0, *(normal.inv_cdf(known) for known in distribution.levels if known < level), normal.inv_cdf(level)]
    return math.fsum(
        quad(
            lambda z: distribution.quantile(math.erfc(-z / math.sqrt(2)) / 2) * normal.pdf(z) / level, *piece, epsabs=0
        )[0]
        for piece in pairwise(scores)
    )


@given(SMOOTH | STEEP, st.floats(0.001, 1))
def test_the_mean_below_a_quantile_is_that_of_numerical_integration(distribution: Distribution, share: float) -> None:
    """Also where quantiles are equal, or so far apart that the exponentials of a closed form overflow."""
    level = share * distribution.levels[-1]
    assert distribution.mean_below(level) == pytest.approx(integrated(distribution, level), rel=1e-6)


@given(SMOOTH | STEEP, st.lists(st.floats(1e-300, 1), min_size=2, max_size=9))
def test_the_mean_below_a_quantile_grows_with_it_and_is_below_it(
    distribution: Distribution, shares: list[float]
) -> None:
    """An expected shortfall is never less than the value at risk."""
    levels = sorted(share * distribution.levels[-1] for share in shares)
    means = list(map(distribution.mean_below, levels))
    assert all(mean <= distribution.quantile(level) for mean, level in zip(means, levels, strict=True))
    assert all(0 <= first <= last * (1 + 1e-9) for first, last in pairwise(means))


@given(st.floats(-5, 12), st.floats(0.001, 2), st.floats(0.1, 0.9))
def test_the_mean_between_two_quantiles_of_a_log_normal_price_is_exact(mean: float, sigma: float, level: float) -> None:
    """The partial expectation of a log-normal price has a closed form, as in the formula of Black and Scholes."""
    normal, standard = NormalDist(mean, sigma), NormalDist()
    distribution = Distribution(LEVELS, tuple(map(normal.inv_cdf, LEVELS)))

    def partial(share: float) -> float:
        return math.exp(mean + sigma**2 / 2) * standard.cdf(standard.inv_cdf(share) - sigma)

    between = distribution.mean_below(level) * level - distribution.mean_below(LEVELS[0]) * LEVELS[0]
    assert between == pytest.approx(partial(level) - partial(LEVELS[0]), rel=1e-9)


def test_the_mean_of_a_known_price_is_that_price() -> None:
    distribution = Distribution((0.1, 0.9), (math.log(70_000),) * 2)
    assert [distribution.mean_below(level) for level in (0.01, 0.1, 0.5)] == pytest.approx([70_000] * 3, rel=1e-12)


@given(WILD, st.floats(0, 1))
def test_only_quantiles_beyond_the_given_ones_rest_on_a_tail(distribution: Distribution, level: float) -> None:
    """Where the two outermost quantiles are equal, there is no tail."""
    levels, prices = distribution.levels, distribution.log_prices
    tails = [level < levels[0] and prices[1] > prices[0], level > levels[-1] and prices[-1] > prices[-2]]
    assert distribution.reaches(level) == (not any(tails))
