"""The JSON documents that the page reads. Each is a dataclass, with which ``page/scripts/types.d.ts`` agrees.

Scores are those of the model file, with the members in `SHOWN` alone. Prices are rounded as the API rounds them, so
both give the same numbers. Lists of prices by day are sent as differences (see `steps`), which takes a third less.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, PROPHET, Curve
from crypto_predict.baked.schema import (
    HORIZON_DAYS,
    Anchor,
    Backtest,
    LiveRecord,
    LiveScore,
    ProphetBacktest,
    ProphetScore,
    Score,
)
from crypto_predict.market import DAY, Pair, price_decimals
from crypto_predict.market.forecast import LEVELS
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.page import words

# The members of these classes that the page shows, in their order.
SHOWN: Mapping[type, Sequence[str]] = {
    Backtest: ("first_cutoff", "last_cutoff", "cutoffs", "scores", "prophet"),
    Score: (
        *("horizon_days", "forecasts", "relative_mae", "relative_winkler", "relative_crps"),
        *("coverage", "coverage_50", "coverage_90", "pit", "confidence", "words"),
    ),
    ProphetBacktest: ("scores", "words"),
    ProphetScore: ("horizon_days", "forecasts", "relative_mae", "coverage"),
    LiveRecord: ("since", "releases", "due", "days", "pending", "relative_mae", "coverage", "by_horizon", "latest"),
    LiveScore: ("horizon_days", "due", "relative_mae", "coverage"),
}


@dataclass(frozen=True, slots=True)
class Prophet:
    """What Prophet alone says about the days ahead, as `steps`. It has no interval if there was no backtest."""

    prediction: list[int]
    low: list[int] | None
    high: list[int] | None


@dataclass(frozen=True, slots=True)
class ForecastDocument:
    """``page/{slug}.json``: the history and the forecast of a pair."""

    pair: Pair
    slug: str
    quote: str
    decimals: int  # of its prices
    simulated: bool
    source: str
    first: date  # of the daily candles
    last: date
    closes: list[int | None]  # `first` to `last`, as `steps`; None: the day has no candle
    fitted: list[int]  # the same days
    anchor: Anchor
    levels: tuple[float, ...]  # (7,)
    prediction: list[int]  # (365,) the days after `last`
    quantiles: list[list[int]]  # (7, 365)
    prophet: Prophet


@dataclass(frozen=True, slots=True)
class RecordDocument:
    """``page/{slug}/record.json``: how good the forecasts of a pair have been."""

    pair: Pair
    simulated: bool
    coverage: float  # nominal
    words: list[str]
    backtest: Backtest | None  # None: the history is too short
    live: LiveRecord | None  # None: no forecast has been published yet


@dataclass(frozen=True, slots=True)
class ReleasesDocument:
    """``page/{slug}/releases.json``: the days on which forecasts of a pair were released."""

    pair: Pair
    simulated: bool
    days: tuple[str, ...]  # "2026-11-23", newest first; none where past releases are not available


@dataclass(frozen=True, slots=True)
class ReleaseDocument:
    """``page/{slug}/releases/{day}.json``: the newest release of a pair on one day, and the outcomes."""

    pair: Pair
    simulated: bool
    build: str
    made_at: datetime
    anchor: Anchor
    last: date
    levels: tuple[float, ...]  # (7,)
    prediction: tuple[float, ...]  # (30,) for the closes of the days after `last`
    low: tuple[float, ...]  # (30,) of the 80 % interval
    high: tuple[float, ...]  # (30,)
    quantiles: tuple[tuple[float, ...], ...] | None  # (7, 30) by level; None in early releases
    outcomes: tuple[float | None, ...]  # (30,) the closes of these days as first recorded; None: not recorded


Document = ForecastDocument | RecordDocument | ReleasesDocument | ReleaseDocument


def forecast(answers: Answers, pair: Pair) -> ForecastDocument:
    """Return the history and the forecast of a pair."""
    baked, facts = answers.model.forecasts[pair], answers.model.card.pairs[pair]
    decimals, combined = price_decimals(baked.last_close), answers.series[pair, COMBINED]
    past = [baked.first + n * DAY for n in range((baked.last - baked.first).days + 1)]
    ahead = [baked.last + n * DAY for n in range(1, HORIZON_DAYS + 1)]
    quantiles = [combined.quantiles(day, LEVELS) for day in ahead]  # (365, 7)
    differences = iter(steps((_price(close, decimals) for close in baked.closes if close is not None), decimals))
    return ForecastDocument(
        pair=pair,
        slug=pair.slug,
        quote=pair.quote,
        decimals=decimals,
        simulated=facts.simulated,
        source=facts.source,
        first=baked.first,
        last=baked.last,
        closes=[None if close is None else next(differences) for close in baked.closes],
        fitted=steps((combined.row(day).price.price for day in past), decimals),
        anchor=Anchor(baked.anchor.at, _price(baked.anchor.price, decimals)),
        levels=LEVELS,
        prediction=steps((combined.row(day).price.price for day in ahead), decimals),
        quantiles=[steps(prices, decimals) for prices in zip(*quantiles, strict=True)],
        prophet=_prophet(answers, pair, ahead),
    )


def record(answers: Answers, pair: Pair) -> RecordDocument:
    """Return how good the forecasts of a pair have been."""
    card, facts = answers.model.card, answers.model.card.pairs[pair]
    texts, live = words.record(answers.model, pair), words.live_record(answers.model, pair)
    return RecordDocument(pair, facts.simulated, card.coverage, texts, facts.backtest, live)


OF_PAIR: dict[str, Callable[[Answers, Pair], Document]] = {".json": forecast, "/record.json": record}  # after the slug


def rendered(document: Document) -> bytes:
    """Return a document as compact JSON, with a line feed at its end."""
    members = {name: _encoded(getattr(document, name)) for name in document.__slots__}
    return f"{json.dumps(members, separators=(',', ':'), ensure_ascii=False)}\n".encode()


def steps(prices: Iterable[float], decimals: int) -> list[int]:
    """Return prices as differences in units of their last decimal, the first one from 0."""
    units = [round(price * 10**decimals) for price in prices]
    return [unit - before for before, unit in pairwise([0, *units])]


def _prophet(answers: Answers, pair: Pair, ahead: Sequence[date]) -> Prophet:
    baked = answers.model.forecasts[pair]
    decimals = price_decimals(baked.last_close)
    if baked.prophet_bands:
        predictions = [answers.series[pair, PROPHET].row(day).price for day in ahead]
        return Prophet(*(steps(prices, decimals) for prices in zip(*predictions, strict=True)))
    curve = Curve(baked.scale, baked.trend, baked.seasonalities)
    return Prophet(steps((round(math.exp(curve.at(day.toordinal())), decimals) for day in ahead), decimals), None, None)


def _encoded(value: object) -> Any:
    """Return a value as plain data, with the members of `SHOWN` alone."""
    if type(value) in SHOWN:
        return {name: _encoded(getattr(value, name)) for name in SHOWN[type(value)]}
    return [_encoded(item) for item in value] if isinstance(value, tuple) else plain.encode(value)


def _price(price: float, decimals: int) -> float:
    """Return a price as it is written, but never 0: charts may have a logarithmic scale."""
    written = max(round(price, decimals), 10.0**-decimals)
    return int(written) if written.is_integer() else written  # JSON has one kind of number
