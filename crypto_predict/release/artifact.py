"""The model and its ledger in an image, copied out and read without trusting them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crypto_predict.baked import files, store
from crypto_predict.baked.ledger import Ledger
from crypto_predict.baked.schema import Model
from crypto_predict.errors import OtherSchema, ReleaseFailed
from crypto_predict.release import engine

FOLDER, MODEL, LEDGER = "/app", "model.pkl", "model.ledger.jsonl"  # where the Dockerfile puts them


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model and its ledger, copied out of an image."""

    model_path: Path
    ledger_path: Path
    model: Model | None  # None: written with another schema, which this program cannot read
    ledger: Ledger


def take_out(reference: str, folder: Path) -> Artifact:
    """Copy model and ledger out of an image, which is pulled if its digest names it, and read both.

    Raises:
        BrokenLedger: The ledger is absent, damaged, or belongs to another model.
        UnusableModel: The model is damaged.
        ReleaseFailed: The image has no model, or cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model_path, ledger_path = folder / MODEL, folder / LEDGER
    for path in (model_path, ledger_path):
        path.unlink(missing_ok=True)  # of another image
    engine.hold(reference)
    engine.copy_out(reference, FOLDER, folder)
    if not model_path.exists():
        raise ReleaseFailed(f"{reference} has no {FOLDER}/{MODEL}: it is not an image of this project")
    try:
        model = store.load(model_path)
    except OtherSchema:
        return Artifact(model_path, ledger_path, None, Ledger.read(ledger_path))
    ledger = Ledger.read(ledger_path, [model.scorecard.head])
    files.write_atomically(ledger_path, ledger.content())  # without what was never released
    return Artifact(model_path, ledger_path, model, ledger)
