"""The choice of a source, what of its candles becomes a history, and the comparison with another exchange."""

import hashlib
import logging
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.schema import CrossCheck
from crypto_predict.errors import Refused, RefusedKeys, SourceError, Unreachable, UnusableHistory
from crypto_predict.history import MIN_CANDLES, SETTLE, Candles, History, compare_last_close, read_history
from crypto_predict.history.failover import STALE
from crypto_predict.market import DAY, EPOCH, Candle, Gap, Interval, Pair, Quote, Span
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.csv_file import CsvFile
from crypto_predict.sources.network.retry import Failure, RetryPolicy
from crypto_predict.sources.simulated import Simulated
from tests.support.histories import history_of, make_candle

BTC, TETHER = Pair("BTC", "USD"), Pair("BTC", "USDT")
NOW = datetime(2024, 5, 18, 12, 30, tzinfo=UTC)
TODAY = datetime(2024, 5, 18, tzinfo=UTC)
HEADER = "time,open,high,low,close,volume"


@dataclass
class Feed:
    """A source with these candles, sound or not, which may end with an error."""

    sent: Sequence[Candle] = ()
    error: SourceError | UnusableHistory | None = None
    id: str = "exchange"
    simulated: bool = False
    intervals: frozenset[Interval] = frozenset(Interval)
    quote_currency: str | None = None  # that it trades in place of any other one
    requested: Span | None = None

    def traded(self, pair: Pair) -> Pair:
        """Return the pair in its own currency."""
        return replace(pair, quote=self.quote_currency or pair.quote)

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """`limit` rounded down."""
        return interval.floor(limit)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:  # noqa: ARG002 the same
        """All candles, inside the span or not, and then the error."""
        self.requested = span
        yield from self.sent
        if self.error is not None:
            raise self.error


class Venue(Feed):
    """An exchange: others may confirm its last close, and its history is read in a thread."""

    def quote(self, pair: Pair) -> Quote:
        """No test asks for it."""
        raise NotImplementedError(pair)


def candle(opening: datetime, close: float = 100.0) -> Candle:
    """A sound candle."""
    return Candle(opening, 100.0, max(100.0, close), min(100.0, close), close, 3.0)


def daily(candles: Iterable[Candle]) -> Candles:
    """These candles as the columns of a history."""
    return Candles.of(candles, Interval.DAY_1)


def days(first: datetime, count: int) -> list[Candle]:
    """Return sound daily candles with different closes."""
    return [candle(first + number * DAY, 100.0 + number / 8) for number in range(count)]


FORTY = days(TODAY - 40 * DAY, 40)
TOMORROW = candle(TODAY + DAY)
INVENTED = Feed(days(TODAY - 50 * DAY, 50), id="simulated", simulated=True)
DOWN = Feed(error=Unreachable("exchange", "connection refused"))


def read(*sources: CandleSource, keep: int = 1825, until: date | None = None, now: datetime = NOW) -> History:
    """The daily history of these sources."""
    return read_history(sources, BTC, Interval.DAY_1, keep, until, now)[0]


def faults_of(*sources: CandleSource, until: date | None = None, keep: int = 1825) -> tuple[str, ...]:
    """Return the reasons why these sources have no usable history."""
    with pytest.raises(UnusableHistory) as error:
        read(*sources, until=until, keep=keep)
    assert error.value.subject == "BTC/USD"
    return error.value.faults


def judged_first(sent: Sequence[Candle], interval: Interval = Interval.DAY_1) -> History:
    """The history that the gate gets, which may be short."""
    histories: list[History] = []

    def judge(history: History) -> list[str]:
        histories.append(history)
        return ["seen"]

    with pytest.raises(Refused):
        read_history([Feed(sent)], BTC, interval, 1825, None, TODAY + SETTLE, judge)
    return histories[0]


def test_a_sound_history_is_returned_completely_and_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    history = read(Feed(FORTY))
    assert (history, history.passed_over) == (history_of(FORTY, BTC, "exchange"), ())
    assert caplog.records == []


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (TODAY + timedelta(hours=12), TODAY - DAY),
        (TODAY + SETTLE, TODAY - DAY),
        (TODAY + SETTLE - timedelta(microseconds=1), TODAY - 2 * DAY),
        (TODAY, TODAY - 2 * DAY),
    ],
)
def test_a_candle_is_used_only_after_it_has_been_closed_for_five_seconds(now: datetime, last: datetime) -> None:
    """An exchange also returns the candle that is still open."""
    history = read(Feed(days(TODAY - 40 * DAY, 41)), now=now)
    assert (history.candles[-1].open_time, history.gaps) == (last, ())


