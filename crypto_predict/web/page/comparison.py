"""The models of a pair beside each other: the best first, and in words who is better, and where nobody can say.

The measure is the CRPS, as in `ModelScore` and `PairwiseScore`: the error of a whole forecast, its ranges included.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple, Protocol, TypeVar

from crypto_predict.baked.models import Estimate, ModelScore, PairwiseScore
from crypto_predict.baked.schema import Verdict, verdict
from crypto_predict.wording import days_listed, listed

LEAST = 100  # outcomes, of published forecasts of different days; fewer are not judged
STAYS = '"the price stays as it is"'


class Scored(Protocol):
    """A model with its scores: in the backtest, or as published."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def scores(self) -> tuple[ModelScore, ...]:
        """Return its scores by horizon, ascending."""


Model = TypeVar("Model", bound=Scored)


class Comparison(NamedTuple):
    """One model beside another one, or beside persistence, at one horizon."""

    horizon_days: int
    forecasts: int
    ratio: float | None  # of its CRPS to that of the other
    p_value: float | None

    def verdict(self) -> Verdict:
        """Judge whether the first model is better; fewer than `LEAST` forecasts are not judged."""
        return Verdict.UNKNOWN if self.forecasts < LEAST else verdict(self.ratio, self.p_value)


def ranked(models: Sequence[Model]) -> list[Model]:
    """Return the models that were scored, the best first: by the geometric mean of their `relative_crps`."""

    def mean(model: Model) -> float:
        ratios = [score.relative_crps.value for score in model.scores if score.relative_crps]
        logs = [math.log(ratio) for ratio in ratios if ratio > 0]
        return sum(logs) / len(logs) if logs else math.inf

    return sorted((model for model in models if model.scores), key=mean)


def beside_persistence(model: Scored) -> list[Comparison]:
    """Return a model beside persistence, at each of its horizons."""
    return [
        Comparison(score.horizon_days, score.forecasts, _value(score.relative_crps), score.p_value)
        for score in model.scores
    ]


def beside(pairwise: Sequence[PairwiseScore], name: str, other: str) -> list[Comparison]:
    """Return one model beside another one, at each horizon at which they were compared."""
    comparisons = []
    for score in pairwise:
        if {score.model, score.other} == {name, other}:
            ratio = _value(score.relative_crps)
            turned = 1 / ratio if score.model == other and ratio else ratio
            comparisons.append(Comparison(score.horizon_days, score.forecasts, turned, score.p_value))
    return comparisons


def in_words(models: Sequence[Scored], pairwise: Sequence[PairwiseScore]) -> Iterator[str]:
    """Yield a sentence for each model and persistence, and for every two models; the best models first."""
    best_first = ranked(models)
    for model in best_first:
        yield sentence(model.name, STAYS, beside_persistence(model))
    for model, other in combinations(best_first, 2):
        if comparisons := beside(pairwise, model.name, other.name):
            yield sentence(model.name, other.name, comparisons)


def sentence(name: str, other: str, comparisons: Sequence[Comparison]) -> str:
    """Return who is better at which horizons, and where nobody can say."""
    by_verdict: dict[Verdict, list[Comparison]] = {}
    for comparison in comparisons:
        by_verdict.setdefault(comparison.verdict(), []).append(comparison)
    better, worse = by_verdict.get(Verdict.BETTER, []), by_verdict.get(Verdict.WORSE, [])
    few = by_verdict.get(Verdict.UNKNOWN, [])
    same = [comparison for comparison in comparisons if comparison not in (*better, *worse, *few)]
    clauses = [
        f"{word} {_at(group)} (by {listed([percent(comparison.ratio or 0.0) for comparison in group])})"
        for word, group in (("better", better), ("worse", worse))
        if group
    ]
    sentences = []
    if clauses:
        first = clauses[0].replace(" at ", f" than {other} at ", 1)
        doubt = f"; {_at(same)} nobody can say" if same else ""
        sentences.append(f"{name} is {listed([first, *clauses[1:]])}{doubt}.")
    elif same:
        sentences.append(f"Nobody can say whether {name} or {other} is better {_at(same)}.")
    if few:
        sentences.append(f"{name} and {other} cannot be compared {_at(few)}: there are too few forecasts.")
    return " ".join(sentences)


def by_horizon(model: Scored) -> dict[int, ModelScore]:
    """Return the scores of a model by the days ahead."""
    return {score.horizon_days: score for score in model.scores}


def horizons(models: Sequence[Scored]) -> list[int]:
    """Return the days ahead at which any of the models was scored, ascending."""
    return sorted({score.horizon_days for model in models for score in model.scores})


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _at(comparisons: Sequence[Comparison]) -> str:
    return f"at {days_listed([comparison.horizon_days for comparison in comparisons])}"


def percent(ratio: float) -> str:
    """Format how far a ratio is from 1: ``8.6 %``, ``35 %``, ``over 100 %``."""
    share = 100 * abs(1 - ratio)
    if share > 100:
        return "over 100 %"
    return f"{share:.0f} %" if share >= 10 else f"{share:.1f} %"
