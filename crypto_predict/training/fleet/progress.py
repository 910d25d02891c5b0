"""What a run has finished, so that the same command goes on after a kill: ``.training`` in the folder of models.

Each finished pair has its model and its ledger there, and last its outcome, ``BTC-USD.json``. ``plan.json`` says what
they were made for: outcomes of other settings, of another day, or beside other earlier models are thrown away. The
folder is removed once its release is committed.
"""

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from crypto_predict.baked import index, plain
from crypto_predict.baked.files import write_atomically
from crypto_predict.baked.index import IndexedModel, Refusal
from crypto_predict.errors import UnusableModel
from crypto_predict.market import Pair

FOLDER, PLAN = ".training", "plan.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one pair. Without a new model it keeps the earlier one, if there is a usable one."""

    model: IndexedModel | None
    is_new: bool
    refused: Refusal | None = None


class Progress:
    """The folder of what is finished."""

    def __init__(self, models: Path) -> None:
        self.folder = models / FOLDER

    def begin(self, plan: str) -> None:
        """Keep what is finished if it was made for the same `plan`; throw it away otherwise."""
        path, content = self.folder / PLAN, json.dumps({"plan": plan}).encode()
        with contextlib.suppress(OSError):
            if path.read_bytes() == content:
                return
        self.end()
        self.folder.mkdir()
        write_atomically(path, content)

    def end(self) -> None:
        """Throw away what is finished; the plan goes first, so that a part of it is never continued."""
        if self.folder.exists():
            (self.folder / PLAN).unlink(missing_ok=True)
            shutil.rmtree(self.folder)

    def finish(self, pair: Pair, outcome: Outcome) -> None:
        """Note the outcome of a pair, whose model and ledger must be there, with the names that the index has."""
        write_atomically(self._outcome(pair), json.dumps(plain.encode(outcome)).encode())

    def outcome(self, pair: Pair) -> Outcome | None:
        """Return the outcome of a pair; None if it is not finished, or its model is not the one that was written."""
        with contextlib.suppress(OSError, ValueError, RecursionError, plain.Undecodable, UnusableModel):
            outcome = plain.decode(Outcome, json.loads(self._outcome(pair).read_bytes()), "outcome")
            entry = outcome.model
            if entry is not None and outcome.is_new:
                index.read_data(self.folder, pair, entry)
            return outcome
        return None

    def _outcome(self, pair: Pair) -> Path:
        return self.folder / f"{pair.slug}.json"
