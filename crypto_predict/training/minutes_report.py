"""The report of ``train.py --interval 1m``: tables for a person, or JSON for a machine."""

import json
from dataclasses import asdict

from crypto_predict.forecasting.minutes.backtest import MinuteScore
from crypto_predict.market import Pair
from crypto_predict.training.minutes import MinuteRun, ScoredPair
from crypto_predict.training.tables import Row, relative, table, wrapped
from crypto_predict.wording import counted

_HISTORY_HEAD = ("pair", "first minute", "last minute", "candles", "gaps", "missing")
_SCORE_HEAD = ("pair", "ahead", "forecasts", "off by", "error", "Winkler", "CRPS", "in 50 %", "in 80 %", "in 90 %")
_PART_HEAD = (
    *("pair", "ahead", "calmest", "calm", "wild", "wildest"),
    *("0 to 6 h", "6 to 12 h", "12 to 18 h", "18 to 24 h"),
)
_SCORE_FOOT = (
    "out of sample: the second half of the history, with daily fits on everything before; beside persistence (the "
    "price stays what it is) with a Gaussian band of the last day's volatility; off by: mean absolute error of the "
    "price; error, Winkler score of the 80 % interval and CRPS: relative to persistence's, below 1 is better; in 50, "
    "80 and 90 %: outcomes inside the central interval"
)
_PART_FOOT = "outcomes in the 80 % interval by quarter of the last day's volatility, and by hour of the cutoff, UTC"
_SIMULATED = "!!! SIMULATED PRICES: no exchange was used, the market is invented !!!"


def as_json(run: MinuteRun) -> str:
    """Format one JSON object: the file written, and of each pair its history and the scores by horizon."""
    pairs = {
        str(pair): {**_facts(scored), "scores": [asdict(score) for score in scored.scores]}
        for pair, scored in run.pairs.items()
    }
    return json.dumps({"output": None if run.output is None else str(run.output), "pairs": pairs}, indent=2)


def as_text(run: MinuteRun) -> str:
    """Format tables: the histories, and how forecasts of the next minutes did."""
    scored = [(pair, score) for pair, one in run.pairs.items() for score in one.scores]
    parts = [
        table(_HISTORY_HEAD, [_history_row(pair, one) for pair, one in run.pairs.items()]),
        "\n".join(wrapped(f"{pair}: from {_origin(pair, one)}") for pair, one in run.pairs.items()),
        table(_SCORE_HEAD, [_score_row(pair, score) for pair, score in scored]),
        wrapped(_SCORE_FOOT),
        table(_PART_HEAD, [_part_row(pair, score) for pair, score in scored]),
        wrapped(_PART_FOOT),
        "no model was written: collect.py fits the minute forecasts of what it collects",
        *([] if run.output is None else [f"wrote {run.output}"]),
    ]
    simulated = any(one.history.simulated for one in run.pairs.values())
    return "\n\n".join([_SIMULATED, *parts, _SIMULATED] if simulated else parts)


def _facts(scored: ScoredPair) -> dict[str, object]:
    history = scored.history
    return {
        "source": history.source,
        "traded": str(history.traded),
        "simulated": history.simulated,
        "first": history.candles[0].open_time.isoformat(),
        "last": history.candles[-1].open_time.isoformat(),
        "candles": len(history.candles),
        "gaps": len(history.gaps),
        "missing": sum(gap.missing for gap in history.gaps),
        "sha256": history.sha256(),
    }


def _history_row(pair: Pair, scored: ScoredPair) -> Row:
    history = scored.history
    first, last = history.candles[0].open_time, history.candles[-1].open_time
    return (
        str(pair),
        f"{first:%Y-%m-%d %H:%M}",
        f"{last:%Y-%m-%d %H:%M}",
        f"{len(history.candles):,}",
        f"{len(history.gaps):,}",
        f"{sum(gap.missing for gap in history.gaps):,}",
    )


def _origin(pair: Pair, scored: ScoredPair) -> str:
    history = scored.history
    return history.source if history.traded == pair else f"{history.source} ({history.traded})"


def _score_row(pair: Pair, score: MinuteScore) -> Row:
    return (
        str(pair),
        counted(score.horizon_minutes, "minute"),
        f"{score.forecasts:,}",
        f"{score.mape:.3%}",
        *map(relative, (score.relative_mae, score.relative_winkler, score.relative_crps)),
        *map(_share, (score.coverage_50, score.coverage, score.coverage_90)),
    )


def _part_row(pair: Pair, score: MinuteScore) -> Row:
    return (
        str(pair),
        counted(score.horizon_minutes, "minute"),
        *map(_share, (*score.by_volatility, *score.by_hours)),
    )


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
