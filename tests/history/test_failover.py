import hashlib
import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import Refused, RefusedKeys, SourceError, Unreachable, UnusableHistory
from crypto_predict.history import MIN_CANDLES, SETTLE, STALE, Candles, Defect, History, closing_limit, read_history
from crypto_predict.market import DAY, EPOCH, Candle, Gap, Interval, Pair, Quote, Span
from crypto_predict.market.ports import CandleSource
from crypto_predict.sources.csv_file import CsvFile
from crypto_predict.sources.network.retry import Failure, RetryPolicy
from crypto_predict.sources.simulated import Simulated
from tests.support.histories import history_of

BTC = Pair("BTC", "USD")
NOW = datetime(2024, 5, 18, 12, 30, tzinfo=UTC)
TODAY = datetime(2024, 5, 18, tzinfo=UTC)


@dataclass
class Exchange:
    """A source with these candles, sound or not, which may end with an error."""

    held: Sequence[Candle] = ()
    error: SourceError | UnusableHistory | None = None
    id: str = "exchange"
    simulated: bool = False
    intervals: frozenset[Interval] = frozenset(Interval)
    quote_currency: str | None = None  # that it trades in place of any other one
    asked: Span | None = None  # the requested span

    def traded(self, pair: Pair) -> Pair:
        """Return the pair in its own currency."""
        return replace(pair, quote=self.quote_currency or pair.quote)

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """`limit` rounded down."""
        return interval.floor(limit)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:  # noqa: ARG002 the same
        """All candles, inside the span or not, and then the error."""
        self.asked = span
        yield from self.held
        if self.error is not None:
            raise self.error


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
MADE_UP = Exchange(days(TODAY - 50 * DAY, 50), id="simulated", simulated=True)
DOWN = Exchange(error=Unreachable("exchange", "connection refused"))


def read(*sources: CandleSource, keep: int = 1825, until: date | None = None, now: datetime = NOW) -> History:
    """The daily history of these sources."""
    return read_history(sources, BTC, Interval.DAY_1, keep, until, now)[0]


def faults_of(*sources: CandleSource, until: date | None = None, keep: int = 1825) -> tuple[str, ...]:
    """Return the reasons why these sources have no usable history."""
    with pytest.raises(UnusableHistory) as error:
        read(*sources, until=until, keep=keep)
    assert error.value.subject == "BTC/USD"
    return error.value.faults


def test_a_sound_history_is_returned_completely() -> None:
    assert read(Exchange(FORTY)) == history_of(FORTY, BTC, "exchange")


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
    history = read(Exchange(days(TODAY - 40 * DAY, 41)), now=now)
    assert history.candles[-1].open_time == last
    assert history.gaps == ()


@pytest.mark.parametrize("until", [date(2024, 5, 1), date(2024, 4, 9)])
def test_nothing_after_until_is_read(until: date) -> None:
    source = Exchange(days(TODAY - 100 * DAY, 101))
    history = read(source, until=until)
    assert history.candles[-1].open_time.date() == until
    assert source.asked is not None
    assert source.asked.end == datetime(until.year, until.month, until.day, tzinfo=UTC) + DAY


@pytest.mark.parametrize("until", [date(2024, 5, 17), date(2024, 5, 18), date(2050, 1, 1), date.max])
def test_until_a_day_that_is_not_over_means_until_now(until: date) -> None:
    assert read(Exchange(FORTY), until=until).candles == daily(FORTY)


def test_until_yesterday_leaves_out_a_candle_that_closed_this_second() -> None:
    assert read(Exchange(FORTY), until=date(2024, 5, 17), now=TODAY).candles == daily(FORTY[:-1])


@pytest.mark.parametrize("keep", [30, 35, 40])
def test_the_span_ends_with_the_newest_closed_candle(keep: int) -> None:
    source = Exchange(FORTY)
    assert read(source, keep=keep).candles == daily(FORTY[-keep:])
    assert source.asked == Span(TODAY - keep * DAY, TODAY)


@pytest.mark.parametrize("until", [None, date(1970, 3, 1)])
def test_a_span_does_not_start_before_1970(until: date | None) -> None:
    source = Exchange(days(EPOCH - 9 * DAY, 50))
    assert read(source, keep=36_500, until=until).candles[0].open_time == EPOCH
    assert source.asked is not None
    assert source.asked.start == EPOCH


