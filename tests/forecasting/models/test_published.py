"""Forecasts from a CSV as people have them."""

import math
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.forecasting.evaluation.harness import Issued, published
from crypto_predict.forecasting.models.contract import ModelFailed
from crypto_predict.forecasting.models.published import read_published
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.market.forecast import LEVELS
from tests.support.histories import START, make_history, wandering

HEADER = "cutoff,target,level,price\n"
PLACE = date(2025, 1, 31).toordinal(), 7
ROWS = "2025-01-31,2025-02-07,0.1,93000.5\n2025-01-31,2025-02-07,0.9,112000\n"
HISTORY = make_history(200)
SERIES = DailySeries.of(HISTORY)


def written(folder: Path, text: str) -> Path:
    path = folder / "theirs.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        HEADER + ROWS,
        "\ufeff" + HEADER + ROWS,
        (HEADER + ROWS).replace("\n", "\r\n") + "\r\n\r\n",
        (HEADER + ROWS).replace(",", ";").replace(".", ","),
        (HEADER + ROWS).replace(",", "\t"),
        (HEADER + ROWS).replace(",", " , ").title(),
        "level,model,price,target,cutoff\n0.9,mine,112000,2025-02-07,2025-01-31\n0.1,mine,93000.5,2025-02-07,2025-01-31\n",
        HEADER + ROWS.replace("2025-01-31", "2025-01-31T23:59:59Z").replace("2025-02-07", "2025-02-07 00:00:00+00:00"),
        HEADER + ROWS.replace("2025-01-31", "2025-02-01T03:00:00+08:00"),
        HEADER + ROWS.replace("-", ""),
        HEADER + ROWS + ROWS,
        HEADER + ROWS + "2025-01-31,2025-02-07,,101000\n",
    ],
    ids=[
        "plain", "byte order mark", "lines of Windows", "semicolons", "tabs", "spaces and capitals", "another order",
        "date-times", "offset", "no hyphens", "repeated rows", "a point beside quantiles",
    ],
)  # fmt: skip
def test_the_same_forecast_is_read_however_it_is_written(tmp_path: Path, text: str) -> None:
    forecasts, are_points = read_published(written(tmp_path, text))
    assert list(forecasts) == [PLACE]
    assert not are_points
    low, high = forecasts[PLACE][LEVELS.index(0.1)], forecasts[PLACE][LEVELS.index(0.9)]
    assert (math.exp(low), math.exp(high)) == pytest.approx((93000.5, 112000))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEADER + "2025-01-31,2025-02-07,10,93000\n", "row 2: the level '10' is not between 0 and 1; 10 % is written"),
        (HEADER + ROWS + "2025-01-31,2025-02-07,50%,9e4\n", "row 4: the level '50%' is not between 0 and 1"),
        (HEADER + "2025-01-31,2025-02-07,1,93000\n", "row 2: the level '1' is not between 0 and 1"),
        (HEADER + "31.01.2025,2025-02-07,0.1,93000\n", "row 2: the cutoff '31.01.2025' is not a day such as"),
        (HEADER + "2025-01-31,,0.1,93000\n", "row 2: the target '' is not a day"),
        (HEADER + "2025-01-31,2025-02-07 14:00,0.1,9\n", "row 2: the target '2025-02-07 14:00' is not a day"),
        (HEADER + "2025-01-31,2025-01-31,0.1,93000\n", "row 2: the target '2025-01-31' is not after its cutoff"),
        (HEADER + "2025-01-31,2025-02-07,0.1,-5\n", "row 2: the price '-5' is not a positive number"),
        (HEADER + "2025-01-31,2025-02-07,0.1,\n", "row 2: the price '' is not a positive number"),
        (HEADER + "2025-01-31,2025-02-07,0.1,inf\n", "row 2: the price 'inf' is not a positive number"),
        (HEADER + ROWS + ROWS.replace("93000.5", "93001"), "row 4: the price '93001' is not that of an earlier row"),
        (HEADER + "2025-01-31,2025-02-07,0.1,93,000\n", "cannot be read: Length of header"),
        (HEADER + ROWS.replace("0.9", "0.05"), "the quantiles of a forecast cross"),
        (HEADER + "2025-01-31,2025-02-07,0.1,93000\n", "a forecast has fewer than two levels"),
        (HEADER, "has no rows"),
        ("", "cannot be read: No columns"),
        ("day,price\n2025-01-31,5\n", "has no column cutoff, target"),
        ("\0\0\0", "has no column"),
    ],
)
def test_what_is_wrong_is_named_with_its_row_and_value(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ModelFailed) as failed:
        read_published(written(tmp_path, text))
    assert reason in failed.value.reason
    assert len(failed.value.reason.splitlines()) == 1


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelFailed, match="cannot be read"):
        read_published(tmp_path / name)


