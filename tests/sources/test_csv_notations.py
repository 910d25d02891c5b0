"""Dates and numbers in the notations of several countries, and what the whole of a file decides."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.history import read_history
from crypto_predict.market import EPOCH, Interval, Pair, Span
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.csv_file import CsvFile
from crypto_predict.sources.csv_file.notations import DayOrder, day_order, decimal_mark, instant, number
from crypto_predict.sources.simulated import Simulated
from tests.support.histories import read_candles

DAY = timedelta(days=1)
BOTH = {DayOrder.DAY_FIRST: "%d/%m/%Y", DayOrder.MONTH_FIRST: "%m/%d/%Y"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jun 30, 2025", "2025-06-30T00:00:00"),
        ("June 3, 2025", "2025-06-03T00:00:00"),
        ("Mon, Jun 30, 2025", "2025-06-30T00:00:00"),
        ("30 Jun 2025", "2025-06-30T00:00:00"),
        ("30-Jun-25", "2025-06-30T00:00:00"),
        ("30. M\u00e4rz 2025", "2025-03-30T00:00:00"),
        ("1 Okt 2025 07:30", "2025-10-01T07:30:00"),
        ("06/30/25 01:05 PM", "2025-06-30T13:05:00"),
        ("06-30-2025 12:05:09 am", "2025-06-30T00:05:09"),
        ("06/30/2025 00:00:00.000 GMT+0000", "2025-06-30T00:00:00"),
        ("2025-06-30 01-PM", "2025-06-30T13:00:00"),
        ("2025.06.30 14:00", "2025-06-30T14:00:00"),
        ("2025-06-30 00:00:00 UTC", "2025-06-30T00:00:00"),
        ("20250630", "2025-06-30T00:00:00"),
        ("2025-06-30", "2025-06-30T00:00:00"),  # without an offset it is UTC
        ("2025-06-30T00:00Z", "2025-06-30T00:00:00"),
        ("2025-06-30T00:00:00.000000+00:00", "2025-06-30T00:00:00"),
        ("2025-06-30T05:30+05:30", "2025-06-30T00:00:00"),
        ("2025-06-29T19:00:00-05:00", "2025-06-30T00:00:00"),
        ("1751241600", "2025-06-30T00:00:00"),
        ("1751241600000000", "2025-06-30T00:00:00"),
    ],
)
def test_a_time_is_read_in_many_notations(text: str, expected: str) -> None:
    assert instant(text, DayOrder.MONTH_FIRST) == datetime.fromisoformat(f"{expected}Z")


@pytest.mark.parametrize(
    "text",
    ["", "soon", "13/13/2025", "Foo 3, 2025", "06/30/2025 25:00", "06/30/2025 13:00 PM", "06/30/2025 noon", "45838"],
)
def test_what_is_not_a_time_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write 2025-06-30"):
        instant(text, DayOrder.MONTH_FIRST)


@given(first=st.dates(date(2010, 1, 1), date(2060, 1, 1)), days=st.integers(12, 400), order=st.sampled_from(DayOrder))
def test_consecutive_days_decide_the_order_of_day_and_month(first: date, days: int, order: DayOrder) -> None:
    """Twelve days in a row fit one order only, also where no number is above 12."""
    dates = [first + day * DAY for day in range(days)]
    texts = [f"{day:{BOTH[order]}}" for day in dates]
    decided = day_order(texts)
    assert decided is not None
    assert [instant(text, decided[0]).date() for text in texts] == dates
    assert decided[1] in texts


@pytest.mark.parametrize("texts", [[], ["2025-06-30"], ["01/01/2025", "02/02/2025"], ["Jun 30, 2025"]])
def test_dates_that_have_one_reading_need_no_order(texts: list[str]) -> None:
    assert day_order(texts) is None


def test_rows_of_the_rarer_order_are_faults(tmp_path: Path) -> None:
    """A file that was put together of two may have both."""
    path = tmp_path / "prices.csv"
    rows = [f"{day}/01/2025,1,1,1,1,1" for day in range(10, 31)]
    path.write_text(
        "\n".join(["time,open,high,low,close,volume", *rows, "01/31/2025,1,1,1,1,1", "40/40/2025,1,1,1,1,1"])
    )
    with pytest.raises(UnusableHistory) as error:
        read_candles(path)
    assert [fault[:27] for fault in error.value.faults] == [
        "line 23: time '01/31/2025' ",
        "line 24: time '40/40/2025' ",
    ]


def test_dates_with_two_readings_end_the_training_with_both(tmp_path: Path) -> None:
    """A wrong guess would shuffle the days of a year, and simulated prices would hide it."""
    texts = [f"{day:02}/{month:02}/2025" for month, day in ((1, 3), (2, 5), (4, 7), (6, 9), (8, 11))]
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(["time,open,high,low,close,volume", *(f"{text},1,1,1,1,1" for text in texts)]))
    sources: list[CandleSource] = [CsvFile(str(path)), Simulated(0)]
    with pytest.raises(InvalidValue) as error:
        read_history(sources, Pair("SOL", "USD"), Interval.DAY_1, 365, None, datetime.now(UTC))
    assert str(error.value) == (
        f"file:{path}: '03/01/2025' is not one day: 2025-01-03 (day/month/year) and 2025-03-01 (month/day/year) fit "
        "every row. Write the dates of this file as 2025-06-30"
    )


GROUPS = {".": (",", "'", "\u00a0", " "), ",": (".", "'", "\u202f", " ")}


@given(
    value=st.decimals(min_value=0, max_value=10**12, places=2),
    mark=st.sampled_from(".,"),
    group=st.integers(0, 3),
    currency=st.sampled_from(["{}", "${}", "{} \u20ac", "\u20bf {}"]),
)
def test_a_grouped_number_is_read_as_it_was_meant(value: float, mark: str, group: int, currency: str) -> None:
    plain = f"{value:,.2f}"
    written = currency.format(plain.replace(",", "_").replace(".", mark).replace("_", GROUPS[mark][group]))
    assert number(written, mark) == float(value)


@given(values=st.lists(st.floats(1000, 1e9), min_size=1), mark=st.sampled_from(".,"))
def test_the_numbers_of_a_file_decide_its_decimal_mark(values: list[float], mark: str) -> None:
    plain = (f"{value:,.2f}".replace(",", "_") for value in values)
    assert decimal_mark((text.replace(".", mark).replace("_", GROUPS[mark][0]) for text in plain), ";")[0] == mark


@pytest.mark.parametrize(
    ("texts", "delimiter", "mark"),
    [
        (["1.5", "2"], ",", "."),
        (["1,234", "2,345"], ",", "."),
        (["1,234", "2,345"], ";", ","),
        (["0,234"], ",", ","),
        (["1,5"], "\t", ","),
        (["1.234.567"], ";", ","),
        (["1,234,567", "1,5", "2,345,678"], ";", "."),
    ],
)
def test_a_single_comma_is_read_by_the_others_and_by_the_delimiter(texts: list[str], delimiter: str, mark: str) -> None:
    """Who separates fields with semicolons or tabs needs the comma for decimals."""
    assert decimal_mark(texts, delimiter)[0] == mark


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [("1.23K", ".", 1230.0), ("1,5M", ",", 1.5e6), ("2 B", ".", 2e9), ("1,5E+08", ",", 1.5e8)],
)
def test_large_volumes_are_written_short(text: str, mark: str, value: float) -> None:
    assert number(text, mark, short=True) == value


@pytest.mark.parametrize("text", ["1.23K", "1,23,4", "1,2.3", "12 34", "1_0", "-$5", "\u0661"])
def test_a_price_is_not_guessed(text: str) -> None:
    """A price of 1.23K has been rounded; groups have three digits."""
    with pytest.raises(ValueError, match="is not a number"):
        number(text)


def test_a_point_in_a_file_with_decimal_commas_is_a_fault() -> None:
    with pytest.raises(ValueError, match=r"'1234\.5' is not a number with the decimal mark ','"):
        number("1234.5", ",")


def test_hours_become_days_without_the_incomplete_ones(tmp_path: Path) -> None:
    """Others publish hours; a day that has just begun has no close yet."""
    path, first = tmp_path / "hours.csv", 5
    rows = [
        f"{EPOCH + timedelta(hours=hour):%Y-%m-%d %H:%M},{hour},{hour + 2},{hour - 1},{hour + 1},2"
        for hour in range(first, 75)
    ]
    path.write_text("\n".join(["time,open,high,low,close,volume", *rows, rows[-1]]))
    pair, source = Pair("BTC", "USD"), CsvFile(str(path))
    days = list(source.rows(pair, Interval.DAY_1, Span(EPOCH, EPOCH + 9 * DAY)))
    assert [(day.open_time - EPOCH, *day[1:6], line) for day, line in days] == [
        (DAY, 24, 49, 23, 48, 48, 21),
        (2 * DAY, 48, 73, 47, 72, 48, 45),
    ]
    assert source.newest_close(pair, Interval.DAY_1, EPOCH + 5 * DAY) == EPOCH + 3 * DAY
    assert len(list(source.candles(pair, Interval.HOUR_1, Span(EPOCH, EPOCH + 9 * DAY)))) == 71