@pytest.mark.parametrize("until", [date(1, 1, 1), date(1969, 12, 30), date(1969, 12, 31)])
def test_until_a_day_before_1970_nothing_is_read(until: date) -> None:
    source = Exchange(FORTY)
    [fault] = faults_of(source, until=until, keep=36_500)
    assert fault.startswith("exchange: no candle of BTC/USD from ")
    assert source.asked is None


def test_repeated_candles_are_kept_once_and_the_last_copy_wins() -> None:
    """Exchanges revise a candle and send it again."""
    revised = FORTY[20]._replace(close=100.5)
    history = read(Exchange([*FORTY, revised]))
    assert history.candles == daily([*FORTY[:20], revised, *FORTY[21:]])


@given(st.permutations(range(40)))
def test_the_order_in_which_candles_arrive_does_not_matter(order: list[int]) -> None:
    assert read(Exchange([FORTY[number] for number in order])).candles == daily(FORTY)


IMPOSSIBLE = [
    FORTY[20]._replace(open=math.nan),
    FORTY[20]._replace(high=50.0),
    FORTY[20]._replace(low=-1.0),
    FORTY[20]._replace(close=math.inf),
    FORTY[20]._replace(volume=-2.0),
]


@pytest.mark.parametrize("bad", IMPOSSIBLE)
def test_an_impossible_candle_is_quarantined_counted_and_leaves_a_gap(bad: Candle) -> None:
    """It must not reach the fit, and the model card must count it."""
    history = read(Exchange([*FORTY[:20], bad, *FORTY[21:]]))
    assert history.candles == daily([*FORTY[:20], *FORTY[21:]])
    assert history.quarantined == 1
    assert history.gaps == (Gap(FORTY[20].open_time, FORTY[21].open_time, 1),)


def test_a_candle_between_two_openings_is_quarantined() -> None:
    askew = FORTY[20]._replace(open_time=FORTY[20].open_time + timedelta(minutes=1))
    history = read(Exchange([*FORTY, askew]))
    assert (history.candles, history.quarantined, history.gaps) == (daily(FORTY), 1, ())


@pytest.mark.parametrize(("bad", "usable"), [(40, True), (41, False), (80, False)])
def test_a_source_with_more_than_half_impossible_candles_is_not_used(bad: int, usable: bool) -> None:
    """The other candles are then probably wrong too."""
    eighty = days(TODAY - 80 * DAY, 80)
    source = Exchange([c._replace(close=-1.0) if n < bad else c for n, c in enumerate(eighty)])
    if usable:
        assert read(source).quarantined == bad
    else:
        [fault] = faults_of(source)
        expected = "the first: 2024-02-28: close -1.0 is not a positive number"
        assert fault == f"exchange: {bad} of 80 candles are impossible; {expected}"


def test_gaps_are_recorded_with_their_ends_and_never_filled() -> None:
    kept = [*FORTY[:10], *FORTY[11:20], *FORTY[23:]]
    history = read(Exchange(kept))
    assert history.candles == daily(kept)
    assert history.gaps == (
        Gap(FORTY[10].open_time, FORTY[11].open_time, 1),
        Gap(FORTY[20].open_time, FORTY[23].open_time, 3),
    )


@given(st.sets(st.integers(0, 300), min_size=1), st.sampled_from(Interval))
def test_gaps_and_candles_together_fill_the_span_exactly(kept: set[int], interval: Interval) -> None:
    candles = [candle(EPOCH + number * interval.length) for number in sorted(kept)]
    gaps = history_of(candles, interval=interval).gaps
    openings = {c.open_time for c in candles}
    missing = {gap.start + number * interval.length for gap in gaps for number in range(gap.missing)}
    assert all(gap.start + gap.missing * interval.length == gap.end for gap in gaps)
    assert openings.isdisjoint(missing)
    assert openings | missing == {EPOCH + n * interval.length for n in range(min(kept), max(kept) + 1)}


@pytest.mark.parametrize("count", [1, MIN_CANDLES - 1])
def test_too_few_candles_are_refused_with_the_number_needed(count: int) -> None:
    [fault] = faults_of(Exchange(FORTY[-count:]))
    assert fault == f"exchange: {count} usable candles of BTC/USD, 30 are needed"


def test_thirty_candles_are_enough() -> None:
    assert len(read(Exchange(FORTY[-30:])).candles) == 30


def test_a_candle_from_the_future_makes_a_source_unusable() -> None:
    """A clock is wrong, so the last closed candle is unknown."""
    [fault] = faults_of(Exchange([*FORTY, candle(TODAY + DAY)]))
    assert fault == "exchange: 1 of 41 candles open in the future; the first: 2024-05-19"


