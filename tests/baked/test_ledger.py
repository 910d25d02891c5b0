"""The ledger file: any damage is found, and only the part that was released is read."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crypto_predict.baked import ledger as ledger_module
from crypto_predict.baked import store
from crypto_predict.baked.ledger import (
    DAYS,
    HOURS,
    MODEL_DAYS,
    Content,
    EntryFault,
    Ledger,
    Outcome,
    Place,
    Release,
    entries_from,
    entry_after,
    size_up_to,
)
from crypto_predict.baked.models import MOST_MODELS, NAME
from crypto_predict.baked.touches import DAY_MOVES, SCORED_DAYS
from crypto_predict.errors import BrokenLedger
from crypto_predict.market import DAY
from crypto_predict.market.forecast import LEVELS
from tests.support.ledgers import (
    START,
    contents,
    data_of,
    make_hours,
    make_ledger,
    make_outcome,
    make_quantiles,
    make_release,
    members,
    sealed,
)
from tests.support.models import BTC, ETH, make_model

DATA = make_ledger(make_release(), make_outcome(), make_release(START + DAY), make_release(START + DAY, ETH))
LINES = DATA.splitlines(keepends=True)
RELEASE, OUTCOME = members(make_release()), members(make_outcome())


def beginning(lines: int) -> bytes:
    """The first lines of the ledger."""
    return b"".join(LINES[:lines])


def head_of(data: bytes) -> str:
    """The digest of a ledger's last entry."""
    return str(json.loads(data.splitlines()[-1])["sha256"])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for all tests, as Hypothesis runs many examples in one test."""
    return tmp_path_factory.mktemp("ledger") / "ledger.jsonl"


def read(path: Path, data: bytes, *heads: str) -> Ledger:
    path.write_bytes(data)
    return Ledger.read(path, heads)


def broken(path: Path, data: bytes) -> BrokenLedger:
    """The error of reading these bytes."""
    with pytest.raises(BrokenLedger) as caught:
        read(path, data)
    where = "" if caught.value.line is None else f"line {caught.value.line}: "
    assert str(caught.value) == f"no usable ledger in {path}: {where}{caught.value.reason}"
    assert "\n" not in caught.value.reason
    assert len(caught.value.reason) < 500
    return caught.value


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_ledger_is_read_as_it_was_written(path: Path) -> None:
    ledger = read(path, DATA)
    assert [type(content) for content in contents(DATA)] == [Release, Outcome, Release, Release]
    assert contents(DATA)[-1].pair == ETH
    assert data_of(ledger) == DATA
    assert read(path, DATA, Ledger().head) == ledger, "a model without a ledger can be continued by any ledger"
    assert (ledger.entries, ledger.head, ledger.size) == (4, head_of(DATA), len(DATA))
    assert ledger.newest == [make_release(START + DAY), make_release(START + DAY, ETH)]


def test_what_is_appended_follows_what_was_read(path: Path) -> None:
    ledger = read(path, beginning(2))
    ledger.append(make_release(START + DAY))
    ledger.append(make_release(START + DAY, ETH))
    assert data_of(ledger) == DATA
    assert ledger.size == len(DATA)


def test_each_entry_is_visited_in_order_with_its_place(path: Path) -> None:
    """From which it can be read again. With the line in the error if the visitor refuses one."""
    result: list[tuple[Content, Place]] = []
    path.write_bytes(DATA)
    Ledger.read(path, visit=lambda content, place: result.append((content, place)))
    assert [content for content, _ in result] == contents(DATA)
    for content, place in result:
        assert list(entries_from(path, place, place[0] + 1)) == [(content, place[1])]
    assert [content for content, _ in entries_from(path, result[1][1], len(DATA))] == contents(DATA)[1:]

    def refuse(content: Content, _: Place) -> None:
        if content.pair == ETH:
            raise EntryFault("it is refused")

    with pytest.raises(BrokenLedger, match="line 4: it is refused"):
        Ledger.read(path, visit=refuse)


@pytest.mark.parametrize("data", [DATA.replace(b"alpaca", b"abacus"), make_ledger(make_release(START + 2 * DAY)), b""])
def test_an_entry_that_has_changed_is_not_read_again(path: Path, data: bytes) -> None:
    """A ledger that was begun anew may have another entry at the same place."""
    places: list[Place] = []
    path.write_bytes(DATA)
    Ledger.read(path, visit=lambda _, place: places.append(place))
    path.write_bytes(data)
    for place in places:
        with pytest.raises(BrokenLedger, match="it has changed since"):
            list(entries_from(path, place, len(DATA)))


def test_the_chain_is_the_one_that_is_documented() -> None:
    """Anybody can check it with a SHA-256 and a JSON parser."""
    previous = "0" * 64
    for line in LINES:
        text, digest = line[:-78] + b"}", line[-67:-3].decode()
        assert line == text[:-1] + f',"sha256":"{digest}"}}\n'.encode()
        assert hashlib.sha256(text).hexdigest() == digest
        assert json.loads(text)["previous"] == previous
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")).encode()
        previous = digest
    assert previous == head_of(DATA)
    assert sealed(*(line[:-78] + b"}" for line in LINES)) == DATA


def line_at(position: int) -> int:
    """The number of the line that the byte at this position belongs to."""
    return DATA[:position].count(b"\n") + 1


@settings(max_examples=400)
@given(st.integers(0, len(DATA) - 1), st.integers(0, 1), st.binary(max_size=1))
def test_a_byte_changed_inserted_or_missing_is_found_wherever_it_stands(
    path: Path, position: int, length: int, piece: bytes
) -> None:
    """A line feed inserted before another one begins an empty line after the one it stands in."""
    changed, number = DATA[:position] + piece + DATA[position + length :], line_at(position)
    assume(changed != DATA)
    assert broken(path, changed).line in ({number} if length else {number, number + 1})


@given(st.integers(1, len(DATA) - 1))
def test_a_file_that_is_cut_off_is_refused_unless_whole_entries_are_left(path: Path, length: int) -> None:
    cut = DATA[:length]
    if cut.endswith(b"\n"):
        assert data_of(read(path, cut)) == cut
    else:
        assert broken(path, cut).line == line_at(length)


@given(st.lists(st.integers(0, len(LINES) - 1), min_size=1, max_size=6))
def test_lines_missing_repeated_or_out_of_order_are_refused(path: Path, order: list[int]) -> None:
    if order == list(range(len(order))):
        return  # the whole, or its beginning
    wrong = next(index for index, number in enumerate(order) if index != number)
    fault = broken(path, b"".join(LINES[index] for index in order))
    assert fault.line == wrong + 1
    assert "missing, repeated or out of order" in fault.reason


@pytest.mark.parametrize("count", range(1, len(LINES)))
def test_a_missing_end_is_found_by_the_digest_in_the_model(path: Path, count: int) -> None:
    """The chain is whole up to where it was cut."""
    assert read(path, beginning(count)).entries == count
    with pytest.raises(BrokenLedger, match=f"do not contain {head_of(DATA)[:12]}"):
        read(path, beginning(count), head_of(DATA))


def test_a_rewritten_ledger_is_found_by_the_digest_in_the_model(path: Path) -> None:
    """A forger can compute new digests for all following lines, but cannot change the one in the model."""
    forged, genuine = sealed(RELEASE, {**OUTCOME, "close": 100.9}), sealed(RELEASE, OUTCOME)
    head = head_of(genuine)
    assert read(path, genuine, head).head == head
    with pytest.raises(BrokenLedger, match="belongs to another model"):
        read(path, forged, head)


@pytest.mark.parametrize("count", range(1, len(LINES)))
def test_entries_after_the_one_that_the_model_names_are_dropped_with_a_warning(
    path: Path, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The ledger is written before the model: a training that was killed in between released nothing."""
    before = beginning(count)
    ledger = read(path, DATA, head_of(before))
    assert data_of(ledger) == before
    assert ledger == read(path, before)
    assert f"ledger.jsonl: {len(DATA) - len(before)} bytes dropped after entry {count}." in caplog.text
    # Damage after that entry does not matter.
    assert read(path, DATA[:-40], head_of(before)) == ledger


