import contextlib
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue
from crypto_predict.web.http import queries
from crypto_predict.web.http.problems import BadParameter

NOT_MOMENTS = [
    *("", " ", "2024-06-01T12:00 UTC", " 2024-06-01", "2024-06-01\n", "2024-06-01\x00", "2024-06-01;drop table"),
    *("yesterday", "2024", "2024-06", "2024-02-30", "0000-01-01", "2024-13-01", "2024-6-1", "20240601", "2024-06-01T"),
    *("2024-06-01T24:00", "2024-06-01T12:60", "2024-06-01T12:00:60", "2024-06-01T12:00+25:00"),
    *("2024-06-01T12:00+24:00", "2024-06-01T12:00+02:99", "2024-06-01T12:00:00.", "9" * 10_000),
    "\u0662\u0660\u0662\u0664-\u0660\u0666-\u0660\u0661",
]


@pytest.mark.parametrize("text", NOT_MOMENTS)
def test_a_malformed_moment_is_refused_with_the_name_of_its_parameter(text: str) -> None:
    """The message names the parameter, the value, shortened, and the expected form."""
    with pytest.raises(InvalidValue) as caught:
        queries.moment("date", text)
    assert caught.value.name == "date"
    assert "2024-06-01" in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2024-06-01T12:30", datetime(2024, 6, 1, 12, 30, tzinfo=UTC)),
        ("2024-06-01 12:30", datetime(2024, 6, 1, 12, 30, tzinfo=UTC)),
        ("2024-06-01T00:00:00Z", datetime(2024, 6, 1, tzinfo=UTC)),
        ("2024-06-01t12:30:15z", datetime(2024, 6, 1, 12, 30, 15, tzinfo=UTC)),
        ("2024-06-01T12:30:15.25Z", datetime(2024, 6, 1, 12, 30, 15, 250_000, tzinfo=UTC)),
        ("2024-06-01T12:30:15.123456789Z", datetime(2024, 6, 1, 12, 30, 15, 123_456, tzinfo=UTC)),
        ("2024-06-01T12:30+02:00", datetime(2024, 6, 1, 10, 30, tzinfo=UTC)),
        ("2024-06-01T12:30+0200", datetime(2024, 6, 1, 10, 30, tzinfo=UTC)),
        ("2024-06-01T12:30-05", datetime(2024, 6, 1, 17, 30, tzinfo=UTC)),
        ("2024-06-01T12:30 02:00", datetime(2024, 6, 1, 10, 30, tzinfo=UTC)),
        ("2024-06-01 12:30 02:00", datetime(2024, 6, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_an_instant_is_utc_unless_it_says_otherwise(text: str, meant: datetime) -> None:
    """A plus sign in a query string arrives as a space, and is still a plus sign."""
    read = queries.moment("date", text)
    assert isinstance(read, datetime)
    assert read.tzinfo is not None
    assert read == meant


@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))))
def test_every_instant_survives_formatting_and_parsing(instant: datetime) -> None:
    assert queries.moment("date", instant.isoformat()) == instant


@given(st.dates())
def test_every_day_survives_formatting_and_parsing(day: date) -> None:
    """A day means its close, an instant does not: they must stay apart."""
    read = queries.moment("date", day.isoformat())
    assert (type(read), read, queries.day("start", day.isoformat())) == (date, day, day)


@given(st.text() | st.from_regex(queries.MOMENT_PATTERN))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Clients send anything: any exception but `InvalidValue` would be a fault of the server."""
    for read in (queries.moment, queries.day):
        with contextlib.suppress(InvalidValue):
            assert isinstance(read("date", text), date)


@pytest.mark.parametrize("text", [text for text in NOT_MOMENTS if text] + ["2024-06-01T12:00"])
def test_a_day_with_a_time_or_malformed_is_refused(text: str) -> None:
    """An hour in ``start`` would be ignored silently otherwise."""
    with pytest.raises(InvalidValue, match="start"):
        queries.day("start", text)


@pytest.mark.parametrize(
    ("query", "parameter", "fault"),
    [
        ("date=2024-06-01&day=2", "day", "'day' is not a parameter of this address, which takes date"),
        ("=2024-06-01", "", "'' is not a parameter of this address"),
        ("date=2024-06-01&date=2024-06-01", "date", "date is given more than once"),
        ("date&date", "date", "date is given more than once"),
        ("%ff=1", "\ufffd", "is not a parameter of this address"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, parameter: str, fault: str) -> None:
    """Guessing which of two dates was meant, or dropping a misspelt name, would answer another question."""
    with pytest.raises(BadParameter, match=fault) as caught:
        queries.parameters(query, ("date",))
    assert caught.value.parameter == parameter


def test_an_address_without_parameters_refuses_any() -> None:
    with pytest.raises(BadParameter, match="which takes no parameters"):
        queries.parameters("date=2024-06-01", ())


def test_percent_escapes_and_plus_signs_are_decoded() -> None:
    given = queries.parameters("date=2024-06-01T12%3A00%2B02%3A00&x=a+b", ("date", "x"))
    assert given == {"date": "2024-06-01T12:00+02:00", "x": "a b"}


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_any_query_string_is_parsed_or_refused(query: str) -> None:
    """WSGI passes on any bytes, one character each."""
    with contextlib.suppress(BadParameter):
        assert queries.parameters(query, ("date",)).keys() <= {"date"}