NOON = timedelta(hours=12)


@pytest.mark.parametrize(
    ("delivered", "defects"),
    [
        (FORTY, []),
        ([*FORTY, FORTY[20]], [("repeat an opening", 1, "2024-04-28 after 2024-04-28")]),
        ([*FORTY[:3], FORTY[4], FORTY[3], *FORTY[5:]], [("stand after a later one", 1, "2024-04-11 after 2024-04-12")]),
        (FORTY[::-1], [("stand after a later one", 39, "2024-05-16 after 2024-05-17")]),
        (
            [*FORTY[:-1], FORTY[-1]._replace(open_time=FORTY[-1].open_time - NOON)],
            [
                (
                    "open where none can",
                    1,
                    "2024-05-16 12:00:00, 12:00:00 after the one before; one a day at 00:00 UTC is expected",
                )
            ],
        ),
        (
            [FORTY[0]._replace(low=-1.0), *FORTY[1:]],
            [("are impossible", 1, "2024-04-08: low -1.0 is not a positive number")],
        ),
        ([*FORTY, candle(TODAY + DAY)], [("open in the future", 1, "2024-05-19")]),
        (
            [*FORTY[10:], *FORTY[:20]],
            [
                ("stand after a later one", 1, "2024-04-08 after 2024-05-17"),
                ("repeat an opening", 10, "2024-04-18 after 2024-04-18"),
            ],
        ),
    ],
    ids=["sound", "repeated", "swapped", "reversed", "off grid", "impossible", "future", "two kinds"],
)
def test_the_gate_receives_every_defect(delivered: list[Candle], defects: list[tuple[str, int, str]]) -> None:
    """It also decides about defects that were repaired or left out."""
    shown: list[Defect] = []

    def judge(history: History) -> list[str]:
        shown.extend(history.defects)
        return ["seen"]

    with pytest.raises(Refused):
        read_history([Exchange(delivered)], BTC, Interval.DAY_1, 1825, None, NOW, judge)
    assert shown == [Defect(kind, count, len(delivered), first) for kind, count, first in defects]


def test_a_defect_in_a_file_is_reported_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(
        "time,open,high,low,close,volume\n2024-05-01,1,1,1,1,1\n2024-05-02,1,1,1,1,1\n2024-05-01,1,1,1,1,1\n"
    )
    with pytest.raises(Refused) as error:
        judged(str, CsvFile(str(tmp_path / "prices.csv")))
    assert error.value.reasons[0].endswith(
        "1 of 3 candles repeat an opening; the first: 2024-05-01 in line 4 after 2024-05-01 in line 2"
    )


def judged(reason: Callable[[Defect], str], *sources: CandleSource) -> History:
    """The history of the first of these sources without a defect."""

    def judge(history: History) -> list[str]:
        return [reason(defect) for defect in history.defects]

    return read_history(sources, BTC, Interval.DAY_1, 1825, None, NOW, judge)[0]


def test_after_a_refused_source_the_next_one_is_read(caplog: pytest.LogCaptureFixture) -> None:
    repeating = Exchange([*FORTY, FORTY[20]], id="repeating")
    assert judged(str, repeating, Exchange(FORTY, id="second")).source == "second"
    assert "BTC/USD: no history from repeating: 1 of 41 candles repeat an opening" in caplog.text


def test_a_refusal_has_a_reason_for_every_source() -> None:
    """Simulated prices never replace data that was refused."""
    repeating = Exchange([*FORTY, FORTY[20]], id="repeating")
    with pytest.raises(Refused) as error:
        judged(lambda defect: defect.kind, DOWN, repeating, CsvFile("no-such-file.csv"), MADE_UP)
    assert error.value.reasons == (
        "BTC/USD: exchange: connection refused",
        "BTC/USD: repeating: repeat an opening",
        "BTC/USD: file:no-such-file.csv: the file does not exist",
        "BTC/USD: simulated: not used, since simulated prices replace only unreachable sources",
    )


def test_the_gate_decides_before_the_length_of_the_history_is_checked() -> None:
    """A refusal must not be reported as a history that is too short."""
    for delivered in ([*FORTY[:5], FORTY[4]], [candle(TODAY + DAY)], [c._replace(low=-1.0) for c in FORTY]):
        with pytest.raises(Refused):
            judged(str, Exchange(delivered))
    with pytest.raises(UnusableHistory, match="5 usable candles"):
        judged(str, Exchange(FORTY[:5]))