@pytest.mark.parametrize("until", [date(2024, 5, 1), date(2024, 4, 9)])
def test_nothing_after_until_is_read(until: date) -> None:
    source = Feed(days(TODAY - 100 * DAY, 101))
    assert read(source, until=until).candles[-1].open_time.date() == until
    assert source.requested is not None
    assert source.requested.end == datetime(until.year, until.month, until.day, tzinfo=UTC) + DAY


@pytest.mark.parametrize("until", [date(2024, 5, 17), date(2024, 5, 18), date(2050, 1, 1), date.max])
def test_until_a_day_that_is_not_over_means_until_now(until: date) -> None:
    assert read(Feed(FORTY), until=until).candles == daily(FORTY)


def test_until_yesterday_leaves_out_a_candle_that_closed_this_second() -> None:
    assert read(Feed(FORTY), until=date(2024, 5, 17), now=TODAY).candles == daily(FORTY[:-1])


@pytest.mark.parametrize("keep", [30, 35, 40])
def test_the_span_ends_with_the_newest_closed_candle(keep: int) -> None:
    source = Feed(FORTY)
    assert read(source, keep=keep).candles == daily(FORTY[-keep:])
    assert source.requested == Span(TODAY - keep * DAY, TODAY)


@pytest.mark.parametrize("until", [None, date(1970, 3, 1)])
def test_a_span_does_not_start_before_1970(until: date | None) -> None:
    source = Feed(days(EPOCH - 9 * DAY, 50))
    assert read(source, keep=36_500, until=until).candles[0].open_time == EPOCH
    assert source.requested is not None
    assert source.requested.start == EPOCH


@pytest.mark.parametrize("until", [date(1, 1, 1), date(1969, 12, 30), date(1969, 12, 31)])
def test_until_a_day_before_1970_nothing_is_read(until: date) -> None:
    source = Feed(FORTY)
    [fault] = faults_of(source, until=until, keep=36_500)
    assert fault.startswith("exchange: no candle of BTC/USD from ")
    assert source.requested is None


KINDS = st.sampled_from(["sound", "sound", "impossible", "off grid"])


@given(st.lists(st.tuples(st.integers(0, 40), KINDS), min_size=1, max_size=80), st.sampled_from(Interval))
def test_a_history_is_the_sound_last_copies_and_never_filled_in(
    stream: list[tuple[int, str]], interval: Interval
) -> None:
    """In any order, with any repetition: exchanges revise a candle and send it again."""
    sent, last = [], dict[int, Candle | None]()
    for number, (step, kind) in enumerate(stream):
        sound = candle(interval.floor(TODAY) + (step - 42) * interval.length, 100.0 + number / 8)
        last |= {step: sound if kind == "sound" else None} if kind != "off grid" else {}
        askew = sound._replace(open_time=sound.open_time + interval.length / 4)
        sent.append({"sound": sound, "impossible": sound._replace(close=-1.0), "off grid": askew}[kind])
    history = judged_first(sent, interval)
    usable = sorted(step for step, sound_copy in last.items() if sound_copy)
    assert history.candles == Candles.of([each for step in usable if (each := last[step])], interval)
    off_grid = {step for step, kind in stream if kind == "off grid"}
    assert history.quarantined == len(last) - len(usable) + len(off_grid)
    missing = [(before + 1, after) for before, after in pairwise(usable) if after - before > 1]
    at = {step: interval.floor(TODAY) + (step - 42) * interval.length for step in range(41)}
    assert history.gaps == tuple(Gap(at[first], at[end], end - first) for first, end in missing)
    repeated = len(stream) - len(last) - len(off_grid)
    assert history.defects.get("repeat an opening", "0 of").startswith(f"{repeated} of")


