import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.sources.network.wire import Malformed, decimal, instant, milliseconds, number, rows, whole

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda value: st.lists(value, max_size=3) | st.dictionaries(st.text(), value, max_size=3),
    max_leaves=5,
)


@given(value=st.floats())
def test_a_number_is_read_as_it_is_written(value: float) -> None:
    """Also NaN and infinity: `history` judges values."""
    for result in (number(value, "n"), decimal(value, "n"), decimal(repr(value), "n")):
        assert result == value or (math.isnan(result) and math.isnan(value))


@given(value=st.integers(-(10**18) + 1, 10**18 - 1))
def test_a_whole_number_may_be_text(value: int) -> None:
    assert whole(value, "n") == whole(str(value), "n") == value


@given(value=anything)
def test_any_other_value_is_malformed_and_not_quoted(value: Any) -> None:
    """An exchange can send every value of JSON in place of a number."""
    for read in (number, decimal, whole, instant):
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            with pytest.raises(Malformed, match="'n' is missing or not a"):
                read(value, "n")
        else:
            with suppress(Malformed):
                assert isinstance(read(value, "n"), (int, float, datetime))


@pytest.mark.parametrize(
    "text", ["", " ", " 1", "1\n", "1_0", "\uff11", "\u0661", "0x10", "1,5", "--1", "1 2", "1e", "nan(1)", "1" * 5000]
)
def test_a_text_that_is_not_a_decimal_number_is_malformed(text: str) -> None:
    """Python's `float` alone accepts some of them."""
    with pytest.raises(Malformed, match="'n' is missing or not a whole number"):
        whole(text, "n")
    if text != "1" * 5000:
        with pytest.raises(Malformed, match="'n' is missing or not a number"):
            decimal(text, "n")


@given(moment=st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_as_milliseconds(moment: datetime) -> None:
    time = instant(milliseconds(moment), "t")
    assert timedelta(0) <= moment - time < timedelta(milliseconds=1)
    assert instant(str(milliseconds(moment)), "t") == time


@pytest.mark.parametrize("value", [1_735_689_600_000_000, -(10**15), 10**17])
def test_an_instant_beyond_the_calendar_is_malformed(value: int) -> None:
    with pytest.raises(Malformed, match="'t' is out of range; it should be in milliseconds"):
        instant(value, "t")


def test_no_more_rows_are_read_than_were_asked_for() -> None:
    assert rows([1, 2], "candles", 2) == [1, 2]
    with pytest.raises(Malformed, match="3 candles, and no more than 2 were asked for"):
        rows([1, 2, 3], "candles", 2)
    with pytest.raises(Malformed, match="no list of candles"):
        rows({}, "candles", 2)
