"""What one training run does: a frozen value for each concern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from crypto_predict.forecasting.gate.thresholds import GateThresholds
from crypto_predict.market import Pair


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """Which prices are read."""

    pairs: tuple[Pair, ...]
    sources: tuple[str, ...]  # names in order of preference
    days: int  # longest history that a fit sees
    until: date | None = None  # candles after this UTC day are ignored
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)  # settings of the sources, with their keys


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """Which forecasts of the past are made and scored."""

    horizons: tuple[int, ...]  # days ahead, ascending
    every: int  # days from one cutoff to the next


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What the release gate requires."""

    thresholds: GateThresholds = field(default_factory=GateThresholds)
    enforced: bool = True  # False: faults are only published in the model card


@dataclass(frozen=True, slots=True)
class EarlierRelease:
    """The files of the release before this one."""

    ledger: Path | None = None  # continued beside the model
    champion: Path | None = None  # the model that this one would replace


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """What a release sets in the environment; None if it is not set."""

    trained_at: datetime | None = None  # SOURCE_DATE_EPOCH; None: now
    version: str | None = None  # MODEL_VERSION; None: the version of this program
    git_revision: str | None = None  # GIT_REVISION; None: asked from git


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files to write; None if a file is not wanted. `Pair.fill` inserts the pair where there is one file a pair."""

    model: Path
    backtest: Path | None = None  # every forecast of the backtest, as CSV
    prophet_json: Path | None = None  # for each pair
    picture: Path | None = None  # for each pair

    @property
    def ledger(self) -> Path:
        """The ledger beside the model: ``model.ledger.jsonl`` beside ``model.pkl``."""
        return self.model.parent / f"{self.model.stem}.ledger.jsonl"  # a path such as ".." has no name to replace


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that one training run does."""

    history: HistoryRequest
    backtest: BacktestPlan
    outputs: Outputs
    gate: GatePlan = GatePlan()
    earlier: EarlierRelease = EarlierRelease()
    release: ReleaseFacts = ReleaseFacts()
    seed: int = 0  # of the fit and the simulated market