@pytest.mark.parametrize("bad", [40, 41, 80])
def test_a_source_with_more_than_half_impossible_candles_is_not_used(bad: int) -> None:
    """The other candles are then probably wrong too."""
    eighty = days(TODAY - 80 * DAY, 80)
    source = Feed([c._replace(close=-1.0) if n < bad else c for n, c in enumerate(eighty)])
    if bad <= 40:
        assert read(source).quarantined == bad
    else:
        expected = "the first: 2024-02-28: close -1.0 is not a positive number"
        assert faults_of(source) == (f"exchange: {bad} of 80 candles are impossible; {expected}",)


@pytest.mark.parametrize("count", [1, MIN_CANDLES - 1, MIN_CANDLES])
def test_too_few_candles_are_refused_with_the_number_needed(count: int) -> None:
    if count == 30:
        assert len(read(Feed(FORTY[-count:])).candles) == count
    else:
        assert faults_of(Feed(FORTY[-count:])) == (f"exchange: {count} usable candles of BTC/USD, 30 are needed",)


def test_a_candle_from_the_future_makes_a_source_unusable() -> None:
    """A clock is wrong, so the last closed candle is unknown."""
    fault = "exchange: 1 of 41 candles open in the future; the first: 2024-05-19"
    assert faults_of(Feed([*FORTY, TOMORROW])) == (fault,)


ASKEW = "2024-05-16 12:00:00, 12:00:00 after the one before; one a day at 00:00 UTC is expected"
DELIVERIES: dict[str, tuple[list[Candle], list[tuple[str, int, str]]]] = {
    "sound": (FORTY, []),
    "repeated": ([*FORTY, FORTY[20]], [("repeat an opening", 1, "2024-04-28 after 2024-04-28")]),
    "swapped": (
        [*FORTY[:3], FORTY[4], FORTY[3], *FORTY[5:]],
        [("stand after a later one", 1, "2024-04-11 after 2024-04-12")],
    ),
    "reversed": (FORTY[::-1], [("stand after a later one", 39, "2024-05-16 after 2024-05-17")]),
    "off grid": (
        [*FORTY[:-1], FORTY[-1]._replace(open_time=FORTY[-1].open_time - timedelta(hours=12))],
        [("open where none can", 1, ASKEW)],
    ),
    "impossible": (
        [FORTY[0]._replace(low=-1.0), *FORTY[1:]],
        [("are impossible", 1, "2024-04-08: low -1.0 is not a positive number")],
    ),
    "future": ([*FORTY, TOMORROW], [("open in the future", 1, "2024-05-19")]),
    "two kinds": (
        [*FORTY[10:], *FORTY[:20]],
        [
            ("stand after a later one", 1, "2024-04-08 after 2024-05-17"),
            ("repeat an opening", 10, "2024-04-18 after 2024-04-18"),
        ],
    ),
}


@pytest.mark.parametrize(("delivered", "defects"), DELIVERIES.values(), ids=DELIVERIES)
def test_the_gate_receives_every_defect(delivered: list[Candle], defects: list[tuple[str, int, str]]) -> None:
    """It also decides about defects that were repaired or left out."""
    history = judged_first(delivered)
    assert history.defects == {
        kind: f"{count} of {len(delivered)} candles {kind}; the first: {first}" for kind, count, first in defects
    }


def test_a_defect_in_a_file_is_reported_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(
        f"{HEADER}\n2024-05-01,1,1,1,1,1\n2024-05-02,1,1,1,1,1\n2024-05-01,1,1,1,1,1\n"
    )
    with pytest.raises(Refused) as error:
        judged(CsvFile(str(tmp_path / "prices.csv")))
    assert error.value.reasons[0].endswith(
        "1 of 3 candles repeat an opening; the first: 2024-05-01 in line 4 after 2024-05-01 in line 2"
    )


def judged(*sources: CandleSource) -> History:
    """The history of the first of these sources without a defect."""
    return read_history(sources, BTC, Interval.DAY_1, 1825, None, NOW, lambda history: [*history.defects.values()])[0]


REPEATING = Feed([*FORTY, FORTY[20]], id="repeating")


def test_after_a_refused_source_the_next_one_is_read(caplog: pytest.LogCaptureFixture) -> None:
    assert judged(REPEATING, Feed(FORTY, id="second")).source == "second"
    assert "BTC/USD: no history from repeating: 1 of 41 candles repeat an opening" in caplog.text