def test_with_several_models_the_ledger_ends_at_the_last_entry_that_one_of_them_names(path: Path) -> None:
    """A champion may be older than the model beside the ledger; the chain must contain the entries of both."""
    heads = [head_of(beginning(count)) for count in (1, 3)]
    assert read(path, DATA, *heads).entries == read(path, DATA, *heads[::-1]).entries == 3
    with pytest.raises(BrokenLedger, match="do not contain"):
        read(path, DATA, heads[0], "f" * 64)


def test_a_first_release_that_was_not_completed_is_dropped_by_its_time(path: Path) -> None:
    """No model exists yet that could name an entry."""
    path.write_bytes(DATA)
    assert Ledger.read(path, before=make_release(START + DAY).made_at).entries == 2
    path.write_bytes(LINES[0])
    assert Ledger.read(path, before=make_release().made_at) == Ledger()


def test_the_size_up_to_an_entry_is_found_by_its_digest(path: Path) -> None:
    path.write_bytes(DATA)
    for count in range(1, len(LINES) + 1):
        assert size_up_to(path, head_of(beginning(count))) == len(beginning(count))
    assert size_up_to(path, "f" * 64) is None


def test_a_file_that_changes_after_it_was_read_is_not_copied(path: Path) -> None:
    """Training takes minutes, and the new ledger begins with the bytes that were verified."""
    ledger = read(path, DATA)
    for changed in (DATA.replace(b'"close":101.0', b'"close":109.0'), DATA[:-1]):
        path.write_bytes(changed)
        with pytest.raises(BrokenLedger, match="changed during the training"):
            data_of(ledger)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"format": 5}, "format 5, this program reads 4: update this program"),
        ({"format": 0}, "format is 0"),
        ({"format": True}, "format is True"),
        ({"format": "1" * 1000}, "format is '111"),
        ({"kind": "rumour"}, "kind is 'rumour', not one of release, outcome, hours"),
        ({"kind": nested(600)}, "kind is list, not one of"),
        ({"format": nested(600)}, "format is list"),
        ({"anchor": nested(600)}, "release.anchor: expected a mapping, found list"),
        ({"kind": "outcome"}, "outcome: missing ['close', 'day']"),
        ({"previous": "f" * 64}, "out of order"),
        ({"previous": None}, "out of order"),
        ({"more": 1}, "unknown ['more']"),
        ({"pair": "money"}, "release.pair: expected a pair"),
        ({"history_sha256": "F" * 64}, "history_sha256"),
        ({"made_at": "2024-05-18T12:00:00"}, "release.made_at: expected an ISO instant"),
        ({"last": "9999-12-20"}, "leaves no room"),
        ({"anchor": {"at": "2024-05-18T00:00:00Z", "price": 0}}, "release.anchor: price must be positive"),
        ({"prediction": [math.nan] * DAYS}, "release.prediction[0]: expected a finite number, found nan"),
        ({"prediction": [100.0] * (DAYS - 1)}, "29, 30 and 30 forecasts"),
        ({"low": []}, "30, 0 and 30 forecasts"),
        ({"low": [1e9] * DAYS}, "inside its interval"),
        ({"high": [1.0] * DAYS}, "inside its interval"),
        ({"prediction": [0.0] * DAYS, "low": [0.0] * DAYS}, "not a positive price"),
        ({"quantiles": [[1.0] * 7] * 29}, "quantiles of 29 forecasts, not of 30"),
        ({"quantiles": [[1.0] * 6] * DAYS}, "quantiles are not 7 positive prices that ascend"),
        ({"quantiles": [[2.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0]] * DAYS}, "that ascend"),
        ({"quantiles": [[0.0] * 7] * DAYS}, "quantiles are not 7 positive prices"),
        ({"quantiles": []}, "of quantiles and volatility, one is missing"),
        ({"volatility": None}, "of quantiles and volatility, one is missing"),
        ({"volatility": -0.1}, "volatility is -0.1, below 0"),
        ({"quantiles": [], "volatility": None}, "of models and volatility, one is missing"),
        ({"models": {"garch": [[1.0] * 7] * 3}}, "model garch has 3 days, not 4"),
        ({"models": {"garch": [[1.0] * 6] * 4}}, "the quantiles of model garch are not 7 that ascend"),
        ({"models": {"garch": [[0.0] * 7] * 4}}, "the quantiles of a model are not positive prices"),
        ({"models": {"Mine!": [[1.0] * 7] * 4}}, "model 'Mine!' is not a name of small letters"),
        ({"hours": [[1.0] * 7] * 2}, "quantiles of 2 hours, not of 3"),
        ({"hours": [[1.0] * 6] * 3}, "the quantiles of an hour are not 7 positive prices that ascend"),
        ({"hours": [[0.0] * 7] * 3}, "the quantiles of an hour are not 7 positive prices"),
        ({"quantiles": [], "volatility": None, "models": {}}, "of hours and volatility, one is missing"),
        ({"anchor": {"at": "2024-05-18T00:30:00Z", "price": 1}}, "the hours after 2024-05-18 00:30:00+00:00 have no"),
        ({"touched": [[0.5] * 10] * 5}, "touched is of 5 horizons, not of 6"),
        ({"touched": [[0.5] * 10] * 6, "hours": []}, "touched is of 6 horizons, not of 3"),
        ({"touched": [[0.5] * 9] * 6}, "touched are not 10 probabilities: (0.5, 0.5"),
        ({"touched": [[1.1] * 10] * 6}, "touched are not 10 probabilities"),
        (
            {"quantiles": [], "volatility": None, "models": {}, "hours": [], "touched": [[0.5] * 10] * 3},
            "of touched and quantiles, one is missing",
        ),
        ({"models": {f"m{n}": [[1.0] * 7] * 4 for n in range(15)}}, "15 models are more than a pair can have (14)"),
    ],
)
def test_an_invalid_release_is_refused_with_its_fault(path: Path, changes: dict[str, Any], fault: str) -> None:
    """Its digest is right, as a faulty program or a forger would write it. `test_plain` has the wrong types."""
    broken_ledger = broken(path, sealed({**RELEASE, **changes}))
    assert broken_ledger.line == 1
    assert fault in broken_ledger.reason


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"low": 0.0}, "the close 101.0 is not between low 0.0 and high"),
        ({"high": 100.0}, "and high 100.0, above 0"),
        ({"high": None}, "of high and low, one is missing"),
    ],
)
def test_an_outcome_outside_of_its_day_is_refused(path: Path, changes: dict[str, Any], fault: str) -> None:
    assert fault in broken(path, sealed({**OUTCOME, **changes})).reason


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"closes": [None] * 23}, "23 closes, 24 highs and 24 lows, not 24"),
        ({"lows": [None] * 24}, "the close 101.0 is not between low None and high 102.01, above 0"),
        ({"highs": [100.0, *[None] * 23]}, "the close 101.0 is not between low 99.99 and high 100.0"),
    ],
)
def test_hours_that_no_market_had_are_refused(path: Path, changes: dict[str, Any], fault: str) -> None:
    assert fault in broken(path, sealed({**members(make_hours(START, {0: 101.0})), **changes})).reason


