"""``train.py --interval 1m`` and ``1h``: the forecasts of minutes and hours of the past, their scores and report."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from crypto_predict.baked.files import write_atomically
from crypto_predict.baked.schema import HourScore
from crypto_predict.errors import UnusableHistory
from crypto_predict.forecasting.distribution.hours import Hours, learn
from crypto_predict.forecasting.evaluation import hours
from crypto_predict.forecasting.evaluation.forecasts import Forecasts
from crypto_predict.forecasting.minutes.backtest import MinuteBacktest, Progress, refits, score, walk_forward
from crypto_predict.forecasting.minutes.features import Minutes
from crypto_predict.history import History, read_history
from crypto_predict.history.columns import Candles
from crypto_predict.market import Interval, Pair
from crypto_predict.sources.catalog import open_sources
from crypto_predict.sources.stored import CollectedMarket
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.outputs import as_csv, check_backtest, locked_outputs
from crypto_predict.training.report import BAR, completeness, intraday_row, origin, share, table, wrapped
from crypto_predict.wording import counted

_PARTS = ("calmest", "calm", "wild", "wildest", "0 to 6 h", "6 to 12 h", "12 to 18 h", "18 to 24 h")
_SCORE_FOOT = (
    "out of sample: the second half of the history, with {fits} fits on everything before; beside persistence (the "
    "price stays what it is) with a Gaussian band of the volatility of the last {window}; off by: mean absolute error "
    "of the price; error, Winkler score of the 80 % interval and CRPS: relative to persistence's, below 1 is better; "
    "in 50, 80 and 90 %: outcomes inside the central interval"
)
_PART_FOOT = "outcomes in the 80 % interval by quarter of the last day's volatility, and by hour of the cutoff, UTC"
_SIMULATED = "!!! SIMULATED PRICES: no exchange was used, the market is invented !!!"


@dataclass(frozen=True)
class Clock:
    """What forecasts of minutes and of hours differ in, when those of the past are scored."""

    unit: str
    seconds: int
    fits: str  # how often
    window: str  # of persistence's volatility
    written: str  # why no model is
    foot: str  # of the table of scores
    steps: Callable[[Candles], int]  # of the progress of a backtest
    backtest: Callable[[Candles, TrainSettings, Progress], list[tuple[Forecasts, MinuteBacktest | HourScore]]]

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of the file of forecasts."""
        return (
            *("pair", "cutoff", f"horizon_{self.unit}s", "target"),
            *("actual", "prediction", "low", "high", "persistence"),
        )


def _minutes(
    candles: Candles, settings: TrainSettings, progress: Progress
) -> list[tuple[Forecasts, MinuteBacktest | HourScore]]:
    forecasts = walk_forward(Minutes.of(candles), settings.horizons, settings.every, progress)
    return [(each, score(each)) for each in forecasts]


def _hours(
    candles: Candles, settings: TrainSettings, progress: Progress
) -> list[tuple[Forecasts, MinuteBacktest | HourScore]]:
    past = Hours.of(candles)
    hours.check_length(past)
    with threadpool_limits(1):  # the matrices are small: threads would only wait for one another
        _, issued = learn(past, settings.horizons)
    progress(1)
    return [(each, hours.score(past, each)) for each in hours.due(past, issued, settings.horizons, settings.every)]


CLOCKS = {
    Interval.MINUTE_1: Clock(
        *("minute", 60, "daily", "day", "collect.py fits the minute forecasts of what it collects", ""),
        steps=lambda candles: len(refits(len(candles))),
        backtest=_minutes,
    ),
    Interval.HOUR_1: Clock(
        *("hour", 3600, "weekly", "30 days", "without --interval, train.py forecasts days and writes one"),
        "; / 24 h: Winkler score relative to that with the volatility of the last 24 hours",
        steps=lambda _: 1,
        backtest=_hours,
    ),
}

Scores = Mapping[Pair, tuple[History, Mapping[int, MinuteBacktest | HourScore]]]  # of each pair by horizon, ascending


