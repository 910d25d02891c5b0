"""The options of the benchmarks that ask past forecasts of several pairs, and the histories that they name."""

import argparse
from collections.abc import Iterator
from datetime import date

from bench.distributions import read
from bench.models import DAYS
from crypto_predict.forecasting.evaluation.replay import HORIZONS, Replay, replay
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.market import Pair


def parser_of(name: str, text: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark with this name and docstring, with the options that `series_of` needs."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=(text or "").partition("\n")[0])
    parser.add_argument("--source", default="simulated", help="daily history (default: %(default)s)")
    parser.add_argument("--pair", default="BTC/USD", help="pairs, with commas (default: %(default)s)")
    parser.add_argument("--until", type=date.fromisoformat, help="the last day of the histories")
    return parser


def series_of(options: argparse.Namespace) -> Iterator[tuple[Pair, DailySeries]]:
    """Yield the pairs of a command line, each with its history."""
    for pair in map(Pair.parse, options.pair.split(",")):
        yield pair, DailySeries.of(read(options.source, pair, options.until))


def backtests(options: argparse.Namespace) -> Iterator[tuple[DailySeries, Replay]]:
    """Yield the histories of a command line, each with its backtest, of every cutoff at `HORIZONS`."""
    for _, series in series_of(options):
        past = replay(series, HORIZONS, 1, DAYS)
        assert past is not None, "the history is long enough for a backtest"
        yield series, past
