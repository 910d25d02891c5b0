"""A forecast as a Mermaid chart, which GitHub draws in Markdown; inline images are not shown on a run's page."""

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
    """Return the fitted curve up to the last close and the forecast after it, with the ends of the intervals."""
    known = min(DAYS, (forecast.last - forecast.first).days) // STEP * STEP
    evaluator, last = Evaluator(forecast), forecast.last_close
    points = [
        evaluator.at_close(forecast.last + timedelta(days=days)) if days else Prediction(last, last, last)
        for days in range(-known, DAYS + 1, STEP)
    ]
    lows, highs, prices = zip(*((point.low, point.high, point.price) for point in points), strict=True)
    decimals = price_decimals(last)
    bottom, top = _range(min(lows), max(highs))
    lines = [
        f'  title "{pair}: fitted curve, then forecast with its 80 % interval"',
        f'  x-axis "days from {forecast.last.day} {forecast.last:%B %Y}, the last close" {-known} --> {DAYS}',
        f'  y-axis "{pair.quote}" {bottom:.{decimals}f} --> {top:.{decimals}f}',
        *(f"  line [{', '.join(f'{price:.{decimals}f}' for price in line)}]" for line in (lows, highs, prices)),
    ]
    return "\n".join(["```mermaid", _SETTINGS, "xychart-beta", *lines, "```"])


def _range(low: float, high: float) -> tuple[float, float]:
    """Return round prices just outside of what is drawn."""
    rough = max(high - low, high * 1e-3) / TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= rough)
    return math.floor(low / step) * step, math.ceil(high / step) * step
