"""The models of a pair beside each other: the best first, and who is better than whom in words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.models import Estimate, PairwiseScore
from crypto_predict.web.page import comparison
from crypto_predict.web.page.comparison import STAYS, Comparison, sentence
from tests.support.models import make_report

COMPARISONS = st.builds(
    Comparison,
    horizon_days=st.just(0),
    forecasts=st.integers(1, 2_000),
    ratio=st.none() | st.just(1.0) | st.floats(0, 9),
    p_value=st.none() | st.floats(0, 1),
)


def pairwise(model: str, other: str, horizon: int, ratio: float, p_value: float = 0.01) -> PairwiseScore:
    return PairwiseScore(model, other, horizon, 1_000, Estimate(ratio, None, None), p_value, "")


def test_the_best_model_is_first_by_all_of_its_horizons_and_one_without_scores_is_left_out() -> None:
    reports = [make_report(name, place) for name, place in (("worst", 5), ("best", 0), ("middle", 3))]
    empty = make_report("empty", 1).__class__("empty", "built in", None, (), 0, 0, None, (), "it failed")
    assert [report.name for report in comparison.ranked([empty, *reports])] == ["best", "middle", "worst"]


def test_two_models_are_compared_in_either_direction() -> None:
    """A ratio of 0.8 is 1.25 from the other side; at a further horizon nobody can say."""
    scores = [pairwise("mine", "combined", 1, 0.8), pairwise("combined", "mine", 7, 1.1, 0.4)]
    scores += [pairwise("garch", "mine", 1, 0.5)]
    assert sentence("mine", "combined", comparison.beside(scores, "mine", "combined")) == (
        "mine is better than combined at 1 day (by 20 %); at 7 days nobody can say."
    )
    assert sentence("combined", "mine", comparison.beside(scores, "combined", "mine")) == (
        "combined is worse than mine at 1 day (by 25 %); at 7 days nobody can say."
    )


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ({1: (0.98, 0.01), 7: (1.2, 0.001)}, "a is better than b at 1 day (by 2.0 %) and worse at 7 days (by 20 %)."),
        ({1: (0.98, 0.06), 7: (1.0, 1.0)}, "Nobody can say whether a or b is better at 1 and 7 days."),
        ({1: (0.98, None)}, "a and b cannot be compared at 1 day: there are too few forecasts."),
        ({1: (3.5, 0.0)}, "a is worse than b at 1 day (by over 100 %)."),
    ],
)
def test_wins_losses_and_doubts_are_said_alike(ratios: dict[int, tuple[float, float | None]], expected: str) -> None:
    assert sentence("a", "b", [Comparison(days, 500, *figures) for days, figures in ratios.items()]) == expected


@given(st.lists(COMPARISONS, min_size=1, max_size=4))
def test_each_horizon_is_in_one_clause(figures: list[Comparison]) -> None:
    """Fewer than 100 forecasts are never judged."""
    comparisons = [figure._replace(horizon_days=days) for figure, days in zip(figures, (1, 7, 30, 90), strict=False)]
    words = sentence("mine", STAYS, comparisons)
    days = re.findall(r"\b(?:1|7|30|90)\b", re.sub(r"\(by .*?\)", "", words))
    assert sorted(map(int, days)) == [compared.horizon_days for compared in comparisons]
    assert words.endswith(".")
    if all(compared.forecasts < comparison.LEAST for compared in comparisons):
        assert "better" not in words
        assert "worse" not in words
