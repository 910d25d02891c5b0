"""Tell on the run's page what was built, and what changed since the last model."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from crypto_predict.baked import evaluation, store
from crypto_predict.baked.schema import Model
from crypto_predict.errors import InvalidValue, ReleaseFailed, UnusableModel
from crypto_predict.release.changes import changes
from crypto_predict.release.job import Job
from crypto_predict.release.markdown import escape
from crypto_predict.release.page import Image, page
from crypto_predict.settings import whole_number

CHANGES = "CHANGES"  # the variable with the subjects of the commits
SUMMARY = "Tell on the run's page what was built: forecast, picture, scorecard, what changed."
EXAMPLES = f"""\
  ... summary --model built/model.pkl --champion champion/model.pkl --changes changes.txt \\
      --digest sha256:6a... --bytes 61000000 --start-seconds 0.412
  {CHANGES}='fix: ...' ... summary --model model.pkl     outside of a workflow: on standard output

What is not known may be left out or empty. A last model that cannot be read is told, and no error.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="the model in the image")
    parser.add_argument("--champion", default="", metavar="FILE", help="the model released before it")
    parser.add_argument("--digest", default="", help="the image's")
    parser.add_argument("--bytes", default="", metavar="N", help="the image's size, unpacked")
    parser.add_argument("--start-seconds", default="", metavar="S", help="from the image's start to its first answer")
    parser.add_argument(
        "--changes",
        default="",
        metavar="FILE",
        help=f"subjects of the new commits, one a line (environment: {CHANGES})",
    )


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:
    """Write the page; no outputs.

    Raises:
        UnusableModel: The model cannot be read. A champion that cannot be is only told.
        InvalidValue: A figure is no number.
        ReleaseFailed: The file with the changes cannot be read.
    """
    image = Image(
        digest=options.digest,
        bytes=whole_number("--bytes", 0, 10**15)(options.bytes) if options.bytes else None,
        start_seconds=_seconds(options.start_seconds) if options.start_seconds else None,
    )
    subjects = _text(Path(options.changes)) if options.changes else job.environ.get(CHANGES, "")
    model = _evaluated(options.model)
    since = (
        _since(model, Path(options.champion)) if options.champion else "There is no earlier model to compare it with."
    )
    job.add_summary(page(model, image, since, subjects), is_the_result=True)
    return {}


def _since(model: Model, champion: Path) -> str:
    try:
        return changes(model, _evaluated(champion))
    except UnusableModel as error:
        return f"Not compared: {escape(str(error))}."


def _evaluated(path: Path) -> Model:
    """A model that can be evaluated."""
    model = store.load(path)
    for pair, forecast in model.forecasts.items():
        if faults := evaluation.faults(forecast):
            raise UnusableModel(path, f"its forecast of {pair} cannot be evaluated: {faults[0]}")
    return model


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ReleaseFailed(f"{path} cannot be read: {error.strerror}") from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidValue("--start-seconds", text, "a number of seconds")
    return seconds
