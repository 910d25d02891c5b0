"""The probability that a price is touched on the way, from that of a close beyond it; and to stay between two prices.

The rule of reflection: from a price that has been touched, a random walk ends beyond it as probably as it ends beyond
its start from there. So a touch has the probability p / p0 if a close beyond the price has p, and one beyond the
present price p0; that is 2 p where rising and falling are equally probable. A touch is a *score* of z if the rule gives
it the probability ``2 Phi(-z)``: for a random walk with steps of a Gaussian, z is the distance in standard deviations.

Markets deviate from the rule. They return from a spike before the close, and they run in one direction for weeks. A
`TouchCurve` says by how much, as highs and lows of the past have shown.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

TOUCHED = (0.9, 0.75, 0.5, 0.25, 0.1, 0.05)  # probabilities of a touch at which a curve is given
TENTHS = 10
# Horizons at which touches are scored, and the moves of the last price that are asked for at each of them.
SCORED_HOURS, SCORED_DAYS = (1, 6, 24), (1, 7, 30)
HOUR_MOVES = (-0.05, -0.02, -0.01, -0.005, -0.002, 0.002, 0.005, 0.01, 0.02, 0.05)
DAY_MOVES = (-0.3, -0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2, 0.3)
MOST_CURVES = 16  # of a pair

_NORMAL = NormalDist()
_MOST_SCORE = 100.0  # of a curve; the probability that belongs to it is 0
SERIES = 1.5  # the distance of two borders, in deviations, from which few reflections tell more than few waves
TERMS = 3  # of either series: the next one is less than 1e-15
LEAST_TOUCH = 1e-300  # probability of a touch that has a score


@dataclass(frozen=True, slots=True)
class TouchCurve:
    """What is touched over one horizon with the probabilities `TOUCHED`, as scores by the rule of reflection."""

    horizon_days: float
    scores: tuple[float, ...]  # (6,) ascending, above 0; those of a random walk are `REFLECTED`

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if self.horizon_days <= 0:
            yield f"horizon_days must be positive, not {self.horizon_days}"
        bounds = (0.0, *self.scores, _MOST_SCORE)
        if len(self.scores) != len(TOUCHED) or any(map(float.__ge__, bounds[:-1], bounds[1:])):
            yield f"scores are not {len(TOUCHED)} that ascend between 0 and {_MOST_SCORE:g}: {self.scores}"


@dataclass(frozen=True, slots=True)
class TouchTenth:
    """The answers of a backtest between two tenths of probability."""

    questions: int
    said: float  # mean probability of a touch
    came: float  # the share that was touched


@dataclass(frozen=True, slots=True)
class TouchScore:
    """How probabilities of a touch did over one horizon: out of sample in a backtest, or as they were published.

    Or how those did that the price stays between two of these prices as far below as above; `came` are then the
    corridors that held.

    At every cutoff the prices 2, 5, 10, 20 and 30 % above and below its close are asked for; where the horizon is of
    hours 0.2, 0.5, 1, 2 and 5 %. The curve was learned from what had come due by then. A cutoff of what was published
    is the newest price of a release.
    """

    horizon_days: int | None  # either this
    horizon_hours: int | None  # or this
    cutoffs: int
    questions: int
    said: float  # mean probability
    came: float  # the share that was touched
    brier: float  # mean squared error of the probability
    brier_reflection: float  # of the rule of reflection: a touch is twice as probable as a close beyond the price
    reliability: float  # the part of the Brier score that is from tenths whose share is not what was said; 0 is best
    resolution: float  # the part that is gained as tenths differ; more is better
    uncertainty: float  # the Brier score of the mean share
    tenths: tuple[TouchTenth, ...]  # (10,) from 0 to 0.1, and so on

    @property
    def horizon(self) -> tuple[int, str]:
        """The horizon with its unit."""
        return (self.horizon_hours, "hour") if self.horizon_hours is not None else (self.horizon_days or 0, "day")

    @property
    def days(self) -> float:
        """The horizon in days."""
        return self.horizon_hours / 24 if self.horizon_hours is not None else self.horizon_days or 0


def curve_faults(curves: Sequence[TouchCurve]) -> Iterator[str]:
    """Yield the violated rules of the curves of a pair."""
    horizons = [curve.horizon_days for curve in curves]
    if len(curves) > MOST_CURVES:
        yield f"{len(curves)} touches are more than a pair can have ({MOST_CURVES})"
    if horizons != sorted({*horizons}):
        yield f"touches are not of ascending horizons: {horizons!s:.80}"


def score(probability: float) -> float:
    """Return the score of a probability of a touch, in (0, 1]: z with ``2 Phi(-z) = probability``."""
    return -_NORMAL.inv_cdf(probability / 2)


REFLECTED = tuple(map(score, TOUCHED))


def reflected(curves: tuple[TouchCurve, ...], horizon: float, touched: tuple[float, ...]) -> tuple[float, ...]:
    """Return the probabilities by the rule of reflection of what is `touched` with these, over so many days.

    Between two curves scores are linear in the logarithm of the horizon; before the first and after the last one they
    are as there. Without curves the rule is taken as it is. `touched` are in (0, 1) and descend; so does the result.
    """
    if not curves:
        return touched
    return _reflected(curves, min(max(horizon, curves[0].horizon_days), curves[-1].horizon_days), touched)


@lru_cache(maxsize=1024)
def _reflected(curves: tuple[TouchCurve, ...], horizon: float, touched: tuple[float, ...]) -> tuple[float, ...]:
    after = next(place for place, curve in enumerate(curves) if horizon <= curve.horizon_days)
    scores: Sequence[float] = curves[after].scores
    if after:
        first, last = curves[after - 1], curves[after]
        share = math.log(horizon / first.horizon_days) / math.log(last.horizon_days / first.horizon_days)
        scores = [one + share * (other - one) for one, other in zip(first.scores, last.scores, strict=True)]
    return tuple(2 * _NORMAL.cdf(-_bent(score(probability), scores)) for probability in touched)


def _bent(value: float, scores: Sequence[float]) -> float:
    """Return the score by the rule that belongs to one by the curve: linear between its own, in proportion beyond."""
    after = next((place for place, reached in enumerate(REFLECTED) if value <= reached), None)
    if after is None:
        return value * scores[-1] / REFLECTED[-1]
    if after == 0:
        return value * scores[0] / REFLECTED[0]
    before = after - 1
    share = (value - REFLECTED[before]) / (REFLECTED[after] - REFLECTED[before])
    return scores[before] + share * (scores[after] - scores[before])


def stay(touched: float, other: float = 0.0) -> float:
    """Return the probability that neither of two prices is touched, one above and one below the present price.

    Without another one it is the probability that this one is not touched. Each is touched with the probability given,
    in [0, 1]. It is that of a Brownian motion which touches them with these probabilities (Feller, "An Introduction to
    Probability Theory and Its Applications", volume 2, 1971, section X.5): the sum over reflections at both, or, where
    they are near, over the waves between them.
    """
    most, least = 1 - max(touched, other), max(0.0, 1 - touched - other)
    if most <= 0 or min(touched, other) < LEAST_TOUCH:
        return most
    up, down = score(touched), score(other)
    return min(max(_between(up, down), least), most)


def _between(up: float, down: float) -> float:
    """Return the probability that a Brownian motion stays in (-down, up), distances above 0, for a unit of time."""
    width = up + down
    if width > SERIES:
        return sum(
            _NORMAL.cdf(up + shift)
            - _NORMAL.cdf(shift - down)
            - _NORMAL.cdf(shift - up)
            + _NORMAL.cdf(shift - up - width)
            for shift in (2 * turn * width for turn in range(-TERMS, TERMS + 1))
        )
    waves = range(1, 2 * TERMS, 2)
    return sum(
        4 / (math.pi * wave) * math.sin(math.pi * wave * down / width) * math.exp(-((math.pi * wave / width) ** 2) / 2)
        for wave in waves
    )
