"""A forecast as a Mermaid chart, which GitHub draws in Markdown; inline images are not shown on a run's page."""

from __future__ import annotations

import math
from datetime import timedelta

from crypto_predict.baked.evaluation import Evaluator, Prediction
from crypto_predict.baked.schema import PairForecast
from crypto_predict.market import Pair, price_decimals

DAYS = 90  # on either side of the last close
STEP = 3  # days from one point to the next
TICKS = 6  # approximate number of horizontal lines
_SETTINGS = """\
---
config:
  xyChart: {width: 900, height: 420}
  themeVariables: {xyChart: {plotColorPalette: "#e8a867, #e8a867, #c2570c"}}
---"""  # readable on white and on black


def picture(pair: Pair, forecast: PairForecast) -> str:
    """Return the fitted curve up to the last close and the forecast after it, each with its interval, as two lines."""
    known = min(DAYS, (forecast.last - forecast.first).days) // STEP * STEP
    evaluator = Evaluator(forecast)
    points = [_point(evaluator, days) for days in range(-known, DAYS + 1, STEP)]
    lows, highs, prices = zip(*((point.low, point.high, point.price) for point in points), strict=True)
    decimals = price_decimals(forecast.last_close)
    bottom, top = _range(min(lows), max(highs))
    lines = [
        f'  title "{pair}: fitted curve, then forecast with its 80 % interval"',
        f'  x-axis "days from {forecast.last.day} {forecast.last:%B %Y}, the last close" {-known} --> {DAYS}',
        f'  y-axis "{pair.quote}" {bottom:.{decimals}f} --> {top:.{decimals}f}',
        *(f"  line [{', '.join(f'{price:.{decimals}f}' for price in line)}]" for line in (lows, highs, prices)),
    ]
    return "\n".join(["```mermaid", _SETTINGS, "xychart-beta", *lines, "```"])


def _point(evaluator: Evaluator, days: int) -> Prediction:
    """Return the prediction so many days from the last close, where the forecast starts."""
    forecast = evaluator.forecast
    if days == 0:
        return Prediction(forecast.last_close, forecast.last_close, forecast.last_close)
    return evaluator.at_close(forecast.last + timedelta(days=days))


def _range(low: float, high: float) -> tuple[float, float]:
    """Return round prices just outside of what is drawn."""
    rough = max(high - low, high * 1e-3) / TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= rough)
    return math.floor(low / step) * step, math.ceil(high / step) * step
