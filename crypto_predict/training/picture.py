"""A picture of a forecast: the market, the fitted curve, the forecast, and the prices that followed."""

import io
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.files import write_atomically
from crypto_predict.baked.schema import Card, PairForecast
from crypto_predict.history import History
from crypto_predict.market import Candle

SHOWN_DAYS = 730  # of history, before the forecast
FOLLOWED = "what followed (not seen by the model)"
WIDE_RANGE = 12  # highest over lowest price from which the ticks are logarithmic too
LABEL_GAP = 0.05  # from one price at the right edge to the next, as a share of the height

_PAPER, _INK, _QUIET, _GRID = "#ffffff", "#1f2328", "#59636e", "#d8dee4"
_FITTED, _FORECAST, _ACTUAL = "#a3adb8", "#bc4c00", "#0969da"
_LIGHT = (_PAPER, _INK, _QUIET, _GRID, _FITTED, _FORECAST, _ACTUAL)
_DARK = ("#0d1117", "#e6edf3", "#9198a1", "#2a313a", "#5d6773", "#f0883e", "#58a6ff")  # the same in dark mode
_STYLE: dict[Any, Any] = {  # matplotlib's type of the keys is a list of all of them
    "svg.fonttype": "none",  # text stays text in an SVG
    "svg.hashsalt": "crypto-predict",  # the same run gives the same file
    "text.parse_math": False,  # a version may hold a dollar sign
    "font.size": 11,
    "text.color": _INK,
    "axes.facecolor": "none",
    "figure.facecolor": _PAPER,
    **dict.fromkeys(("axes.labelcolor", "xtick.color", "ytick.color"), _QUIET),
    **dict.fromkeys(("axes.edgecolor", "grid.color"), _GRID),
}
_COORDINATES = re.compile(rb'(?<= d=")[^"]+')
_DECIMALS = re.compile(rb"(\.\d\d)\d+")


def save_picture(
    history: History, forecast: PairForecast, card: Card, path: Path, followed: Sequence[Candle] = ()
) -> None:
    """Save what `draw_picture` draws as SVG, PNG or PDF, by the suffix; an SVG follows the dark mode of its viewer."""
    kind = path.suffix.lstrip(".").lower()
    metadata = {"Date": None} if kind == "svg" else {}  # equal runs draw equal files
    buffer = io.BytesIO()
    with rc_context(_STYLE):
        draw_picture(history, forecast, card, followed).savefig(buffer, format=kind, dpi=110, metadata=metadata)
    drawn = buffer.getvalue()
    write_atomically(path, _small_and_adaptive(drawn) if kind == "svg" else drawn)


