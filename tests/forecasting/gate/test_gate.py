import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from random import Random

import numpy as np
import pytest

from crypto_predict.baked.schema import Gate, Loss
from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.forecasting.gate.verdict import calibration_faults, champion_faults, verdict
from crypto_predict.market import Pair
from crypto_predict.market.forecast import LEVELS

LIMITS = GateThresholds()
FIRST = date(2021, 1, 4)
BTC, ETH = Pair("BTC", "USD"), Pair("ETH", "USD")


def due(horizon: int, count: int, coverage: float, step: int = 1) -> Forecasts:
    """Return so many forecasts, `step` days apart, with this share of outcomes inside the interval."""
    centre, ends = np.zeros(count), np.linspace(-1, 1, len(LEVELS))
    actual = np.where(np.arange(count) < round(coverage * count), 0.0, 2.0)
    cutoffs = np.arange(0, count * step, step)
    return Forecasts(horizon, cutoffs, actual, centre, centre, np.tile(ends, (count, 1)), deviation=np.ones(count))


@pytest.mark.parametrize("coverage", [0.7, 0.75, 0.8, 0.85, 0.9])
@pytest.mark.parametrize("forecasts", [10, 113, 1000])
def test_an_interval_that_holds_70_to_90_percent_passes(coverage: float, forecasts: int) -> None:
    assert calibration_faults([due(1, forecasts, coverage)], LIMITS) == []


@pytest.mark.parametrize("coverage", [0.0, 0.69, 0.91, 1.0])
def test_with_plenty_of_forecasts_any_other_is_refused_at_every_horizon(coverage: float) -> None:
    """A horizon without forecasts is not judged."""
    fault, other = calibration_faults(
        [due(1, 400, coverage), due(7, 400, 0.8), due(30, 400, 0.2), due(90, 0, 0)], LIMITS
    )
    assert "30 days ahead" in other
    assert fault.startswith(f"calibration: {coverage:.1%} of the outcomes 1 day ahead lie inside the 80% interval")
    assert "400 forecasts (400 without overlap); 70% to 90% are allowed" in fault


@pytest.mark.parametrize(
    ("horizon", "step", "coverage", "refused"),
    [
        (1, 16, 0.68, False),
        (1, 16, 0.60, True),
        (1, 16, 0.95, True),
        (90, 16, 0.60, False),
        (90, 16, 0.35, True),
        (90, 16, 1.0, False),
        (30, 1, 0.0, False),
        (90, 1, 0.0, False),
    ],
)
def test_only_forecasts_without_overlap_count(horizon: int, step: int, coverage: float, *, refused: bool) -> None:
    """113 forecasts over 90 days from cutoffs 16 days apart are worth 19, and from every day 2."""
    assert bool(calibration_faults([due(horizon, 113, coverage, step)], LIMITS)) is refused


@pytest.mark.parametrize("forecasts", [1, 5, 20, 35, 57, 113, 200, 400, 1500])
def test_a_calibrated_interval_is_refused_by_bad_luck_once_in_a_thousand_times_at_most(forecasts: int) -> None:
    """A gate that refuses by chance would be bypassed."""
    refused = [k for k in range(forecasts + 1) if calibration_faults([due(1, forecasts, k / forecasts)], LIMITS)]
    luck = math.fsum(math.comb(forecasts, k) * 4**k / 5**forecasts for k in refused)
    assert luck <= 0.001
    assert refused or forecasts == 1


def lost(
    error: Callable[[int, int], float],
    *,
    horizons: Sequence[int] = (1, 7, 30, 90),
    weeks: int = 150,
    first: date = FIRST,
    winkler: Callable[[int, int], float] | None = None,
) -> list[Loss]:
    """Losses, one cutoff a week, that are these functions of horizon and week."""
    return [
        Loss(first + timedelta(weeks=week), horizon, error(horizon, week), (winkler or error)(horizon, week))
        for week in range(weeks)
        for horizon in horizons
    ]


def noise(seed: int) -> Callable[[int, int], float]:
    """Losses proportional to the root of the horizon, reproducible from the seed."""
    return lambda horizon, week: math.sqrt(horizon) * (0.01 + 0.03 * Random(f"{seed} {horizon} {week}").random())


MARKET = noise(0)


def test_a_model_that_is_worse_beyond_chance_is_refused_with_every_figure() -> None:
    worse = lost(lambda horizon, week: MARKET(horizon, week) * (1.1 if horizon == 7 else 1.0))
    first, second = champion_faults(worse, lost(MARKET), LIMITS)
    assert first.startswith("worse: 7 days ahead the mean absolute log error over 150 common cutoffs is ")
    assert "10.0% above the " in first
    assert "the mean Winkler score over 150" in second


