"""``train.py --interval 1m``: the forecasts of minutes that the collector would have made, and their scores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from crypto_predict.baked.files import write_atomically
from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.minutes.backtest import Forecasts, MinuteScore, refits, score, walk_forward
from crypto_predict.forecasting.minutes.features import Minutes
from crypto_predict.history import History, read_history
from crypto_predict.market import Interval, Pair
from crypto_predict.market.forecast import LEVELS
from crypto_predict.market.ports import MarketReader
from crypto_predict.sources.catalog import open_sources
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.outputs import check_backtest, locked_outputs

HEADER = ("pair", "cutoff", "horizon_minutes", "target", "actual", "prediction", "low", "high", "persistence")

_BAR = "{desc} |{bar:30}| {n_fmt}/{total_fmt} steps, {elapsed}"
_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """The history of a pair, and how its minute forecasts did."""

    history: History
    scores: tuple[MinuteScore, ...]  # by horizon, ascending


@dataclass(frozen=True, slots=True)
class MinuteRun:
    """The results of one run, and the file of all forecasts if one was written."""

    pairs: Mapping[Pair, ScoredPair]
    output: Path | None


def score_minutes(settings: TrainSettings, now: datetime, open_database: Callable[[], MarketReader]) -> MinuteRun:
    """Forecast the second half of the minutes of every pair, write the forecasts if asked, and score them.

    Candles that are not closed at `now` (UTC) are not used. `open_database` is called for the source ``store``.

    Raises:
        InvalidValue: The output cannot be written where the settings say, or another process writes it.
        UnusableHistory: No source has a usable history of some pair, or it is too short.
        OSError: The file cannot be written.
    """
    request, plan, output = settings.history, settings.backtest, settings.outputs.backtest
    with locked_outputs(check_backtest(output, request)):
        sources = open_sources(request.sources, request.environ, settings.seed, request.pairs, open_database)
        with logging_redirect_tqdm(), tqdm(total=len(request.pairs), bar_format=_BAR, disable=None) as progress:
            histories = {}
            for pair in request.pairs:
                progress.set_description_str(f"{pair}: reading minutes")
                histories[pair], _ = read_history(sources, pair, Interval.MINUTE_1, request.days, request.until, now)
                progress.update()
            minutes = {pair: Minutes.of(history.candles) for pair, history in histories.items()}
            progress.total = len(histories) + sum(len(refits(len(past))) for past in minutes.values())
            forecasts = {}
            for pair, history in histories.items():
                progress.set_description_str(f"{pair}: {len(history.candles):,} minutes, running the backtest")
                try:
                    forecasts[pair] = walk_forward(minutes[pair], plan.horizons, plan.every, progress.update)
                except UnusableHistory as error:
                    raise UnusableHistory(f"{pair} from {history.source}", error.faults) from error
        if output is not None:
            write_atomically(output, as_csv(forecasts))
    scored = {pair: ScoredPair(histories[pair], tuple(map(score, past))) for pair, past in forecasts.items()}
    return MinuteRun(scored, output)


def as_csv(forecasts: Mapping[Pair, Sequence[Forecasts]]) -> Iterator[bytes]:
    """Yield a CSV file with `HEADER`, sorted by pair, horizon and cutoff.

    A forecast is made at the close `cutoff`, with nothing but what was known by then, for the close `target`. Both are
    ISO 8601, UTC. Prices are in the quote currency, with twelve significant digits.
    """
    yield f"{','.join(HEADER)}\n".encode()
    for pair, horizons in forecasts.items():
        for one in horizons:
            prices = np.exp([one.actual, one.predicted, *one.quantiles.T[[_LOW, _HIGH]], one.persistence])
            cutoffs, targets = (
                np.datetime_as_string((times * 60).astype("datetime64[s]"), timezone="UTC").tolist()
                for times in (one.cutoffs, one.cutoffs + one.horizon)
            )
            for cutoff, target, row in zip(cutoffs, targets, prices.T.tolist(), strict=True):
                cells = ",".join(f"{price:.12g}" for price in row)
                yield f"{pair},{cutoff},{one.horizon},{target},{cells}\n".encode()