def draw_picture(history: History, forecast: PairForecast, card: Card, followed: Sequence[Candle] = ()) -> Figure:
    """Draw the last two years of closes, the fitted curve, the forecast with its interval, and the closes after it.

    Inside the axes are only lines: title and legend stand above, the prices of the last day to the right. `followed`
    are the candles after the forecast was made.
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.add_subplot()
    start = max(forecast.first, forecast.last - timedelta(days=SHOWN_DAYS))
    evaluator = Evaluator(forecast)
    _draw_closes(axes, [candle for candle in history.candles if candle.open_time.date() >= start], _INK, "market")
    fitted = _days(start, forecast.last)
    prices = [evaluator.at(day).price for day in fitted.tolist()]
    axes.plot(fitted, prices, color=_FITTED, lw=1.2, label="fitted curve", zorder=1)
    last_prices = _draw_future(axes, evaluator, card.pairs[history.pair].served)
    if followed:
        _draw_closes(axes, followed, _ACTUAL, FOLLOWED)
        if followed[-1].open_time.date() == forecast.end:
            last_prices["actual"] = followed[-1].close
    shown = _days(start, forecast.end)
    axes.set_xlim(shown[0], shown[-1])
    _label(axes, history, card)
    _scale(axes)
    _label_last_day(axes, last_prices)
    return figure


def _draw_future(axes: Axes, evaluator: Evaluator, model: str) -> dict[str, float]:
    """Draw forecast and interval of a model; return the prices of the last day by their names."""
    last = evaluator.forecast.last
    days = _days(last + timedelta(days=1), evaluator.forecast.end)
    predictions = [evaluator.at(day, model) for day in days.tolist()]
    lows, highs = [p.low for p in predictions], [p.high for p in predictions]
    axes.fill_between(days, lows, highs, color=_FORECAST, alpha=0.16, lw=0, label="80 % interval")
    axes.plot(days, [p.price for p in predictions], color=_FORECAST, lw=1.8, label="forecast")
    axes.axvline(_days(last, last)[0], color=_QUIET, lw=0.8, ls=(0, (2, 3)), zorder=0)
    return {"low": lows[-1], "forecast": predictions[-1].price, "high": highs[-1]}


def _draw_closes(axes: Axes, candles: Sequence[Candle], colour: str, label: str) -> None:
    days = np.array([candle.open_time.date() for candle in candles], dtype="datetime64[D]")
    axes.plot(days, [candle.close for candle in candles], color=colour, lw=1.3, label=label)


def _days(first: date, last: date) -> npt.NDArray[np.datetime64]:
    return np.arange(np.datetime64(first), np.datetime64(last) + 1)


def _label(axes: Axes, history: History, card: Card) -> None:
    pair, last = history.pair, history.candles[-1].open_time
    warning = ": SIMULATED PRICES" if history.simulated else ""
    title = f"{pair}, forecast from {last.day} {last:%B %Y}{warning}"
    axes.set_title(title, loc="left", pad=30, size=14, weight="bold")
    axes.set_xlabel(f"daily closes in {pair.quote}, log scale; version {card.version}", loc="right", size=9)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.01),  # above the axes, where no line is
        borderaxespad=0.0,
        borderpad=0.0,
        frameon=False,
        ncols=5,
        handlelength=1.4,
        handletextpad=0.5,
        columnspacing=1.6,
    )


def _scale(axes: Axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5)) if high / low > WIDE_RANGE else MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])
    )
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_price))
    months = AutoDateLocator(minticks=5, maxticks=12)  # type: ignore[no-untyped-call]  # matplotlib's own
    axes.xaxis.set_major_locator(months)
    dates = ConciseDateFormatter(months, show_offset=False)  # type: ignore[no-untyped-call]  # as above
    axes.xaxis.set_major_formatter(dates)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(visible=True, axis="y", lw=0.8)
    axes.set_axisbelow(True)


def _label_last_day(axes: Axes, prices: Mapping[str, float]) -> None:
    """Write the prices of the last day to the right of the axes, apart from each other."""
    bottom, top = np.log(axes.get_ylim())
    height = -LABEL_GAP
    for name, price in sorted(prices.items(), key=itemgetter(1)):
        height = max(height + LABEL_GAP, float((np.log(price) - bottom) / (top - bottom)))
        colour = _ACTUAL if name == "actual" else _FORECAST
        text = f"{name} {_price(price)}"
        axes.text(1.01, height, text, transform=axes.transAxes, color=colour, size=10, va="center")


def _price(price: float, _: int | None = None) -> str:
    return f"{price:,.0f}" if price >= 10 else f"{price:.4g}"


def _small_and_adaptive(svg: bytes) -> bytes:
    """Return the SVG with coordinates of two decimals, a hundredth of a point, and with the colours of dark mode."""
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in zip(_LIGHT, _DARK, strict=True)
        for kind in ("fill", "stroke")
    )
    rounded = _COORDINATES.sub(lambda path: _DECIMALS.sub(rb"\1", path[0]), svg)
    return rounded.replace(b"</style>", f"@media (prefers-color-scheme:dark){{{rules}}}</style>".encode(), 1)
