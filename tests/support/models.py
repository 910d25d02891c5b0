"""Models made by hand, for tests that need one without training."""

import dataclasses
import math
import types
import typing
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.models import (
    HINDCAST_HORIZONS,
    Estimate,
    Hindcast,
    ModelReport,
    ModelScore,
    PairwiseScore,
    Quantiles,
    move_text,
)
from crypto_predict.baked.schema import (
    HORIZON_DAYS,
    KNOTS,
    Anchor,
    Band,
    BrierScore,
    Card,
    CrossCheck,
    Gate,
    HourScore,
    LiveProbabilities,
    Model,
    PairCard,
    PairForecast,
    SaidAndCame,
    Scorecard,
    Seasonality,
    Standing,
    Trend,
)
from crypto_predict.baked.touches import REFLECTED, TouchCurve, TouchScore, TouchTenth
from crypto_predict.market import DAY, Pair
from crypto_predict.market.forecast import HOURS_AHEAD

BTC = Pair("BTC", "USD")
ETH = Pair("ETH", "USD")
FIRST, LAST = date(2023, 1, 1), date(2024, 5, 17)  # candles
_EMPTY: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False, date: FIRST}
TRAINED_AT = datetime(2024, 5, 18, 12, 10, 47, tzinfo=UTC)


def quantiles(low: float, high: float) -> tuple[float, ...]:
    """Return quantiles at `LEVELS` around a forecast; these two are the ends of its interval."""
    return 1.3 * low, low, 0.53 * low, 0.0, 0.53 * high, high, 1.35 * high


def make_forecast(**changes: Any) -> PairForecast:
    """A forecast for 2023-01-01 to 2024-05-17 with a bent trend and two seasonalities; `changes` replace fields.

    Its anchor is the price at noon of the day after the last.
    """
    last: date = changes.get("last", LAST)
    forecast = PairForecast(
        first=FIRST,
        last=last,
        last_close=66_900.5,
        closes=(),
        highs=(),
        lows=(),
        scale=11.1,
        trend=Trend(
            start=FIRST,
            days=502,
            growth=0.2,
            offset=0.9,
            changepoints=(0.25, 0.5),
            deltas=(-0.15, 0.05),
        ),
        seasonalities=(
            Seasonality("yearly", 365.25, (0.001, -0.002, 0.0005, 0.0001)),
            Seasonality("weekly", 7.0, (0.0002, 0.0001)),
        ),
        anchor=Anchor(datetime.combine(last, time(12), UTC) + DAY, 67_010.0),
        level_correction=0.0123,
        prophet_weights=tuple(0.5 / h**0.5 for h in range(1, HORIZON_DAYS + 1)),
        models={},
        hindcasts={},
        hours=(),
        fitted_band=Band(-0.06, 0.055),
        forecast_quantiles=tuple(quantiles(-0.03 * h**0.5, 0.03 * h**0.5) for h in range(1, HORIZON_DAYS + 1)),
        prophet_bands=tuple(Band(-0.1 - 0.002 * h, 0.1 + 0.003 * h) for h in KNOTS),
        touches=tuple(TouchCurve(days, tuple(size * z for z in REFLECTED)) for days, size in ((1.0, 1.02), (7.0, 0.9))),
    )
    changed = replace(forecast, **changes)
    if "closes" not in changes:
        changed = replace(changed, closes=make_closes(changed))
    highs, lows = (tuple(close and share * close for close in changed.closes) for share in (1.01, 0.98))
    return replace(
        changed, **{"highs": highs, "lows": lows} | {k: v for k, v in changes.items() if k in {"highs", "lows"}}
    )


def make_closes(forecast: PairForecast) -> tuple[float | None, ...]:
    """Closes below the last one by up to 12 %, and without a candle on every 100th day."""
    days = (forecast.last - forecast.first).days
    prices = (
        None if 0 < n < days and n % 100 == 50 else forecast.last_close * (1 - 0.003 * (n % 41))
        for n in range(days + 1)
    )
    return tuple(prices)[::-1]


def make_touch_score(horizon: int | None, hours: int | None = None) -> TouchScore:
    """A backtest in which two points less came than were said, but nothing was said to be above 90 %."""
    tenths = [
        TouchTenth(1_000 + place if place < 9 else 0, place / 10 + 0.05, place / 10 + 0.03) for place in range(10)
    ]
    return TouchScore(horizon, hours, 100, 9_000, 0.4, 0.38, 0.1, 0.102, 0.001, 0.1, 0.2, tuple(tenths))


