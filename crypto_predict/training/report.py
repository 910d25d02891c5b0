"""What a training run tells: a table for a person, or JSON for a machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.schema import PairCard, price_decimals
from crypto_predict.market import Pair
from crypto_predict.training.pipeline import TrainingRun

Row = Sequence[str]

_HISTORY_HEAD = ("pair", "source", "first day", "last day", "candles", "gaps", "missing", "fit", "last close")
_FORECAST_HEAD = ("pair", "in", "on", "forecast", "low", "high", "change")
_SIMULATED = "!!! SIMULATED PRICES: no exchange was used, this is an invented market. Never trade or publish on it. !!!"


def as_text(run: TrainingRun) -> str:
    """The run as two tables: what it was trained on, and where the forecast stands."""
    card = run.model.card
    history = [_history_row(pair, facts, run.fit_seconds[pair]) for pair, facts in card.pairs.items()]
    forecasts = [row for pair, facts in card.pairs.items() for row in _forecast_rows(pair, facts)]
    parts = [
        _table(_HISTORY_HEAD, history),
        _table(_FORECAST_HEAD, forecasts),
        f"low and high: the central {card.coverage:.0%} interval; change: from the last close",
        f"wrote {run.output}: version {card.build}",
    ]
    if card.simulated:
        parts = [_SIMULATED, *parts, _SIMULATED]
    return "\n\n".join(parts)


def as_json(run: TrainingRun) -> str:
    """The run as one JSON object: the file written, the seconds each fit took, and the whole model card."""
    report: dict[str, Any] = {
        "output": str(run.output),
        "fit_seconds": {str(pair): round(seconds, 3) for pair, seconds in run.fit_seconds.items()},
        "card": plain.encode(run.model.card),
    }
    return json.dumps(report, indent=2)


def _history_row(pair: Pair, facts: PairCard, fit_seconds: float) -> Row:
    return (
        str(pair),
        facts.source,
        f"{facts.first:%Y-%m-%d}",
        f"{facts.last:%Y-%m-%d}",
        f"{facts.candles:,}",
        f"{len(facts.gaps):,}",
        f"{sum(gap.missing for gap in facts.gaps):,}",
        f"{fit_seconds:.1f} s",
        _price(facts.last_close, facts),
    )


def _forecast_rows(pair: Pair, facts: PairCard) -> list[Row]:
    return [
        (
            str(pair),
            f"{standing.horizon_days} day{'s' if standing.horizon_days > 1 else ''}",
            str(standing.day),
            *(_price(price, facts) for price in (standing.prediction, standing.low, standing.high)),
            f"{standing.prediction / facts.last_close - 1:+.1%}",
        )
        for standing in facts.forecast
    ]


def _price(price: float, facts: PairCard) -> str:
    return f"{price:,.{price_decimals(facts.last_close)}f}"


def _table(head: Row, rows: Sequence[Row]) -> str:
    """Columns as wide as their widest cell, those of numbers aligned to the right."""
    columns = [_aligned(cells) for cells in zip(head, *rows, strict=True)]
    lines = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    return "\n".join([lines[0], "  ".join("-" * len(cells[0]) for cells in columns), *lines[1:]])


def _aligned(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    numbers = all(cell[0] in "+-0123456789" for cell in cells[1:])
    return [cell.rjust(width) if numbers else cell.ljust(width) for cell in cells]