@pytest.mark.parametrize("close", [0, -1.0, math.nan, -math.inf, None, "100", False])
def test_an_outcome_without_a_price_is_refused(path: Path, close: object) -> None:
    assert "close" in broken(path, sealed({**OUTCOME, "close": close})).reason


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"{}", "format is None"),
        (b'{"a":1]}', "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b'{"a":' + b"1" * 5_000 + b"}", "not JSON"),
        (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, ""),  # too deep for one Python, without a format for another
        (b'{"a":"' + b"x" * 70_000 + b'"}', "more than an entry can have"),
        (b'{"a":1}{"b":2}', "not JSON"),
        (b'{"a":1}', "format is None"),
        (b'\xef\xbb\xbf{"a":1}', "not an entry"),
        (b'[{"a":1}', "not an entry"),
    ],
)
def test_a_line_of_another_format_is_refused(path: Path, text: bytes, fault: str) -> None:
    assert fault in broken(path, sealed(text)).reason


def test_releases_that_go_back_in_time_are_refused(path: Path) -> None:
    fault = broken(path, sealed({**RELEASE, "made_at": "2024-05-18T12:00:01Z"}, OUTCOME, RELEASE))
    assert fault.line == 3
    assert "before an earlier one of 2024-05-18 12:00:01" in fault.reason


