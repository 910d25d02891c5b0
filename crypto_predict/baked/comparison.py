"""The verdict on a forecast whose errors are compared with those of persistence: what counts as a difference."""

from enum import Enum

SIGNIFICANCE = 0.05  # two-sided; the p value below which a difference is more than chance
LEAST_DIFFERENCE = 0.0005  # of an error relative to another: less reads as 0.0 %, however significant


class Verdict(Enum):
    """The result of a comparison of errors with persistence."""

    BETTER = "better than persistence"
    WORSE = "worse than persistence"
    SAME = "no better than persistence"
    PERSISTENCE = "it is persistence, no candidate has earned a weight"
    UNKNOWN = "not comparable with persistence (too few forecasts, or a price that never moved)"


def verdict(relative_mae: float | None, p_value: float | None) -> Verdict:
    """Judge whether an error relative to persistence's differs from 1 significantly."""
    if relative_mae is None or p_value is None:
        return Verdict.UNKNOWN
    if p_value < SIGNIFICANCE and abs(1 - relative_mae) >= LEAST_DIFFERENCE:
        return Verdict.BETTER if relative_mae < 1 else Verdict.WORSE
    return Verdict.PERSISTENCE if relative_mae == 1 and p_value == 1 else Verdict.SAME
