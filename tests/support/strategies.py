"""Hypothesis strategies for arbitrary values of the baked model."""

import dataclasses
import math
import random
import sys
import types
import typing
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import COMBINED, faults
from crypto_predict.baked.models import HINDCAST_HORIZONS, NAME, Hindcast, ModelReport, Quantiles, move_text
from crypto_predict.baked.schema import (
    HORIZON_DAYS,
    KNOTS,
    Anchor,
    Band,
    Card,
    CrossCheck,
    Gate,
    LiveForecast,
    Model,
    PairCard,
    PairForecast,
    Scorecard,
    Seasonality,
    Trend,
)
from crypto_predict.baked.touches import TOUCHED, TouchCurve
from crypto_predict.market import DAY, Pair
from crypto_predict.market.forecast import HOURS_AHEAD

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
COUNTS = st.integers(0, 10**9)
TEXTS = st.text(max_size=12)
DAYS = st.dates(max_value=date.max - timedelta(days=HORIZON_DAYS))
INSTANTS = st.datetimes(timezones=st.just(UTC)).filter(lambda at: 1 < at.year < 9999)
LABELS = st.text(alphabet="AZaz09._+-", min_size=1, max_size=12)
LINES = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), max_size=12)  # printable
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
    types.NoneType: st.none(),
    Anchor: anchors,
}


def sound(kind: Any) -> st.SearchStrategy[Any]:
    """Arbitrary values of a type, and of a dataclass whose fields are restricted by their types only."""
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
    return {name: sound(hint) for name, hint in typing.get_type_hints(kind).items()}


SOUND[ModelReport] = st.builds(
    ModelReport,
    **{
        **sound_fields(ModelReport),
        "name": st.from_regex(NAME, fullmatch=True),
        "source": LINES,
        "requirements": st.lists(LINES, max_size=2).map(tuple),
        "left_out": st.none() | LINES,
    },
)
pair_cards = st.builds(
    PairCard,
    **{
        **sound_fields(PairCard),
        "source": LINES,
        "passed_over": st.lists(LINES, max_size=2).map(tuple),
        "cross_check": st.none() | st.builds(CrossCheck, **{**sound_fields(CrossCheck), "source": LINES}),
        "served": st.just(COMBINED),
        "not_served": st.none() | LINES,
        "no_hours": st.none() | LINES,
        "history_sha256": st.text("0123456789abcdef", min_size=64, max_size=64),
    },
)
SOUND[LiveForecast] = st.builds(LiveForecast, **{**sound_fields(LiveForecast), "prediction": POSITIVE})
gates = st.builds(Gate, **{**sound_fields(Gate), "reasons": st.lists(LINES, max_size=2).map(tuple)})
scorecards = sound(Scorecard)


@st.composite
def trends(
    draw: st.DrawFn,
    starts: st.SearchStrategy[date] = DAYS,
    numbers: st.SearchStrategy[float] = NUMBERS,
    least_days: int = 1,
) -> Trend:
    """Trends with as many changes as changepoints."""
    changepoints = tuple(sorted(draw(st.lists(numbers, max_size=4))))
    deltas = tuple(draw(st.lists(numbers, min_size=len(changepoints), max_size=len(changepoints))))
    return Trend(draw(starts), draw(st.integers(least_days, 10**6)), draw(numbers), draw(numbers), changepoints, deltas)


# Numbers of which most forecasts can be evaluated; wilder ones are for tests of what cannot.
SMALL = st.floats(-1.5, 1.5)
PRICES = st.floats(100, 1e6)
MOST_RANGE = 3_000  # days
narrow = st.builds(Band, st.floats(-1, 0), st.floats(0, 1))


def hindcasts(last: int) -> st.SearchStrategy[dict[str, Hindcast]]:
    """Hindcasts of the combined forecast, none or some, up to a day."""
    cutoffs = st.lists(st.integers(0, last), min_size=1, max_size=3, unique=True).map(sorted)
    horizons = st.lists(st.sampled_from(HINDCAST_HORIZONS), min_size=1, max_size=3, unique=True).map(sorted)

    def hindcast(days: list[int], ahead: list[int], seed: int) -> Hindcast:
        numbers = random.Random(seed)
        end = partial(numbers.randint, -(2**15), 2**15)
        moves = [[(end(), end(), end()) for _ in ahead] for _ in days]
        return Hindcast(tuple(days), tuple(ahead), move_text(moves))

    built = st.builds(hindcast, cutoffs, horizons, st.integers(0, 100))
    return st.dictionaries(st.just(COMBINED), built)


seasonalities = st.builds(
    Seasonality,
    TEXTS,
    st.floats(0.5, 1000),
    st.lists(st.tuples(SMALL, SMALL), max_size=3).map(lambda terms: tuple(number for term in terms for number in term)),
)


