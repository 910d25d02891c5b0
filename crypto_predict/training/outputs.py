"""The files that a training run reads and writes: their names, checks before the training, locks and cleaning up."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
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
from crypto_predict.baked.unpickle import MOST_OPCODES
from crypto_predict.errors import BrokenLedger, InvalidValue, UnusableModel
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.history import History
from crypto_predict.market import Pair
from crypto_predict.settings import TrainSettings

MODEL_SUFFIX, LEDGER_SUFFIX = ".pkl", ".ledger.jsonl"
PICTURE_FORMATS = (".svg", ".png", ".pdf")

_OPCODES_OF_PAIR, _OPCODES_OF_LOSS = 7_000, 11  # of a model file, a little more than measured

_log = logging.getLogger(__name__)


def ledger_path(model: Path) -> Path:
    """The ledger beside a model file: ``model.ledger.jsonl`` beside ``model.pkl``."""
    return model.parent / f"{model.stem}.ledger.jsonl"  # a path such as ".." has no name to replace


def path_for(template: Path, pair: Pair) -> Path:
    """The template with the pair's currencies in place of ``{base}`` and ``{quote}``."""
    return Path(str(template).replace("{base}", pair.base).replace("{quote}", pair.quote))


def check_outputs(settings: TrainSettings) -> None:
    """Check before minutes of training that all outputs can be written, and that none replaces an input.

    Raises:
        InvalidValue: An output cannot be written where the settings say.
    """
    if len(settings.pairs) > schema.MOST_PAIRS:
        expected = f"few enough for one model ({schema.MOST_PAIRS}); train several, each with its own --output"
        raise InvalidValue("--pair", f"{len(settings.pairs)} pairs", expected)
    written: set[Path] = set()
    for option, paths in _outputs(settings):
        for path in paths:
            _check_file(option, path)
            if real_path(path) in written:
                raise InvalidValue(option, str(path), "different from the other outputs")
            written.add(real_path(path))
    for option, read, successor in _inputs(settings):
        if real_path(read) in written and (successor is None or real_path(read) != real_path(successor)):
            raise InvalidValue(option, str(read), "different from the files that are written")
    if settings.picture is not None and settings.picture.suffix.lower() not in PICTURE_FORMATS:
        raise InvalidValue("--picture", str(settings.picture), f"a file ending in {', '.join(PICTURE_FORMATS)}")


def _outputs(settings: TrainSettings) -> list[tuple[str, list[Path]]]:
    """Return the files to write, with their options."""
    outputs = [("--output", [settings.output, ledger_path(settings.output)])]
    if settings.backtest is not None:
        outputs.append(("--backtest", [settings.backtest]))
    for option, template in (("--prophet-json", settings.prophet_json), ("--picture", settings.picture)):
        if template is not None:
            paths = {path_for(template, pair): None for pair in settings.pairs}
            if len(paths) < len(settings.pairs):
                raise InvalidValue(option, str(template), "one file a pair: write {base}-{quote} in its name")
            outputs.append((option, list(paths)))
    return outputs


def _inputs(settings: TrainSettings) -> list[tuple[str, Path, Path | None]]:
    """Return the files to read, with their options and the one output that may replace each: its successor."""
    files: list[tuple[str, Path, Path | None]] = [
        (f"--source file:{path}", path, None) for name in settings.sources for path in _read_by(name, settings.pairs)
    ]
    if settings.ledger is not None:
        files.append(("--ledger", settings.ledger, ledger_path(settings.output)))
    if settings.champion is not None:
        files.append(("--champion", settings.champion, settings.output))
    return files


def _check_file(option: str, path: Path) -> None:
    real = real_path(path)
    try:
        # A loop of links too, and /dev/stdout, whose link leads to no path where it is a pipe.
        if (os.path.lexists(real) or path.exists()) and not path.is_file():
            raise InvalidValue(option, str(path), "a regular file")
        if not os.access(real.parent, os.W_OK | os.X_OK):
            raise InvalidValue(option, str(path), "a file in a folder that exists and can be written to")
        temporary_for(real).lstat()  # fails if the temporary name is too long
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InvalidValue(option, str(path), f"a file that can be written ({error.strerror})") from error


def _read_by(source: str, pairs: Sequence[Pair]) -> list[Path]:
    """Return the files that a source reads."""
    kind, _, path = source.partition(":")
    return [path_for(Path(path), pair) for pair in pairs] if kind == "file" else []


def check_room(histories: Mapping[Pair, History], settings: TrainSettings) -> None:
    """Check before the training that the model will not exceed the limits of a model file.

    Raises:
        InvalidValue: There are too many days, or losses of too many horizons.
    """
    days = {pair: len(history.candles) + schema.HORIZON_DAYS for pair, history in histories.items()}
    if faults := schema.size_faults(days):
        raise InvalidValue("--days", settings.days, f"few enough for these pairs: {faults[0]}")
    losses = sum(days.values()) // 7 * len({*HORIZONS, *settings.horizons})
    opcodes = _OPCODES_OF_PAIR * len(days) + _OPCODES_OF_LOSS * losses
    if opcodes > MOST_OPCODES:
        expected = "few enough for one model; choose fewer horizons or pairs (--pair), or a shorter history (--days)"
        raise InvalidValue("--horizons", f"{len(settings.horizons)} horizons of {len(days)} pairs", expected)


