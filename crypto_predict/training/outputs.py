"""The files that a training run writes: their names, their checks before training and writing, and the CSV."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from crypto_predict.baked import schema, store
from crypto_predict.baked.files import locked, real_path, temporary_for
from crypto_predict.baked.schema import Model
from crypto_predict.baked.unpickle import MOST_OPCODES
from crypto_predict.errors import InvalidValue, UnusableModel
from crypto_predict.forecasting.evaluation.replay import HORIZONS
from crypto_predict.market import Pair
from crypto_predict.settings import ledger_beside
from crypto_predict.sources.catalog import FILE
from crypto_predict.training.options import TrainSettings

PICTURE_FORMATS = (".svg", ".png", ".pdf")

_OPCODES_OF_PAIR, _OPCODES_OF_LOSS = 7_000, 11  # of a model file, a little more than measured

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
    losses = sum(answered.values()) // 7 * len({*HORIZONS, *settings.horizons})
    if _OPCODES_OF_PAIR * len(candles) + _OPCODES_OF_LOSS * losses > MOST_OPCODES:
        expected = "few enough for one model; choose fewer horizons or pairs (--pair), or a shorter history (--days)"
        raise InvalidValue("--horizons", f"{len(settings.horizons)} horizons of {len(candles)} pairs", expected)


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
