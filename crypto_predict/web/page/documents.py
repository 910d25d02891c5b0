"""The JSON documents that the page reads. Each is a dataclass, with which ``page/scripts/types.d.ts`` agrees.

Prices are rounded as the API rounds them, so both give the same numbers. Lists of prices by day are sent as differences
(see `steps`), which takes a third less.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import TypeVar

from crypto_predict.baked import plain, schema
from crypto_predict.baked.evaluation import COMBINED, PROPHET, Curve
from crypto_predict.baked.schema import HORIZON_DAYS, Anchor, Confidence, LiveForecast
from crypto_predict.market import DAY, Pair, price_decimals
from crypto_predict.market.forecast import LEVELS
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.page import words

CONTENT_TYPE = "application/json"

T = TypeVar("T")


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
class Score:
    """The members of `schema.Score` that the page shows."""

    horizon_days: int
    forecasts: int
    relative_mae: float | None
    relative_winkler: float | None
    relative_crps: float | None
    coverage: float
    coverage_50: float
    coverage_90: float
    pit: tuple[float, ...]
    confidence: dict[str, Confidence]
    words: str


@dataclass(frozen=True, slots=True)
class ProphetScore:
    """The members of `schema.ProphetScore` that the page shows."""

    horizon_days: int
    forecasts: int
    relative_mae: float | None
    coverage: float


@dataclass(frozen=True, slots=True)
class ProphetBacktest:
    """The backtest of Prophet alone."""

    scores: tuple[ProphetScore, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Backtest:
    """The members of `schema.Backtest` that the page shows."""

    first_cutoff: date
    last_cutoff: date
    cutoffs: int
    scores: tuple[Score, ...]
    prophet: ProphetBacktest | None


@dataclass(frozen=True, slots=True)
class LiveScore:
    """The members of `schema.LiveScore` that the page shows."""

    horizon_days: int
    due: int
    relative_mae: float | None
    coverage: float


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """The members of `schema.LiveRecord` that the page shows."""

    since: datetime
    releases: int
    due: int
    days: int
    pending: int
    relative_mae: float | None
    coverage: float | None
    by_horizon: tuple[LiveScore, ...]
    latest: tuple[LiveForecast, ...]


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
    live = words.live_record(answers.model, pair)
    return RecordDocument(
        pair=pair,
        simulated=facts.simulated,
        coverage=card.coverage,
        words=words.record(answers.model, pair),
        backtest=_backtest(facts.backtest) if facts.backtest else None,
        live=_part(LiveRecord, live, by_horizon=_parts(LiveScore, live.by_horizon)) if live else None,
    )


OF_PAIR: dict[str, Callable[[Answers, Pair], Document]] = {".json": forecast, "/record.json": record}  # after the slug


def rendered(document: Document) -> bytes:
    """Return a document as compact JSON, with a line feed at its end."""
    return f"{json.dumps(plain.encode(document), separators=(',', ':'), ensure_ascii=False)}\n".encode()


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


def _backtest(backtest: schema.Backtest) -> Backtest:
    prophet = backtest.prophet and ProphetBacktest(
        _parts(ProphetScore, backtest.prophet.scores), backtest.prophet.words
    )
    return _part(Backtest, backtest, scores=_parts(Score, backtest.scores), prophet=prophet)


def _parts(kind: type[T], values: Iterable[object]) -> tuple[T, ...]:
    return tuple(_part(kind, value) for value in values)


def _part(kind: type[T], value: object, **members: object) -> T:
    """Return the dataclass `kind` made of these members and the equally named attributes of a value."""
    return kind(**{name: getattr(value, name) for name in kind.__annotations__} | members)


def _price(price: float, decimals: int) -> float:
    """Return a price as it is written, but never 0: charts may have a logarithmic scale."""
    written = max(round(price, decimals), 10.0**-decimals)
    return int(written) if written.is_integer() else written  # JSON has one kind of number
