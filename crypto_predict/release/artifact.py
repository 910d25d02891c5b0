"""The files that an image carries: the model and its ledger, taken out and read without trusting them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crypto_predict.baked import store
from crypto_predict.baked.schema import Model
from crypto_predict.errors import BrokenLedger, OtherSchema, ReleaseFailed
from crypto_predict.forecasting.ledger import Ledger, check_continues, read_ledger
from crypto_predict.release import engine

# Where the Dockerfile puts them.
MODEL_PATH, LEDGER_PATH = "/app/model.pkl", "/app/model.ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model and its ledger, as copied out of an image."""

    model_path: Path
    ledger_path: Path
    model: Model | None  # None where another schema wrote it, which this program cannot read
    ledger: Ledger


def take_out(reference: str, folder: Path) -> Artifact:
    """Copy model and ledger out of an image that the engine holds, and read both.

    Raises:
        BrokenLedger: The ledger is absent or not whole, or it is not the model's.
        UnusableModel: The model is damaged.
        ReleaseFailed: The image holds no model, or cannot be looked into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model_path, ledger_path = folder / "model.pkl", folder / "model.ledger.jsonl"
    missing = engine.copy_out(reference, {MODEL_PATH: model_path, LEDGER_PATH: ledger_path})
    if MODEL_PATH in missing:
        raise ReleaseFailed(f"{reference} holds no {MODEL_PATH}: it is no image of this project")
    if LEDGER_PATH in missing:
        raise BrokenLedger(ledger_path, None, f"{reference} holds none")
    model, ledger = _readable(model_path), read_ledger(ledger_path)
    if model is not None:
        check_continues(ledger, model.scorecard.head, ledger_path)
    return Artifact(model_path, ledger_path, model, ledger)


def _readable(path: Path) -> Model | None:
    try:
        return store.load(path)
    except OtherSchema:
        return None