def test_a_refusal_has_a_reason_for_every_source() -> None:
    """Simulated prices never replace data that was refused."""
    with pytest.raises(Refused) as error:
        judged(DOWN, REPEATING, CsvFile("no-such-file.csv"), INVENTED)
    assert error.value.reasons == (
        "BTC/USD: exchange: connection refused",
        "BTC/USD: repeating: 1 of 41 candles repeat an opening; the first: 2024-04-28 after 2024-04-28",
        "BTC/USD: file:no-such-file.csv: the file does not exist",
        "BTC/USD: simulated: not used, since simulated prices replace only unreachable sources",
    )


def test_the_gate_decides_before_the_length_of_the_history_is_checked() -> None:
    """A refusal must not be reported as a history that is too short."""
    for delivered in ([*FORTY[:5], FORTY[4]], [TOMORROW], [c._replace(low=-1.0) for c in FORTY]):
        with pytest.raises(Refused):
            judged(Feed(delivered))
    with pytest.raises(UnusableHistory, match="5 usable candles"):
        judged(Feed(FORTY[:5]))


def test_candles_that_close_too_late_have_another_message_than_no_candles() -> None:
    [fault] = faults_of(Feed(FORTY), until=date(2024, 1, 1))
    assert fault == "exchange: no candle closes by 2024-01-02 00:00; the first one opens 2024-04-08"


def test_a_source_that_ends_early_is_used_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert read(Feed(FORTY[:-3])).candles[-1] == FORTY[-4]
    assert "the newest candle of exchange closed 2024-05-15" in caplog.text


STALE_ONE = Feed(FORTY[:-STALE], id="stale")


def test_a_stale_source_gives_way_to_a_fresh_one() -> None:
    """But not one that is late with one candle: an exchange may need longer for its newest than another one."""
    history = read(STALE_ONE, Feed(FORTY, id="second"))
    assert history.source == "second"
    assert history.passed_over == ("stale: stale, its newest candle closed 2024-05-16 00:00",)
    assert read(Feed(FORTY[: 1 - STALE], id="late"), Feed(FORTY, id="second")).source == "late"


def test_of_stale_sources_only_the_newest_is_used() -> None:
    """The gate decides how old a history may be. Simulated prices never replace it."""
    for sources in ([STALE_ONE, Feed(FORTY[:-9], id="older")], [Feed(FORTY[:-9], id="older"), STALE_ONE]):
        history = read(*sources, DOWN)
        assert (history.source, len(history.candles)) == ("stale", len(FORTY) - STALE)
        assert [line.partition(":")[0] for line in history.passed_over] == ["older", "exchange"]
    assert read(STALE_ONE, INVENTED).source == "stale"


def test_the_log_and_the_history_name_the_source_and_why_others_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    faulty = Feed([*FORTY, TOMORROW], id="faulty")
    unreadable = Feed(error=UnusableHistory("unreadable", ["line 3", "line 4", "line 5"]))
    with caplog.at_level(logging.INFO):
        history = read(DOWN, faulty, unreadable, Feed(FORTY, id="last"))
    assert history.passed_over == (
        "exchange: connection refused",
        "faulty: 1 of 41 candles open in the future; the first: 2024-05-19",
        "unreadable: line 3 (and 2 more)",
    )
    assert f"BTC/USD: last is used, since others are not: {'; '.join(history.passed_over)}" in caplog.text
    assert "BTC/USD: no history from exchange: connection refused" in caplog.text


