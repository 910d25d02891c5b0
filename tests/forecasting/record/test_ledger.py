"""The ledger of released forecasts: is it whole, does it only grow, and is what it says of them true?"""

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_predict.baked import files, plain, store
from crypto_predict.baked.schema import HORIZON_DAYS, Anchor, Band, PairForecast
from crypto_predict.baked.scorecard import LiveForecast, LiveRecord, Scorecard
from crypto_predict.errors import BrokenLedger, InvalidValue, UnusableHistory
from crypto_predict.forecasting.record import ledger as ledger_module
from crypto_predict.forecasting.record.entries import DAYS, NO_ENTRY, Outcome, Release, read_entry
from crypto_predict.forecasting.record.ledger import Ledger, loads, read_ledger
from crypto_predict.history import History, read_history
from crypto_predict.market import DAY, Interval, Pair
from crypto_predict.sources.simulated import Simulated
from crypto_predict.web.answers import Answers
from tests.support.histories import history_of, make_candle
from tests.support.models import BTC, ETH, make_forecast, make_model

NAMED = Path("ledger.jsonl")  # what errors call bytes that came from nowhere
START = date(2024, 5, 17)
EMPTY = Ledger.empty()


def midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def forecast_from(last: date, price: float, hours: float = 0, drift: float = 0.0, reach: float = 0.1) -> PairForecast:
    """From `price`, so many hours after the close of `last`, up by `drift` in log price a day, `reach` either way."""
    return make_forecast(
        first=last - 60 * DAY,
        last=last,
        last_close=price,
        anchor=Anchor(midnight(last) + DAY + timedelta(hours=hours), price),
        prophet_weights=(0.0,) * HORIZON_DAYS,
        other_increments=tuple(drift * horizon for horizon in range(1, HORIZON_DAYS + 1)),
        forecast_bands=(Band(-reach, reach),) * HORIZON_DAYS,
    )


def release(  # noqa: PLR0913 each is one fact of a release
    ledger: Ledger,
    last: date,
    price: float = 100.0,
    *,
    hours: float = 0,
    drift: float = 0.0,
    reach: float = 0.1,
    pair: Pair = BTC,
    simulated: bool = False,
    late: timedelta = timedelta(minutes=10),
) -> Ledger:
    """The ledger with one release more, made so long after its anchor."""
    forecast = forecast_from(last, price, hours, drift, reach)
    model = make_model(pair, trained_at=forecast.anchor.at + late, simulated=simulated)
    return ledger.released(model.card, {pair: forecast})


def history(
    closes: Mapping[date, float],
    pair: Pair = BTC,
    source: str = "alpaca",
    interval: Interval = Interval.DAY_1,
    *,
    simulated: bool = False,
) -> History:
    """The history of these closes."""
    candles = [make_candle(midnight(day), close) for day, close in sorted(closes.items())]
    return history_of(candles, pair, source, interval, simulated=simulated)


def closes_after(last: date, *closes: float) -> dict[date, float]:
    """Closes of the days after `last`."""
    return {last + (index + 1) * DAY: close for index, close in enumerate(closes)}


def contents(ledger: Ledger) -> list[Release | Outcome]:
    """What each entry says."""
    found, previous = [], NO_ENTRY
    for line in ledger.dumps().splitlines():
        entry = read_entry(line, previous)
        found.append(entry.content)
        previous = entry.sha256
    return found


def releases(ledger: Ledger) -> list[Release]:
    return [one for one in contents(ledger) if isinstance(one, Release)]


def outcomes(ledger: Ledger) -> dict[date, float]:
    """The closes on record of real Bitcoin; of several of a day the first."""
    found: dict[date, float] = {}
    for one in contents(ledger):
        if isinstance(one, Outcome) and (one.pair, one.simulated) == (BTC, False):
            found.setdefault(one.day, one.close)
    return found


def record(ledger: Ledger, pair: Pair = BTC) -> LiveRecord:
    return ledger.scorecard().pairs[pair]


