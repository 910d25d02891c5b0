import json
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.plain import Undecodable, decode, encode
from crypto_predict.market import Pair
from tests.support import strategies


@dataclass(frozen=True)
class Leaf:
    """A dataclass with a rule, for use inside another."""

    number: int

    def faults(self) -> list[str]:
        """Refuse negative numbers."""
        return ["it is negative"] if self.number < 0 else []


@dataclass(frozen=True)
class Sample:
    """One field of every kind."""

    text: str
    count: int
    number: float
    switch: bool
    nothing: None
    day: date
    instant: datetime
    pair: Pair
    maybe: str | None
    leaf: Leaf
    maybe_leaf: Leaf | None
    numbers: tuple[float, ...]
    leaves: tuple[Leaf, ...]
    by_name: dict[str, int]
    by_pair: dict[Pair, Leaf]


SAMPLES = strategies.sound(Sample)
ENCODED: dict[str, Any] = {
    "text": "hello",
    "count": 3,
    "number": 1.5,
    "switch": True,
    "nothing": None,
    "day": "2024-05-17",
    "instant": "2024-05-17T12:00:00Z",
    "pair": "BTC/USD",
    "maybe": None,
    "leaf": {"number": 1},
    "maybe_leaf": None,
    "numbers": [1.0, 2.0],
    "leaves": [{"number": 1}, {"number": 2}],
    "by_name": {"a": 1},
    "by_pair": {"BTC/USD": {"number": 1}},
}
SAMPLE = decode(Sample, ENCODED)


def faults_of(**changes: Any) -> tuple[str, ...]:
    """The faults of the sample with these fields changed."""
    with pytest.raises(Undecodable) as error:
        decode(Sample, {**ENCODED, **changes})
    return error.value.faults


def is_plain(data: Any) -> bool:
    """Return whether a value contains only plain data, without subclasses."""
    if type(data) is dict:
        return all(type(key) is str and is_plain(item) for key, item in data.items())
    if type(data) is list:
        return all(map(is_plain, data))
    return data is None or type(data) in (str, int, float, bool)


@given(SAMPLES)
def test_encoded_data_is_plain_and_decodes_to_the_same_value(sample: Sample) -> None:
    """Also through JSON, as which the card is served. Each value has one encoding, so a digest of it identifies it."""
    data = encode(sample)
    assert is_plain(data)
    assert decode(Sample, data) == decode(Sample, json.loads(json.dumps(data))) == sample
    assert encode(decode(Sample, data)) == data


def test_each_kind_of_field_has_its_expected_encoding() -> None:
    assert encode(SAMPLE) == ENCODED
    assert (SAMPLE.day, SAMPLE.instant) == (date(2024, 5, 17), datetime(2024, 5, 17, 12, tzinfo=UTC))
    assert (SAMPLE.pair, SAMPLE.leaves, SAMPLE.by_name) == (Pair("BTC", "USD"), (Leaf(1), Leaf(2)), {"a": 1})


def test_instants_of_other_zones_become_utc() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    sample = replace(SAMPLE, instant=datetime(2024, 5, 17, 17, 30, tzinfo=zone))
    decoded = decode(Sample, encode(sample))
    assert decoded == SAMPLE
    assert decoded.instant.tzinfo is UTC


INSTANT = "an ISO instant in UTC before June 9999"


