"""What a model file says of each model that was tested: who made it, its scores, and how it compares with the others.

All figures are out of sample: of the backtest, or of the forecasts that were released. Errors are of log price.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, chain, islice
from operator import add, sub

from crypto_predict.market.forecast import LEVELS

NAME = re.compile("[a-z][a-z0-9-]{0,29}")
MOST_MODELS = 12  # of a pair
HINDCAST_HORIZONS = (1, 7, 30)  # days ahead
_NUMBERS = re.compile("(?:-?[0-9]{1,6} )*+-?[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % confidence interval, by block bootstrap; the ends are None with too few forecasts."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ModelScore:
    """The scores of one model at one horizon, over the forecasts whose outcome is known.

    What is relative is so to persistence with a Gaussian distribution of the past year's volatility, at the same
    targets: below 1 is better. It is None if persistence has no error.
    """

    horizon_days: int
    forecasts: int
    relative_mae: Estimate | None
    relative_crps: Estimate | None
    winkler: Estimate  # of the 80 % interval
    relative_winkler: Estimate | None
    coverage_50: Estimate  # the share of outcomes inside the central interval
    coverage_80: Estimate
    coverage_90: Estimate
    pit: tuple[float, ...]  # (10,) the shares of outcomes in each tenth of their distribution; 0.1 each is calibrated
    pit_p_value: float | None  # chi-squared test that they are, on non-overlapping forecasts; None with fewer than ten
    p_value: float | None  # Diebold-Mariano of the CRPS, two-sided, against persistence
    words: str


@dataclass(frozen=True, slots=True)
class PairwiseScore:
    """The CRPS of one model relative to that of another, at their common targets."""

    model: str
    other: str
    horizon_days: int
    forecasts: int
    relative_crps: Estimate | None  # below 1: `model` is better; None if `other` has no error
    p_value: float | None  # Diebold-Mariano, two-sided
    words: str  # "garch is better than gaussian at 1 day by 2.5 %, p < 0.01"


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model in the test of one pair."""

    name: str
    source: str  # "built in", or the path of its file as it was given
    sha256: str | None  # of that file
    requirements: tuple[str, ...]  # the lines of rivals/requirements.txt, for a file
    cutoffs: int  # of the backtest
    fits: int
    first_cutoff: date | None
    scores: tuple[ModelScore, ...]  # by horizon, ascending
    left_out: str | None  # why this release goes without it; None if it is part of it

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if not NAME.fullmatch(self.name):
            yield f"model {self.name!r:.40} is not a name of small letters, digits and hyphens"
        for text in (self.source, *self.requirements, self.left_out or ""):
            if not text.isprintable():
                yield f"model {self.name}: {text!r:.80} is not printable"


Move = tuple[int, int, int]  # low (10 %), point, high (90 %): 10,000 times log price minus that of the cutoff's close


@dataclass(frozen=True, slots=True)
class Hindcast:
    """What a model has forecast in the past, out of sample: from each cutoff the point and its 80 % interval.

    The numbers of `move_text` are read only when they are asked for.
    """

    cutoffs: tuple[int, ...]  # (m,) days since `PairForecast.first`, ascending; each has a candle
    horizons: tuple[int, ...]  # (h,) days ahead, those of `HINDCAST_HORIZONS` that the model has
    text: str  # of the moves (m, h), as `move_text` writes them

    def moves(self) -> list[list[Move]]:
        """Return the forecasts (m, h)."""
        count, numbers = len(self.cutoffs), map(int, self.text.split(" "))
        points, widths = [0] * count, [0] * count
        by_horizon = []
        for _ in self.horizons:
            farther, wider, skews = (accumulate(islice(numbers, count)) for _ in range(3))
            points, widths = list(map(add, points, farther)), list(map(add, widths, wider))
            rows = zip(points, widths, skews, strict=True)
            by_horizon.append([(point - width, point, point + width + skew) for point, width, skew in rows])
        return list(map(list, zip(*by_horizon, strict=True)))

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if not self.cutoffs or list(self.cutoffs) != sorted({*self.cutoffs}) or self.cutoffs[0] < 0:
            yield "cutoffs are not days that ascend"
        if not self.horizons or list(self.horizons) != sorted({*self.horizons} & {*HINDCAST_HORIZONS}):
            yield f"horizons {self.horizons!s:.80} are not some of {HINDCAST_HORIZONS}, ascending"
        expected = len(self.cutoffs) * len(self.horizons) * 3
        if not _NUMBERS.fullmatch(self.text):
            yield "moves are not whole numbers of at most 6 digits, with a space between them"
        elif (count := self.text.count(" ") + 1) != expected:
            yield f"moves have {count} numbers, not {expected}"


def move_text(moves: Sequence[Sequence[Move]]) -> str:
    """Return forecasts (m, h) as the text of a `Hindcast`: numbers that are small where moves are alike.

    For each horizon, one after the other, it has how much farther the points move than at the horizon before, how much
    wider the interval is below them, and how much wider it is above them than below; each of these (m,) as differences
    from the cutoff before. A file has them in half the bytes of the moves themselves.
    """
    columns = list[list[int]]()
    points, widths = [0] * len(moves), [0] * len(moves)
    for at_horizon in zip(*moves, strict=True):
        nearer, narrower = points, widths
        points, widths = [point for _, point, _ in at_horizon], [point - low for low, point, _ in at_horizon]
        skews = [high - 2 * point + low for low, point, high in at_horizon]
        columns += [list(map(sub, points, nearer)), list(map(sub, widths, narrower)), skews]
    differences = (map(sub, column, [0, *column]) for column in columns)
    return " ".join(map(str, chain.from_iterable(differences)))


Quantiles = tuple[tuple[float, ...], ...]


def quantile_faults(models: Mapping[str, Quantiles], days: int, most: int = MOST_MODELS) -> Iterator[str]:
    """Yield the violated rules of the prices, or their logarithms, (days, 7) of each model."""
    if len(models) > most:
        yield f"{len(models)} models are more than a pair can have ({most})"
    for name, quantiles in models.items():
        if not NAME.fullmatch(name):
            yield f"model {name!r:.40} is not a name of small letters, digits and hyphens"
        if len(quantiles) != days:
            yield f"model {name} has {len(quantiles)} days, not {days}"
        elif not all(len(row) == len(LEVELS) and list(row) == sorted(row) for row in quantiles):
            yield f"the quantiles of model {name} are not {len(LEVELS)} that ascend"


def hindcast_faults(hindcasts: Mapping[str, Hindcast], days: int) -> Iterator[str]:
    """Yield the violated rules of what models have forecast in a history of so many `days`."""
    if len(hindcasts) > MOST_MODELS + 2:  # the combined forecast and Prophet
        yield f"hindcasts of {len(hindcasts)} models are more than a pair can have ({MOST_MODELS + 2})"
    for name, hindcast in hindcasts.items():
        if not NAME.fullmatch(name):
            yield f"hindcasts of {name!r:.40}: not a name of small letters, digits and hyphens"
        if hindcast.cutoffs[-1] >= days:
            yield f"hindcasts of {name:.40} end on day {hindcast.cutoffs[-1]} of {days}"