def broken(data: bytes) -> BrokenLedger:
    """Why these bytes are no ledger."""
    with pytest.raises(BrokenLedger) as caught:
        loads(data, NAMED)
    where = "" if caught.value.line is None else f"line {caught.value.line}: "
    assert str(caught.value) == f"no usable ledger in ledger.jsonl: {where}{caught.value.reason}"
    assert "\n" not in caught.value.reason
    assert len(caught.value.reason) < 500
    return caught.value


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def sealed(*contents: bytes | dict[str, Any], previous: str = NO_ENTRY) -> bytes:
    """A ledger of this content, chained as the documentation says."""
    lines = []
    for content in contents:
        text = content
        if isinstance(text, dict):
            text = json.dumps({"previous": previous, **text}, sort_keys=True, separators=(",", ":")).encode()
        previous = hashlib.sha256(text).hexdigest()
        lines.append(text[:-1] + f',"sha256":"{previous}"}}\n'.encode())
    return b"".join(lines)


LEDGER = reduce(
    lambda ledger, pair: release(ledger, START + DAY, 110.0, pair=pair),
    (BTC, ETH),
    release(EMPTY, START, drift=0.01).settled([history(closes_after(START, 101.0))]),
)
DATA = LEDGER.dumps()
LINES = DATA.splitlines(keepends=True)
# What the first two lines say, but for what chains them.
RELEASE, OUTCOME = (
    {name: value for name, value in json.loads(line).items() if name not in {"sha256", "previous"}}
    for line in LINES[:2]
)


# The file


def test_the_example_holds_entries_of_both_kinds_and_two_pairs() -> None:
    """What the tests of the chain are made on."""
    kinds = [type(one) for one in contents(LEDGER)]
    assert kinds == [Release, Outcome, Release, Release]
    assert {one.pair for one in releases(LEDGER)} == {BTC, ETH}


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    files.write_atomically(path, DATA)
    assert read_ledger(path) == LEDGER
    assert read_ledger(path).dumps() == DATA


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
    assert previous == LEDGER.head
    assert sealed(*(line[:-78] + b"}" for line in LINES)) == DATA


def line_at(position: int) -> int:
    """The number of the line that the byte at this position belongs to."""
    return DATA[:position].count(b"\n") + 1


@settings(max_examples=300)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found_wherever_it_stands(position: int, difference: int) -> None:
    changed = bytearray(DATA)
    changed[position] ^= difference
    assert broken(bytes(changed)).line == line_at(position)


@given(st.integers(0, len(DATA)), st.integers(0, 255))
def test_an_inserted_byte_is_found_wherever_it_stands(position: int, byte: int) -> None:
    """A line feed before another one begins an empty line after the one it stands in."""
    changed = DATA[:position] + bytes([byte]) + DATA[position:]
    assert broken(changed).line in {line_at(position), line_at(position) + 1}


@given(st.integers(0, len(DATA) - 1))
def test_a_missing_byte_is_found_wherever_it_stood(position: int) -> None:
    assert broken(DATA[:position] + DATA[position + 1 :]).line == line_at(position)


@given(st.integers(1, len(DATA) - 1))
def test_a_file_that_is_cut_off_is_refused_unless_whole_entries_are_left(length: int) -> None:
    cut = DATA[:length]
    if cut.endswith(b"\n"):
        assert DATA.startswith(loads(cut, NAMED).dumps())
    else:
        assert broken(cut).line == line_at(length)


@given(st.lists(st.integers(0, len(LINES) - 1), min_size=1, max_size=6))
def test_lines_missing_repeated_or_out_of_order_are_refused(order: list[int]) -> None:
    if order == list(range(len(order))):
        return  # the whole, or its beginning
    wrong = next(index for index, number in enumerate(order) if index != number)
    fault = broken(b"".join(LINES[index] for index in order))
    assert fault.line == wrong + 1
    assert "missing, repeated or out of order" in fault.reason


@pytest.mark.parametrize("kept", range(1, len(LINES)))
def test_a_ledger_that_lost_its_tail_is_known_by_the_model(kept: int) -> None:
    """The chain is whole up to where it was cut, so only the model that was released with it can tell."""
    shorter = b"".join(LINES[:kept])
    assert loads(shorter, NAMED).entries == kept
    with pytest.raises(BrokenLedger, match=f"do not contain {LEDGER.head[:12]}"):
        loads(shorter, NAMED, [LEDGER.scorecard().head])


def test_a_ledger_written_anew_is_known_by_the_model() -> None:
    """Whoever changes a figure can work out new digests for all that follows, but not what was baked."""
    forged, genuine = sealed(RELEASE, {**OUTCOME, "close": 100.9}), sealed(RELEASE, OUTCOME)
    head = loads(genuine, NAMED).head
    assert loads(genuine, NAMED, [head]).head == head
    with pytest.raises(BrokenLedger, match="belongs to another model"):
        loads(forged, NAMED, [head])