@pytest.mark.parametrize("factor", [1.0, 1.0 + 1e-12, 1.009, 0.5])
def test_a_model_that_is_as_good_or_better_passes(factor: float) -> None:
    """A difference of rounding can be as significant as a real one; it does not matter."""
    assert champion_faults(lost(lambda h, w: MARKET(h, w) * factor), lost(MARKET), LIMITS) == []


def test_a_worse_interval_alone_is_refused_too() -> None:
    worse = lost(MARKET, winkler=lambda horizon, week: 1.2 * MARKET(horizon, week), horizons=(30,))
    [fault] = champion_faults(worse, lost(MARKET), LIMITS)
    assert fault.startswith("worse: 30 days ahead the mean Winkler score")


def lasting(seed: int) -> Callable[[int, int], float]:
    """Losses over overlapping spans: those of one week are nearly those of the next."""
    weeks = [0.01 + 0.03 * Random(f"{seed} {week}").random() for week in range(120)]
    return lambda horizon, week: sum(weeks[week : week + math.ceil(horizon / 7)])


@pytest.mark.parametrize("losses", [noise, lasting])
def test_models_that_differ_by_chance_pass(losses: Callable[[int], Callable[[int, int], float]]) -> None:
    """Of 150 successors that are exactly as good as their champions, at most a few may be refused: 1 % is allowed."""
    duels = [(lost(losses(seed), weeks=100), lost(losses(-seed), weeks=100)) for seed in range(1, 151)]
    assert sum(bool(champion_faults(successor, champion, LIMITS)) for successor, champion in duels) <= 4


@pytest.mark.parametrize(("weeks", "refused"), [(25, False), (26, True)])
def test_fewer_common_cutoffs_than_half_a_year_give_no_verdict(weeks: int, *, refused: bool) -> None:
    worse = lost(lambda horizon, week: 3 * MARKET(horizon, week), horizons=(1,), weeks=weeks)
    assert bool(champion_faults(worse, lost(MARKET), LIMITS)) is refused


def test_only_cutoffs_and_horizons_that_both_have_are_compared() -> None:
    """A successor has later cutoffs than its champion, and may have other horizons."""
    champion = lost(MARKET, weeks=150, horizons=(1, 7))
    later = lost(
        lambda horizon, week: MARKET(horizon, week + 50) if week < 100 else 10.0,
        first=FIRST + timedelta(weeks=50),
        horizons=(7, 30),
    )
    assert champion_faults(later, champion, LIMITS) == []
    elsewhere = lost(lambda h, w: 3 * MARKET(h, w), first=FIRST + timedelta(days=1))
    assert champion_faults(elsewhere, champion, LIMITS) == []
    assert champion_faults(later, [], LIMITS) == []


def test_a_champion_without_errors_is_compared_without_dividing_by_zero() -> None:
    faults = champion_faults(lost(MARKET, horizons=(1,)), lost(lambda *_: 0.0), LIMITS)
    assert len(faults) == 2


def test_the_verdict_holds_every_reason_of_every_pair_and_the_thresholds() -> None:
    reasons = {BTC: ["stale", "worse"], ETH: [], Pair("LTC", "USD"): ["flat"]}
    gate = verdict(reasons, LIMITS, enforced=False)
    assert gate == Gate(
        passed=False,
        enforced=False,
        reasons=("BTC/USD: stale", "BTC/USD: worse", "LTC/USD: flat"),
        thresholds=LIMITS.as_numbers(),
    )
    assert gate.thresholds["stalest_hours"] == 48
    assert verdict({BTC: []}, LIMITS, enforced=True).passed


def test_the_environment_overrides_every_threshold() -> None:
    numbers = GateThresholds().as_numbers()
    changed = GateThresholds.from_environ({f"GATE_{name.upper()}": str(value + 1) for name, value in numbers.items()})
    assert changed.as_numbers() == {name: value + 1 for name, value in numbers.items()}
    assert GateThresholds.from_environ({"GATE_STALEST_HOURS": ""}) == GateThresholds()


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("GATE_STALEST_HOURS", "soon", "a number from 0 up"),
        ("GATE_STALEST_HOURS", "nan", "a number from 0 up"),
        ("GATE_MOST_MISSING", "-0.1", "a number from 0 up"),
        ("GATE_WORSE_P", "inf", "a number from 0 up"),
        ("GATE_LONGEST_GAP", "1.5", "a whole number from 0 up"),
        ("GATE_LEAST_COMMON", "x" * 500, "a whole number from 0 up"),
    ],
)
def test_a_faulty_threshold_is_named_with_its_value(variable: str, text: str, expected: str) -> None:
    with pytest.raises(InvalidValue) as error:
        GateThresholds.from_environ({variable: text})
    assert (error.value.name, error.value.value, error.value.expected) == (variable, text, expected)
