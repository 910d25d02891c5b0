"""What is baked of the past forecasts of a model."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.models import HINDCAST_HORIZONS, Hindcast, Move, hindcast_faults, move_text
from crypto_predict.forecasting.evaluation.harness import Issued
from crypto_predict.forecasting.evaluation.hindcasts import DAILY, LONGEST, hindcast
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray
from tests.support.histories import make_history

SERIES = DailySeries.of(make_history(2_600, missing=frozenset({2_400, 2_500})))
MOVES = st.tuples(*[st.integers(-(2**15 - 1), 2**15 - 1)] * 3)
FIRST = int(SERIES.days[300])
HORIZONS = (1, 2, 3, 5, 7, 14, 30, 60, 90)


def issued(cutoffs: list[int], horizons: tuple[int, ...] = HORIZONS, **changes: Any) -> Issued:
    """Forecasts that lie 1, 2 and so on thousandths of log price times the horizon above the close."""
    closes = SERIES.log_close[cutoffs][:, None, None]
    quantiles = closes + 1e-3 * np.arange(1, 8) * np.array(horizons)[:, None]
    fields = {"points": quantiles[:, :, 3], "quantiles": quantiles, "ahead": None, "fits": 1, "seconds": 0.0}
    return Issued("mine", np.array(cutoffs), horizons, **(fields | changes))


def moves_of(baked: Hindcast) -> FloatArray:
    """Return (m, horizons, 3) moves of log price."""
    return np.array(baked.moves()) * 1e-4


def test_moves_are_those_of_the_ends_and_the_point_from_the_close_of_the_cutoff() -> None:
    baked = hindcast(issued([2_300, 2_599]), SERIES, FIRST)
    assert baked is not None
    assert baked.cutoffs == (2_000, 2_299)
    assert baked.horizons == HINDCAST_HORIZONS
    expected = 1e-3 * np.array([2, 4, 6]) * np.array(HINDCAST_HORIZONS)[:, None]
    assert np.abs(moves_of(baked) - expected).max() <= 0.51e-4


def test_recent_cutoffs_are_daily_and_earlier_ones_weekly_on_the_day_of_the_newest() -> None:
    """A rival is tested on that day of each week, too: the same days can be shown of all models."""
    baked = hindcast(issued(list(range(2_600))), SERIES, FIRST)
    weekly = hindcast(issued(list(range(2, 2_600, 7))), SERIES, FIRST)
    assert baked is not None
    assert weekly is not None
    ages = np.array([2_299 - cutoff for cutoff in baked.cutoffs])
    assert set(ages[ages < DAILY]) == set(range(DAILY)) - {99, 199}  # those without a candle
    assert {*ages[ages >= DAILY] % 7} == {0}
    assert ages.max() < LONGEST
    assert {*weekly.cutoffs} <= {*baked.cutoffs}
    assert len(baked.cutoffs) < 700


def test_a_cutoff_without_a_forecast_and_a_horizon_that_is_rare_are_left_out() -> None:
    points = issued(list(range(2_500, 2_600))).points.copy()
    points[10] = np.nan
    points[1:, HORIZONS.index(14)] = np.nan
    baked = hindcast(issued(list(range(2_500, 2_600)), points=points), SERIES, FIRST)
    assert baked is not None
    assert 14 not in baked.horizons
    assert 2_510 - 300 not in baked.cutoffs
    assert len(baked.cutoffs) == 98  # the day 2,500 has no candle


def test_a_model_without_forecasts_since_the_first_day_has_none() -> None:
    assert hindcast(issued([10, 200]), SERIES, FIRST) is None
    assert hindcast(issued([2_000], (60, 90)), SERIES, FIRST) is None


def test_far_moves_are_clipped() -> None:
    far = issued([2_000])
    baked = hindcast(issued([2_000], quantiles=far.quantiles + 100), SERIES, FIRST)
    assert baked is not None
    assert moves_of(baked)[:, :, 2].min() == moves_of(baked).max() == 3.2767


@given(
    st.lists(st.integers(0, 2_599), min_size=1, max_size=50, unique=True).map(sorted),
    st.lists(st.sampled_from(HORIZONS), min_size=1, unique=True).map(sorted).map(tuple),
)
def test_whatever_is_baked_is_sound(cutoffs: list[int], horizons: tuple[int, ...]) -> None:
    baked = hindcast(issued(cutoffs, horizons), SERIES, FIRST)
    if baked is not None:
        assert not [*baked.faults(), *hindcast_faults({"mine": baked}, 2_300)]
        assert np.isfinite(moves_of(baked)).all()


@given(st.integers(1, 4).flatmap(lambda count: st.lists(st.tuples(*[MOVES] * count), min_size=1, max_size=20)))
def test_moves_are_read_as_they_were_written(moves: list[tuple[Move, ...]]) -> None:
    """Whatever a model has forecast: also a point outside of its interval, and ends that are clipped."""
    text = move_text(moves)
    assert Hindcast(tuple(range(len(moves))), HINDCAST_HORIZONS[:1] * len(moves[0]), text).moves() == [
        *map(list, moves)
    ]
    assert all(len(number.removeprefix("-")) <= 6 for number in text.split(" "))


def test_damaged_hindcasts_are_found() -> None:
    sound = Hindcast((1, 5), (1, 7), move_text([[(0, 0, 0), (0, 0, 0)]] * 2))
    assert not [*sound.faults()]
    for damaged, fault in (
        (Hindcast((), (1,), ""), "cutoffs are not days that ascend"),
        (Hindcast((5, 1), (1, 7), sound.text), "cutoffs are not days that ascend"),
        (Hindcast((-1, 1), (1, 7), sound.text), "cutoffs are not days that ascend"),
        (Hindcast((1, 5), (1, 8), sound.text), "horizons (1, 8) are not some of"),
        (Hindcast((1, 5), (1,), sound.text), "moves have 12 numbers, not 6"),
        (Hindcast((1,), (1,), "1 2 -"), "moves are not whole numbers"),
        (Hindcast((1,), (1,), "1 2 1234567"), "moves are not whole numbers"),
    ):
        assert next(iter(damaged.faults())).startswith(fault)
    assert next(iter(hindcast_faults({"mine": sound}, 5))) == "hindcasts of mine end on day 5 of 5"
    assert next(iter(hindcast_faults({"Mine": sound}, 6))).startswith("hindcasts of 'Mine'")
