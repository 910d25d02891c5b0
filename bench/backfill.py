"""A backfill of minutes from a replay server into SQLite: ``python -m bench.backfill``.

``--days 1825 --rounds 1`` is the full size: five years.

The peer only reads the server: an HTTP client that asks for the same pages and parses their JSON. Both are processes of
their own, like the server, so that neither is measured with the other's memory or waits for its interpreter.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import psutil
import requests

from bench.figures import Figure, table
from crypto_predict.market import Candle, Interval, Pair
from crypto_predict.sources.binance import EXCHANGE as BINANCE
from crypto_predict.sources.network.wire import milliseconds
from tests.support.replay.binance import BinanceExchange
from tests.support.replay.server import Asked, ReplayServer

PAIR = Pair("BTC", "USDT")
START = datetime(2020, 1, 1, tzinfo=UTC)
DAYS = 200
FULL_DAYS = 1825  # five years
MOST_MEMORY = 300e6  # bytes
PAGE = 1000  # candles, Binance's most


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.backfill", description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS, help=f"of minutes; {FULL_DAYS} is the full size")
    parser.add_argument("--rounds", type=int, default=2, help="in which each has its turn (default: %(default)s)")
    parser.add_argument("--role", choices=("server", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "server":
        serve(options.days)
    elif options.role == "peer":
        read_only(options.url, options.days)
    else:
        print(table(list(measure(options.days, options.rounds))))


def measure(days: int = DAYS, rounds: int = 2) -> Iterator[Figure]:
    """Run both over `days` days of minutes: the seconds, and the memory of ours."""
    peaks: list[float] = []
    numbers = count()
    with serving(days) as url, tempfile.TemporaryDirectory() as folder:

        def ours() -> float:
            database = Path(folder, f"{next(numbers)}.db")
            until = START + timedelta(days=days - 1)
            arguments = ["--backfill", "--pair", "BTC/USD", "--source", "binance", "--database", str(database)]
            days_ = ["--since", f"{START:%Y-%m-%d}", "--until", f"{until:%Y-%m-%d}"]
            environ = {**os.environ, "BINANCE_API_URL": url}
            seconds, peak = timed([sys.executable, "collect.py", *arguments, *days_], environ)
            peaks.append(peak)
            return seconds

        def peer() -> float:
            command = [sys.executable, "-m", "bench.backfill", "--role", "peer", "--url", url, "--days", str(days)]
            return timed(command, dict(os.environ))[0]

        taken = [(ours(), peer()) for _ in range(rounds)]
    name = f"backfill of {days * 1440:,} minutes"
    ours_seconds, peer_seconds = (statistics.median(column) for column in zip(*taken, strict=True))
    yield Figure(name, ours_seconds, peer_seconds, "only reading the server", "s", 3)
    yield Figure(f"{name}: memory", max(peaks) / 1e6, MOST_MEMORY / 1e6, "the most allowed", "MB", 1)


def timed(command: Sequence[str], environ: dict[str, str]) -> tuple[float, float]:
    """Return the seconds of a process, and its peak of resident memory in bytes, sampled ten times a second.

    Raises:
        RuntimeError: It failed.
    """
    began, peak = time.perf_counter(), 0
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.1)
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(output)
    return time.perf_counter() - began, peak


@contextmanager
def serving(days: int) -> Iterator[str]:
    """Run the replay server in a process; give its address."""
    command = [sys.executable, "-m", "bench.backfill", "--role", "server", "--days", str(days)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def serve(days: int) -> None:
    """Serve minutes of one pair until standard input ends."""
    first = Candle(START, 9.0, 12.0, 8.0, 10.0, 1.5)
    market = {(PAIR, Interval.MINUTE_1): minutes(days * 1440), (PAIR, Interval.DAY_1): [first]}
    with ReplayServer(BinanceExchange(market, weight_a_minute=10**9)) as server:
        server.requests = _Forgetful()
        print(server.url, flush=True)
        sys.stdin.read()


class _Forgetful(list[Asked]):
    """The requests of millions of candles are not of interest."""

    def append(self, _: object) -> None:
        return


def minutes(number: int) -> list[Candle]:
    """Return so many minutes whose prices have as many digits as real ones."""
    return [
        Candle(
            START + timedelta(minutes=i),
            30_000 + i % 9973 / 100,
            30_120 + i % 9973 / 100,
            29_900.5 + i % 7919 / 100,
            30_010.25 + i % 7919 / 100,
            i % 7907 / 1000,
            i % 7907 * 30.03125,
            i % 613,
            i % 3989 / 1000,
            i % 3989 * 30.0625,
        )
        for i in range(number)
    ]


def read_only(url: str, days: int) -> None:
    """Ask for every page, parse it, and keep nothing."""
    end = START + timedelta(days=days)
    with requests.Session() as session:
        for first in range(milliseconds(START), milliseconds(end), PAGE * 60_000):
            last = min(first + PAGE * 60_000, milliseconds(end)) - 1
            query = f"symbol={BINANCE.symbol(PAIR)}&interval=1m&limit={PAGE}&startTime={first}&endTime={last}"
            answer = session.get(f"{url}/api/v3/klines?{query}", timeout=30)
            if len(json.loads(answer.content)) != (last + 1 - first) // 60_000:
                raise RuntimeError(f"the page from {first} is not complete")


if __name__ == "__main__":
    main()