def quantiles(reach: float) -> st.SearchStrategy[tuple[float, ...]]:
    """Quantiles at `LEVELS` around a forecast, at most `reach` away: two or more on each side of it."""
    distances = st.floats(0, reach)
    rows = st.tuples(*[distances] * 4, st.lists(distances, min_size=2, max_size=2), st.booleans())

    def row(drawn: tuple[float, float, float, float, list[float], bool]) -> tuple[float, ...]:
        *ends, middle, left = drawn
        lows, highs = sorted(-end for end in ends[:2]), sorted(ends[2:])
        inner = [max(-part, lows[1]) if left else min(part, highs[0]) for part in middle]
        return (*lows, *sorted([*inner, 0.0]), *highs)

    return rows.map(row)


def by_horizon(values: st.SearchStrategy[Any], count: int = HORIZON_DAYS) -> st.SearchStrategy[tuple[Any, ...]]:
    """One value for each day of the forecast, or hour, repeating up to three arbitrary ones."""
    some = st.lists(values, min_size=1, max_size=3)
    return some.map(lambda few: tuple(few[day % len(few)] for day in range(count)))


def bands_at_knots(values: st.SearchStrategy[Band]) -> st.SearchStrategy[tuple[Band, ...]]:
    """The bands of Prophet alone: one at each knot, or none."""
    return st.lists(values, min_size=len(KNOTS), max_size=len(KNOTS)).map(tuple) | st.just(())


def closes(days: int, between: Sequence[float | None], last_close: float) -> tuple[float | None, ...]:
    """Closes of as many days and one more, which repeat those of `between`; the first and the last are `last_close`."""
    inner = [between[day % len(between)] for day in range(days - 1)]
    return (last_close, *inner, last_close) if days else (last_close,)


def rivals(price: float) -> st.SearchStrategy[dict[str, Quantiles]]:
    """Quantiles of further models, none or some, around a price."""
    start = math.log(price)
    rows = quantiles(1).map(lambda distances: tuple(start + distance for distance in distances))
    return st.dictionaries(st.sampled_from(["garch", "mine", "n-beats-2"]), by_horizon(rows), max_size=2)


# What is touched at some of these horizons: any curve, also one that no market has.
touch_curves = st.lists(
    st.builds(
        TouchCurve,
        st.sampled_from([1 / 24, 0.25, 1.0, 7.0, 30.0]),
        st.lists(st.floats(0.001, 20), min_size=len(TOUCHED), max_size=len(TOUCHED), unique=True)
        .map(sorted)
        .map(tuple),
    ),
    max_size=3,
    unique_by=lambda curve: curve.horizon_days,
).map(lambda curves: tuple(sorted(curves, key=lambda curve: curve.horizon_days)))


@st.composite
def forecasts(draw: st.DrawFn) -> PairForecast:
    """Forecasts without a fault, which can be evaluated."""
    first = draw(st.dates(date(2, 1, 1), max_value=date.max - timedelta(days=HORIZON_DAYS + MOST_RANGE)))
    last = first + timedelta(days=draw(st.integers(0, MOST_RANGE)))
    after = draw(st.timedeltas(timedelta(0), DAY - timedelta(microseconds=1)))
    last_close = draw(PRICES)
    between = draw(st.lists(st.none() | POSITIVE, min_size=1, max_size=3))
    past = closes((last - first).days, between, last_close)
    farther = draw(st.floats(1, 2))
    forecast = PairForecast(
        first=first,
        last=last,
        last_close=last_close,
        closes=past,
        highs=tuple(close and min(close * farther, sys.float_info.max) for close in past),
        lows=tuple(close and max(close / farther, min(close, sys.float_info.min)) for close in past),
        anchor=Anchor(datetime.combine(last, datetime.min.time(), UTC) + DAY + after, draw(PRICES)),
        scale=draw(SMALL),
        trend=draw(trends(st.just(first), SMALL, MOST_RANGE)),
        seasonalities=tuple(draw(st.lists(seasonalities, max_size=2))),
        level_correction=draw(SMALL),
        prophet_weights=draw(by_horizon(SMALL)),
        models=draw(rivals(last_close)),
        hindcasts=draw(hindcasts((last - first).days)),
        hours=draw(st.just(()) | by_horizon(quantiles(0.2), HOURS_AHEAD)),
        fitted_band=draw(narrow),
        forecast_quantiles=draw(by_horizon(quantiles(1))),
        touches=draw(touch_curves),
        prophet_bands=draw(st.just(()) | narrow.map(lambda band: (band,) * len(KNOTS))),
    )
    assume(not faults(forecast))
    return forecast


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Generate valid models of one to three pairs."""
    named = draw(st.lists(pairs, min_size=1, max_size=3, unique=True))
    forecasts_by_pair = {pair: draw(forecasts()) for pair in named}
    cards = {
        pair: dataclasses.replace(draw(pair_cards), served=draw(st.sampled_from([COMBINED, *forecast.models])))
        for pair, forecast in forecasts_by_pair.items()
    }
    facts = {
        "version": LABELS,
        "build": LABELS,
        "git_revision": st.none() | LABELS,
        "python": LABELS,
        "packages": st.dictionaries(LABELS, LABELS, max_size=2),
        "pairs": st.just(cards),
        "gate": gates,
    }
    card = draw(st.builds(Card, **{**sound_fields(Card), **facts}))
    return Model(card, forecasts_by_pair, draw(scorecards))