def make_live_probabilities() -> LiveProbabilities:
    """Scores of 14 questions about two days."""
    return LiveProbabilities(
        questions=14,
        days=2,
        uncertainty=0.245,
        ours=BrierScore(0.1, 0.01, 0.155),
        persistence=BrierScore(0.11, 0.01, 0.145),
        relative_brier=Estimate(0.909, 0.85, 0.97),
        tenths=(SaidAndCame(0.0412, 0.125, 8), SaidAndCame(0.961, 1.0, 6)),
    )


def blank(kind: Any, **fields: Any) -> Any:
    """A value of a dataclass of the schema: these fields, zeros, and nothing where nothing is allowed."""

    def empty(hint: Any) -> Any:
        if isinstance(hint, types.UnionType):
            return None
        if dataclasses.is_dataclass(hint):
            return blank(hint)
        return _EMPTY[hint] if hint in _EMPTY else typing.get_origin(hint)()

    hints = typing.get_type_hints(kind)
    return kind(**{name: fields[name] if name in fields else empty(hint) for name, hint in hints.items()})


def make_model(
    *pairs: Pair, trained_at: datetime = TRAINED_AT, last: date = LAST, simulated: Collection[Pair] | bool = False
) -> Model:
    """A model of these pairs (BTC/USD alone unless said), whose card agrees with its forecasts.

    The last candle is that of `last`; the prices of the pairs in `simulated`, or of all or none, are invented.
    """
    first = last - (LAST - FIRST)
    trend = replace(make_forecast().trend, start=first)
    forecasts = {pair: make_forecast(first=first, last=last, trend=trend) for pair in pairs or (BTC,)}
    invented = {pair for pair in forecasts if (simulated if isinstance(simulated, bool) else pair in simulated)}
    card = Card(
        version="0.3.1",
        build=f"0.3.1-{trained_at:%Y%m%d%H%M%S}",
        git_revision="0123456789abcdef0123456789abcdef01234567",
        trained_at=trained_at,
        python="3.11.7",
        packages={"prophet": "1.5.0"},
        days=1825,
        seed=0,
        coverage=0.8,
        simulated=bool(invented),
        pairs={pair: _pair_card(pair, forecast, simulated=pair in invented) for pair, forecast in forecasts.items()},
        gate=Gate(passed=True, enforced=True, reasons=(), thresholds={"most_missing": 0.01}),
    )
    scorecard = Scorecard(entries=0, head="0" * 64, pairs={}, simulated={})
    return Model(card, forecasts, scorecard)


def with_hours(model: Model) -> Model:
    """The model with forecasts of hours, which were tested 1, 6 and 24 hours ahead."""
    rows = tuple(quantiles(-0.006 * hour**0.5, 0.006 * hour**0.5) for hour in range(1, HOURS_AHEAD + 1))
    coverages = {"coverage_50": 0.5, "coverage_90": 0.9, "by_volatility": (0.8,) * 4, "by_hours": (0.8,) * 4}
    scores = tuple(
        blank(HourScore, horizon_hours=hours, forecasts=4_000 - hours, coverage=0.8 + hours / 1000, **coverages)
        for hours in (1, 6, 24)
    )
    forecasts = {pair: replace(forecast, hours=rows) for pair, forecast in model.forecasts.items()}
    cards = {pair: replace(card, hours=scores, no_hours=None) for pair, card in model.card.pairs.items()}
    return replace(model, card=replace(model.card, pairs=cards), forecasts=forecasts)


def with_models(model: Model, *names: str, served: str = COMBINED, pairs: Collection[Pair] = ()) -> Model:
    """The model with further models of some pairs, or all; `published` is only scored, and `broken` was left out."""
    cards, forecasts = dict(model.card.pairs), dict(model.forecasts)
    broken = ModelReport("broken", "rivals/broken.py", "b" * 64, ("torch",), 0, 0, None, (), "ValueError: no data")
    for pair in pairs or model.forecasts:
        forecast, estimate = forecasts[pair], Estimate(0.98, 0.96, 0.99)
        rivals = {name: make_quantiles(forecast.last_close, place) for place, name in enumerate(names)}
        reports = [make_report(name, place) for place, name in enumerate([COMBINED, *names, "published"])]
        scores = [PairwiseScore(name, COMBINED, 1, 1_000, estimate, 0.01, f"{name} is better") for name in names]
        forecasts[pair] = replace(forecast, models=rivals)
        cards[pair] = replace(cards[pair], models=(*reports, broken), pairwise=tuple(scores), served=served)
    return replace(model, card=replace(model.card, pairs=cards), forecasts=forecasts)


