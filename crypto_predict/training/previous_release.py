"""The release before this one: the champion, the ledger that is continued, and what a killed training left."""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from crypto_predict.baked import store
from crypto_predict.baked.files import keep_aside, real_path, remove_stale, stale_temporaries, write_atomically
from crypto_predict.baked.ledger import Ledger, size_up_to
from crypto_predict.baked.schema import Model
from crypto_predict.errors import BrokenLedger, InvalidValue, UnusableModel
from crypto_predict.forecasting.record import Record
from crypto_predict.settings import ledger_beside
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.outputs import File

_SUFFIX = ".ledger.jsonl"

_log = logging.getLogger(__name__)


def with_earlier(settings: TrainSettings) -> TrainSettings:
    """Return the settings with the release to be continued: in a repetition, what is at the output comes first.

    A model there that cannot be used, such as one of an older schema, is no champion; the log says so.
    """
    if settings.repeat is None:
        return settings
    if (ledger := ledger_beside(settings.output)).exists():
        settings = replace(settings, ledger=ledger)
    if settings.output.exists():
        try:
            store.load(settings.output)
            settings = replace(settings, champion=settings.output)
        except UnusableModel as error:
            _log.warning("the model is not compared with the earlier one: %s", error)
    return settings


def read_champion(path: Path | None) -> Model | None:
    """Load the model that this one would replace; raise `InvalidValue` if it cannot be used."""
    if path is None:
        return None
    try:
        return store.load(path)
    except UnusableModel as error:
        raise InvalidValue("--champion", str(path), f"a usable model: {error.reason}") from error


def clean_up(output: Path, files: Iterable[File]) -> bool:
    """Remove what killed trainings left: temporary files, and ledger entries of a first release without its model.

    No model names these entries; only the temporary file of the model shows that they were never released. The locks
    must be held. Return whether the ledger was removed, because it had no other entries.
    """
    removed, ledger = False, ledger_beside(output)
    if ledger.exists() and not output.exists():
        models = filter(None, map(_loaded, stale_temporaries(output)))
        at_end = (model for model in models if size_up_to(ledger, model.scorecard.head) == ledger.stat().st_size)
        if (incomplete := next(at_end, None)) is not None:
            removed = _drop_release(ledger, incomplete.card.trained_at)
    for _, path in files:
        remove_stale(path)
    return removed


def _drop_release(path: Path, made_at: datetime) -> bool:
    """Cut a ledger before the release of an instant. Return whether nothing was left and the file was removed."""
    try:
        ledger = Ledger.read(path, before=made_at)
    except BrokenLedger:  # reported by the training that names it
        return False
    if ledger.entries:
        write_atomically(path, ledger.content())
    else:
        real_path(path).unlink()
    return not ledger.entries


def continue_record(path: Path | None, output: Path, champion: Model | None, *, removed: bool) -> Record:
    """Read the ledger to be continued; begin a new one without `path`, or if it was `removed` beside the output.

    A ledger is read up to the last entry that is named by the champion, by the model beside it, or by the model at the
    output if the ledger is written beside that. `BrokenLedger` is raised if it cannot be trusted.
    """
    if path is None:
        if champion is not None and champion.scorecard.entries:
            _log.warning("the live record starts again: --champion has a ledger, and --ledger does not name it")
        return Record()
    beside_output = real_path(path) == real_path(ledger_beside(output))
    if beside_output and removed:
        return Record()
    models = [champion]  # read before the ledger, as trainings write the ledger first
    if path.name.endswith(_SUFFIX):
        models.append(_loaded(path.with_name(f"{path.name.removesuffix(_SUFFIX)}.pkl")))
    if beside_output:
        models.append(_loaded(output))  # its suffix may not be .pkl
    return Record.read(path, [model.scorecard.head for model in models if model is not None])


def keep_ledger(output: Path, ledger: Ledger) -> None:
    """Keep the ledger beside the output under another name if `ledger`, which replaces it, does not continue it.

    A record cannot be made again. Entries that were never released are not kept.
    """
    path = ledger_beside(output)
    if not path.exists():
        return
    model = _loaded(output)
    released = None if model is None else size_up_to(path, model.scorecard.head)  # in bytes
    if _begins_with(ledger.content(), path, released or path.stat().st_size):
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    aside = path.with_name(f"{path.stem}.{digest[:12]}{path.suffix}")
    keep_aside(path, aside)
    _log.warning("the ledger %s is not continued; it is kept as %s (continue it with --ledger)", path, aside)


def _begins_with(content: Iterable[bytes], path: Path, size: int) -> bool:
    """Return whether the content begins with the first `size` bytes of the file."""
    with path.open("rb") as file:
        for chunk in content:
            expected = file.read(min(len(chunk), size))
            if not chunk.startswith(expected):
                return False
            size -= len(expected)
    return size == 0


def _loaded(path: Path) -> Model | None:
    try:
        return store.load(path)
    except UnusableModel:  # it does not exist, or has an older schema
        return None
