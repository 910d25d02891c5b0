"""A model as the JSON documents that the page reads. ``page/scripts/types.d.ts`` has their formats.

Pure functions of the model. Prices are rounded as the API rounds them, so both give the same numbers. Lists of
prices by day are sent as differences (see `steps`), which takes a third less.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, PROPHET, Curve
from crypto_predict.baked.schema import HORIZON_DAYS, Backtest, LiveRecord, PairForecast
from crypto_predict.market import DAY, Pair, price_decimals
from crypto_predict.market.forecast import LEVELS
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.page import words

CONTENT_TYPE = "application/json"

Document = dict[str, Any]  # plain data

# The members of the dataclasses of `baked.schema` that the page shows.
SCORE = (
    *("horizon_days", "forecasts", "relative_mae", "relative_winkler", "relative_crps"),
    *("coverage", "coverage_50", "coverage_90", "pit", "confidence", "words"),
)
PROPHET_SCORE = ("horizon_days", "forecasts", "relative_mae", "coverage")
LIVE = ("since", "releases", "due", "days", "pending", "relative_mae", "coverage")
LIVE_SCORE = ("horizon_days", "due", "relative_mae", "coverage")


def forecast(answers: Answers, pair: Pair) -> Document:
    """Return the history and the forecast of a pair: ``ForecastDocument``."""
    held, facts = answers.model.forecasts[pair], answers.model.card.pairs[pair]
    decimals, combined = price_decimals(held.last_close), answers.series[pair, COMBINED]
    past = [held.first + n * DAY for n in range((held.last - held.first).days + 1)]
    ahead = [held.last + n * DAY for n in range(1, HORIZON_DAYS + 1)]
    quantiles = [combined.quantiles(day, LEVELS) for day in ahead]  # (365, 7)
    return {
        "pair": str(pair),
        "slug": pair.slug,
        "quote": pair.quote,
        "decimals": decimals,
        "simulated": facts.simulated,
        "source": facts.source,
        "first": str(held.first),
        "last": str(held.last),
        "closes": steps((None if close is None else _price(close, decimals) for close in held.closes), decimals),
        "fitted": steps((combined.row(day).price.price for day in past), decimals),
        "anchor": {"at": plain.encode(held.anchor.at), "price": _price(held.anchor.price, decimals)},
        "levels": list(LEVELS),
        "prediction": steps((combined.row(day).price.price for day in ahead), decimals),
        "quantiles": [steps(level, decimals) for level in zip(*quantiles, strict=True)],
        "prophet": _prophet(answers, pair, held, ahead),
    }


def steps(prices: Iterable[float | None], decimals: int) -> list[int | None]:
    """Return prices as differences in units of their last decimal, the first one from 0; None where there is no price.

    The difference after such a place is that from the price before it.
    """
    found: list[int | None] = []
    before = 0
    for price in prices:
        if price is None:
            found.append(None)
        else:
            units = round(price * 10**decimals)
            found.append(units - before)
            before = units
    return found


def record(answers: Answers, pair: Pair) -> Document:
    """Return how good the forecasts of a pair have been: ``RecordDocument``."""
    card, scorecard = answers.model.card, answers.model.scorecard
    facts = card.pairs[pair]
    live = (scorecard.simulated if facts.simulated else scorecard.pairs).get(pair)
    return {
        "pair": str(pair),
        "simulated": facts.simulated,
        "coverage": card.coverage,
        "words": words.record(answers.model, pair),
        "backtest": _backtest(facts.backtest) if facts.backtest else None,
        "live": _live(live) if live else None,
    }


def rendered(document: Document) -> bytes:
    """Return a document as compact JSON, with a line feed at its end."""
    return f"{json.dumps(document, separators=(',', ':'), ensure_ascii=False)}\n".encode()


def _prophet(answers: Answers, pair: Pair, held: PairForecast, ahead: Sequence[date]) -> Document:
    """Return what Prophet alone says about the days ahead. It has no interval if there was no backtest."""
    decimals = price_decimals(held.last_close)
    if held.prophet_bands:
        prices = [answers.series[pair, PROPHET].row(day).price for day in ahead]
        columns = zip(*prices, strict=True)
        return {
            name: steps(column, decimals) for name, column in zip(("prediction", "low", "high"), columns, strict=True)
        }
    curve = Curve(held.scale, held.trend, held.seasonalities)
    prediction = steps((round(math.exp(curve.at(day.toordinal())), decimals) for day in ahead), decimals)
    return {"prediction": prediction, "low": None, "high": None}


def _backtest(backtest: Backtest) -> Document:
    prophet = backtest.prophet
    return {
        "first_cutoff": str(backtest.first_cutoff),
        "last_cutoff": str(backtest.last_cutoff),
        "cutoffs": backtest.cutoffs,
        "scores": [_members(score, SCORE) for score in backtest.scores],
        "prophet": None
        if prophet is None
        else {"scores": [_members(score, PROPHET_SCORE) for score in prophet.scores], "words": prophet.words},
    }


def _live(live: LiveRecord) -> Document:
    return {
        **_members(live, LIVE),
        "by_horizon": [_members(score, LIVE_SCORE) for score in live.by_horizon],
        "latest": plain.encode(live.latest),
    }


def _members(value: object, names: Iterable[str]) -> Document:
    return {name: plain.encode(getattr(value, name)) for name in names}


def _price(price: float, decimals: int) -> float:
    """Return a price as it is written, but never 0: charts may have a logarithmic scale."""
    written = max(round(price, decimals), 10.0**-decimals)
    return int(written) if written.is_integer() else written  # JSON has one kind of number
