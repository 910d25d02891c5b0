"""The files that a training run reads and writes beside the model: their names, and what is refused before the work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from crypto_predict.errors import InvalidValue
from crypto_predict.market import Pair
from crypto_predict.settings import TrainSettings

MODEL_SUFFIX, LEDGER_SUFFIX = ".pkl", ".ledger.jsonl"
PICTURE_FORMATS = (".svg", ".png", ".pdf")


def ledger_path(model: Path) -> Path:
    """The ledger beside a model file: ``model.ledger.jsonl`` beside ``model.pkl``."""
    return model.parent / f"{model.stem}.ledger.jsonl"  # a path such as ".." has no name to replace


def path_for(template: Path, pair: Pair) -> Path:
    """The template with the pair's currencies in place of ``{base}`` and ``{quote}``."""
    return Path(str(template).replace("{base}", pair.base).replace("{quote}", pair.quote))


def check_outputs(settings: TrainSettings) -> None:
    """Refuse now what could not be written after minutes of work, or would destroy what is no model.

    Raises:
        InvalidValue: An output cannot be written where the settings say.
    """
    written: set[Path] = set()
    for option, paths in _outputs(settings):
        for path in paths:
            _check_folder(option, path)
            if path.resolve() in written:
                raise InvalidValue(option, str(path), "a file of its own")
            written.add(path.resolve())
    for option, read, successor in _inputs(settings):
        if read.resolve() in written and (successor is None or read.resolve() != successor.resolve()):
            raise InvalidValue(option, str(read), "another file than those that are written")
    if settings.picture is not None and settings.picture.suffix.lower() not in PICTURE_FORMATS:
        raise InvalidValue("--picture", str(settings.picture), f"a file ending in {', '.join(PICTURE_FORMATS)}")


def _outputs(settings: TrainSettings) -> list[tuple[str, list[Path]]]:
    """What is written, with the option that says so."""
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
    """What is read, with the option that says so, and the one output that may take its place: its successor."""
    files: list[tuple[str, Path, Path | None]] = [
        (f"--source file:{path}", path, None) for name in settings.sources for path in _read_by(name, settings.pairs)
    ]
    if settings.ledger is not None:
        files.append(("--ledger", settings.ledger, ledger_path(settings.output)))
    if settings.champion is not None:
        files.append(("--champion", settings.champion, settings.output))
    return files


def _check_folder(option: str, path: Path) -> None:
    if path.exists() and not path.is_file():
        raise InvalidValue(option, str(path), "a regular file")
    if not os.access(path.resolve().parent, os.W_OK):
        raise InvalidValue(option, str(path), "a file in a folder that exists and can be written to")


def _read_by(source: str, pairs: Sequence[Pair]) -> list[Path]:
    """The files that a source reads."""
    kind, _, path = source.partition(":")
    return [path_for(Path(path), pair) for pair in pairs] if kind == "file" else []