@pytest.mark.parametrize(
    ("field", "data", "expected"),
    [
        ("text", 1, "text, found 1"),
        ("text", None, "text, found None"),
        ("count", True, "a whole number, found True"),
        ("count", 1.0, "a whole number, found 1.0"),
        ("count", "1", "a whole number, found '1'"),
        ("count", 2**63, "a whole number, found 9223372036854775808"),
        ("number", True, "a finite number, found True"),
        ("number", math.nan, "a finite number, found nan"),
        ("number", math.inf, "a finite number, found inf"),
        ("number", 10**400, f"a finite number, found 1{'0' * 79}... (401 characters)"),
        ("number", "1.5", "a finite number, found '1.5'"),
        ("switch", 1, "true or false, found 1"),
        ("nothing", 0, "nothing, found 0"),
        ("day", "2024-02-30", "an ISO date, found '2024-02-30'"),
        ("day", 20240517, "an ISO date, found 20240517"),
        ("instant", "2024-05-17T12:00:00", f"{INSTANT}, found '2024-05-17T12:00:00'"),
        ("instant", "0001-01-01T00:00:00+23:00", f"{INSTANT}, found '0001-01-01T00:00:00+23:00'"),
        ("instant", None, f"{INSTANT}, found None"),
        ("pair", "bitcoin", "a pair such as BTC/USD, found 'bitcoin'"),
        ("pair", ["BTC", "USD"], "a pair such as BTC/USD, found list"),
        ("maybe", 5, "text, found 5"),
        ("leaf", None, "a mapping, found None"),
        ("leaf", [1], "a mapping, found list"),
        ("maybe_leaf", 5, "a mapping, found 5"),
        ("numbers", "12", "a list, found '12'"),
        ("leaves", {"0": {"number": 1}}, "a list, found dict"),
        ("by_name", [["a", 1]], "a mapping, found list"),
        ("text", ["x" * 1000], "text, found list"),
        ("day", "x" * 1000, f"an ISO date, found '{'x' * 79}... (1002 characters)"),
    ],
)
def test_data_of_a_wrong_type_is_reported_with_its_path(field: str, data: Any, expected: str) -> None:
    assert faults_of(**{field: data}) == (f"{field}: expected {expected}",)


X = "expected a whole number, found 'x'"


@pytest.mark.parametrize(
    ("field", "data", "fault"),
    [
        ("leaf", {"number": "x"}, f"leaf.number: {X}"),
        ("numbers", [1.0, "x"], "numbers[1]: expected a finite number, found 'x'"),
        ("leaves", [{"number": 1}, {"number": "x"}], f"leaves[1].number: {X}"),
        ("by_name", {"a": "x"}, f"by_name['a']: {X}"),
        ("by_pair", {"BTC/USD": {"number": "x"}}, f"by_pair['BTC/USD'].number: {X}"),
        ("by_pair", {"bitcoin": {"number": 1}}, "key of by_pair: expected a pair such as BTC/USD, found 'bitcoin'"),
        ("by_name", {1: 1}, "key of by_name: expected text, found 1"),
        # One of the values would be lost.
        ("by_pair", {key: {"number": 1} for key in ("BTC/USD", "BTC-USD")}, "by_pair: 2 keys mean 1 different ones"),
    ],
)
def test_the_path_leads_to_the_value(field: str, data: Any, fault: str) -> None:
    assert faults_of(**{field: data}) == (fault,)


def test_missing_and_unknown_fields_are_reported_together() -> None:
    data = {name: value for name, value in ENCODED.items() if name not in {"text", "day"}}
    with pytest.raises(Undecodable, match=r"^the model: missing \['day', 'text'\], unknown \['colour'\]$"):
        decode(Sample, {**data, "colour": "red"})


def test_all_faults_are_reported_at_once() -> None:
    result = faults_of(text=1, number="x", leaves=[{"number": None}, {"number": -1}, {}])
    assert result == (
        "text: expected text, found 1",
        "number: expected a finite number, found 'x'",
        "leaves[0].number: expected a whole number, found None",
        "leaves[1]: it is negative",
        "leaves[2]: missing ['number'], unknown nothing",
    )


@pytest.mark.parametrize(("wrong", "most", "end"), [(50, 50, "; and 40 more"), (1000, 100, "; and at least 90 more")])
def test_a_long_list_of_faults_is_cut_in_the_message_and_bounded_in_the_error(wrong: int, most: int, end: str) -> None:
    """Decoding stops at the last fault that is kept: a hostile file may have a million."""
    with pytest.raises(Undecodable, match=f"{end}$") as error:
        decode(Sample, {**ENCODED, "numbers": ["x"] * wrong})
    assert len(error.value.faults) == most


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*ENCODED, "unknown"]), ANYTHING))
def test_decoding_any_data_gives_a_value_or_undecodable(changes: dict[str, Any]) -> None:
    data = {**ENCODED, **changes}
    with suppress(Undecodable):
        value = decode(Sample, data)
        assert decode(Sample, encode(value)) == value
        assert set(data) == set(ENCODED)
