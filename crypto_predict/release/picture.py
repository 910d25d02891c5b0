"""A picture of a forecast that the run's page can draw: a Mermaid chart, since GitHub shows no inline images there."""

from __future__ import annotations

import math
from datetime import timedelta

from crypto_predict.baked.evaluation import Evaluator, Prediction
from crypto_predict.baked.schema import PairForecast, price_decimals
from crypto_predict.market import Pair

DAYS = 90  # on either side of the last close
STEP = 3  # days from one point to the next
TICKS = 6  # about as many lines across
_INTERVAL, _CURVE = "#e8a867", "#c2570c"  # readable on white and on black
_SETTINGS = f"""\
---
config:
  xyChart:
    width: 900
    height: 420
  themeVariables:
    xyChart:
      plotColorPalette: "{_INTERVAL}, {_INTERVAL}, {_CURVE}"
---"""


def picture(pair: Pair, forecast: PairForecast) -> str:
    """The fitted curve with its in-sample interval, the last close, and from there the forecast with its own interval.

    The curve passes the last close by, and the forecast sets out from it: the chart shows both as the server answers
    them. Every line of such a chart runs from its left edge to its right, so that the interval is two lines.
    """
    points = [_point(forecast, days) for days in _days(forecast)]
    lows, highs, prices = zip(*((point.low, point.high, point.price) for point in points), strict=True)
    bottom, top = _range(min(lows), max(highs))
    first = _days(forecast)[0]
    lines = [
        f'  title "{pair}: fitted curve, then forecast with its 80 % interval"',
        f'  x-axis "days from {forecast.last.day} {forecast.last:%B %Y}, the last close" {first} --> {DAYS}',
        f'  y-axis "{pair.quote}" {_number(bottom, forecast)} --> {_number(top, forecast)}',
        *(f"  line [{', '.join(_number(price, forecast) for price in line)}]" for line in (lows, highs, prices)),
    ]
    return "\n".join([_SETTINGS, "xychart-beta", *lines])


def _days(forecast: PairForecast) -> range:
    """Days from the last close, as many before it as the history has."""
    known = min(DAYS, (forecast.last - forecast.first).days) // STEP * STEP
    return range(-known, DAYS + 1, STEP)


def _point(forecast: PairForecast, days: int) -> Prediction:
    if days == 0:
        return Prediction(forecast.last_close, forecast.last_close, forecast.last_close)
    return Evaluator(forecast).at_close(forecast.last + timedelta(days=days))


def _range(low: float, high: float) -> tuple[float, float]:
    """The prices at bottom and top: round ones, just outside of what is drawn."""
    rough = max(high - low, high * 1e-3) / TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= rough)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _number(price: float, forecast: PairForecast) -> str:
    """A price as the chart reads it: without an exponent."""
    return f"{price:.{price_decimals(forecast.last_close)}f}"