@pytest.mark.parametrize(
    "data",
    [
        DATA.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + DATA,
        DATA.decode().encode("utf-16"),
        b"\n" + DATA,
        DATA + b"\n",
        DATA.replace(b",", b", "),
        bytes(1_000_000),
        store.dumps(make_model()),
    ],
    ids=["carriage returns", "byte order mark", "UTF-16", "line before", "line after", "spaces", "zeros", "a model"],
)
def test_damage_by_an_editor_or_a_transfer_is_refused(path: Path, data: bytes) -> None:
    assert "take the ledger that was released with the last model" in broken(path, data).reason


def make_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(ledger_module.MOST_BYTES + 1)  # takes no room on the disk


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda _: None, "the file does not exist; to begin a new ledger, omit --ledger"),
        (Path.touch, "it is empty; to begin a new ledger, omit --ledger"),
        (Path.mkdir, "not a regular file"),
        (make_large, "1,073,741,825 bytes are more than a ledger can have"),
    ],
    ids=["absent", "empty", "a folder", "too large"],
)
def test_a_path_without_a_ledger_is_refused(make: Callable[[Path], object], fault: str, tmp_path: Path) -> None:
    """An empty file too: it may have lost its record, and must not pass for a new ledger."""
    path = tmp_path / "ledger.jsonl"
    make(path)
    with pytest.raises(BrokenLedger, match=fault) as caught:
        Ledger.read(path)
    assert caught.value.path == path