def with_hindcasts(model: Model, *names: str, every: int = 1) -> Model:
    """The model with what the combined forecast on each day, and others on each `every`, forecast in the past."""
    forecasts = {
        pair: replace(
            forecast,
            hindcasts={COMBINED: make_hindcast(forecast, 0, 1)}
            | {name: make_hindcast(forecast, place, every) for place, name in enumerate(names, 1)},
        )
        for pair, forecast in model.forecasts.items()
    }
    return replace(model, forecasts=forecasts)


def make_hindcast(forecast: PairForecast, place: int, every: int) -> Hindcast:
    """Forecasts at each `every` of the days with a candle, the last one included; each `place` leans more upwards."""
    cutoffs = [
        n for n in range(len(forecast.closes)) if forecast.closes[n] and (len(forecast.closes) - 1 - n) % every == 0
    ]
    widths = [250 + 100 * math.sin(cutoff / 40) for cutoff in cutoffs]
    points = [(10 * place * days, days**0.5) for days in HINDCAST_HORIZONS]
    moves = [[(p - round(grown * width), p, p + round(grown * width)) for p, grown in points] for width in widths]
    return Hindcast(tuple(cutoffs), HINDCAST_HORIZONS, move_text(moves))


def make_quantiles(price: float, place: int) -> Quantiles:
    """The log prices of a model: a trend from a price, and skewed quantiles; each `place` has others."""
    rows = []
    for h in range(1, HORIZON_DAYS + 1):
        middle, width = math.log(price) + 0.001 * (place + 1) * h, (0.02 + 0.01 * place) * h**0.5
        rows.append(tuple(middle + distance for distance in quantiles(-width, 1.2 * width)))
    return tuple(rows)


def make_report(name: str, place: int) -> ModelReport:
    """The report of a model whose 80 % interval held 79 % at 1 day, and another share for each `place`."""
    scores = tuple(
        blank(
            ModelScore,
            horizon_days=horizon,
            forecasts=1_000 - horizon,
            relative_crps=Estimate(0.9 + 0.01 * place, 0.88, 0.95),
            coverage_50=Estimate(0.51, 0.49, 0.53),
            coverage_80=Estimate(0.79 + 0.01 * place, 0.77, 0.85),
            coverage_90=Estimate(0.91, 0.89, 0.93),
            pit=(0.1,) * 10,
            words=f"{name} is better than persistence",
        )
        for horizon in (1, 7, 30, 90)
    )
    is_file = name == "mine"
    source, digest, needs = ("rivals/mine.py", "a" * 64, ("scikit-learn",)) if is_file else ("built in", None, ())
    return ModelReport(name, source, digest, needs, 1_000, 40, FIRST, scores, None)


def _pair_card(pair: Pair, forecast: PairForecast, *, simulated: bool) -> PairCard:
    day = forecast.last + DAY
    return PairCard(
        source="simulated" if simulated else "alpaca",
        traded=pair,
        passed_over=(),
        cross_check=None
        if simulated
        else CrossCheck("binance", Pair(pair.base, "USDT"), forecast.last, 66_967.4, 0.001),
        simulated=simulated,
        first=datetime.combine(forecast.first, datetime.min.time(), UTC),
        last=datetime.combine(forecast.last, datetime.min.time(), UTC),
        candles=503,
        warm_up=0,
        models=(),
        pairwise=(),
        touches=(),
        corridors=(),
        served="combined",
        not_served=None,
        hours=(),
        no_hours="alpaca has no hourly candles",
        gaps=(),
        quarantined=0,
        history_sha256="0" * 64,
        last_close=forecast.last_close,
        volatility=0.025,
        anchor=forecast.anchor,
        forecast=(Standing(horizon_days=1, day=day, prediction=67_000.0, low=65_000.0, high=69_000.0),),
        backtest=None,
    )
