"""The next 24 hours of one pair: the hourly candles that they are learned from, their quantiles, and their scores."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from crypto_predict.baked.models import Quantiles
from crypto_predict.baked.schema import Anchor, HourScore
from crypto_predict.baked.touches import TouchCurve, TouchScore
from crypto_predict.errors import Refused, SourceError, UnusableHistory
from crypto_predict.forecasting.distribution.hours import Hours, learn
from crypto_predict.forecasting.evaluation import hours
from crypto_predict.forecasting.evaluation.touches import (
    BY_HOUR,
    HOUR_HORIZONS,
    LearnedTouches,
    corridor_scores,
    curve_of,
    learn_touches,
    touch_scores,
)
from crypto_predict.history import History, read_history
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import Interval
from crypto_predict.market.forecast import HOURS_AHEAD, LEVELS
from crypto_predict.market.ports import CandleSource
from crypto_predict.training.options import TrainSettings
from crypto_predict.wording import as_line

_DECIMALS = 7  # of a log price as it is baked

# The hourly candles up to the newest price, or the reason why there are none.
HourlyHistory = History | str


def read_hours(
    history: History, source: CandleSource, anchor: Anchor, settings: TrainSettings, now: datetime
) -> HourlyHistory:
    """Return the hourly candles before the newest price, from the source of the daily `history`.

    Never raises but for keys that the source does not accept: without hours a model has days alone.
    """
    interval = Interval.HOUR_1
    if not settings.hours:
        return "the training was told to leave them out (--hours 0)"
    if interval not in source.intervals:
        return f"{source.id} has no hourly candles"
    try:
        past, _ = read_history([source], history.pair, interval, settings.hours, settings.until, now, is_further=True)
    except (Refused, SourceError, UnusableHistory) as error:
        return as_line(str(error))
    if past.end != anchor.at:
        return (
            f"the newest hourly candle of {source.id} closed at {past.end:%Y-%m-%d %H:%M} UTC, but the newest price is "
            f"of {anchor.at:%Y-%m-%d %H:%M} UTC"
        )
    return past


@dataclass(frozen=True, slots=True)
class HourlyForecast:
    """What a model has of the next hours of a pair."""

    quantiles: Quantiles  # (24, 7), see `PairForecast.hours`; or none
    scores: tuple[HourScore, ...]
    touches: tuple[TouchCurve, ...]  # 1, 3, 6 and 12 hours ahead
    touch_scores: tuple[TouchScore, ...]
    corridor_scores: tuple[TouchScore, ...]
    missing: str | None  # why there are none


def learn_hours(read: HourlyHistory, describe: Callable[[str], object]) -> HourlyForecast:
    """Forecast the next hours, and score the forecasts of the second half of the history."""
    if isinstance(read, str):
        return HourlyForecast((), (), (), (), (), read)
    describe(f"{read.pair}: {len(read.candles):,} hours, running the backtest")
    past = Hours.of(read.candles)
    try:
        hours.check_length(past)
        distribution, issued = learn(past, hours.HORIZONS)
        due = hours.due(past, issued, hours.HORIZONS)
    except UnusableHistory as error:
        return HourlyForecast((), (), (), (), (), "; ".join(error.faults))
    rows = distribution.ahead().round(_DECIMALS).tolist()
    touches = list(learned_touches(past, issued))
    return HourlyForecast(
        quantiles=tuple(map(tuple, rows)),
        scores=tuple(hours.score(past, forecasts) for forecasts in due),
        touches=tuple(curve_of(each, HOURS_AHEAD) for each in touches if each.horizon in HOUR_HORIZONS),
        touch_scores=touch_scores(touches, BY_HOUR),
        corridor_scores=corridor_scores(touches, BY_HOUR),
        missing=None,
    )


def learned_touches(past: Hours, issued: FloatArray) -> Iterator[LearnedTouches]:
    """Yield what the hours have taught about touches; the second half of them is asked.

    `issued` (n, 5, 7) are the forecasts of `learn` at the horizons that hours are scored at.
    """
    path = past.filled()
    quantiles = {}
    for place, horizon in enumerate(hours.HORIZONS):
        quantiles[horizon] = np.full((len(path.known), len(LEVELS)), np.nan)
        quantiles[horizon][path.place] = issued[:, place]
    return learn_touches(path, quantiles, path.place[len(past) // 2 :], BY_HOUR)