def test_prices_in_another_currency_are_named_in_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Quote currencies are never mixed silently."""
    history = read(Feed(FORTY, quote_currency="USDT"))
    assert (history.pair, history.traded) == (BTC, TETHER)
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == "BTC/USD: the prices of exchange are those of BTC/USDT"


UNUSABLE: dict[str, CandleSource] = {
    "too little": Feed(FORTY[:3]),
    "from the future": Feed([*FORTY, TOMORROW]),
    "nothing for the pair": Feed(),
    "a bound met": Feed(error=SourceError("exchange", "it sent too much")),
    "breaks off": Feed(FORTY[:25], SourceError("exchange", "stopped in the middle")),
    "faulty": Feed(error=UnusableHistory("exchange", ["faulty"])),
    "a file mistyped": CsvFile("no-such-file.csv"),
}


@pytest.mark.parametrize("first", [DOWN, *UNUSABLE.values()], ids=["unreachable", *UNUSABLE])
def test_another_real_source_is_tried_whatever_is_wrong_with_the_first(first: CandleSource) -> None:
    third = Feed(FORTY, id="third")
    assert read(first, Feed(FORTY, id="second"), third).source == "second"
    assert third.requested is None


@pytest.mark.parametrize("first", UNUSABLE.values(), ids=UNUSABLE)
def test_simulated_prices_never_replace_a_source_that_was_reached(first: CandleSource) -> None:
    """A mistyped path or pair must not give a forecast of a simulated market."""
    faults = faults_of(first, DOWN, INVENTED)
    assert faults[0].startswith(f"{first.id}: ")
    assert faults[1:] == (
        "exchange: connection refused",
        "simulated: not used, since simulated prices replace only unreachable sources",
    )


def test_simulated_prices_replace_unreachable_sources() -> None:
    assert read(DOWN, DOWN, INVENTED).simulated


def test_refused_keys_end_the_search() -> None:
    """Another source would hide that the keys are wrong."""
    for other in (INVENTED, Feed(FORTY, id="second")):
        with pytest.raises(RefusedKeys, match="exchange: correct them"):
            read(Feed(error=RefusedKeys("exchange", "correct them")), other)


def test_the_faults_of_all_sources_are_reported_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(f"{HEADER}\n2024-01-01,1,1,1,1,1\nsoon,1,1,1,1,1\n2024-01-02,x,1,1,1,1\n")
    faults = faults_of(DOWN, CsvFile(str(path)), Feed(FORTY[:5], id="thin"))
    assert "line 3: time 'soon' is not a date that can be read" in caplog.text
    assert faults == (
        "exchange: connection refused",
        f"file:{path}: line 3: time 'soon' is not a date that can be read: write 2025-06-30, or 2025-06-30T14:00Z",
        f"file:{path}: line 4: open 'x' is not a number",
        "thin: 5 usable candles of BTC/USD, 30 are needed",
    )


def test_a_missing_file_is_named_with_the_currencies_inserted() -> None:
    """A pattern would not show which file is missing."""
    [fault] = faults_of(CsvFile("prices_{base}-{quote}_1d.csv"))
    assert fault == "file:prices_BTC-USD_1d.csv: the file does not exist"


def test_simulated_prices_are_logged_as_a_banner(caplog: pytest.LogCaptureFixture) -> None:
    assert read(Simulated(0)).simulated
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "SIMULATED PRICES for BTC/USD" in warning
    assert warning.count("\n") >= 3


def test_a_file_is_read_to_its_own_end(tmp_path: Path) -> None:
    """The days of an old file count back from its last row."""
    path = tmp_path / "prices.csv"
    rows = [f"{c.open_time:%Y-%m-%d},{c.open},{c.high},{c.low},{c.close},{c.volume}" for c in days(EPOCH, 100)]
    path.write_text("\n".join([HEADER, *rows]))
    history = read(CsvFile(str(path)), keep=60)
    assert (history.candles, history.source) == (daily(days(EPOCH, 100)[40:]), f"file:{path}")


def test_the_digest_is_taken_over_the_documented_text() -> None:
    """Anybody with the same candles can check a model card."""
    candles = [
        Candle(TODAY, 1.5, 2.0, 1.0, 1e-7, 0.0),
        Candle(TODAY + DAY, 67_000, 67_000.1, 0.1 + 0.2, 67_000, 1e22),
    ]
    text = (
        "86400\n"
        "2024-05-18T00:00:00Z,1.5,2.0,1.0,1e-07,0.0\n"
        "2024-05-19T00:00:00Z,67000.0,67000.1,0.30000000000000004,67000.0,1e+22\n"
    )
    assert history_of(candles).sha256() == hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Meeting(Venue):
    """An exchange whose attempts fail until the ones after it have been asked, too."""

    met: threading.Barrier | None = None

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Fail twice, and then deliver or give up."""
        attempts = iter(range(2))

        def ask() -> Sequence[Candle]:
            if next(attempts, None) == 0:
                raise Failure("no answer", again=True)
            assert self.met is not None
            self.met.wait(30)
            if self.error is not None:
                raise Failure("no answer", again=False, becomes=Unreachable)
            return list(super(Meeting, self).candles(pair, interval, span))

        yield from RetryPolicy(first_wait=0.001, longest_wait=0.002).run(self.id, ask)