def test_many_releases_at_once_are_refused(path: Path) -> None:
    """They are kept in memory to be compared with the next release. Those of the first format are read faster."""
    release = {name: value for name, value in RELEASE.items() if name not in {"quantiles", "volatility"}}
    ledger = sealed(*[{**release, "format": 1}] * 10_001)
    assert "more than 10,000 releases were made at 2024-05-18" in broken(path, ledger).reason


def test_decades_of_releases_fit() -> None:
    """Four a day with their outcomes: of one pair with twelve models for fifty years, of four pairs for twenty."""
    models = {f"a-model-with-a-name-of-30-char-{n}"[-30:]: make_quantiles(0.71 + n / 99) for n in range(MOST_MODELS)}
    quantiles = tuple(tuple(123_456.7 + n for n in range(7)) for _ in range(DAYS))
    full = replace(make_release(), models=models, quantiles=quantiles, prediction=(123_456.78,) * DAYS)
    full = replace(full, low=(123_000.01,) * DAYS, high=(129_999.99,) * DAYS)
    full = replace(full, touched=((0.123,) * len(DAY_MOVES),) * len(full.touched))
    hours_bytes = len(make_ledger(make_hours(START, dict.fromkeys(range(24), 123_456.78))))
    release_bytes, outcome_bytes = len(make_ledger(full)), len(LINES[1]) + hours_bytes
    assert release_bytes < ledger_module.MOST_LINE_BYTES / 7
    year = (4 * release_bytes + outcome_bytes) * 365
    assert year * 50 < 0.65 * ledger_module.MOST_BYTES
    assert year * 4 * 20 < ledger_module.MOST_BYTES


