"""Run the live collector: in a thread with a fast clock, or as a process that can be killed."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import wraps

from crypto_predict.collecting.live.collector import Collector
from crypto_predict.collecting.options import read_settings
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamSpan
from crypto_predict.store import open_reader, open_writer
from crypto_predict.threads import started
from tests.support.clocks import program_at
from tests.support.replay.server import ReplayServer
from tests.support.serving import running

PATIENCE = 180.0  # seconds for something to become true, on a machine that is busy with other tests


def until(condition: Callable[[], object], what: str = "the condition is true", seconds: float = PATIENCE) -> None:
    """Wait until a condition is true. One that takes long is checked rarely, as the collector needs the processor."""
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if condition():
            return
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(max(0.02, 4 * (time.monotonic() - began)))


async def when(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 conditions are of many kinds
            await asyncio.sleep(0.001)


def in_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**arguments: object) -> None:
        asyncio.run(test(**arguments))

    return run


def binance_of(server: ReplayServer) -> Mapping[str, str]:
    return {"BINANCE_API_URL": server.url, "BINANCE_STREAM_URL": server.url.replace("http", "ws"), "SOURCE": "binance"}


def minutes_of(source: str, pair: Pair) -> SeriesKey:
    return SeriesKey(source, pair, Interval.MINUTE_1)


def stored(database: str, series: SeriesKey, span: Span) -> list[Candle]:
    with open_reader(database) as reader:
        return [candle.candle for candle in reader.candles(series, span, 10**6)]


def states(database: str, source: str, pair: Pair, span: Span) -> list[StreamSpan]:
    with open_reader(database) as reader:
        return list(reader.streams(source, pair, span))


@contextmanager
def collecting_here(database: str, clock: Clock, environ: Mapping[str, str], *arguments: str) -> Iterator[Collector]:
    """Run a collector in a thread, and stop it at the end; an error of it is raised then."""
    settings = read_settings([*arguments, "--database", database], environ, clock.now())
    with open_writer(database) as writer:
        collector = Collector(settings, writer, clock)
        outcome = started(collector.run, "collector")
        try:
            yield collector
        finally:
            collector.stop()
            outcome.result(PATIENCE)


def collecting_apart(
    database: str, clock: Clock, environ: Mapping[str, str], *arguments: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run a collector as a process with a clock that agrees with `clock`; kill it at the end."""
    return running(*program_at(clock, "collect"), *arguments, "--database", database, environ=environ)
