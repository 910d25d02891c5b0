import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crypto_predict.baked.plain import Undecodable
from crypto_predict.baked.tables import packed, unpacked

MOST = 10_000  # rows and members
WEEKLY = [100.0 + day + (3.5 if day % 7 > 4 else 0.25) for day in range(200)]
# Of the digits that prices, figures and counts have, and of all others.
FIGURES = st.integers(-(10**9), 10**9).map(lambda number: number / 10**4)
VALUES = {
    float: FIGURES | st.floats(allow_nan=False),
    int: st.integers(-(2**63), 2**63),
    str: st.dates().map(str) | st.text(max_size=10),
    bool: st.booleans(),
}


@st.composite
def columns(draw: st.DrawFn, length: int) -> list[Any]:
    """Values of one type, some of which may be missing; with repetitions, which fit into a table."""
    values = VALUES[draw(st.sampled_from([*VALUES]))]
    some = draw(st.lists(values | st.none() if draw(st.booleans()) else values, min_size=1, max_size=5))
    return [some[row % len(some)] for row in range(length)]


@st.composite
def lists(draw: st.DrawFn) -> list[Any]:
    """Lists of values, rows and mappings, mostly so long that a table is shorter."""
    length = draw(st.integers(0, 60))
    table = draw(st.lists(columns(length), min_size=1, max_size=4))
    rows = [list(row) for row in zip(*table, strict=True)]
    names = draw(st.lists(st.text(max_size=5), min_size=len(table), max_size=len(table), unique=True))
    return draw(st.sampled_from([table[0], rows, [dict(zip(names, row, strict=True)) for row in rows]]))


