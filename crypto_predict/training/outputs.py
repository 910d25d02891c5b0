"""The files that a training run writes: their names, and the checks before the training and before writing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from crypto_predict.baked import schema, store
from crypto_predict.baked.files import locked, real_path, temporary_for
from crypto_predict.baked.schema import Model
from crypto_predict.baked.unpickle import MOST_OPCODES
from crypto_predict.errors import InvalidValue, UnusableModel
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.market import Pair
from crypto_predict.sources.catalog import FILE
from crypto_predict.training.settings import EarlierRelease, HistoryRequest, Outputs

PICTURE_FORMATS = (".svg", ".png", ".pdf")

_OPCODES_OF_PAIR, _OPCODES_OF_LOSS = 7_000, 11  # of a model file, a little more than measured

File = tuple[str, Path]  # the option that names it, and its path


def check_outputs(outputs: Outputs, request: HistoryRequest, earlier: EarlierRelease) -> list[File]:
    """Check before minutes of training that all outputs can be written, and that none replaces an input.

    Returns:
        Every file to write.

    Raises:
        InvalidValue: An output cannot be written where the settings say.
    """
    if len(request.pairs) > schema.MOST_PAIRS:
        expected = f"few enough for one model ({schema.MOST_PAIRS}); train several, each with its own --output"
        raise InvalidValue("--pair", f"{len(request.pairs)} pairs", expected)
    files: dict[Path, File] = {}
    for option, path in _written(outputs, request.pairs):
        _check_file(option, path)
        real = real_path(path)
        if real in files:
            same = files[real][0] == option
            expected = (
                "one file a pair: write {base}-{quote} in its name" if same else "different from the other outputs"
            )
            raise InvalidValue(option, str(path), expected)
        files[real] = option, path
    for option, path, successor in _read(outputs, request, earlier):
        if (real := real_path(path)) in files and (successor is None or real != real_path(successor)):
            raise InvalidValue(option, str(path), "different from the files that are written")
    if outputs.picture is not None and outputs.picture.suffix.lower() not in PICTURE_FORMATS:
        raise InvalidValue("--picture", str(outputs.picture), f"a file ending in {', '.join(PICTURE_FORMATS)}")
    return list(files.values())


def _written(outputs: Outputs, pairs: Sequence[Pair]) -> Iterator[File]:
    yield "--output", outputs.model
    yield "--output", outputs.ledger
    if outputs.backtest is not None:
        yield "--backtest", outputs.backtest
    for option, template in (("--prophet-json", outputs.prophet_json), ("--picture", outputs.picture)):
        if template is not None:
            yield from ((option, pair.fill(template)) for pair in pairs)


def _read(
    outputs: Outputs, request: HistoryRequest, earlier: EarlierRelease
) -> Iterator[tuple[str, Path, Path | None]]:
    """Yield the files to read: the option, the path, and the one output that may replace the file."""
    for template in (Path(name.removeprefix(FILE)) for name in request.sources if name.startswith(FILE)):
        for path in (pair.fill(template) for pair in request.pairs):
            yield f"--source {FILE}{path}", path, None
    if earlier.ledger is not None:
        yield "--ledger", earlier.ledger, outputs.ledger
    if earlier.champion is not None:
        yield "--champion", earlier.champion, outputs.model


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
    """Hold the locks of all outputs, so that concurrent trainings cannot overwrite each other's release.

    Raises:
        InvalidValue: Another process holds one of the locks.
    """
    with contextlib.ExitStack() as locks:
        for option, path in files:
            locks.enter_context(locked(path, option))
        yield


def check_room(candles: Mapping[Pair, int], days: int, horizons: Sequence[int]) -> None:
    """Check before the training that the model will not exceed the limits of a model file.

    Args:
        candles: The length of the history of each pair, its warm-up included.
        days: Longest history that a fit sees.
        horizons: Days ahead that are scored.

    Raises:
        InvalidValue: There are too many days, or losses of too many horizons.
    """
    answered = {pair: count + schema.HORIZON_DAYS for pair, count in candles.items()}
    if faults := list(schema.size_faults(answered)):
        raise InvalidValue("--days", days, f"few enough for these pairs: {faults[0]}")
    losses = sum(answered.values()) // 7 * len({*HORIZONS, *horizons})
    if _OPCODES_OF_PAIR * len(candles) + _OPCODES_OF_LOSS * losses > MOST_OPCODES:
        expected = "few enough for one model; choose fewer horizons or pairs (--pair), or a shorter history (--days)"
        raise InvalidValue("--horizons", f"{len(horizons)} horizons of {len(candles)} pairs", expected)


def readable(model: Model, path: Path) -> bytes:
    """Return the bytes of the model file, after loading them as a check.

    Raises:
        InvalidValue: They cannot be loaded: the model is too large, or a text in it is not allowed.
    """
    data = store.dumps(model)
    try:
        store.loads(data, path)
    except UnusableModel as error:
        raise InvalidValue("--output", str(path), f"a model that can be read back: {error.reason}") from error
    return data
