"""Run `collect.py` in a process and look into its database, and a source of given candles."""

import io
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime

import collect
from crypto_predict.errors import Unreachable
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.store import open_reader
from tests.support.minutes import EVER, MANY
from tests.support.processes import Finished
from tests.support.serving import running

MINUTES = SeriesKey("alpaca", Pair("BTC", "USD"), Interval.MINUTE_1)


@dataclass
class Market:
    """A source of these candles, which remembers what it was asked for. Its days begin with the first candle."""

    market: Sequence[Candle]
    id: str = "alpaca"
    simulated: bool = False
    intervals: frozenset[Interval] = frozenset(Interval)
    failing: frozenset[int] = frozenset()  # numbers of questions that are not answered
    questions: list[tuple[Interval, Span]] = field(default_factory=list)

    def traded(self, pair: Pair) -> Pair:
        """Return the pair itself."""
        return pair

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """Return `limit` rounded down."""
        return interval.floor(limit)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:  # noqa: ARG002 the port's signature
        """Return the candles of `span`."""
        self.questions.append((interval, span))
        if len(self.questions) in self.failing:
            raise Unreachable(self.id, "it does not answer")
        if interval is Interval.DAY_1:
            days = sorted({interval.floor(candle.open_time) for candle in self.market})
            yield from (Candle(opening, 1.0, 1.0, 1.0, 1.0, 1.0) for opening in days if opening in span)
        else:
            yield from (candle for candle in self.market if candle.open_time in span)


def collect_here(database: str, *arguments: str, **environ: str) -> Finished:
    """Run the command in this process, which is faster. The errors are without the log."""
    output, errors = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    try:
        with redirect_stdout(output), redirect_stderr(errors):
            code = collect.main([*arguments, "--database", database], environ)
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    return Finished(code, output.getvalue(), errors.getvalue())


def collecting(database: str, *arguments: str, **environ: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Start the command; kill it at the end of the context."""
    return running("collect.py", *arguments, "--database", database, environ=environ)


def stored_candles(database: str, series: SeriesKey = MINUTES) -> list[Candle]:
    with open_reader(database) as reader:
        return [candle.candle for candle in reader.candles(series, EVER, MANY)]


def alpaca_of(url: str) -> Mapping[str, str]:
    return {"ALPACA_DATA_URL": url, "SOURCE": "alpaca"}
