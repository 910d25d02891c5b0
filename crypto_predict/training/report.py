"""What a training run tells: a table for a person, or JSON for a machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.schema import Card, PairCard
from crypto_predict.baked.scores import Backtest, ProphetScore, Score, YearScore
from crypto_predict.forecasting.evaluation.scoring import Verdict, verdict
from crypto_predict.market import Pair, price_decimals
from crypto_predict.training.pipeline import TrainingRun
from crypto_predict.wording import counted, days_listed, listed

Row = Sequence[str]
Tested = Mapping[Pair, Backtest]

WIDTH = 100  # columns
_YEAR_HORIZONS = 4  # that fit beside each other
_NO_CENTS, _TOO_LONG, _MOST_DECIMALS = 1e6, 1e10, 10  # of a price: from where it is shortened
_HISTORY_HEAD = ("pair", "first day", "last day", "candles", "gaps", "missing", "took", "last close")
_FORECAST_HEAD = ("pair", "in", "on", "forecast", "low", "high", "change")
_SCORE_HEAD = ("pair", "ahead", "forecasts", "off by", "error", "inside", "Winkler", "p", "Prophet", "inside")
_SCORE_FOOT = (
    "out of sample, beside persistence (the price stays what it is) with a Gaussian interval of the past year's "
    "volatility; off by: mean absolute error of the price; error and Winkler score: relative to persistence's, below 1 "
    "is better; inside: outcomes in the 80 % interval; p: of an error that differs from persistence's by chance; "
    "Prophet, inside: error and coverage of Prophet alone, with its own interval"
)
_SIMULATED = "!!! SIMULATED PRICES: no exchange was used, the market is invented. Never trade or publish on it !!!"


def as_text(run: TrainingRun) -> str:
    """The run as tables: what it was trained on, where the forecast stands, and how such forecasts did.

    Lines have at most `WIDTH` columns, but for a path that is longer.
    """
    card = run.model.card
    history = [_history_row(pair, facts, run.seconds[pair]) for pair, facts in card.pairs.items()]
    forecasts = [row for pair, facts in card.pairs.items() for row in _forecast_rows(pair, facts)]
    parts = [
        _table(_HISTORY_HEAD, history),
        _wrapped(_sources(card)),
        _table(_FORECAST_HEAD, forecasts),
        _wrapped(f"low and high: the central {card.coverage:.0%} interval; change: from the last close"),
        "\n".join(_wrapped(_anchor_line(pair, facts)) for pair, facts in card.pairs.items()),
        *_backtest_parts(card),
        *_gate_parts(card),
        f"wrote {run.output}: version {card.build}",
    ]
    if card.simulated:
        parts = [_SIMULATED, *parts, _SIMULATED]
    return "\n\n".join(parts)


def _sources(card: Card) -> str:
    pairs: dict[str, list[str]] = {}
    for pair, facts in card.pairs.items():
        pairs.setdefault(facts.source, []).append(str(pair))
    return "source: " + "; ".join(f"{source} for {listed(names)}" for source, names in pairs.items())


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
        scores = [row for pair, backtest in tested.items() for row in _score_rows(pair, backtest)]
        parts += [_table(_SCORE_HEAD, scores), _wrapped(_SCORE_FOOT), "\n".join(map(_wrapped, _verdicts(tested)))]
    return [*parts, *(part for pair, backtest in tested.items() for part in _year_parts(pair, backtest))]


def _score_rows(pair: Pair, backtest: Backtest) -> list[Row]:
    prophet = {one.horizon_days: one for one in backtest.prophet.scores} if backtest.prophet else {}
    return [
        (
            str(pair),
            counted(score.horizon_days, "day"),
            f"{score.forecasts:,}",
            _share(score.mape),
            _relative(score.relative_mae),
            f"{score.coverage:.1%}",
            _relative(score.relative_winkler),
            _p_value(score.p_value),
            *_prophet_cells(prophet.get(score.horizon_days)),
        )
        for score in backtest.scores
    ]


def _prophet_cells(score: ProphetScore | None) -> tuple[str, str]:
    return ("-", "-") if score is None else (_relative(score.relative_mae), f"{score.coverage:.1%}")


def _verdicts(tested: Tested) -> list[str]:
    """Each verdict once, with the pairs and horizons that it is true of."""
    found: dict[Verdict, dict[tuple[int, ...], list[str]]] = {}
    for pair, backtest in tested.items():
        of_pair: dict[Verdict, list[int]] = {}
        for score in backtest.scores:
            of_pair.setdefault(verdict(score.relative_mae, score.p_value), []).append(score.horizon_days)
        for kind, horizons in of_pair.items():
            found.setdefault(kind, {}).setdefault(tuple(horizons), []).append(str(pair))
    lines = []
    for kind, by_horizons in found.items():
        where = [f"{listed(pairs)} at {days_listed(horizons)}" for horizons, pairs in by_horizons.items()]
        lines.append(f"forecast of {'; '.join(where)}: {kind.value}")
    return lines


def _year_parts(pair: Pair, backtest: Backtest) -> list[str]:
    """A row for each year of cutoffs, in as many tables as the horizons need."""
    title = f"{pair} by year of the cutoff: error, inside and Winkler score, as above"
    return [title, *(_table(*_year_table(backtest, few)) for few in _batches(backtest.scores, _YEAR_HORIZONS))]


def _year_table(backtest: Backtest, scores: Sequence[Score]) -> tuple[Row, list[Row]]:
    horizons = [score.horizon_days for score in scores]
    cells = {(one.year, one.horizon_days): one for one in backtest.years}
    years = sorted({one.year for one in backtest.years})
    rows: list[Row] = [(str(year), *(_year_cell(cells.get((year, days))) for days in horizons)) for year in years]
    return ("year", *(counted(horizon, "day") for horizon in horizons)), rows


def _batches(scores: Sequence[Score], size: int) -> Iterator[Sequence[Score]]:
    for start in range(0, len(scores), size):
        yield scores[start : start + size]


def _year_cell(score: YearScore | None) -> str:
    if score is None:
        return "-"
    return f"{_relative(score.relative_mae)}  {score.coverage:4.0%}  {_relative(score.relative_winkler)}"


def _gate_parts(card: Card) -> list[str]:
    if card.gate.passed:
        return []
    lifted = "" if card.gate.enforced else " (lifted by --no-gate)"
    reasons = (_wrapped(reason, "  ", "    ") for reason in card.gate.reasons)
    return ["\n".join([f"the gate{lifted}:", *reasons])]


def _wrapped(text: str, first: str = "", others: str = "") -> str:
    """The text in lines of at most `WIDTH`, with an indent for the first of them and one for the others."""
    return fill(
        text, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


def _relative(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    if ratio < 100:
        return f"{ratio:.3f}"
    return f"{ratio:.0f}" if ratio < 1e6 else f"{ratio:.0e}"


def _share(share: float) -> str:
    return f"{share:.1%}" if share < 10 else f"{share:.0e}"


def _p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value >= 0.01 else "<0.01"


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
            f"{standing.prediction / facts.last_close - 1:+z.1%}",
        )
        for standing in facts.forecast
    ]


def _price(price: float, facts: PairCard) -> str:
    """With the decimals of the pair's prices; cents are left out of a million, and digits where there are too many."""
    decimals = price_decimals(facts.last_close)
    if decimals > _MOST_DECIMALS or price >= _TOO_LONG:
        return f"{price:.5g}"
    return f"{price:,.{0 if facts.last_close >= _NO_CENTS else decimals}f}"


def _table(head: Row, rows: Sequence[Row]) -> str:
    """Columns as wide as their widest cell, those of numbers aligned to the right."""
    columns = [_aligned(cells) for cells in zip(head, *rows, strict=True)]
    lines = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    return "\n".join([lines[0], "  ".join("-" * len(cells[0]) for cells in columns), *lines[1:]])


def _aligned(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    numbers = all(cell[0] in "+-<0123456789" for cell in cells[1:])
    return [cell.rjust(width) if numbers else cell.ljust(width) for cell in cells]