def readable(model: Model, settings: TrainSettings) -> bytes:
    """Return the bytes of the model file, after loading them as a check.

    Raises:
        InvalidValue: They cannot be loaded: the model is too large, or a text in it is not allowed.
    """
    data = store.dumps(model)
    try:
        store.loads(data, settings.output)
    except UnusableModel as error:
        raise InvalidValue(
            "--output", str(settings.output), f"a model that could be read back: {error.reason}"
        ) from error
    return data


@contextlib.contextmanager
def alone(settings: TrainSettings) -> Iterator[None]:
    """Hold the locks of all outputs, so that concurrent trainings cannot overwrite each other's release.

    Raises:
        InvalidValue: Another process holds one of the locks.
    """
    with contextlib.ExitStack() as locks:
        for option, paths in _outputs(settings):
            for path in paths:
                locks.enter_context(locked(path, option))
        yield


def clean_up(settings: TrainSettings) -> bool:
    """Remove what killed trainings left behind. The locks must be held.

    Temporary files are removed. So are the ledger entries of a first release that was killed between ledger and model:
    no model names them, and only the temporary file of the model shows that they were never released.

    Returns:
        Whether the ledger beside the output was removed, because it had no other entries.
    """
    gone = False
    if not settings.output.exists():
        ledger = ledger_path(settings.output)
        models = filter(None, map(_loaded, stale_temporaries(settings.output)))
        if (incomplete := next((one for one in models if _is_of(ledger, one)), None)) is not None:
            gone = _drop_incomplete(ledger, incomplete.card.trained_at)
    for _, paths in _outputs(settings):
        for path in paths:
            remove_stale(path)
    return gone


def _drop_incomplete(path: Path, made_at: datetime) -> bool:
    """Cut a ledger before the release of an instant. Return whether nothing was left and the file was removed."""
    try:
        ledger = Ledger.read(path, before=made_at)
    except BrokenLedger:  # reported to the training that names it
        return False
    if ledger.entries:
        write_atomically(path, ledger.content())
    else:
        real_path(path).unlink()
    return not ledger.entries


def released_with(ledger: Path, output: Path) -> list[Model]:
    """Return the models beside a ledger that were written with it; each names the last entry at its time.

    These are the one of the ledger's own name, and the one at the output if this ledger is written beside it.
    """
    paths: dict[Path, None] = {}
    if ledger.name.endswith(LEDGER_SUFFIX):
        paths[real_path(ledger.with_name(ledger.name.removesuffix(LEDGER_SUFFIX) + MODEL_SUFFIX))] = None
    if real_path(ledger) == real_path(ledger_path(output)):
        paths[real_path(output)] = None  # whatever its suffix is
    return [model for path in paths if (model := _loaded(path)) is not None]


def keep_ledger(output: Path, ledger: Ledger) -> None:
    """Keep the ledger beside an output under another name if `ledger`, which replaces it, does not continue it.

    A record cannot be made again. Entries that were never released are not worth keeping.

    Raises:
        OSError: The copy cannot be made.
    """
    path = ledger_path(output)
    if not path.exists() or _begins_with(ledger.content(), path, _released_size(path, output)):
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    aside = path.with_name(f"{path.stem}.{digest[:12]}{path.suffix}")
    keep_aside(path, aside)
    _log.warning(
        "the ledger %s is not continued; it is kept as %s (to continue it, name it with --ledger)", path, aside
    )


def _released_size(path: Path, output: Path) -> int:
    """Return the size of a ledger up to the last entry that was released, in bytes."""
    size = path.stat().st_size
    if (model := _loaded(output)) is not None:
        return size_up_to(path, model.scorecard.head) or size
    return size


def _begins_with(content: Iterable[bytes], path: Path, size: int) -> bool:
    """Whether the content begins with the first `size` bytes of the file."""
    with path.open("rb") as file:
        for chunk in content:
            if not size:
                break
            wanted = file.read(min(len(chunk), size))
            if not chunk.startswith(wanted):
                return False
            size -= len(wanted)
    return size == 0


def _is_of(ledger: Path, model: Model) -> bool:
    """Whether the ledger ends with the entry that the model names."""
    with contextlib.suppress(OSError):
        return size_up_to(ledger, model.scorecard.head) == ledger.stat().st_size
    return False


def _loaded(path: Path) -> Model | None:
    try:
        return store.load(path)
    except UnusableModel:  # it does not exist, or has an older schema
        return None
