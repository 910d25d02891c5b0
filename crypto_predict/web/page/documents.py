"""The JSON documents that the page reads. Each is a dataclass, with which ``page/scripts/types.d.ts`` agrees.

Scores are those of the model file, with the members in `SHOWN` alone. Prices are rounded as the API rounds them, so
both give the same numbers. Lists of prices by day are sent as differences (see `steps`), which takes a third less.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from itertools import pairwise
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import PROPHET, Curve
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
from crypto_predict.web.page import hindcasts, words

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
    served: str  # the model whose forecast this is
    models: tuple[str, ...]  # the others, each of which has a document
    hindcasts: tuple[str, ...]  # the models with a document of what they forecast in the past


@dataclass(frozen=True, slots=True)
class ModelDocument:
    """``page/{slug}/models/{model}.json``: the forecast of one model, for the same days as that of the pair."""

    pair: Pair
    simulated: bool
    model: str
    words: str  # how good it has been
    prediction: list[int]  # (365,) as `steps`
    low: list[int] | None  # of the 80 % interval; None: there was no backtest to calibrate it
    high: list[int] | None


@dataclass(frozen=True, slots=True)
class Fan:
    """What was forecast at the close of one day, for the days after it."""

    day: date
    low: list[int]  # (n,) as `steps` of moves
    prediction: list[int]
    high: list[int]


@dataclass(frozen=True, slots=True)
class HindcastDocument:
    """``page/{slug}/hindcasts/{model}.json``: what a model forecast in the past, out of sample (see `hindcasts`)."""

    pair: Pair
    simulated: bool
    model: str
    coverage: float  # nominal
    words: str  # of the fans
    fans: list[Fan]
    cutoffs: list[int]  # (m,) days since `ForecastDocument.first`, as `steps`
    horizons: tuple[int, ...]  # (h,) days ahead
    low: list[list[int]]  # (h, m) as `steps` of moves
    prediction: list[list[int]]
    high: list[list[int]]


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


Document = ForecastDocument | ModelDocument | HindcastDocument | RecordDocument | ReleasesDocument | ReleaseDocument


def forecast(answers: Answers, pair: Pair) -> ForecastDocument:
    """Return the history and the forecast of a pair."""
    baked, facts = answers.model.forecasts[pair], answers.model.card.pairs[pair]
    decimals, series = price_decimals(baked.last_close), answers.of(pair)
    past = [baked.first + n * DAY for n in range((baked.last - baked.first).days + 1)]
    ahead = [baked.last + n * DAY for n in range(1, HORIZON_DAYS + 1)]
    quantiles = [series.quantiles(day, LEVELS) for day in ahead]  # (365, 7)
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
        fitted=steps((series.row(day).price.price for day in past), decimals),
        anchor=Anchor(baked.anchor.at, _price(baked.anchor.price, decimals)),
        levels=LEVELS,
        prediction=steps((series.row(day).price.price for day in ahead), decimals),
        quantiles=[steps(prices, decimals) for prices in zip(*quantiles, strict=True)],
        served=facts.served,
        models=tuple(_others(answers, pair)),
        hindcasts=tuple(baked.hindcasts),
    )


def model(answers: Answers, pair: Pair, name: str) -> ModelDocument:
    """Return the forecast of one model of a pair."""
    baked, facts = answers.model.forecasts[pair], answers.model.card.pairs[pair]
    decimals, text = price_decimals(baked.last_close), words.of_model(facts, name)
    days = [baked.last + n * DAY for n in range(1, HORIZON_DAYS + 1)]
    if name == PROPHET and not baked.prophet_bands:
        curve = Curve(baked.scale, baked.trend, baked.seasonalities)
        prices = (round(math.exp(curve.at(day.toordinal())), decimals) for day in days)
        return ModelDocument(pair, facts.simulated, name, text, steps(prices, decimals), None, None)
    predictions = zip(*(answers.series[pair, name].row(day).price for day in days), strict=True)
    return ModelDocument(pair, facts.simulated, name, text, *(steps(prices, decimals) for prices in predictions))


def hindcast(answers: Answers, pair: Pair, name: str) -> HindcastDocument:
    """Return what one model of a pair forecast in the past."""
    baked, card = answers.model.forecasts[pair], answers.model.card
    past = baked.hindcasts[name]
    columns = list(zip(*hindcasts.moves_of(past), strict=True))  # (horizons, m)
    fans = hindcasts.fans(baked, past)
    low, middle, high = ([steps((moves[end] for moves in column), 0) for column in columns] for end in range(3))
    return HindcastDocument(
        pair=pair,
        simulated=card.pairs[pair].simulated,
        model=name,
        coverage=card.coverage,
        words=words.fans(fans),
        fans=[Fan(fan.day, *(steps(moves, 0) for moves in zip(*fan.moves, strict=True))) for fan in fans],
        cutoffs=steps(past.cutoffs, 0),
        horizons=past.horizons,
        low=low,
        prediction=middle,
        high=high,
    )


def record(answers: Answers, pair: Pair) -> RecordDocument:
    """Return how good the forecasts of a pair have been."""
    card, facts = answers.model.card, answers.model.card.pairs[pair]
    texts, live = words.record(answers.model, pair), answers.model.live_record(pair)
    return RecordDocument(pair, facts.simulated, card.coverage, texts, facts.backtest, live)


OF_PAIR: dict[str, Callable[[Answers, Pair], Document]] = {".json": forecast, "/record.json": record}  # after the slug


def of_models(answers: Answers, pair: Pair) -> Iterator[tuple[str, str, Callable[[], Document]]]:
    """Yield each document of a model of a pair: the folder after the slug, the name of the model, and what makes it."""
    for name in _others(answers, pair):
        yield "models", name, partial(model, answers, pair, name)
    for name in answers.model.forecasts[pair].hindcasts:
        yield "hindcasts", name, partial(hindcast, answers, pair, name)


def rendered(document: Document) -> bytes:
    """Return a document as compact JSON, with a line feed at its end."""
    members = {name: _encoded(getattr(document, name)) for name in document.__slots__}
    return f"{json.dumps(members, separators=(',', ':'), ensure_ascii=False)}\n".encode()


def steps(prices: Iterable[float], decimals: int) -> list[int]:
    """Return prices as differences in units of their last decimal, the first one from 0."""
    units = [round(price * 10**decimals) for price in prices]
    return [unit - before for before, unit in pairwise([0, *units])]


def _others(answers: Answers, pair: Pair) -> list[str]:
    """Return the models of a pair beside the one that answers by default."""
    return [name for name in answers.models[pair] if name != answers.of(pair).model]


def _encoded(value: object) -> Any:
    """Return a value as plain data, with the members of `SHOWN` alone."""
    if type(value) in SHOWN:
        return {name: _encoded(getattr(value, name)) for name in SHOWN[type(value)]}
    return [_encoded(item) for item in value] if isinstance(value, tuple) else plain.encode(value)


def _price(price: float, decimals: int) -> float:
    """Return a price as it is written, but never 0: charts may have a logarithmic scale."""
    written = max(round(price, decimals), 10.0**-decimals)
    return int(written) if written.is_integer() else written  # JSON has one kind of number