@pytest.mark.parametrize("reachable", [True, False])
def test_exchanges_in_trouble_are_asked_side_by_side_and_the_order_of_preference_decides(reachable: bool) -> None:
    """Each fails once, and goes on only once all of them have: one after the other they would wait for ever."""
    met, names = threading.Barrier(3), ("first", "second", "third")
    fault = None if reachable else Unreachable("exchange", "no answer")
    venues = [Meeting(FORTY, fault, name, met=met) for name in names]
    if reachable:
        assert read(*venues).source == "first"
    else:
        assert faults_of(*venues) == tuple(f"{name}: no answer (tried 2 times)" for name in names)


def test_an_exchange_is_not_asked_as_long_as_the_one_before_it_answers() -> None:
    venues = [Venue(FORTY, id="first"), Venue(FORTY, id="second")]
    assert read(*venues).source == "first"
    assert venues[1].requested is None


FIRST = Venue(id="first")
HISTORY = history_of(FORTY, BTC, "first")
CLOSE, LAST = FORTY[-1].close, FORTY[-1].open_time  # 104.875


def second(*candles: Candle, error: SourceError | UnusableHistory | None = None) -> Venue:
    """Another exchange, which trades Tether."""
    return Venue(candles, error, "second", quote_currency="USDT")


def test_the_last_close_is_compared_with_the_first_exchange_that_answers(caplog: pytest.LogCaptureFixture) -> None:
    """It is asked for one candle, and the log names both closes."""
    other, third = second(candle(LAST, 104.0)), Venue([candle(LAST, 500.0)], id="third")
    with caplog.at_level(logging.INFO):
        check = compare_last_close(HISTORY, FIRST, [other, third])
    assert check == CrossCheck("second", TETHER, date(2024, 5, 17), 104.0, 104.0 / CLOSE - 1)
    assert (other.requested, third.requested) == (Span(LAST, LAST + DAY), None)
    assert "BTC/USD: the last close is 104.875 at first and 104 (BTC/USDT) at second, -0.83 % apart" in caplog.text


@pytest.mark.parametrize(
    "silent",
    [
        second(error=Unreachable("second", "no network")),
        second(error=SourceError("second", "answered 400")),
        second(error=RefusedKeys("second", "correct them")),
        second(error=UnusableHistory("second", ["it cannot have the pair"])),
        second(),
        second(candle(LAST - DAY, 5.0)),
        second(candle(LAST)._replace(close=math.nan)),
    ],
    ids=["unreachable", "refused", "keys", "no such pair", "no candle", "another day", "impossible"],
)
def test_an_exchange_that_cannot_confirm_is_logged_and_the_next_one_is_asked(
    silent: Venue, caplog: pytest.LogCaptureFixture
) -> None:
    """A second opinion is worth a request, not a failed training."""
    assert compare_last_close(HISTORY, FIRST, [silent]) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "second" in caplog.text
    check = compare_last_close(HISTORY, FIRST, [silent, Venue([candle(LAST)], id="third")])
    assert check is not None
    assert check.source == "third"


@pytest.mark.parametrize("other", [Simulated(0), CsvFile("no-such-file.csv"), replace(FIRST, sent=[candle(LAST)])])
def test_only_another_exchange_is_a_second_opinion(other: CandleSource) -> None:
    """Simulated prices are invented, and a file may be a copy of the exchange."""
    assert compare_last_close(HISTORY, FIRST, [other]) is None


@pytest.mark.parametrize("source", [Simulated(0), CsvFile("prices.csv")])
def test_simulated_prices_and_files_are_not_compared(source: CandleSource) -> None:
    """Whoever trains from a file expects no connection."""
    other = second(candle(LAST))
    assert compare_last_close(HISTORY, source, [other]) is None
    assert other.requested is None


def test_minutes_are_compared_by_the_last_minute() -> None:
    opening = datetime(2021, 1, 1, 12, tzinfo=UTC)
    minutes = [make_candle(opening + n * timedelta(minutes=1), 100.0) for n in range(3)]
    other = second(make_candle(minutes[-1].open_time, 101.0))
    check = compare_last_close(history_of(minutes, interval=Interval.MINUTE_1), FIRST, [other])
    assert check is not None
    assert check.difference == pytest.approx(0.01)
