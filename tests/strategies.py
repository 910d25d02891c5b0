"""Arbitrary values of the baked model, for tests of laws that hold for every one of them."""

from datetime import UTC, date, timedelta

from hypothesis import strategies as st

from crypto_predict.baked.schema import (
    HORIZON_DAYS,
    Band,
    Card,
    Gap,
    Model,
    PairCard,
    PairForecast,
    Seasonality,
    Standing,
    Trend,
)
from crypto_predict.market import Pair

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
COUNTS = st.integers(0, 10**9)
TEXTS = st.text(max_size=12)
DAYS = st.dates(max_value=date.max - timedelta(days=HORIZON_DAYS))
INSTANTS = st.datetimes(timezones=st.just(UTC))
CURRENCIES = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=10)

pairs = st.builds(Pair, CURRENCIES, CURRENCIES)
bands = st.builds(Band, st.floats(max_value=0, allow_infinity=False), st.floats(min_value=0, allow_infinity=False))
gaps = st.builds(Gap, INSTANTS, INSTANTS, COUNTS)
standings = st.builds(Standing, COUNTS, DAYS, NUMBERS, NUMBERS, NUMBERS)


@st.composite
def trends(draw: st.DrawFn) -> Trend:
    """Trends with as many changes as changepoints."""
    changepoints = tuple(sorted(draw(st.lists(NUMBERS, max_size=4))))
    deltas = tuple(draw(st.lists(NUMBERS, min_size=len(changepoints), max_size=len(changepoints))))
    return Trend(draw(DAYS), draw(st.integers(1, 10**6)), draw(NUMBERS), draw(NUMBERS), changepoints, deltas)


seasonalities = st.builds(
    Seasonality,
    TEXTS,
    POSITIVE,
    st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3).map(
        lambda terms: tuple(number for term in terms for number in term)
    ),
)


@st.composite
def forecasts(draw: st.DrawFn) -> PairForecast:
    """Forecasts without a fault; the bands repeat a few arbitrary ones."""
    first, last = sorted((draw(DAYS), draw(DAYS)))
    some = draw(st.lists(bands, min_size=1, max_size=3))
    return PairForecast(
        first=first,
        last=last,
        last_close=draw(POSITIVE),
        scale=draw(NUMBERS),
        trend=draw(trends()),
        seasonalities=tuple(draw(st.lists(seasonalities, max_size=2))),
        level_correction=draw(NUMBERS),
        fitted_band=draw(bands),
        forecast_bands=tuple(some[day % len(some)] for day in range(HORIZON_DAYS)),
    )


pair_cards = st.builds(
    PairCard,
    source=TEXTS,
    simulated=st.booleans(),
    first=INSTANTS,
    last=INSTANTS,
    candles=COUNTS,
    gaps=st.lists(gaps, max_size=2).map(tuple),
    quarantined=COUNTS,
    history_sha256=TEXTS,
    last_close=NUMBERS,
    forecast=st.lists(standings, max_size=2).map(tuple),
)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Whole models without a fault, of one to three pairs."""
    named = draw(st.lists(pairs, min_size=1, max_size=3, unique=True))
    card = Card(
        version=draw(TEXTS),
        build=draw(TEXTS),
        git_revision=draw(st.none() | TEXTS),
        trained_at=draw(INSTANTS),
        python=draw(TEXTS),
        packages=draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        days=draw(COUNTS),
        seed=draw(COUNTS),
        coverage=draw(NUMBERS),
        simulated=draw(st.booleans()),
        pairs={pair: draw(pair_cards) for pair in named},
        backtest=None,
        gate=None,
    )
    return Model(card=card, forecasts={pair: draw(forecasts()) for pair in named})
