"""``train.py --interval 1m``: the forecasts of minutes that the collector would have made, their scores and report."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from crypto_predict.baked.files import write_atomically
from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.minutes.backtest import MinuteBacktest, refits, score, walk_forward
from crypto_predict.forecasting.minutes.features import Minutes
from crypto_predict.history import History, read_history
from crypto_predict.market import Interval, Pair
from crypto_predict.sources.catalog import open_sources
from crypto_predict.sources.stored import CollectedMarket
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.outputs import as_csv, check_backtest, locked_outputs
from crypto_predict.training.report import BAR, completeness, origin, relative, table, wrapped
from crypto_predict.wording import counted

HEADER = ("pair", "cutoff", "horizon_minutes", "target", "actual", "prediction", "low", "high", "persistence")

_PARTS = ("calmest", "calm", "wild", "wildest", "0 to 6 h", "6 to 12 h", "12 to 18 h", "18 to 24 h")
_SCORE_FOOT = (
    "out of sample: the second half of the history, with daily fits on everything before; beside persistence (the "
    "price stays what it is) with a Gaussian band of the last day's volatility; off by: mean absolute error of the "
    "price; error, Winkler score of the 80 % interval and CRPS: relative to persistence's, below 1 is better; in 50, "
    "80 and 90 %: outcomes inside the central interval"
)
_PART_FOOT = "outcomes in the 80 % interval by quarter of the last day's volatility, and by hour of the cutoff, UTC"
_SIMULATED = "!!! SIMULATED PRICES: no exchange was used, the market is invented !!!"

Scores = Mapping[Pair, tuple[History, Sequence[MinuteBacktest]]]  # of each pair by horizon, ascending


def score_minutes(settings: TrainSettings, now: datetime, open_database: Callable[[], CollectedMarket]) -> Scores:
    """Forecast the second half of the minutes of every pair, write the forecasts if asked, and score them.

    Candles that are not closed at `now` (UTC) are not used. `open_database` is called for the source ``store``. The
    errors are those of `pipeline.train`; `UnusableHistory` is also raised if a history is too short.
    """
    with locked_outputs(check_backtest(settings)):
        sources = open_sources(settings.sources, settings.environ, settings.seed, settings.pairs, open_database)
        with logging_redirect_tqdm(), tqdm(total=len(settings.pairs), bar_format=BAR, disable=None) as progress:
            histories = {}
            for pair in settings.pairs:
                progress.set_description_str(f"{pair}: reading minutes")
                histories[pair], _ = read_history(sources, pair, Interval.MINUTE_1, settings.days, settings.until, now)
                progress.update()
            minutes = {pair: Minutes.of(history.candles) for pair, history in histories.items()}
            progress.total = len(histories) + sum(len(refits(len(past))) for past in minutes.values())
            forecasts = {}
            for pair, history in histories.items():
                progress.set_description_str(f"{pair}: {len(history.candles):,} minutes, running the backtest")
                try:
                    forecasts[pair] = walk_forward(minutes[pair], settings.horizons, settings.every, progress.update)
                except UnusableHistory as error:
                    raise UnusableHistory(f"{pair} from {history.source}", error.faults) from error
        if settings.backtest is not None:
            write_atomically(settings.backtest, as_csv(HEADER, _rows(forecasts)))
    return {pair: (histories[pair], tuple(map(score, past))) for pair, past in forecasts.items()}


def _rows(forecasts: Mapping[Pair, Sequence[Forecasts]]) -> Iterator[tuple[object, ...]]:
    """Yield the rows under `HEADER`, sorted by pair, horizon and cutoff.

    A forecast is made at the close `cutoff`, with nothing but what was known by then, for the close `target`. Both are
    ISO 8601, UTC. Prices are in the quote currency.
    """
    for pair, horizons in forecasts.items():
        for horizon in horizons:
            cutoffs, targets = (
                np.datetime_as_string((times * 60).astype("datetime64[s]"), timezone="UTC").tolist()
                for times in (horizon.cutoffs, horizon.cutoffs + horizon.horizon)
            )
            for cutoff, target, row in zip(cutoffs, targets, horizon.prices(), strict=True):
                yield pair, cutoff, horizon.horizon, target, *row


def as_json(pairs: Scores, output: Path | None) -> str:
    """Format one JSON object: the file written, and of each pair its history and the scores by horizon."""
    facts = {
        str(pair): {
            "source": history.source,
            "traded": str(history.traded),
            "simulated": history.simulated,
            "first": history.candles[0].open_time.isoformat(),
            "last": history.candles[-1].open_time.isoformat(),
            "candles": len(history.candles),
            "gaps": len(history.gaps),
            "missing": sum(gap.missing for gap in history.gaps),
            "sha256": history.sha256(),
            "scores": list(map(asdict, scores)),
        }
        for pair, (history, scores) in pairs.items()
    }
    return json.dumps({"output": None if output is None else str(output), "pairs": facts}, indent=2)


def as_text(pairs: Scores, output: Path | None) -> str:
    """Format tables: the histories, and how forecasts of the next minutes did."""
    scored = [(pair, score) for pair, (_, scores) in pairs.items() for score in scores]
    parts = [
        table(
            [
                {
                    "pair": str(pair),
                    "first minute": f"{history.candles[0].open_time:%Y-%m-%d %H:%M}",
                    "last minute": f"{history.candles[-1].open_time:%Y-%m-%d %H:%M}",
                }
                | completeness(len(history.candles), history.gaps)
                for pair, (history, _) in pairs.items()
            ]
        ),
        "\n".join(
            wrapped(f"{pair}: from {origin(pair, past.source, past.traded)}") for pair, (past, _) in pairs.items()
        ),
        table(
            [
                {
                    "pair": str(pair),
                    "ahead": counted(score.horizon_minutes, "minute"),
                    "forecasts": f"{score.forecasts:,}",
                    "off by": f"{score.mape:.3%}",
                    "error": relative(score.relative_mae),
                    "Winkler": relative(score.relative_winkler),
                    "CRPS": relative(score.relative_crps),
                    "in 50 %": _share(score.coverage_50),
                    "in 80 %": _share(score.coverage),
                    "in 90 %": _share(score.coverage_90),
                }
                for pair, score in scored
            ]
        ),
        wrapped(_SCORE_FOOT),
        table(
            [
                {"pair": str(pair), "ahead": counted(score.horizon_minutes, "minute")}
                | dict(zip(_PARTS, map(_share, (*score.by_volatility, *score.by_hours)), strict=True))
                for pair, score in scored
            ]
        ),
        wrapped(_PART_FOOT),
        "no model was written: collect.py fits the minute forecasts of what it collects",
        *([] if output is None else [f"wrote {output}"]),
    ]
    is_simulated = any(history.simulated for history, _ in pairs.values())
    return "\n\n".join([_SIMULATED, *parts, _SIMULATED] if is_simulated else parts)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
