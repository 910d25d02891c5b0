import math
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue
from crypto_predict.market import DAY, EPOCH, Candle, Interval, Pair, Span, aggregate

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
BASES, QUOTES = st.text(LETTERS, min_size=1, max_size=20), st.text(LETTERS, min_size=2, max_size=10)
INSTANTS = st.datetimes(timezones=st.just(UTC))
SOUND = Candle(NOON, 10.0, 12.0, 9.0, 11.0, 1.0, 11.0, 3, 0.5, 5.5)


@pytest.mark.parametrize("text", ["BTC/USD", "BTC-USD", "btc_usd", " Btc/Usd ", "BTC/USD\n"])
def test_a_pair_is_read_in_every_usual_notation(text: str) -> None:
    assert Pair.parse(text) == Pair("BTC", "USD")


NO_PAIRS = r"/ BTC BTC/ /USD BTC/USD/EUR BTC//USD BTC/D BTC/ABCDEFGHIJK BTC$/USD BTC:USD BTC\USD ../ETC BTC/../USD"
LOOKALIKES = [
    "\uff22\uff34\uff23/USD",  # full-width letters
    "BTC/U\u017fD",  # a long s, whose capital is an S
    "BTC/\u00df\u00df",  # whose capital is SSSS
    "\u0663\u0664/USD",  # Arabic digits
    "BTC\u2215USD",  # a division slash
    "BTC\u00a0/USD",
]


@pytest.mark.parametrize(
    "text", ["", " ", "BTC / USD", "BTC/USD\nX", "BTC\0/USD", "B" * 10_000, *NO_PAIRS.split(), *LOOKALIKES]
)
def test_a_text_that_is_not_a_pair_is_refused_with_its_value(text: str) -> None:
    """Lookalikes, and letters that become ASCII only when capitalised, must not name a pair."""
    with pytest.raises(InvalidValue) as error:
        Pair.parse(text)
    assert error.value.value == text


@given(BASES, QUOTES)
def test_a_pair_survives_its_text_and_its_slug(base: str, quote: str) -> None:
    pair = Pair(base, quote)
    assert Pair.parse(str(pair)) == Pair.parse(pair.slug) == Pair.parse(pair.slug.lower()) == pair


def test_a_pair_is_a_value_that_is_written_with_a_slash_and_its_slug_is_one_path_segment() -> None:
    """Pairs are dictionary keys on the model card."""
    pair = Pair("BTC", "USD")
    assert (str(pair), pair.slug, {pair: 1}[Pair.parse("btc-usd")]) == ("BTC/USD", "BTC-USD", 1)
    with pytest.raises(FrozenInstanceError):
        pair.base = "ETH"  # type: ignore[misc]  # that this is forbidden is what is tested


@given(st.sampled_from(Interval), INSTANTS)
def test_an_instant_belongs_to_the_candle_that_opened_last(interval: Interval, instant: datetime) -> None:
    """Before 1970 too, where a remainder of the wrong sign would round up."""
    opening = interval.floor(instant)
    assert timedelta(0) <= instant - opening < interval.length
    assert (opening - (EPOCH + 4 * DAY)) % interval.length == timedelta(0), "1970 began on a Thursday"
    assert interval.floor(opening) == opening


def test_a_span_includes_its_start_and_not_its_end() -> None:
    span, microsecond = Span(NOON, NOON + timedelta(hours=1)), timedelta(microseconds=1)
    edges = [NOON - microsecond, NOON, span.end - microsecond, span.end]
    assert [instant in span for instant in edges] == [False, True, True, False]
    assert NOON not in Span(NOON, NOON), "it is empty"


@given(st.sampled_from(Interval), INSTANTS, INSTANTS)
def test_the_whole_part_of_a_span_lies_on_the_grid_and_cannot_be_longer(
    interval: Interval, start: datetime, end: datetime
) -> None:
    assume(datetime(2, 1, 1, tzinfo=UTC) < start <= end < datetime(9998, 1, 1, tzinfo=UTC))
    whole = Span(start, end).whole(interval)
    assert start <= whole.start < start + interval.length
    assert end - interval.length < whole.end <= end
    assert interval.floor(whole.start) == whole.start
    assert interval.floor(whole.end) == whole.end


def test_the_intervals_are_those_of_the_command_line() -> None:
    assert [Interval.parse(label) for label in ("1m", "5m", "10m", "15m", "30m", "1h", "4h", "1d", "1w")] == [*Interval]
    assert [Interval.parse(interval.label) for interval in Interval] == [*Interval]


@pytest.mark.parametrize("text", ["", "1", "m", "1M", "01m", "2h", "1m ", "1m" * 1000])
def test_a_text_that_is_not_an_interval_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="1m, 5m, 10m, 15m, 30m, 1h, 4h, 1d, 1w"):
        Interval.parse(text)


def test_a_longer_candle_sums_an_optional_volume_only_if_every_part_has_it() -> None:
    """A sum without one part would look like a quiet market."""
    second = Candle(NOON + timedelta(minutes=1), 11.0, 13.0, 10.0, 12.0, 2.0, 24.0, 4, None, 12.0)
    joined = Candle(NOON, 10.0, 13.0, 9.0, 12.0, 3.0, 35.0, 7, None, 17.5)
    assert list(aggregate([SOUND, second], Interval.MINUTE_5)) == [joined]


def test_a_sound_candle_has_no_faults() -> None:
    """No trade and no movement happen in thin markets."""
    thin = [(10.0, 12.0, 9.0, 11.0, 0.0), (10.0, 10.0, 10.0, 10.0, 5.0), (5e-324, 5e-324, 5e-324, 5e-324, 1e300)]
    assert [candle.faults() for candle in (SOUND, *(Candle(NOON, *numbers) for numbers in thin))] == [[]] * 4


@pytest.mark.parametrize("price", [0.0, -0.0, -1.0, math.nan, math.inf, -math.inf])
def test_a_price_that_is_not_a_positive_number_is_named(price: float) -> None:
    for field in ("open", "high", "low", "close"):
        assert SOUND._replace(**{field: price}).faults() == [f"{field} {price} is not a positive number"]  # type: ignore[arg-type] # one field


@pytest.mark.parametrize("field", SOUND._fields[5:])
def test_an_impossible_volume_is_named(field: str) -> None:
    """Also the optional ones."""
    for volume in (-1.0, math.nan, math.inf):
        faults = SOUND._replace(**{field: volume}).faults()  # type: ignore[arg-type] # one field
        assert faults == [f"{field.replace('_', ' ')} {volume} is not zero or a positive number"]


@pytest.mark.parametrize(
    ("numbers", "count"),
    [
        ((10.0, 9.0, 12.0, 11.0, 1.0), 1),  # high below low
        ((13.0, 12.0, 9.0, 11.0, 1.0), 1),  # open above high
        ((10.0, 12.0, 9.0, 8.0, 1.0), 1),  # close below low
        ((10.0, 12.0, 10.5, 11.0, 1.0), 1),  # open below low
        ((-1.0, math.nan, 0.0, math.inf, -5.0), 5),  # every fault is reported at once
    ],
)
def test_prices_outside_low_and_high_are_a_fault(numbers: tuple[float, float, float, float, float], count: int) -> None:
    assert len(Candle(NOON, *numbers).faults()) == count
