"""`collect.py` as a process: real sources over HTTP, real databases, exit codes and messages."""

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span, resample
from crypto_predict.market.collected import StreamSpan, StreamState
from crypto_predict.store import open_reader, open_writer
from tests.support.collecting import MINUTES, alpaca_of, collect_here, collecting, stored_candles
from tests.support.databases import new_database
from tests.support.disks import small_disk
from tests.support.live import until
from tests.support.minutes import EVER
from tests.support.replay.alpaca import AlpacaExchange, exchange
from tests.support.replay.binance import BinanceExchange
from tests.support.replay.minutes import BTC, START, minutes
from tests.support.replay.poloniex import PoloniexExchange
from tests.support.replay.server import Fault, ReplayServer, refused, stall
from tests.support.serving import ROOT

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
COUNT = 30_000  # three windows and a half
THREE_WEEKS = ("--backfill", "--pair", "BTC/USD", "--since", "2023-01-01", "--until", "2023-01-21")


@pytest.fixture(scope="module")
def market() -> list[Candle]:
    return minutes(COUNT)


@pytest.fixture
def server(market: list[Candle]) -> Iterator[ReplayServer]:
    days = resample(market, Span(START, START + COUNT * MINUTE), Interval.DAY_1)
    with ReplayServer(AlpacaExchange({(BTC, "1Min"): market, (BTC, "1Day"): list(days)})) as started:
        yield started


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The path of a file of SQLite that does not exist yet."""
    return str(tmp_path / "market.db")


def weeks_of(market: list[Candle]) -> list[Candle]:
    return [candle for candle in market if candle.open_time < START + 21 * DAY]


def test_a_backfill_stores_every_candle_of_the_exchange(
    server: ReplayServer, market: list[Candle], address: str
) -> None:
    run = collect_here(address, *THREE_WEEKS, **alpaca_of(server.url))
    assert run.code == 0, run.errors
    expected = weeks_of(market)
    assert stored_candles(address) == expected
    assert run.output == (
        f"BTC/USD 1m from alpaca: {len(expected):,} candles new or changed, up to 2023-01-21 20:00 UTC, 0 gaps (0 "
        "candles missing)\n"
    )


MISTAKES = [
    ("--backfill", "--since: '(not given)' is not the first day of the backfill, such as --since 2021-01-01"),
    ("--backfill --status", "--backfill and --status were asked for; expected one of them, or none"),
    ("--until 2023-01-01", "--until: 2023-01-01 is not used by live collecting, which does not end"),
    ("--interval 1h", "--interval: '1h' is not 1m; add --backfill for others"),
    ("--once --shard 1/2", "--once does not use --shard, only live collecting does; leave --shard out, or --once"),
    ("--status --keep 1m:90d", "--status does not use --keep, only live collecting does"),
    ("--explain-gap --metrics-host ::1", "--explain-gap does not use --metrics-host, only live collecting"),
    ("BACKFILL --metrics-port 0 --keep 1m:90d", "--backfill does not use --keep and --metrics-port, only live"),
    ("--json", "live collecting does not use --json, only --status, --explain-gap and --outages do; leave"),
    ("--once --json", "--once does not use --json"),
    ("--shard 3/2", "--shard: '3/2' is not a part of all pairs such as 2/8"),
    ("--metrics-port 65536", "--metrics-port: '65536' is not a whole number from 0 to 65535"),
    ("BACKFILL --until 2022-12-31", "is not a day up to --until, 2022-12-31"),
    ("--backfill --since 2999-01-01", "--since: 2999-01-01 is not a day up to today, "),
    ("--backfill --since 0001-01-01", "--since: 0001-01-01 is not a day from 2009-01-03 (Bitcoin's first block) on"),
    ("BACKFILL --source file:BTC.csv", "files are not collected"),
    ("BACKFILL --interval 2m", "--interval: '2m' is not one of 1m, 5m, 10m"),
    ("BACKFILL --pair ../../etc/passwd", "is not two currencies such as"),
    ('BACKFILL --pair "BTC/USD\'; DROP TABLE symbols--"', "is not two currencies"),
]


@pytest.mark.parametrize(("line", "expected"), MISTAKES)
def test_a_mistake_is_one_line_with_its_value(line: str, expected: str, path: str) -> None:
    run = collect_here(path, *shlex.split(line.replace("BACKFILL", "--backfill --since 2023-01-01")))
    assert (run.code, run.output) == (2, "")
    (message,) = run.errors.splitlines()
    assert message.startswith("collect.py: error: ")
    assert expected in message


def test_one_environment_serves_all_modes(tmp_path: Path) -> None:
    """A variable that a mode does not use is not a mistake: the collector and a cron job may share a file of them."""
    database = new_database("sqlite", tmp_path)
    shared = {"SHARD": "1/2", "KEEP": "1m:90d", "METRICS_PORT": "9100", "METRICS_HOST": "::1", "JSON": "true"}
    for mode in ("--once", "--status"):
        run = collect_here(database, mode, **shared)
        assert run.code == 0, run.errors


def yesterday() -> str:
    return f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"


@pytest.mark.parametrize(
    ("address", "code", "named"),
    [
        ("mysql://root:hunter2@localhost/market", 2, "mysql"),
        ("postgresql://collector:hunter2@127.0.0.1:1/market", 1, "127.0.0.1"),
    ],
)
def test_an_address_that_cannot_be_used_is_named_without_its_password(address: str, code: int, named: str) -> None:
    run = collect_here(address, "--status")
    assert (run.code, run.output) == (code, "")
    (message,) = run.errors.splitlines()
    assert named in message
    assert "hunter2" not in message


def test_refused_keys_end_the_search(server: ReplayServer, path: str) -> None:
    """The user wants that source."""
    server.inject(refused(401, "unauthorized"), times=10)
    keys = {"ALPACA_API_KEY": "key-of-user", "ALPACA_SECRET_KEY": "secret-of-user"}
    arguments = ("--backfill", "--pair", "BTC/USD", "--since", yesterday(), "--source", "alpaca,simulated")
    run = collect_here(path, *arguments, ALPACA_DATA_URL=server.url, **keys)
    assert run.code == 3
    assert run.output.startswith("BTC/USD 1m: failed: ")
    assert "secret-of-user" not in run.output + run.errors


def test_a_pair_that_fails_does_not_harm_the_others(server: ReplayServer, path: str) -> None:
    """The exchange has no DOGE/EUR."""
    pairs = ("--pair", "DOGE/EUR", "--pair", "BTC/USD", "--since", "2023-01-01", "--until", "2023-01-03")
    run = collect_here(path, "--backfill", *pairs, **alpaca_of(server.url))
    assert run.code == 3
    failed, done = run.output.partition("\nBTC")[0], run.output.partition("\nBTC")[2]
    assert "DOGE/EUR 1m: failed: no usable history in DOGE/EUR: alpaca: no candle of DOGE/EUR" in failed
    assert "4,320 candles new or changed" in done
    with open_reader(path) as reader:
        assert [collected.series for collected in reader.collected()] == [MINUTES], (
            "a pair without candles is not stored"
        )


def test_two_backfills_of_one_pair_at_once_do_not_mix(server: ReplayServer, address: str) -> None:
    with open_writer(address) as writer, writer.hold(MINUTES):
        run = collect_here(address, *THREE_WEEKS, **alpaca_of(server.url))
        assert run.code == 2
        assert f"process {os.getpid()} on " in run.output
        writer.follow(MINUTES, simulated=False)
        run = collect_here(address, "--once", ALPACA_DATA_URL=server.url)
        assert run.code == 0
        assert run.output.startswith("BTC/USD 1m from alpaca: skipped: ")


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (signal.SIGINT, stall),
        (signal.SIGTERM, refused(429, "too many", retry_after="50")),
        (signal.SIGKILL, stall),
    ],
)
def test_an_interrupted_backfill_ends_at_once_and_can_be_continued(
    number: signal.Signals, fault: Fault, server: ReplayServer, market: list[Candle], address: str
) -> None:
    """Also while the exchange does not answer, or has asked to wait for most of a minute. Each candle is there once."""
    server.inject(fault, when=lambda request: request.query["start"] > (START + 7 * DAY).isoformat())
    with collecting(address, *THREE_WEEKS, **alpaca_of(server.url)) as process:
        until(lambda: any(request.query["start"] > (START + 7 * DAY).isoformat() for request in server.requests))
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    interrupted = "collect.py: error: interrupted; what was collected is stored, and the same command continues\n"
    is_told = number is not signal.SIGKILL
    assert (process.returncode, errors.endswith(interrupted)) == (130 if is_told else -number, is_told)
    assert "Traceback" not in errors
    assert collect_here(address, *THREE_WEEKS, **alpaca_of(server.url)).code == 0
    assert stored_candles(address) == weeks_of(market)
    with open_reader(address) as reader:
        assert [reader.gaps(MINUTES, EVER), reader.revisions(MINUTES, EVER)] == [[], []]
        assert reader.coverage(MINUTES) == [Span(START, weeks_of(market)[-1].open_time + MINUTE)]


def test_a_full_disk_is_one_line_and_keeps_what_was_stored(
    server: ReplayServer, market: list[Candle], tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as folder:
        database = str(folder / "market.db")
        run = collect_here(database, *THREE_WEEKS, **alpaca_of(server.url))
        assert run.code == 1
        assert "make room on the disk" in run.output + run.errors
        assert "Traceback" not in run.errors
        whole = stored_candles(database)
        assert whole == market[: len(whole)]


def test_once_fetches_what_is_missing_up_to_now(address: str, caplog: pytest.LogCaptureFixture) -> None:
    """It needs no options: the address has the series. That their prices are invented was logged."""
    collect_here(address, "--backfill", "--source", "simulated", "--since", yesterday(), "--until", yesterday())
    assert caplog.text.count("SIMULATED PRICES") == 5
    run = collect_here(address, "--once")
    assert run.code == 0, run.errors
    now = datetime.now(UTC)
    with open_reader(address) as reader:
        stored = reader.collected()
        assert {str(collected.series.pair) for collected in stored} == {
            "BTC/USD",
            "ETH/USD",
            "BNB/USD",
            "LTC/USD",
            "SOL/USD",
        }
        for collected in stored:
            assert collected.newest_close is not None
            assert now - collected.newest_close < timedelta(minutes=3)
            assert (collected.gaps, collected.missing, collected.simulated) == (0, 0, True)


def test_an_empty_database_says_what_to_type(path: str) -> None:
    open_writer(path).close()
    assert "python collect.py --backfill" in collect_here(path, "--status").output


def store(path: str, candles: Sequence[Candle], *covered: Span, streams: Sequence[StreamSpan] = ()) -> None:
    """Store the minutes of these spans, and the states of their stream."""
    with open_writer(path) as writer:
        writer.follow(MINUTES, simulated=False)
        for span in covered:
            writer.write(MINUTES, [candle for candle in candles if candle.open_time in span], span)
        for stream in streams:
            writer.write_streams(MINUTES.source, [MINUTES.pair], stream)


def span(first: float, last: float) -> Span:
    return Span(START + first * MINUTE, START + last * MINUTE)


def holes(path: str, *arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(collect_here(path, "--explain-gap", "--json", *arguments).output)["gaps"])


@pytest.mark.parametrize("mode", ["--status", "--explain-gap", "--outages", "--once"])
def test_a_pair_a_source_or_an_interval_that_is_not_stored_is_named(mode: str, path: str) -> None:
    """It does not look as if nothing were stored."""
    store(path, [])
    by_option = {"--pair": ("XRP/USD", "BTC/USD"), "--source": ("binance", "1m from alpaca")}
    for option, (value, stored) in {**by_option, "--interval": ("1h", "1m from alpaca")}.items():
        run = collect_here(path, mode, option, value)
        assert run.code == 2
        assert f"{option}: '{value}' is not stored; these are: {stored}" in run.errors


def test_a_hole_is_explained_in_words(path: str) -> None:
    """Its cause, how often it was asked for, and whether it can still come."""
    with exchange([minute for minute in minutes(5_000) if minute.open_time not in span(100, 117)]) as thin:
        days = ("--since", "2023-01-01", "--until", "2023-01-01", "--pair", "BTC/USD")
        for _ in range(2):
            collect_here(path, "--backfill", *days, **alpaca_of(thin.url))
    assert collect_here(path, "--explain-gap").output.splitlines() == [
        "BTC/USD 1m from alpaca: 1 gap, 17 candles missing",
        "  2023-01-01 01:40 to 2023-01-01 01:57 UTC, 17 candles: not returned by the source",
        "    asked for 2 times; verdict: open; the next --backfill asks again",
        "    live: 17 candles disconnected (no live stream was recorded)",
    ]
    (hole,) = holes(path, "--pair", "BTC/USD")
    assert (hole["missing"], hole["attempts"], hole["start"]) == (17, 2, "2023-01-01T01:40:00.000Z")
    assert collect_here(path, "--explain-gap", "--since", "2023-01-02").output == "no candle is missing\n"


def test_a_young_hole_is_explained_with_the_time_of_the_next_question(path: str) -> None:
    """`--once` asks again a minute after it was found."""
    first = Interval.MINUTE_1.floor(datetime.now(UTC)) - 60 * MINUTE
    candles = [candle._replace(open_time=candle.open_time - START + first) for candle in minutes(30)]
    store(path, [*candles[:5], *candles[9:]], Span(first, first + 30 * MINUTE))
    _, line, second, _ = collect_here(path, "--explain-gap").output.splitlines()
    assert f"{first + 5 * MINUTE:%H:%M} to {first + 9 * MINUTE:%Y-%m-%d %H:%M} UTC, 4 candles" in line
    assert re.search(r"is asked for again from \d{4}-\d\d-\d\d \d\d:\d\d UTC on$", second)


def test_a_hole_is_explained_with_the_verdicts_on_its_minutes(path: str) -> None:
    """Nobody traded, nobody listened, or the exchange was down: each with the reason of the stream."""
    streams = [
        StreamSpan(span(100, 104), StreamState.CONNECTED, ""),
        StreamSpan(span(104, 110), StreamState.DISCONNECTED, "no message for 20 s"),
        StreamSpan(span(110, 112), StreamState.EXCHANGE_DOWN, "HTTP 503"),
        StreamSpan(span(112, 113), StreamState.DISCONNECTED, "no message for 20 s"),
    ]
    candles = minutes(200)
    store(path, [*candles[:100], *candles[115:]], span(0, 200), streams=streams)
    *_, line = collect_here(path, "--explain-gap").output.splitlines()
    assert line == (
        "    live: 4 candles quiet; 7 candles disconnected (no message for 20 s); 2 candles exchange down (HTTP 503); "
        "2 candles disconnected (no live stream was recorded)"
    )
    (hole,) = holes(path)
    assert [
        (part["start"][11:16], part["end"][11:16], part["verdict"], part["reason"]) for part in hole["verdicts"]
    ] == [
        ("01:40", "01:44", "quiet", ""),
        ("01:44", "01:50", "disconnected", "no message for 20 s"),
        ("01:50", "01:52", "exchange down", "HTTP 503"),
        ("01:52", "01:53", "disconnected", "no message for 20 s"),
        ("01:53", "01:55", "disconnected", "no live stream was recorded"),
    ]


def test_the_line_of_a_hole_with_many_reasons_is_bounded(path: str) -> None:
    candles, streams = minutes(200), list[StreamSpan]()
    for minute in range(100, 150):
        down = StreamSpan(span(minute, minute + 1), StreamState.EXCHANGE_DOWN, f"incident {minute}")
        streams += [down, StreamSpan(span(minute + 0.5, minute + 1), StreamState.DISCONNECTED, "")]
    store(path, [*candles[:100], *candles[150:]], span(0, 200), streams=streams)
    *_, line = collect_here(path, "--explain-gap").output.splitlines()
    assert line.endswith("(incident 104); and 45 more reasons")


def test_what_was_never_asked_for_is_a_hole_too(path: str) -> None:
    """Between two spans that are covered."""
    store(path, minutes(300), span(0, 100), span(200, 300))
    _, line, _ = collect_here(path, "--explain-gap").output.splitlines()
    assert line == "  2023-01-01 01:40 to 2023-01-01 03:20 UTC, 100 candles: not asked for; a backfill asks for it"
    (hole,) = holes(path)
    assert (hole["cause"], hole["attempts"], hole["asked_again_from"]) == ("not asked for", 0, None)


def test_the_first_exchange_that_delivers_is_collected(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Alpaca does not have the pair, Binance refuses this place, and Poloniex trades USDT in place of dollars."""
    database, market = path, minutes(1_440)
    with (
        ReplayServer(AlpacaExchange({})) as alpaca,
        ReplayServer(BinanceExchange({})) as binance,
        ReplayServer(PoloniexExchange({(Pair("BTC", "USDT"), Interval.MINUTE_1): market})) as poloniex,
    ):
        binance.inject(refused(451, "not from here"), times=9)
        urls = {"ALPACA_DATA_URL": alpaca.url, "BINANCE_API_URL": binance.url, "POLONIEX_API_URL": poloniex.url}
        days = ("--since", "2023-01-01", "--until", "2023-01-01")
        run = collect_here(database, "--backfill", "--pair", "BTC/USD", *days, **urls)
        status = collect_here(database, "--status", "--pair", "BTC/USD")
    assert run.code == 0, run.errors
    assert "BTC/USD: not collected from alpaca: no candle of BTC/USD" in caplog.text
    assert "BTC/USD: not collected from binance: " in caplog.text
    assert (
        "BTC/USD: poloniex trades BTC/USDT in its place; the candles are stored and served as BTC/USDT" in caplog.text
    )
    assert run.output.startswith("BTC/USDT 1m from poloniex: 1,440 candles new or changed")
    assert "BTC/USDT  poloniex" in status.output
    stored = stored_candles(database, SeriesKey("poloniex", Pair("BTC", "USDT"), Interval.MINUTE_1))
    assert [candle[:6] for candle in stored] == [candle[:6] for candle in market]


def test_a_terminal_shows_a_bar_with_rate_and_time_left(server: ReplayServer, path: str) -> None:
    """Log lines appear above it; without a terminal there is no bar. The report is on standard output."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    command = [sys.executable, "collect.py", *THREE_WEEKS, "--database", path]
    environ = {**os.environ, **alpaca_of(server.url)}
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(ours, 2**16):
                shown += more
        assert process.stdout is not None
        report = process.stdout.read().decode()
    os.close(ours)
    assert process.returncode == 0
    assert report.startswith("BTC/USD 1m from alpaca: 30,000 candles new or changed")
    assert re.search(rb"BTC/USD +\d+% \|.*\| [0-9.]+k?/[0-9.]+k candles, .*, .* left", shown)


def test_a_report_that_cannot_be_written_is_one_line(path: str) -> None:
    open_writer(path).close()
    command = [sys.executable, "collect.py", "--status", "--database", path]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr == "collect.py: error: the report cannot be written: No space left on device\n"