def test_candles_that_close_too_late_have_another_message_than_no_candles() -> None:
    [fault] = faults_of(Exchange(FORTY), until=date(2024, 1, 1))
    assert fault == "exchange: no candle closes by 2024-01-02 00:00; the first one opens 2024-04-08"


@pytest.mark.parametrize(
    ("until", "limit"),
    [
        (None, NOW - SETTLE),
        (date(2024, 5, 18), NOW - SETTLE),
        (date(2024, 5, 17), TODAY),
        (date(2024, 5, 1), datetime(2024, 5, 2, tzinfo=UTC)),
    ],
)
def test_the_limit_is_the_present_or_the_end_of_a_day(until: date | None, limit: datetime) -> None:
    assert closing_limit(until, NOW) == limit


def test_a_source_that_ends_early_is_used_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert read(Exchange(FORTY[:-3])).candles[-1] == FORTY[-4]
    assert "the newest candle of exchange closed 2024-05-15" in caplog.text


STALE_ONE = Exchange(FORTY[:-STALE], id="stale")


def test_a_stale_source_gives_way_to_a_fresh_one() -> None:
    history = read(STALE_ONE, Exchange(FORTY, id="second"))
    assert history.source == "second"
    assert history.passed_over == ("stale: stale, its newest candle closed 2024-05-16 00:00",)


def test_a_source_that_is_late_with_one_candle_is_not_stale() -> None:
    """An exchange may need longer for its newest candle than another one."""
    assert read(Exchange(FORTY[: 1 - STALE], id="late"), Exchange(FORTY, id="second")).source == "late"


def test_of_stale_sources_only_the_newest_is_used() -> None:
    """The gate decides how old a history may be."""
    for sources in ([STALE_ONE, Exchange(FORTY[:-9], id="older")], [Exchange(FORTY[:-9], id="older"), STALE_ONE]):
        history = read(*sources, DOWN)
        assert (history.source, len(history.candles)) == ("stale", len(FORTY) - STALE)
        assert [line.partition(":")[0] for line in history.passed_over] == ["older", "exchange"]


def test_simulated_prices_never_replace_a_stale_source() -> None:
    assert read(STALE_ONE, MADE_UP).source == "stale"


def test_the_log_and_the_history_name_the_source_and_why_others_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    faulty = Exchange([*FORTY, candle(TODAY + DAY)], id="faulty")
    unreadable = Exchange(error=UnusableHistory("unreadable", ["line 3", "line 4", "line 5"]))
    with caplog.at_level(logging.INFO):
        history = read(DOWN, faulty, unreadable, Exchange(FORTY, id="last"))
    assert history.passed_over == (
        "exchange: connection refused",
        "faulty: 1 of 41 candles open in the future; the first: 2024-05-19",
        "unreadable: line 3 (and 2 more)",
    )
    assert f"BTC/USD: last is used, since others are not: {'; '.join(history.passed_over)}" in caplog.text
    assert read(Exchange(FORTY)).passed_over == ()