PLAIN = st.recursive(
    lists() | st.one_of(*VALUES.values(), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def read(data: Any) -> Any:
    """What a file has of packed data, as plain data again."""
    return unpacked(json.loads(json.dumps(packed(data))), MOST)


@given(PLAIN)
@example([[0.1, -0.0], [5e-324, 1e308]] * 20)
@example([2**53 + 1] * 50)
@example([9007199254740993.0, 0.1234567890123456] * 50)
@example([None] * 50)
@example(["20240517", "2024-05-17"] * 50)
@example([{}] * 50)
@example([[]] * 50)
@example(["table", "rows"] * 2)
def test_what_was_packed_is_the_same_again(data: Any) -> None:
    """To the last digit, and of the same types: 1.0 is not 1."""
    assert read(data) == data
    assert repr(read(data)).replace("-0.0", "0.0") == repr(data).replace("-0.0", "0.0")


@given(PLAIN)
def test_packing_never_makes_data_longer(data: Any) -> None:
    """So that what has room in a model file has room when it is packed."""
    assert len(json.dumps(packed(data), separators=(",", ":"))) <= len(json.dumps(data, separators=(",", ":")))


@pytest.mark.parametrize(
    ("data", "lags"),
    [
        ([0.0525, 0.0175, 0.0031, 0.0125] * 40, []),
        ([20_000.25 + 100 * math.sin(day) // 1 for day in range(100)], [1]),
        ([0.5 + 12.25 * day for day in range(100)], [1, 1]),
        (WEEKLY, [1, 7]),
        ([value + 0.25 * day * (day % 7) for day, value in enumerate(WEEKLY)], [1, 7, 7]),
    ],
    ids=["without a pattern", "a walk", "a line", "a line with weeks", "lines by weekday"],
)
def test_a_column_is_packed_by_the_differences_that_are_smallest(data: list[float], lags: list[int]) -> None:
    mark, table = packed(data)
    assert (mark, table["form"], table["columns"][0]["lags"]) == ("table", "values", lags)
    assert read(data) == data


COLUMN: dict[str, Any] = {"kind": "decimal", "decimals": 1, "lags": [1], "numbers": [1, 2, 3], "missing": [1]}


def table(*columns: dict[str, Any], form: str = "values", names: tuple[str, ...] = ()) -> list[Any]:
    """A packed table."""
    return ["table", {"form": form, "names": [*names], "columns": [*columns]}]


def test_a_table_is_read_as_documented() -> None:
    days = COLUMN | {"kind": "date", "numbers": [738_000, 1, 7], "missing": []}
    whole = COLUMN | {"kind": "whole", "decimals": 0, "missing": []}
    assert unpacked(table(COLUMN), MOST) == [0.1, None, 0.6]
    assert unpacked(table(COLUMN, whole, form="rows"), MOST) == [[0.1, 1], [None, 3], [0.6, 6]]
    assert unpacked({"x": table(days, form="mappings", names=("day",))}, MOST) == {
        "x": [{"day": "2021-07-29"}, {"day": "2021-07-30"}, {"day": "2021-08-06"}]
    }


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (table(COLUMN | {"kind": "k"}), "a table.columns[0]: 'k' is not a kind of column"),
        (table(COLUMN | {"decimals": -1}), "a table.columns[0]: -1 decimals are not 0 to 15"),
        (table(COLUMN | {"lags": [2]}), "a table.columns[0]: lags (2,) are none of ((), (1,)"),
        (table(COLUMN | {"missing": [3]}), "a table.columns[0]: places without a value are not among 3"),
        (table(COLUMN | {"numbers": [0.5]}), "a table.columns[0].numbers[0]: expected a whole number, found 0.5"),
        (table(COLUMN | {"numbers": [2**63]}), "a table.columns[0].numbers[0]: expected a whole number, found 922"),
        (table(COLUMN | {"kind": "date"}), "a table has days outside of the calendar"),
        (table(COLUMN, form="pairs"), "a table: 'pairs' is not a form of table"),
        (table(), "a table: 0 columns do not make values"),
        (table(COLUMN, COLUMN), "a table: 2 columns do not make values"),
        (table(COLUMN, names=("x",)), "a table: 1 names are not those of 1 columns"),
        (table(COLUMN, COLUMN, form="mappings", names=("x", "x")), "a table: 2 names are not those of 2 columns"),
        (table(COLUMN, COLUMN | {"numbers": [1, 2]}, form="rows"), "a table: columns differ in length"),
        (table(COLUMN | {"numbers": [1] * 300_001}), "a table: 300,001 values are more than a table can have"),
        (["table", {}], "a table: missing ['columns', 'form', 'names'], unknown nothing"),
    ],
)
def test_a_faulty_table_is_refused(data: Any, fault: str) -> None:
    """A file may be hostile: nothing in it is believed."""
    if "calendar" in fault:
        data[1]["columns"][0]["numbers"] = [2**40, 1, 1]
    with pytest.raises(Undecodable) as error:
        unpacked({"x": [data]}, MOST)
    assert error.value.faults[0].startswith(fault)


def test_tables_together_have_at_most_so_many_rows_and_members() -> None:
    """A row takes more memory than its number in a column."""
    rows, mappings = table(COLUMN, form="rows"), table(COLUMN, form="mappings", names=("x",))
    assert unpacked(json.loads(json.dumps([rows, mappings])), 9)
    with pytest.raises(Undecodable, match="its tables have more rows and members than a model can have"):
        unpacked([rows, mappings], 8)


ANYTHING = (
    st.none() | st.integers() | st.floats() | st.sampled_from(["rows", "mappings", "date", "x"]) | st.lists(PLAIN)
)


@given(
    st.dictionaries(st.sampled_from([*COLUMN]), ANYTHING), st.dictionaries(st.sampled_from(["form", "names"]), ANYTHING)
)
def test_any_table_gives_plain_data_or_undecodable(column: dict[str, Any], members: dict[str, Any]) -> None:
    data = table(COLUMN | column)
    with suppress(Undecodable):
        assert isinstance(unpacked([data[0], data[1] | members], MOST), list)