@pytest.mark.parametrize(("version", "models"), [(2, set[str]()), (3, {"combined", "garch"})])
def test_a_ledger_of_an_earlier_format_is_read_and_continued(tmp_path: Path, version: int, models: set[str]) -> None:
    """Each file was written by the last program of its format: two pairs, outcomes, and a second release."""
    path, data = tmp_path / "ledger.jsonl", Path(__file__).with_name(f"format_{version}.jsonl").read_bytes()
    path.write_bytes(data)
    assert {json.loads(line)["format"] for line in data.splitlines()} == {version}
    old = contents(data)
    releases = [content for content in old if isinstance(content, Release)]
    assert [(release.pair, {*release.models}, release.hours) for release in releases] == [
        (pair, models, ()) for pair in (BTC, ETH, BTC)
    ]
    ledger = Ledger.read(path)
    ledger.append(new := make_release(START + 9 * DAY))
    assert data_of(ledger).startswith(data), "no earlier byte changes"
    path.write_bytes(data_of(ledger))
    assert Ledger.read(path, [head_of(data), ledger.head]).entries == len(old) + 1
    assert contents(data_of(ledger)) == [*old, new]


PRICES = st.floats(1e-9, 1e12)
ROWS = st.lists(PRICES, min_size=len(LEVELS), max_size=len(LEVELS)).map(lambda row: tuple(sorted(row)))
SHARES = st.lists(st.floats(0, 1), min_size=len(DAY_MOVES), max_size=len(DAY_MOVES)).map(tuple)
MODELS = st.dictionaries(
    st.from_regex(NAME, fullmatch=True),
    st.lists(ROWS, min_size=len(MODEL_DAYS), max_size=len(MODEL_DAYS)).map(tuple),
    max_size=MOST_MODELS,
)


@st.composite
def entries_of_a_format(draw: st.DrawFn) -> tuple[int, Content]:
    """An entry, and the format it is written in; what that format does not have is empty."""
    version, last = draw(st.integers(1, 4)), START + draw(st.integers(0, 999)) * DAY
    if draw(st.booleans()):
        if version == 4 and draw(st.booleans()):
            return version, make_hours(last, draw(st.dictionaries(st.integers(0, 23), PRICES)))
        outcome = make_outcome(last, draw(PRICES))
        return version, outcome if version == 4 else replace(outcome, high=None, low=None)
    release = make_release(last, draw(st.sampled_from([BTC, ETH])))
    if version < 2:
        release = replace(release, quantiles=(), volatility=None)
    hours = draw(st.just(()) | st.tuples(*[ROWS] * len(HOURS))) if version > 3 else ()
    horizons = len(hours) + len(SCORED_DAYS) if version > 3 and draw(st.booleans()) else 0
    touched = draw(st.tuples(*[SHARES] * horizons))
    return version, replace(release, models=draw(MODELS) if version > 2 else {}, hours=hours, touched=touched)


@settings(max_examples=40)
@given(st.lists(entries_of_a_format(), min_size=1, max_size=5))
def test_entries_of_all_formats_are_read_as_they_were_written(path: Path, entries: list[tuple[int, Content]]) -> None:
    """In one chain, whose earlier lines are never written anew."""
    entries.sort(
        key=lambda entry: entry[1].made_at if isinstance(entry[1], Release) else datetime.min.replace(tzinfo=UTC)
    )
    latest = {"hours", "touched"}
    added = {1: {"quantiles", "volatility", "models", *latest}, 2: {"models", *latest}, 3: latest, 4: set[str]()}
    prices = {version: {"high", "low"} if version < 4 else set[str]() for version in added}
    lines = [
        {**{name: value for name, value in members(content).items() if name not in later[version]}, "format": version}
        for version, content in entries
        for later in [added if isinstance(content, Release) else prices]
    ]
    data = sealed(*lines)
    ledger = read(path, data)
    assert contents(data) == [content for _, content in entries]
    assert data_of(ledger) == data
    if entries[-1][0] == 4:
        assert (
            data == sealed(*lines[:-1]) + entry_after(entries[-1][1], json.loads(data.splitlines()[-1])["previous"])[1]
        )