def test_prices_in_another_currency_are_named_in_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Quote currencies are never mixed silently."""
    history = read(Exchange(FORTY, quote_currency="USDT"))
    assert (history.pair, history.traded) == (BTC, Pair("BTC", "USDT"))
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == "BTC/USD: the prices of exchange are those of BTC/USDT"


def test_the_first_source_with_a_usable_history_wins(caplog: pytest.LogCaptureFixture) -> None:
    second = Exchange(FORTY, id="second")
    third = Exchange(FORTY, id="third")
    assert read(DOWN, second, third).source == "second"
    assert third.asked is None
    assert "BTC/USD: no history from exchange: connection refused" in caplog.text


@pytest.mark.parametrize(
    "first",
    [
        DOWN,
        Exchange(),
        Exchange(FORTY[:25], SourceError("exchange", "stopped in the middle")),
        Exchange(FORTY[:3]),
        Exchange([*FORTY, candle(TODAY + DAY)]),
        Exchange(error=UnusableHistory("exchange", ["faulty"])),
    ],
    ids=["unreachable", "nothing for the pair", "breaks off", "too little", "from the future", "faulty"],
)
def test_another_real_source_is_tried_whatever_is_wrong_with_the_first(first: CandleSource) -> None:
    assert read(first, Exchange(FORTY, id="second")).source == "second"


def test_simulated_prices_replace_unreachable_sources() -> None:
    assert read(DOWN, DOWN, MADE_UP).simulated


def test_refused_keys_end_the_search() -> None:
    """Another source would hide that the keys are wrong."""
    for other in (MADE_UP, Exchange(FORTY, id="second")):
        with pytest.raises(RefusedKeys, match="exchange: correct them"):
            read(Exchange(error=RefusedKeys("exchange", "correct them")), other)
    assert read(DOWN, Exchange(FORTY, id="second")).source == "second"


@pytest.mark.parametrize(
    "first",
    [
        Exchange(FORTY[:3]),
        Exchange([*FORTY, candle(TODAY + DAY)]),
        CsvFile("no-such-file.csv"),
        Exchange(),
        Exchange(error=SourceError("exchange", "it sent too much")),
    ],
    ids=["too little", "from the future", "a file mistyped", "nothing for the pair", "a bound met"],
)
def test_simulated_prices_never_replace_a_source_that_was_reached(first: CandleSource) -> None:
    """A mistyped path or pair must not give a forecast of a simulated market."""
    faults = faults_of(first, DOWN, MADE_UP)
    assert len(faults) == 3
    assert faults[0].startswith(f"{first.id}: ")
    assert faults[1:] == (
        "exchange: connection refused",
        "simulated: not used, since simulated prices replace only unreachable sources",
    )


def test_the_faults_of_all_sources_are_reported_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("time,open,high,low,close,volume\n2024-01-01,1,1,1,1,1\nsoon,1,1,1,1,1\n2024-01-02,x,1,1,1,1\n")
    faults = faults_of(DOWN, CsvFile(str(path)), Exchange(FORTY[:5], id="thin"))
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
    with caplog.at_level(logging.INFO):
        history = read(Simulated(0))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert history.simulated
    assert len(warnings) == 1
    assert "SIMULATED PRICES for BTC/USD" in warnings[0]
    assert warnings[0].count("\n") >= 3


def test_real_prices_raise_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    read(Exchange(FORTY))
    assert caplog.records == []


def test_a_file_is_read_to_its_own_end(tmp_path: Path) -> None:
    """The days of an old file count back from its last row."""
    path = tmp_path / "prices.csv"
    rows = [f"{c.open_time:%Y-%m-%d},{c.open},{c.high},{c.low},{c.close},{c.volume}" for c in days(EPOCH, 100)]
    path.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    history = read(CsvFile(str(path)), keep=60)
    assert history.candles == daily(days(EPOCH, 100)[40:])
    assert history.source == f"file:{path}"


def test_minutes_are_read_like_days() -> None:
    start = NOW - timedelta(minutes=200)
    minutes = [candle(start + number * timedelta(minutes=1)) for number in range(201)]
    history, _ = read_history([Exchange(minutes)], BTC, Interval.MINUTE_1, 1, None, NOW + SETTLE)
    assert history.candles == Candles.of(minutes[:-1], Interval.MINUTE_1)


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


def test_the_digest_depends_only_on_candles_and_interval() -> None:
    history = read(Exchange(FORTY))
    same = replace(history, source="another", pair=Pair("ETH", "EUR"), simulated=True, quarantined=3)
    assert same.sha256() == history.sha256()
    last = history.candles[-1]
    others = [
        replace(history, interval=Interval.HOUR_1),
        replace(history, candles=history.candles[:-1]),
        history_of([*history.candles[:-1], last._replace(close=math.nextafter(last.close, 0))]),
        history_of([*history.candles[:-1], last._replace(open_time=last.open_time + DAY)]),
    ]
    assert len({other.sha256() for other in (history, *others)}) == 5


class Venue(Exchange):
    """An exchange that others may confirm: its history is read in a thread."""

    def quote(self, pair: Pair) -> Quote:
        """No test asks for it."""
        raise NotImplementedError


@dataclass
class Meeting(Venue):
    """An exchange whose attempts fail until the ones after it have been asked, too."""

    met: threading.Barrier | None = None
    asked_for: threading.Event = field(default_factory=threading.Event)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Fail twice, and then deliver or give up."""
        self.asked_for.set()
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
    met = threading.Barrier(3)
    fault = None if reachable else Unreachable("exchange", "no answer")
    venues = [Meeting(FORTY, fault, name, met=met) for name in ("first", "second", "third")]
    if reachable:
        assert read(*venues).source == "first"
    else:
        names = "first", "second", "third"
        assert faults_of(*venues) == tuple(f"{name}: no answer (tried 2 times)" for name in names)


def test_an_exchange_is_not_asked_as_long_as_the_one_before_it_answers() -> None:
    venues = [Venue(FORTY, id="first"), Venue(FORTY, id="second")]
    assert read(*venues).source == "first"
    assert venues[1].asked is None