def score_past(settings: TrainSettings, now: datetime, open_database: Callable[[], CollectedMarket]) -> Scores:
    """Forecast the second half of the minutes or hours of every pair, write the forecasts if asked, and score them.

    Candles that are not closed at `now` (UTC) are not used. `open_database` is called for the source ``store``. The
    errors are those of `pipeline.train`; `UnusableHistory` is also raised if a history is too short.
    """
    clock = CLOCKS[settings.interval]
    with locked_outputs(check_backtest(settings)):
        sources = open_sources(settings.sources, settings.environ, settings.seed, settings.pairs, open_database)
        with logging_redirect_tqdm(), tqdm(total=len(settings.pairs), bar_format=BAR, disable=None) as progress:
            histories = {}
            for pair in settings.pairs:
                progress.set_description_str(f"{pair}: reading {clock.unit}s")
                histories[pair], _ = read_history(sources, pair, settings.interval, settings.days, settings.until, now)
                progress.update()
            progress.total = len(histories) + sum(clock.steps(history.candles) for history in histories.values())
            past = {}
            for pair, history in histories.items():
                candles = history.candles
                progress.set_description_str(f"{pair}: {len(candles):,} {clock.unit}s, running the backtest")
                try:
                    past[pair] = clock.backtest(candles, settings, progress.update)
                except UnusableHistory as error:
                    raise UnusableHistory(f"{pair} from {history.source}", error.faults) from error
        if settings.backtest is not None:
            write_atomically(settings.backtest, as_csv(clock.header, _rows(past, clock.seconds)))
    return {pair: (histories[pair], {each.horizon: score for each, score in due}) for pair, due in past.items()}


def _rows(past: Mapping[Pair, Sequence[tuple[Forecasts, object]]], seconds: int) -> Iterator[tuple[object, ...]]:
    """Yield the rows under `Clock.header`, sorted by pair, horizon and cutoff.

    A forecast is made at the close `cutoff`, with nothing but what was known by then, for the close `target`. Both are
    ISO 8601, UTC. Prices are in the quote currency.
    """
    for pair, horizons in past.items():
        for horizon, _ in horizons:
            cutoffs, targets = (
                np.datetime_as_string((times * seconds).astype("datetime64[s]"), timezone="UTC").tolist()
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
            "scores": list(map(asdict, scores.values())),
        }
        for pair, (history, scores) in pairs.items()
    }
    return json.dumps({"output": None if output is None else str(output), "pairs": facts}, indent=2)


def as_text(pairs: Scores, output: Path | None) -> str:
    """Format tables: the histories, and how forecasts of the next minutes or hours did."""
    clock = CLOCKS[next(iter(pairs.values()))[0].candles.interval]
    scored = [(pair, horizon, score) for pair, (_, scores) in pairs.items() for horizon, score in scores.items()]
    parts = [
        table(
            [
                {
                    "pair": str(pair),
                    f"first {clock.unit}": f"{history.candles[0].open_time:%Y-%m-%d %H:%M}",
                    f"last {clock.unit}": f"{history.candles[-1].open_time:%Y-%m-%d %H:%M}",
                }
                | completeness(len(history.candles), history.gaps)
                for pair, (history, _) in pairs.items()
            ]
        ),
        "\n".join(
            wrapped(f"{pair}: from {origin(pair, past.source, past.traded)}") for pair, (past, _) in pairs.items()
        ),
        table([intraday_row(pair, horizon, clock.unit, score) for pair, horizon, score in scored]),
        wrapped(_SCORE_FOOT.format(fits=clock.fits, window=clock.window) + clock.foot),
        table(
            [
                {"pair": str(pair), "ahead": counted(horizon, clock.unit)}
                | dict(zip(_PARTS, map(share, (*score.by_volatility, *score.by_hours)), strict=True))
                for pair, horizon, score in scored
            ]
        ),
        wrapped(_PART_FOOT),
        f"no model was written: {clock.written}",
        *([] if output is None else [f"wrote {output}"]),
    ]
    is_simulated = any(history.simulated for history, _ in pairs.values())
    return "\n\n".join([_SIMULATED, *parts, _SIMULATED] if is_simulated else parts)
