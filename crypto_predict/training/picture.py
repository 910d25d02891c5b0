"""A picture of a forecast: what the market did, what the model made of it, and where it goes from there."""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.files import write_atomically
from crypto_predict.baked.schema import Card, PairForecast
from crypto_predict.history import History

SHOWN_DAYS = 730  # of history, before the forecast
_MARKET, _MODEL, _FORECAST = "#1f2933", "#8a94a0", "#d9730d"


def save_picture(history: History, forecast: PairForecast, card: Card, path: Path) -> None:
    """Draw the last two years of closes, the fitted curve and the forecast with its interval, as SVG, PNG or PDF.

    Args:
        history: What the forecast was trained on.
        forecast: As baked.
        card: Says which version it is, and whether the prices were simulated.
        path: Its ending decides the format.

    Raises:
        OSError: The file cannot be written.
    """
    buffer = io.BytesIO()
    # Text stays text in an SVG, and the same run gives the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "crypto-predict", "font.size": 10}):
        figure = Figure(figsize=(10, 4.6), layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, history, forecast)
        _label(axes, history, card)
        figure.savefig(buffer, format=path.suffix.lstrip(".").lower(), dpi=110, metadata=_metadata(path))
    write_atomically(path, buffer.getvalue())


def _draw(axes: Axes, history: History, forecast: PairForecast) -> None:
    start = max(forecast.first, forecast.last - timedelta(days=SHOWN_DAYS))
    shown = [candle for candle in history.candles if candle.open_time.date() >= start]
    days = _axis([candle.open_time.date() for candle in shown])
    axes.plot(days, [candle.close for candle in shown], color=_MARKET, lw=1.2, label="market")
    evaluator = Evaluator(forecast)
    fitted = _days(start, forecast.last)
    prices = [evaluator.at_close(day).price for day in fitted]
    axes.plot(_axis(fitted), prices, color=_MODEL, lw=1.2, label="fitted curve")
    future = _days(forecast.last + timedelta(days=1), forecast.end)
    predictions = [evaluator.at_close(day) for day in future]
    lows, highs = [p.low for p in predictions], [p.high for p in predictions]
    axes.fill_between(_axis(future), lows, highs, color=_FORECAST, alpha=0.16, lw=0, label="80 % interval")
    axes.plot(_axis(future), [p.price for p in predictions], color=_FORECAST, lw=1.6, label="forecast")


def _label(axes: Axes, history: History, card: Card) -> None:
    warning = ": SIMULATED PRICES" if history.simulated else ""
    last = history.candles[-1].open_time
    axes.set_title(f"{history.pair}, forecast from {last:%d %B %Y}, version {card.version}{warning}", loc="left")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.yaxis.set_minor_formatter(FuncFormatter(_thousands))
    axes.tick_params(axis="y", which="both", labelsize=9)
    axes.set_ylabel(f"{history.pair.quote}, log scale")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", alpha=0.2)
    axes.legend(frameon=False, loc="upper left", ncols=4)


def _thousands(price: float, _: int | None) -> str:
    return f"{price:,.0f}" if price >= 10 else f"{price:.4g}"


def _days(first: date, last: date) -> list[date]:
    return [date.fromordinal(ordinal) for ordinal in range(first.toordinal(), last.toordinal() + 1)]


def _axis(days: list[date]) -> npt.NDArray[np.datetime64]:
    return np.array(days, dtype="datetime64[D]")


def _metadata(path: Path) -> dict[str, None]:
    """Without the time of drawing, so that equal runs draw equal files."""
    return {"Date": None} if path.suffix.lower() == ".svg" else {}
