"""The training of one pair: its backtest, its forecast and what the gate finds in both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Never

from tqdm import tqdm

from crypto_predict.baked.schema import Backtest, Model
from crypto_predict.forecasting.candidates.combination import LEARNED
from crypto_predict.forecasting.evaluation.replay import HORIZONS, LEAST_HISTORY, Row, replay, splits
from crypto_predict.forecasting.evaluation.scoring import score
from crypto_predict.forecasting.forecast import FittedForecast, forecast_pair
from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.forecasting.gate.verdict import calibration_faults, champion_faults
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.training.histories import PairHistory
from crypto_predict.training.settings import BacktestPlan


@dataclass(frozen=True, slots=True)
class TrainedPair:
    """The results of training one pair."""

    read: PairHistory
    fitted: FittedForecast
    rows: tuple[Row, ...]  # of the backtest, at the planned horizons
    backtest: Backtest | None  # at these horizons and at `HORIZONS`; None if the history is too short
    seconds: float


def train_pair(read: PairHistory, plan: BacktestPlan, days: int, seed: int, progress: tqdm[Never]) -> TrainedPair:
    """Replay the forecasts of the past, score them, and make the forecast of the future.

    Every release is scored at `HORIZONS`, so that the next one can be compared with it.

    Args:
        read: The prices.
        plan: The backtest.
        days: Longest history that a fit sees.
        seed: For Prophet's optimiser.
        progress: Gets one step for each cutoff.

    Raises:
        UnusableHistory: The forecast would leave the range of numbers.
    """
    started = time.perf_counter()
    past, scored = read.past, sorted({*HORIZONS, *plan.horizons})
    progress.set_description_str(f"{past.pair}: {len(past.candles)} candles, forecasting their past")
    replayed = replay(DailySeries.of(past), {*LEARNED, *scored}, plan.every, days, progress.update)
    return TrainedPair(
        read=read,
        fitted=forecast_pair(read.history, read.anchor, replayed, seed),
        rows=() if replayed is None else tuple(replayed.rows(plan.horizons)),
        backtest=None if replayed is None else score(replayed, scored),
        seconds=time.perf_counter() - started,
    )


def count_cutoffs(read: PairHistory, every: int) -> int:
    """Return the number of cutoffs that a backtest has."""
    days = len(DailySeries.of(read.past))
    return len(list(splits(days, every))) if days >= LEAST_HISTORY else 0


def find_faults(trained: TrainedPair, thresholds: GateThresholds, champion: Model | None) -> tuple[str, ...]:
    """Return what the gate finds in the history and in the scores; real and simulated scores are not compared."""
    faults, backtest, history = trained.read.faults, trained.backtest, trained.read.history
    if backtest is None:
        return faults
    faults += tuple(calibration_faults(backtest, thresholds))
    before = None if champion is None else champion.card.pairs.get(history.pair)
    if before is not None and before.backtest is not None and before.simulated == history.simulated:
        faults += tuple(champion_faults(backtest, before.backtest, thresholds))
    return faults