@pytest.mark.parametrize("kept", range(1, len(LINES)))
def test_what_lies_beyond_the_entry_that_the_model_names_is_dropped_with_a_warning(
    kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The ledger is written before the model: a training that was killed in between released nothing."""
    before = loads(b"".join(LINES[:kept]), NAMED)
    ledger = loads(DATA, NAMED, [before.head])
    assert ledger == before
    assert (ledger.dumps(), ledger.scorecard()) == (before.dumps(), before.scorecard())
    assert f"ledger.jsonl: entries dropped from the end: {len(LINES) - kept}." in caplog.text
    # However damaged it is: nobody reads it.
    assert loads(DATA[:-40], NAMED, [before.head]) == before


def test_of_several_models_the_newest_says_where_the_ledger_ends() -> None:
    """A champion may be older than the model beside the ledger; both must be in the chain."""
    heads = [loads(b"".join(LINES[:kept]), NAMED).head for kept in (1, 3)]
    assert loads(DATA, NAMED, heads).entries == loads(DATA, NAMED, heads[::-1]).entries == 3
    with pytest.raises(BrokenLedger, match="do not contain"):
        loads(DATA, NAMED, [heads[0], "f" * 64])


def test_a_first_release_that_was_not_completed_is_dropped_by_its_time(tmp_path: Path) -> None:
    """There is no model that could name an entry."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(DATA)
    (newest, _) = LEDGER.newest
    assert read_ledger(path, before=newest.made_at).entries == 2
    path.write_bytes(LINES[0])
    assert read_ledger(path, before=releases(LEDGER)[0].made_at) == EMPTY


@pytest.mark.parametrize("ledger", [LEDGER, release(LEDGER, START + 2 * DAY)])
def test_a_model_without_a_ledger_is_continued_by_any(ledger: Ledger) -> None:
    assert loads(ledger.dumps(), NAMED, [EMPTY.scorecard().head]) == ledger


def test_a_file_that_changes_after_it_was_read_is_not_copied(tmp_path: Path) -> None:
    """Training takes minutes, and the new ledger begins with the bytes that were verified."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(DATA)
    ledger = read_ledger(path)
    path.write_bytes(DATA.replace(b'"close":101.0', b'"close":109.0'))
    with pytest.raises(BrokenLedger, match="changed during the training"):
        ledger.dumps()
    path.write_bytes(DATA[:-1])
    with pytest.raises(BrokenLedger, match="changed during the training"):
        ledger.dumps()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"format": 2}, "format 2, this program reads 1: update this program"),
        ({"format": 0}, "format is 0"),
        ({"format": True}, "format is True"),
        ({"format": "1" * 1000}, "format is '111"),
        ({"kind": "rumour"}, "kind is 'rumour', not one of release, outcome"),
        ({"kind": nested(600)}, "kind is list, not one of"),
        ({"format": nested(600)}, "format is list"),
        ({"anchor": nested(600)}, "release.anchor: expected a mapping, found list"),
        ({"kind": "outcome"}, "outcome: missing ['close', 'day']"),
        ({"previous": "f" * 64}, "out of order"),
        ({"previous": None}, "out of order"),
        ({"more": 1}, "unknown ['more']"),
        ({"pair": "money"}, "release.pair: expected a pair"),
        ({"pair": 7}, "release.pair"),
        ({"simulated": 1}, "release.simulated: expected true or false, found 1"),
        ({"source": None}, "release.source"),
        ({"build": 3.1}, "release.build"),
        ({"history_sha256": "F" * 64}, "history_sha256"),
        ({"made_at": "2024-05-18T12:00:00"}, "release.made_at: expected an ISO instant"),
        ({"made_at": 1716034247}, "release.made_at"),
        ({"last": "2024-02-30"}, "release.last: expected an ISO date"),
        ({"last": "9999-12-20"}, "leaves no room"),
        ({"anchor": 100.0}, "release.anchor: expected a mapping"),
        ({"anchor": {"at": "2024-05-18T00:00:00Z", "price": 0}}, "release.anchor: price must be positive"),
        ({"prediction": [math.nan] * DAYS}, "release.prediction[0]: expected a finite number, found nan"),
        ({"prediction": [math.inf] * DAYS}, "finite"),
        ({"prediction": ["100"] * DAYS}, "finite"),
        ({"prediction": [True] * DAYS}, "finite"),
        ({"prediction": [10**400] * DAYS}, "finite"),
        ({"prediction": None}, "expected a list"),
        ({"prediction": [100.0] * (DAYS - 1)}, "29, 30 and 30 forecasts"),
        ({"low": []}, "30, 0 and 30 forecasts"),
        ({"low": [1e9] * DAYS}, "inside its interval"),
        ({"high": [1.0] * DAYS}, "inside its interval"),
        ({"prediction": [0.0] * DAYS, "low": [0.0] * DAYS}, "not a positive price"),
    ],
)
def test_a_release_that_is_none_is_refused_and_named(changes: dict[str, Any], fault: str) -> None:
    """Its digest is right: this is what a faulty program or a forger would write."""
    found = broken(sealed({**RELEASE, **changes}))
    assert found.line == 1
    assert fault in found.reason


@pytest.mark.parametrize("close", [0, -1.0, math.nan, -math.inf, None, "100", False])
def test_an_outcome_without_a_price_is_refused(close: object) -> None:
    assert "close" in broken(sealed({**OUTCOME, "close": close})).reason


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"{}", "format is None"),
        (b'{"a":1]}', "no JSON"),
        (b'{"a":"\xff"}', "no JSON"),
        (b'{"a":' + b"1" * 5_000 + b"}", "no JSON"),
        (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, ""),  # too deep for one Python, without a format for another
        (b'{"a":"' + b"x" * 70_000 + b'"}', "more than an entry can have"),
        (b'{"a":1}{"b":2}', "no JSON"),
        (b'{"a":1}', "format is None"),
        (b'\xef\xbb\xbf{"a":1}', "no entry"),
        (b'[{"a":1}', "no entry"),
    ],
)
def test_what_no_program_of_ours_wrote_is_refused(text: bytes, fault: str) -> None:
    assert fault in broken(sealed(text)).reason


def test_releases_that_go_back_in_time_are_refused() -> None:
    fault = broken(sealed({**RELEASE, "made_at": "2024-05-18T12:00:01Z"}, OUTCOME, RELEASE))
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
def test_what_an_editor_or_a_transfer_made_of_it_is_refused(data: bytes) -> None:
    assert "take the ledger that was released with the last model" in broken(data).reason


def make_nothing(_: Path) -> None:
    """Leave the path as it is."""


def make_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(ledger_module.MOST_BYTES + 1)  # takes no room on the disk


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (make_nothing, "there is no such file; to begin a new ledger, leave --ledger out"),
        (Path.touch, "it is empty; to begin a new ledger, leave --ledger out"),
        (Path.mkdir, "not a regular file"),
        (make_large, "1,073,741,825 bytes are more than a ledger may have"),
    ],
    ids=["absent", "empty", "a folder", "too large"],
)
def test_a_file_that_cannot_be_one_is_refused(make: Callable[[Path], object], fault: str, tmp_path: Path) -> None:
    """An empty file too: what lost its whole record must not pass for a beginning."""
    path = tmp_path / "ledger.jsonl"
    make(path)
    with pytest.raises(BrokenLedger, match=fault) as caught:
        read_ledger(path)
    assert caught.value.path == path


def test_a_year_of_releases_takes_some_2_mb() -> None:
    """Four releases a day of a pair that costs 123,456.78."""
    ledger = EMPTY
    for day in range(10):
        for hours in (0, 6, 12, 18):
            ledger = release(ledger, START + day * DAY, 123_456.78, hours=hours, drift=0.001)
        ledger = ledger.settled([history({START + (day + 1) * DAY: 123_456.78})])
    assert 30_000 < len(ledger.dumps()) < 2_200_000 * 10 / 365


READ_AND_MEASURE = """
import sys
from pathlib import Path
from crypto_predict.forecasting.record.ledger import read_ledger
from tests.support.peaks import peak
before = peak()
ledger = read_ledger(Path(sys.argv[1]))
records = ledger.scorecard().pairs
sizes = sum(map(len, ledger.content()))
print(peak() - before, ledger.entries, sum(record.due for record in records.values()), sizes)
"""


def test_a_long_ledger_takes_little_memory(tmp_path: Path) -> None:
    """Fifteen months of four releases a day have 2 MB: outcomes are kept, and forecasts that wait for one."""
    path, start = tmp_path / "ledger.jsonl", date(2020, 1, 1)
    content: list[bytes | dict[str, Any]] = []
    for day in range(450):
        last = start + day * DAY
        if day:
            content.append({**OUTCOME, "day": str(last), "close": 100.0 + day % 7})
        for hours in (0, 6, 12, 18):
            at = midnight(last) + DAY + timedelta(hours=hours)
            anchor = {"at": plain.encode(at), "price": 100.0}
            content.append({**RELEASE, "last": str(last), "made_at": plain.encode(at), "anchor": anchor})
    path.write_bytes(sealed(*content))
    command = [sys.executable, "-c", READ_AND_MEASURE, str(path)]
    child = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    grown, entries, due, size = map(int, child.stdout.split())
    assert (entries, size) == (len(content), path.stat().st_size)
    assert due == 4 * sum(min(30, 449 - day) for day in range(450))
    assert size > 2_000_000
    assert grown < 4 * 2**20


def test_a_full_ledger_is_refused_before_the_work() -> None:
    """Decades of releases fit, even if no outcome ever comes; the one that would not is refused in time."""
    most = ledger_module.MOST_PENDING * 9 // 10 // DAYS
    made_at = [plain.encode(midnight(START) + timedelta(days=1, hours=6 * number)) for number in range(most + 1)]
    full = loads(sealed(*[{**RELEASE, "made_at": at} for at in made_at]), NAMED)
    with pytest.raises(InvalidValue, match="450,030 forecasts pending' is not small enough"):
        full.check_follows(midnight(START) + 9999 * DAY)


CURRENCIES = (f"C{number}/USD" for number in range(1_000))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([{**OUTCOME, "pair": pair} for pair in CURRENCIES], "C500/USD is one pair more than a ledger can have"),
        ([RELEASE] * 10_001, "more than 10,000 releases were made at 2024-05-18"),
    ],
    ids=["pairs", "releases at once"],
)
def test_a_ledger_that_would_fill_the_memory_is_refused(content: list[dict[str, Any]], fault: str) -> None:
    """What is kept of each pair, and what is compared with the next release, is bounded."""
    assert fault in broken(sealed(*content)).reason


def test_decades_of_releases_fit() -> None:
    """Four a day of four pairs for fifty years, with an outcome a day."""
    release_bytes, outcome_bytes = len(LINES[0]), len(LINES[1])
    assert (4 * release_bytes + outcome_bytes) * 4 * 365 * 50 < ledger_module.MOST_BYTES


# What is appended

STEPS = st.lists(
    st.tuples(
        st.sampled_from([BTC, ETH]),
        st.booleans(),  # simulated
        st.integers(0, 3),  # days until the next release
        st.sets(st.integers(1, 12)),  # days after the start whose candles there are
        st.floats(1, 1e6),
    ),
    max_size=6,
)


@settings(max_examples=40)
@given(STEPS)
def test_a_ledger_only_ever_grows(steps: list[tuple[Pair, bool, int, set[int], float]]) -> None:
    """Whatever is appended, what was there stays there, byte for byte, and all of it can be read again."""
    ledger, last = EMPTY, START
    for pair, simulated, wait, days, price in steps:
        last += wait * DAY
        closes = {START + day * DAY: price * (1 + day / 100) for day in days}
        settled = ledger.settled([history(closes, pair, simulated=simulated)])
        grown = release(settled, last, price, pair=pair, simulated=simulated)
        assert settled.dumps().startswith(ledger.dumps())
        assert grown.dumps().startswith(settled.dumps())
        assert loads(grown.dumps(), NAMED) == grown
        ledger = grown
    settled_days = [(one.pair, one.simulated, one.day) for one in contents(ledger) if isinstance(one, Outcome)]
    assert len(set(settled_days)) == len(settled_days)


def test_the_same_run_appends_the_same_bytes() -> None:
    """Training again at the same instant gives the same files."""
    again = release(LEDGER, START + 2 * DAY), release(LEDGER, START + 2 * DAY)
    assert again[0].dumps() == again[1].dumps() != DATA


def test_a_release_records_what_the_server_of_its_model_answers() -> None:
    """30 closes from the day after the last candle on, and where they come from."""
    model = make_model(BTC, ETH)
    first, second = releases(EMPTY.released(model.card, model.forecasts))
    answers = Answers(model)
    rows = json.loads(answers.forecast("BTC-USD", "").body)
    assert [str(day) for day in first.targets()] == [row["date"] for row in rows]
    assert list(first.prediction) == [row["prediction"] for row in rows]
    assert list(first.low) == [row["low"] for row in rows]
    assert list(first.high) == [row["high"] for row in rows]
    card = model.card.pairs[BTC]
    assert (first.pair, second.pair) == (BTC, ETH)
    assert (first.source, first.simulated, first.history_sha256) == (card.source, card.simulated, card.history_sha256)
    assert (first.made_at, first.build, first.anchor) == (model.card.trained_at, model.card.build, card.anchor)


def test_a_release_before_the_newest_one_is_refused() -> None:
    """A clock that went back, or a forgotten SOURCE_DATE_EPOCH; the same release once more is none, and no second."""
    ledger = release(EMPTY, START + DAY)
    assert release(ledger, START + DAY) == ledger
    with pytest.raises(InvalidValue, match="at or after the ledger's newest release, 2024-05-19 00:10:00"):
        release(ledger, START)


def test_a_forecast_that_is_no_price_is_never_written() -> None:
    """It could not be read again, and the whole record with it."""
    with pytest.raises(
        UnusableHistory, match="BTC/USD from alpaca: no release can be made of it: a forecast is not a positive price"
    ):
        release(EMPTY, START, drift=-50.0)


def test_only_days_that_were_forecast_get_an_outcome() -> None:
    """The last candle's own day, the days before it and the 31st after it do not."""
    ledger = release(EMPTY, START)
    closes = {START + day * DAY: 100.0 + day for day in range(-20, 60)}
    expected = {START + day * DAY: 100.0 + day for day in range(1, 31)}
    assert outcomes(ledger.settled([history(closes)])) == expected


def test_settling_twice_adds_nothing() -> None:
    ledger = release(EMPTY, START).settled([history(closes_after(START, 101.0, 102.0))])
    assert ledger.settled([history(closes_after(START, 101.0, 102.0))]) == ledger
    assert EMPTY.settled([history(closes_after(START, 101.0))]) == EMPTY


def test_the_first_outcome_stands() -> None:
    """What a later history says of the same day, from this source or another, rewrites nothing."""
    ledger = release(EMPTY, START).settled([history(closes_after(START, 101.0))])
    later = ledger.settled([history(closes_after(START, 999.0, 102.0), source="file:other.csv")])
    assert outcomes(later) == closes_after(START, 101.0, 102.0)
    twice = loads(sealed(RELEASE, OUTCOME, {**OUTCOME, "close": 999.0}), NAMED)
    assert [one.actual for one in record(twice).latest] == [101.0]


def test_a_day_that_is_forecast_again_after_its_outcome_is_known_needs_no_other() -> None:
    """Where a model is trained as if it were earlier, its forecasts are due at once, and are called what they are."""
    ledger = release(EMPTY, START).settled([history(closes_after(START, 101.0))])
    ledger = release(ledger, START, 100.0, late=timedelta(hours=24))
    live = record(ledger)
    assert (live.due, live.days, live.hindsight) == (2, 1, 1)
    assert live.words.endswith("interval; 1 of them made in hindsight, by a history that was cut off")


def test_a_history_that_is_not_daily_is_refused() -> None:
    """Its candles' closes are not those that were forecast."""
    with pytest.raises(InvalidValue, match="daily"):
        release(EMPTY, START).settled([history(closes_after(START, 101.0), interval=Interval.HOUR_1)])


def test_invented_and_real_prices_never_meet() -> None:
    """A fallback on the simulated market must not score what was said of the real one."""
    ledger = release(release(EMPTY, START), START, simulated=True)
    ledger = ledger.settled([history(closes_after(START, 50.0, 60.0), source="simulated", simulated=True)])
    scorecard = ledger.scorecard()
    assert (scorecard.pairs[BTC].due, scorecard.pairs[BTC].pending) == (0, 30)
    assert (scorecard.simulated[BTC].due, scorecard.simulated[BTC].pending) == (2, 28)
    real = ledger.settled([history(closes_after(START, 101.0))]).scorecard()
    assert [forecast.actual for forecast in real.pairs[BTC].latest] == [101.0]
    assert real.simulated == scorecard.simulated


def test_a_market_that_nobody_forecast_has_no_outcomes() -> None:
    ledger = release(EMPTY, START)
    assert ledger.settled([history(closes_after(START, 101.0), simulated=True)]) == ledger
    assert ledger.settled([history(closes_after(START, 101.0), ETH)]) == ledger


def test_pairs_never_meet() -> None:
    ledger = release(release(EMPTY, START), START, pair=ETH).settled([history(closes_after(START, 101.0), ETH)])
    assert (record(ledger, BTC).due, record(ledger, ETH).due) == (0, 1)
    assert list(ledger.scorecard().pairs) == [BTC, ETH]


# What it says


def test_without_a_release_there_is_no_record() -> None:
    scorecard = EMPTY.scorecard()
    assert (scorecard.entries, scorecard.head, scorecard.pairs, scorecard.simulated) == (0, "0" * 64, {}, {})


def test_a_first_release_has_everything_ahead_of_it() -> None:
    live = record(release(EMPTY, START))
    assert (live.releases, live.due, live.days, live.pending, live.overdue) == (1, 0, 0, 30, 0)
    assert (live.mae, live.relative_mae, live.skill, live.coverage) == (None, None, None, None)
    assert (live.by_horizon, live.latest) == ((), ())
    assert live.words == "no forecast has come due yet"


def test_the_figures_are_those_worked_out_by_hand() -> None:
    """Said: 100 x e^0.1 tomorrow, e^0.2 the day after, each 10 % up or down in log price. It was e^0.15 on both.

    Errors 0.05 and 0.05; persistence's, which says 100 for both, 0.15 and 0.15; both outcomes inside.
    """
    ledger = release(EMPTY, START, drift=0.1).settled([history(closes_after(START, *[100 * math.exp(0.15)] * 2))])
    live = record(ledger)
    assert (live.releases, live.due, live.days, live.pending, live.overdue, live.hindsight) == (1, 2, 2, 28, 0, 0)
    assert live.since == midnight(START) + DAY + timedelta(minutes=10)
    assert live.mae == pytest.approx(0.05, abs=1e-4)  # prices are published in cents
    assert live.relative_mae == pytest.approx(1 / 3, abs=1e-3)
    assert live.skill == pytest.approx(2 / 3, abs=1e-3)
    assert live.coverage == 1.0
    assert live.words == "2 forecasts of 2 days came due: error 0.33 of persistence's, 100 % inside the 80 % interval"
    (tomorrow,) = live.by_horizon
    assert (tomorrow.horizon_days, tomorrow.due, tomorrow.days, tomorrow.coverage) == (1, 1, 1, 1.0)
    assert tomorrow.mae == pytest.approx(0.05, abs=1e-4)
    newest, older = live.latest
    assert (newest.target, newest.horizon_days) == (START + 2 * DAY, 2)
    assert older == LiveForecast(
        made_at=live.since,
        build="0.3.1-20240518001000",
        target=START + DAY,
        horizon_days=1,
        prediction=110.52,
        low=100.0,
        high=122.14,
        persistence=100.0,
        actual=100 * math.exp(0.15),
    )


def test_where_persistence_was_never_wrong_nothing_is_relative_to_it() -> None:
    live = record(release(EMPTY, START, drift=0.1).settled([history(closes_after(START, 100.0))]))
    assert (live.relative_mae, live.skill, live.by_horizon[0].relative_mae) == (None, None, None)
    assert (
        live.words
        == "1 forecast of 1 day came due: error 0.1 in log price, persistence's 0, 100 % inside the 80 % interval"
    )


def test_both_ends_of_the_interval_belong_to_it() -> None:
    ledger = release(EMPTY, START, reach=math.log(2))
    live = record(ledger.settled([history(closes_after(START, 50.0, 200.0, 49.99, 200.01))]))
    assert live.coverage == 0.5


def test_a_day_without_a_candle_stays_pending_and_is_counted() -> None:
    """It may yet come; what the history has passed over is told apart from what lies ahead."""
    gapped = {START + DAY: 101.0, START + 3 * DAY: 103.0}
    ledger = release(release(EMPTY, START).settled([history(gapped)]), START + 3 * DAY)
    live = record(ledger)
    assert (live.due, live.pending, live.overdue) == (2, 58, 1)
    live = record(ledger.settled([history(closes_after(START, 101.0, 102.0, 103.0))]))
    assert (live.due, live.pending, live.overdue) == (3, 57, 0)
    assert record(release(release(EMPTY, START), START + DAY)).overdue == 1  # the last candle's own day


def forty_days() -> Ledger:
    """Four releases a day from four prices for forty days, each day settled before the next."""
    ledger = EMPTY
    for day in range(40):
        for hours in (0, 6, 12, 18):
            ledger = release(ledger, START + day * DAY, 100.0 + hours, hours=hours)
        ledger = ledger.settled([history({START + (day + 1) * DAY: 103.0})])
    return ledger


def test_overlapping_forecasts_are_counted_and_so_are_the_days_they_were_about() -> None:
    """Four releases a day say thirty times four things of each day, which is still one day."""
    live = record(forty_days())
    assert (live.releases, live.days) == (160, 40)
    assert live.due == 4 * (10 * 30 + sum(range(1, 31)))
    assert live.due + live.pending == 160 * 30
    assert live.words.startswith("3,060 forecasts of 40 days came due: ")
    assert [score.horizon_days for score in live.by_horizon] == [1, 3, 7, 14, 30]
    assert [score.due for score in live.by_horizon] == [4 * (41 - horizon) for horizon in (1, 3, 7, 14, 30)]
    assert [score.days for score in live.by_horizon] == [41 - horizon for horizon in (1, 3, 7, 14, 30)]


def test_the_latest_are_one_a_day_and_the_first_that_was_said_of_tomorrow() -> None:
    """The last release before a close knows most of the day already, and would flatter."""
    latest = record(forty_days()).latest
    assert [forecast.target for forecast in latest] == [START + day * DAY for day in range(40, 10, -1)]
    assert {forecast.horizon_days for forecast in latest} == {1}
    assert {forecast.persistence for forecast in latest} == {100.0}


def test_where_nobody_spoke_of_tomorrow_the_latest_are_what_looked_least_far_ahead() -> None:
    ledger = release(release(EMPTY, START), START + 2 * DAY)
    latest = record(ledger.settled([history(closes_after(START, *[101.0] * 5))])).latest
    assert [forecast.horizon_days for forecast in latest] == [3, 2, 1, 2, 1]


def market(now: datetime) -> History:
    """The invented market's last ninety days, as training reads them."""
    return read_history([Simulated(7)], BTC, Interval.DAY_1, days=90, until=None, now=now)[0]


def trained(ledger: Ledger, now: datetime) -> Ledger:
    """The ledger after one training: what has come due is settled, and new forecasts are released."""
    days = market(now)
    ledger = ledger.settled([days])
    candle = days.candles[-1]
    return release(ledger, candle.open_time.date(), candle.close, drift=0.002, reach=0.04, simulated=True)


def test_the_whole_life_of_a_ledger(tmp_path: Path) -> None:
    """Released on day 0, carried on through files on days 5 and 40, scored against what the market really did."""
    begin = datetime(2025, 1, 1, 0, 5, tzinfo=UTC)
    path = tmp_path / "ledger.jsonl"
    ledger = trained(EMPTY, begin)
    for day in (5, 40):
        before = ledger
        files.write_atomically(path, ledger.dumps())
        ledger = trained(read_ledger(path), begin + day * DAY)
        assert ledger.dumps().startswith(path.read_bytes())
        assert read_ledger(path, [before.scorecard().head]) == before

    live = ledger.scorecard().simulated[BTC]
    closes = {c.open_time.date(): c.close for c in market(begin + 41 * DAY).candles}
    first, second = date(2024, 12, 31), date(2025, 1, 5)  # the last candles of the releases of days 0 and 5
    said = [
        (last + horizon * DAY, round(closes[last] * math.exp(0.002 * horizon), 2), closes[last], horizon)
        for last in (first, second)
        for horizon in range(1, 31)
    ]
    errors = [abs(math.log(price / closes[day])) for day, price, _, _ in said]
    persistence = [abs(math.log(price / closes[day])) for day, _, price, _ in said]
    inside = [abs(math.log(price / closes[day])) <= 0.04 for day, price, _, _ in said]
    assert (live.releases, live.due, live.days, live.pending, live.overdue) == (3, 60, 35, 30, 0)
    assert live.mae == pytest.approx(sum(errors) / 60)
    assert live.relative_mae == pytest.approx(sum(errors) / sum(persistence))
    assert live.skill == pytest.approx(1 - sum(errors) / sum(persistence))
    assert live.coverage == pytest.approx(sum(inside) / 60)
    assert 0 < sum(inside) < 60
    weeks = [error for error, (_, _, _, horizon) in zip(errors, said, strict=True) if horizon == 7]
    assert [score.mae for score in live.by_horizon if score.horizon_days == 7] == [pytest.approx(sum(weeks) / 2)]
    assert [forecast.target for forecast in live.latest] == [second + day * DAY for day in range(30, 0, -1)]
    assert [forecast.actual for forecast in live.latest] == [closes[forecast.target] for forecast in live.latest]
    assert ledger.scorecard().entries == 3 + 35
    assert plain.decode(Scorecard, plain.encode(ledger.scorecard())) == ledger.scorecard()