@given(
    levels=st.sets(st.floats(0.01, 0.99), min_size=2, max_size=9).filter(
        lambda levels: all(high - low > 1e-3 for low, high in pairwise(sorted(levels)))
    ),
    centre=st.floats(5, 15),
    width=st.floats(1e-3, 1),
)
def test_any_levels_of_a_lognormal_price_give_it_back_at_ours(
    tmp_path_factory: pytest.TempPathFactory, levels: set[float], centre: float, width: float
) -> None:
    """Hubs publish 23 quantiles, papers three."""
    normal = NormalDist(centre, width)
    rows = [f"2025-01-31,2025-02-07,{level!r},{math.exp(normal.inv_cdf(level))!r}\n" for level in levels]
    forecasts, _ = read_published(written(tmp_path_factory.getbasetemp(), HEADER + "".join(rows)))
    assert forecasts[PLACE] == pytest.approx([normal.inv_cdf(level) for level in LEVELS], abs=1e-6)


def theirs(folder: Path, *rows: tuple[int, int, str, float], horizons: tuple[int, ...] = (1, 7)) -> Issued:
    """Return the forecasts of a file; its days are numbered from the first one of the history."""
    lines = (
        f"{START.date() + timedelta(days=cutoff)},{START.date() + timedelta(days=target)},{level},{price}\n"
        for cutoff, target, level, price in rows
    )
    return published("theirs", written(folder, HEADER + "".join(lines)), HISTORY, horizons)


def test_forecasts_of_other_days_and_horizons_are_left_out(tmp_path: Path) -> None:
    """A target beyond the history is not due yet, and a cutoff before or after it cannot be scored.

    Nor can one before persistence has thirty moves to learn its distribution from.
    """
    days = (-5, 10, 50, 60, 195, 230)
    spans = [(day, ahead) for day in days for ahead in (1, 3, 7)]
    issued = theirs(
        tmp_path, *((day, day + ahead, str(level), 2e4 * (1 + level)) for day, ahead in spans for level in (0.1, 0.9))
    )
    assert issued.cutoffs.tolist() == [10, 50, 60, 195]
    assert issued.forecasts(SERIES, 1).cutoffs.tolist() == [50, 60, 195]
    assert issued.forecasts(SERIES, 7).cutoffs.tolist() == [50, 60]
    assert issued.ahead is None


def test_points_alone_get_a_range_of_their_own_errors(tmp_path: Path) -> None:
    points = [(day, day + 1, "", wandering(day)) for day in range(60, 180)]
    issued = theirs(tmp_path, *points, horizons=(1,))
    medians = theirs(tmp_path, *((*point[:2], "0.5", point[3]) for point in points), horizons=(1,))
    assert issued.points[:, 0] == pytest.approx(np.log([point[3] for point in points]))
    assert (np.diff(issued.quantiles, axis=2) > 0).all()
    assert np.array_equal(issued.quantiles, medians.quantiles)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_unicode_text_of_a_spreadsheet_is_utf_16(tmp_path: Path, encoding: str) -> None:
    text = (HEADER + ROWS).replace(",", "\t")
    (tmp_path / "theirs.csv").write_bytes((text if encoding == "utf-16" else f"\ufeff{text}").encode(encoding))
    assert list(read_published(tmp_path / "theirs.csv")[0]) == [PLACE]
    (tmp_path / "theirs.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ModelFailed, match="cannot be read"):
        read_published(tmp_path / "theirs.csv")


def test_points_of_every_day_of_a_year_are_served_with_ranges_that_widen(tmp_path: Path) -> None:
    """The ranges of days that are not scored are those of any model that forecasts points."""
    points = [
        *((day, day + ahead, "", wandering(day)) for day in range(60, 199) for ahead in (1, 7)),
        *((199, 199 + ahead, "", wandering(199)) for ahead in range(1, 366)),
    ]
    issued = theirs(tmp_path, *points)
    assert issued.ahead is not None
    width = issued.ahead[:, -1] - issued.ahead[:, 0]
    assert issued.ahead[:, LEVELS.index(0.5)] == pytest.approx(np.full(365, math.log(wandering(199))))
    assert (np.diff(width) > -1e-9).all()
    assert width[364] > width[89] > width[29] > width[0] > 0
    assert issued.ahead[6] == pytest.approx(issued.quantiles[-1, issued.horizons.index(7)])
    assert theirs(tmp_path, *points[:-1]).ahead is None


def test_a_file_that_reaches_a_year_ahead_of_the_newest_day_can_be_served(tmp_path: Path) -> None:
    rows = [(199, 199 + ahead, str(level), 2e4 * (1 + level)) for ahead in range(1, 366) for level in (0.1, 0.9)]
    issued = theirs(tmp_path, *rows)
    assert issued.ahead is not None
    assert issued.ahead.shape == (365, len(LEVELS))
    assert theirs(tmp_path, *rows[2:]).ahead is None


@pytest.mark.parametrize(("cutoff", "price"), [(230, 2e4), (10, 5.0), (10, 1e9)])
def test_forecasts_that_cannot_be_of_this_market_exclude_the_file(tmp_path: Path, cutoff: int, price: float) -> None:
    """Of another pair, in thousands, or of another time."""
    with pytest.raises(ModelFailed, match=r"no forecast at a day of the history|1,000 times off the close"):
        theirs(tmp_path, (cutoff, cutoff + 7, "0.1", price), (cutoff, cutoff + 7, "0.9", price))
