"""What a training run tells: a table for a person, or JSON for a machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.schema import Card, PairCard, price_decimals
from crypto_predict.baked.scores import Backtest, Score, YearScore
from crypto_predict.market import Pair
from crypto_predict.training.pipeline import TrainingRun
from crypto_predict.wording import counted

Row = Sequence[str]

_HISTORY_HEAD = ("pair", "source", "first day", "last day", "candles", "gaps", "missing", "took", "last close")
_FORECAST_HEAD = ("pair", "in", "on", "forecast", "low", "high", "change")
_SCORE_HEAD = (
    "pair",
    "ahead",
    "forecasts",
    "error/persistence",
    "inside 80 %",
    "Winkler/Gaussian",
    "error",
    "against persistence",
)
_SCORE_FOOT = (
    "out of sample, beside persistence (the price stays what it is) with a Gaussian interval of the past year's "
    "volatility; below 1 is better than persistence; error: mean absolute"
)
_SIMULATED = "!!! SIMULATED PRICES: no exchange was used, this is an invented market. Never trade or publish on it. !!!"


def as_text(run: TrainingRun) -> str:
    """The run as tables: what it was trained on, where the forecast stands, and how such forecasts did."""
    card = run.model.card
    history = [_history_row(pair, facts, run.seconds[pair]) for pair, facts in card.pairs.items()]
    forecasts = [row for pair, facts in card.pairs.items() for row in _forecast_rows(pair, facts)]
    parts = [
        _table(_HISTORY_HEAD, history),
        _table(_FORECAST_HEAD, forecasts),
        f"low and high: the central {card.coverage:.0%} interval; change: from the last close",
        *(_anchor_line(pair, facts) for pair, facts in card.pairs.items()),
        *_backtest_parts(card),
        *_gate_parts(card),
        f"wrote {run.output}: version {card.build}",
    ]
    if card.simulated:
        parts = [_SIMULATED, *parts, _SIMULATED]
    return "\n\n".join(parts)


def _anchor_line(pair: Pair, facts: PairCard) -> str:
    at = facts.anchor.at
    return f"{pair} sets out from the newest price, {_price(facts.anchor.price, facts)} at {at:%Y-%m-%d %H:%M} UTC"


def _backtest_parts(card: Card) -> list[str]:
    """How such forecasts did out of sample: over all cutoffs, and by the year of the cutoff."""
    tested = {
        pair: facts.backtest
        for pair, facts in card.pairs.items()
        if facts.backtest is not None and facts.backtest.scores
    }
    parts = [
        f"{pair} is not scored: the history is too short for a backtest" for pair in card.pairs if pair not in tested
    ]
    if tested:
        scores = [_score_row(pair, score) for pair, backtest in tested.items() for score in backtest.scores]
        parts += [_table(_SCORE_HEAD, scores), _SCORE_FOOT]
    return [*parts, *(_table(*_year_table(pair, backtest)) for pair, backtest in tested.items())]


def _score_row(pair: Pair, score: Score) -> Row:
    return (
        str(pair),
        counted(score.horizon_days, "day"),
        f"{score.forecasts:,}",
        _relative(score.relative_mae),
        f"{score.coverage:.1%}",
        _relative(score.relative_winkler),
        f"{score.mape:.1%}",
        score.words,
    )


def _year_table(pair: Pair, backtest: Backtest) -> tuple[Row, list[Row]]:
    """A row for each year of cutoffs: error to persistence's, share inside, Winkler score to the Gaussian's."""
    horizons = [score.horizon_days for score in backtest.scores]
    cells = {(one.year, one.horizon_days): one for one in backtest.years}
    head = (f"{pair} by year", *(f"{counted(horizon, 'day')}: error, inside, Winkler" for horizon in horizons))
    years = sorted({one.year for one in backtest.years})
    return head, [(str(year), *(_year_cell(cells.get((year, horizon))) for horizon in horizons)) for year in years]


def _year_cell(score: YearScore | None) -> str:
    if score is None:
        return "-"
    return f"{_relative(score.relative_mae)}  {score.coverage:4.0%}  {_relative(score.relative_winkler)}"


def _gate_parts(card: Card) -> list[str]:
    if card.gate.passed:
        return []
    lifted = "" if card.gate.enforced else " (lifted by --no-gate)"
    return [f"the gate{lifted}:" + "".join(f"\n  {reason}" for reason in card.gate.reasons)]


def _relative(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f}"


def as_json(run: TrainingRun) -> str:
    """The run as one JSON object: the file written, the seconds each pair took, and the whole model card."""
    report: dict[str, Any] = {
        "output": str(run.output),
        "seconds": {str(pair): round(seconds, 3) for pair, seconds in run.seconds.items()},
        "card": plain.encode(run.model.card),
    }
    return json.dumps(report, indent=2)


def _history_row(pair: Pair, facts: PairCard, seconds: float) -> Row:
    return (
        str(pair),
        facts.source,
        f"{facts.first:%Y-%m-%d}",
        f"{facts.last:%Y-%m-%d}",
        f"{facts.candles:,}",
        f"{len(facts.gaps):,}",
        f"{sum(gap.missing for gap in facts.gaps):,}",
        f"{seconds:.1f} s",
        _price(facts.last_close, facts),
    )


def _forecast_rows(pair: Pair, facts: PairCard) -> list[Row]:
    return [
        (
            str(pair),
            counted(standing.horizon_days, "day"),
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
