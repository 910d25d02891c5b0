"""Live collecting as `collect.py`, a process with real signals."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from crypto_predict.market import Interval, Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamState
from crypto_predict.store import open_reader
from tests.support.collecting import collect_here
from tests.support.collecting import collecting as collecting_process
from tests.support.databases import KINDS, new_database
from tests.support.live import binance_of, states, until
from tests.support.minutes import EVER
from tests.support.replay import streams
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, Motion
from tests.support.replay.server import ReplayServer, stall
from tests.support.serving import ROOT

BTC = Pair("BTC", "USDT")
PAIR = ("--pair", "BTC/USD")


@pytest.fixture
def exchange() -> BinanceInMotion:
    """A market whose clock is that of this machine."""
    return BinanceInMotion(Motion(Clock(), [BTC], begin=Interval.MINUTE_1.floor(datetime.now(UTC)) - 10 * MINUTE))


@pytest.fixture
def server(exchange: BinanceInMotion) -> Iterator[ReplayServer]:
    with ReplayServer(exchange) as started:
        yield started


class Lines:
    """The log of a process, read as it is written."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name so far."""
        events = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [event for event in events if event["event"] == name]

    def finish(self) -> int:
        """Wait for the end of the process and of its log; return the exit code."""
        code = self._process.wait(100)
        self._reader.join(100)
        return code

    def _read(self) -> None:
        assert self._process.stderr is not None
        self.lines.extend(self._process.stderr)


@contextmanager
def running(
    server: ReplayServer, database: str, *arguments: str, event: str = "stream connected"
) -> Iterator[tuple[subprocess.Popen[str], Lines]]:
    """Collect in a process, once its log has an event."""
    with collecting_process(database, *(arguments or PAIR), **binance_of(server)) as process:
        log = Lines(process)
        until(lambda: log.events(event) or process.poll() is not None, event)
        yield process, log


@pytest.mark.parametrize(
    ("number", "code", "kind"), [(signal.SIGTERM, 0, "sqlite"), (signal.SIGINT, 130, "postgresql")]
)
def test_a_signal_ends_it_with_everything_stored(
    number: signal.Signals, code: int, kind: str, server: ReplayServer, tmp_path: Path
) -> None:
    """Also the state of the stream, which is otherwise stored every 15 s."""
    database = new_database(kind, tmp_path)
    with running(server, database, *PAIR, "--metrics-port", "0") as (process, log):
        metrics = log.events("serving metrics")[0]["address"] + "/metrics"
        delivers = 'stream_connected{source="binance"} 1.0'
        until(lambda: delivers in requests.get(metrics, timeout=30).text, "data has arrived")
        connected = datetime.now(UTC)
        until(
            lambda: datetime.now(UTC) > connected + timedelta(seconds=2),
            "it has been connected for longer than a second",
        )
        process.send_signal(number)
        assert log.finish() == code, log.lines
    assert log.events("stopped collecting"), log.lines
    kept = [state.state for state in states(database, "binance", BTC, EVER)]
    assert kept.count(StreamState.CONNECTED) == 1
    assert "Traceback" not in "".join(log.lines)


def test_an_exchange_that_does_not_answer_does_not_delay_the_end(
    server: ReplayServer, exchange: BinanceInMotion, tmp_path: Path
) -> None:
    """REST stalls and the stream is half open; the process ends by itself."""
    server.inject(stall, times=99, when=lambda request: request.path.startswith("/api"))
    exchange.streams.inject(streams.silence)
    database = new_database("sqlite", tmp_path)
    with running(server, database, event="collecting") as (process, log):
        process.send_signal(signal.SIGTERM)
        assert log.finish() == 0
    assert log.events("stopped collecting"), log.lines


def test_a_database_that_stands_still_does_not_delay_the_end(server: ReplayServer, tmp_path: Path) -> None:
    """Nothing is lost: the next start asks for what was not stored."""
    database = new_database("postgresql", tmp_path)
    with running(server, database) as (process, log):
        backends = backends_of(database, process.pid)
        assert backends
        try:
            for backend in backends:
                os.kill(backend, signal.SIGSTOP)
            process.send_signal(signal.SIGTERM)
            assert log.finish() == 0
        finally:
            for backend in backends:
                os.kill(backend, signal.SIGCONT)


def backends_of(database: str, process: int) -> list[int]:
    """Return the processes of the server that serve a process."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s"
    with psycopg.connect(database, autocommit=True) as connection:
        return [row[0] for row in connection.execute(query, [f"process {process} on %"])]


def test_a_second_signal_ends_it_at_once(server: ReplayServer, tmp_path: Path) -> None:
    with running(server, new_database("sqlite", tmp_path)) as (process, log):
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # so that it cannot end between the two
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert log.finish() in {1, 130}
    assert not log.events("stopped collecting")


EARLY = """
import os, runpy, signal, sys
def send(event, arguments):
    if event == "import" and arguments[0] == "crypto_predict.logs":
        os.kill(os.getpid(), signal.SIGTERM)
sys.addaudithook(send)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(("mode", "code"), [((), 0), (("--backfill", "--since", "2020-01-01"), 130)])
def test_a_signal_while_libraries_are_imported_ends_it(mode: tuple[str, ...], code: int, tmp_path: Path) -> None:
    """As process 1 of a container it would not even notice: the kernel applies no default action there."""
    database = str(tmp_path / "market.db")
    arguments = ["collect.py", *mode, "--source", "simulated", "--database", database]
    ended = subprocess.run(
        [sys.executable, "-c", EARLY, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_collector_ends_with_2_and_names_the_first(kind: str, server: ReplayServer, tmp_path: Path) -> None:
    database = new_database(kind, tmp_path)
    with running(server, database, event="collecting") as (first, _):
        with running(server, database) as (_, other):
            assert other.finish() == 2
        assert f"process {first.pid} on {os.uname().nodename}" in other.lines[-1]
        assert first.poll() is None, "the first one goes on"


def test_a_pair_that_no_source_has_ends_it_with_3(server: ReplayServer, tmp_path: Path) -> None:
    with running(server, new_database("sqlite", tmp_path), "--pair", "ADA/USD") as (_, log):
        assert log.finish() == 3
    assert "collect.py: error: no usable history in ADA/USD" in "".join(log.lines)


def test_a_backfill_can_run_beside_it(server: ReplayServer, tmp_path: Path) -> None:
    database = new_database("sqlite", tmp_path)
    with running(server, database) as (process, log):
        yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
        assert collect_here(database, "--backfill", *PAIR, "--since", yesterday, **binance_of(server)).code == 0
        process.send_signal(signal.SIGTERM)
        assert log.finish() == 0
    with open_reader(database) as reader:
        (collected,) = reader.collected()
        assert collected.gaps == 0
        (covered,) = reader.coverage(collected.series)
        assert covered.end == collected.newest_close
