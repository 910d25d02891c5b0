"""Arbitrary values of the baked model, for tests of laws that hold for every one of them."""

import dataclasses
import types
import typing
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from crypto_predict.baked.schema import (
    HORIZON_DAYS,
    KNOTS,
    Anchor,
    Band,
    Card,
    Model,
    PairCard,
    PairForecast,
    Seasonality,
    Trend,
)
from crypto_predict.baked.scorecard import Scorecard
from crypto_predict.market import DAY, Pair

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
COUNTS = st.integers(0, 10**9)
TEXTS = st.text(max_size=12)
DAYS = st.dates(max_value=date.max - timedelta(days=HORIZON_DAYS))
INSTANTS = st.datetimes(timezones=st.just(UTC))
CURRENCIES = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=10)

pairs = st.builds(Pair, CURRENCIES, CURRENCIES)
bands = st.builds(Band, st.floats(max_value=0, allow_infinity=False), st.floats(min_value=0, allow_infinity=False))
anchors = st.builds(Anchor, INSTANTS, POSITIVE)

SOUND: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: COUNTS,
    bool: st.booleans(),
    float: NUMBERS,
    date: DAYS,
    datetime: INSTANTS,
    Pair: pairs,
    Anchor: anchors,
}


def sound(kind: Any) -> st.SearchStrategy[Any]:
    """Arbitrary values of a dataclass that asks no more of its fields than their types, and of whatever is in it."""
    if kind in SOUND:
        return SOUND[kind]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return st.builds(kind, **sound_fields(kind))
    origin, arms = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return st.lists(sound(arms[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(sound(arms[0]), sound(arms[1]), max_size=2)
    assert origin is types.UnionType, f"there is no strategy for {kind}"
    return st.none() | sound(arms[0])


def sound_fields(kind: Any) -> dict[str, st.SearchStrategy[Any]]:
    """The same for every field of a dataclass."""
    return {name: sound(hint) for name, hint in typing.get_type_hints(kind).items()}


pair_cards = sound(PairCard)
scorecards = sound(Scorecard)


@st.composite
def trends(
    draw: st.DrawFn, starts: st.SearchStrategy[date] = DAYS, numbers: st.SearchStrategy[float] = NUMBERS
) -> Trend:
    """Trends with as many changes as changepoints."""
    changepoints = tuple(sorted(draw(st.lists(numbers, max_size=4))))
    deltas = tuple(draw(st.lists(numbers, min_size=len(changepoints), max_size=len(changepoints))))
    return Trend(draw(starts), draw(st.integers(1, 10**6)), draw(numbers), draw(numbers), changepoints, deltas)


seasonalities = st.builds(
    Seasonality,
    TEXTS,
    POSITIVE,
    st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3).map(
        lambda terms: tuple(number for term in terms for number in term)
    ),
)


def by_horizon(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """One value for each day of the forecast, a few arbitrary ones over and over."""
    some = st.lists(values, min_size=1, max_size=3)
    return some.map(lambda few: tuple(few[day % len(few)] for day in range(HORIZON_DAYS)))


def bands_at_knots(values: st.SearchStrategy[Band]) -> st.SearchStrategy[tuple[Band, ...]]:
    """The bands of Prophet alone: one at each knot, or none."""
    return st.lists(values, min_size=len(KNOTS), max_size=len(KNOTS)).map(tuple) | st.just(())


@st.composite
def forecasts(draw: st.DrawFn) -> PairForecast:
    """Forecasts without a fault of their own, though few of them stay within what numbers can hold."""
    first, last = sorted((draw(DAYS), draw(DAYS)))
    after = draw(st.timedeltas(timedelta(0), DAY - timedelta(microseconds=1)))
    return PairForecast(
        first=first,
        last=last,
        last_close=draw(POSITIVE),
        anchor=Anchor(datetime.combine(last, datetime.min.time(), UTC) + DAY + after, draw(POSITIVE)),
        scale=draw(NUMBERS),
        trend=draw(trends()),
        seasonalities=tuple(draw(st.lists(seasonalities, max_size=2))),
        level_correction=draw(NUMBERS),
        prophet_weights=draw(by_horizon(NUMBERS)),
        other_increments=draw(by_horizon(NUMBERS)),
        fitted_band=draw(bands),
        forecast_bands=draw(by_horizon(bands)),
        prophet_bands=draw(bands_at_knots(bands)),
    )


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Whole models without a fault, of one to three pairs."""
    named = draw(st.lists(pairs, min_size=1, max_size=3, unique=True))
    cards = {pair: draw(pair_cards) for pair in named}
    card = draw(st.builds(Card, **{**sound_fields(Card), "pairs": st.just(cards)}))
    return Model(card=card, forecasts={pair: draw(forecasts()) for pair in named}, scorecard=draw(scorecards))
