"""The files of a training run: what it writes, with the checks before, and what it continues of the release before.

That is the champion, the ledger, and what a killed training left.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from itertools import chain
from math import comb
from pathlib import Path

from crypto_predict.baked import schema, store
from crypto_predict.baked.files import (
    keep_aside,
    locked,
    real_path,
    remove_stale,
    stale_temporaries,
    temporary_for,
    write_atomically,
)
from crypto_predict.baked.ledger import Ledger, size_up_to
from crypto_predict.baked.schema import Model
from crypto_predict.errors import BrokenLedger, InvalidValue, UnusableModel
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.forecasting.record import Record
from crypto_predict.market import Pair
from crypto_predict.settings import ledger_beside
from crypto_predict.sources.catalog import FILE
from crypto_predict.training.options import TrainSettings

PICTURE_FORMATS = (".svg", ".png", ".pdf")

_SUFFIX = ".ledger.jsonl"
# The characters that parts of a model file take before they are compressed, a little more than measured.
_PAIR, _HORIZON, _DAY, _LOSS = 75_000, 2_100, 12, 46
_MODEL, _SCORE, _COMPARISON = 43_000, 450, 150

_log = logging.getLogger(__name__)

File = tuple[str, Path]  # the option that names it, and its path


def check_outputs(settings: TrainSettings) -> list[File]:
    """Return all outputs; raise `InvalidValue` before minutes of training if one cannot be written, or is an input."""
    if len(settings.pairs) > schema.MOST_PAIRS:
        expected = f"few enough for one model ({schema.MOST_PAIRS}); train several, each with its own --output"
        raise InvalidValue("--pair", f"{len(settings.pairs)} pairs", expected)
    ledger = ledger_beside(settings.output)
    single = (("--output", settings.output), ("--output", ledger), ("--backtest", settings.backtest))
    by_pair = (("--prophet-json", settings.prophet_json), ("--picture", settings.picture))
    files: dict[Path, File] = {}
    for option, path in (
        *((option, path) for option, path in single if path is not None),
        *((option, pair.fill(path)) for option, path in by_pair if path is not None for pair in settings.pairs),
    ):
        _check_file(option, path)
        real = real_path(path)
        if real in files:
            expected = "different from the other outputs"
            if files[real][0] == option:
                expected = "one file a pair: write {base}-{quote} in its name"
            raise InvalidValue(option, str(path), expected)
        files[real] = option, path
    inputs = [  # each with the one output that may replace it
        *((option, path, None) for option, path in _sources(settings)),
        *([] if settings.ledger is None else [("--ledger", settings.ledger, real_path(ledger))]),
        *([] if settings.champion is None else [("--champion", settings.champion, real_path(settings.output))]),
    ]
    for option, path, successor in inputs:
        if (real := real_path(path)) in files and real != successor:
            raise InvalidValue(option, str(path), "different from the files that are written")
    if settings.picture is not None and settings.picture.suffix.lower() not in PICTURE_FORMATS:
        raise InvalidValue("--picture", str(settings.picture), f"a file ending in {', '.join(PICTURE_FORMATS)}")
    return list(files.values())


def check_backtest(settings: TrainSettings) -> list[File]:
    """Return the backtest as the only output, if it is wanted; raise `InvalidValue` as `check_outputs` does."""
    if (path := settings.backtest) is None:
        return []
    _check_file("--backtest", path)
    if real_path(path) in {real_path(source) for _, source in _sources(settings)}:
        raise InvalidValue("--backtest", str(path), "different from the files of --source")
    return [("--backtest", path)]


def _sources(settings: TrainSettings) -> list[File]:
    templates = [Path(name.removeprefix(FILE)) for name in settings.sources if name.startswith(FILE)]
    paths = [pair.fill(template) for template in templates for pair in settings.pairs]
    return [(f"--source {FILE}{path}", path) for path in paths]


def _check_file(option: str, path: Path) -> None:
    real = real_path(path)
    try:
        # Also refuses a loop of links, and /dev/stdout, whose link leads to no path if it is a pipe.
        if (os.path.lexists(real) or path.exists()) and not path.is_file():
            raise InvalidValue(option, str(path), "a regular file")
        if not os.access(real.parent, os.W_OK | os.X_OK):
            raise InvalidValue(option, str(path), "a file in a folder that exists and can be written to")
        temporary_for(real).lstat()  # fails if the temporary name is too long
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InvalidValue(option, str(path), f"a file that can be written ({error.strerror})") from error


@contextlib.contextmanager
def locked_outputs(files: Iterable[File]) -> Iterator[None]:
    """Hold the locks of all outputs; raise `InvalidValue` if another training holds one of them."""
    with contextlib.ExitStack() as locks:
        for option, path in files:
            locks.enter_context(locked(path, option))
        yield


def check_room(candles: Mapping[Pair, int], settings: TrainSettings) -> None:
    """Check before the training that the model will not exceed the limits of a model file.

    `candles` counts the history of each pair with its warm-up. `InvalidValue` names the option with too much.
    """
    answered = {pair: count + schema.HORIZON_DAYS for pair, count in candles.items()}
    if faults := list(schema.size_faults(answered)):
        raise InvalidValue("--days", settings.days, f"few enough for these pairs: {faults[0]}")
    pairs, horizons, models = len(candles), len({*HORIZONS, *settings.horizons}), len(settings.rivals)
    losses = sum(answered.values()) // 7 * horizons
    characters = (
        pairs * (_PAIR + _HORIZON * horizons + _MODEL * models)
        + _DAY * sum(candles.values())
        + _LOSS * losses
        + pairs * horizons * (_SCORE * (models + 1) + _COMPARISON * comb(models + 1, 2))
    )
    if characters > store.MOST_TEXT or losses * (1 + len(fields(schema.Loss))) > store.MOST_KEYS:
        expected = (
            "few enough for one model; choose fewer horizons, pairs (--pair) or other models (--rivals), or a shorter "
            "history (--days)"
        )
        raise InvalidValue("--horizons", f"{len(settings.horizons)} horizons of {pairs} pairs", expected)


def readable(model: Model, path: Path) -> bytes:
    """Return the bytes of the model file; raise `InvalidValue` if they are too many, or hold a text that is refused."""
    data = store.dumps(model)
    try:
        store.loads(data, path)
    except UnusableModel as error:
        raise InvalidValue("--output", str(path), f"a model that can be read back: {error.reason}") from error
    return data


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """Yield the lines of a CSV file; prices, which are floats, have twelve significant digits."""
    for cells in chain([header], rows):
        texts = (f"{cell:.12g}" if isinstance(cell, float) else str(cell) for cell in cells)
        yield f"{','.join(texts)}\n".encode()


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
