"""Train a forecast and bake it into one file: history in, ``model.pkl`` out."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from crypto_predict.prerequisites import needed

PREREQUISITES = "train.py", "requirements-train.txt"

with needed(*PREREQUISITES):
    from crypto_predict.command_line import abandon_output
    from crypto_predict.errors import (
        BrokenLedger,
        CryptoPredictError,
        InvalidValue,
        Refused,
        SourceError,
        UnusableHistory,
        UnusableModel,
    )
    from crypto_predict.training.options import read_settings

DONE, FAILED, BAD_ARGUMENTS, NO_HISTORY, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one training from command line and environment to model file; returns the exit code."""
    settings, as_json = read_settings(arguments, environ)
    if not os.environ.get("SOURCE_DATE_EPOCH", "unset").strip():
        del os.environ["SOURCE_DATE_EPOCH"]  # NumPy reads it too, and fails at an empty one
    before = fingerprint(settings.output)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        # The forecasting libraries take seconds to import: --help and a mistyped option need not wait for them.
        from crypto_predict.training import pipeline, report  # noqa: PLC0415 see above

        run = pipeline.train(settings, pipeline.utc_now())
    except CryptoPredictError as error:
        return failed(str(error), exit_code(error))
    except OSError as error:
        where = error.filename or settings.output
        return failed(f"cannot write {where}: {error.strerror}; {outcome(settings.output, before)}", FAILED)
    except KeyboardInterrupt:
        return failed(f"interrupted; {outcome(settings.output, before)}", INTERRUPTED)
    try:
        return show(report.as_json(run) if as_json else report.as_text(run))
    except KeyboardInterrupt:
        return failed("interrupted; the model was written, but not this report", INTERRUPTED)


def fingerprint(path: Path) -> tuple[int, ...] | None:
    """Return a value that changes when the file is replaced; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def outcome(output: Path, before: tuple[int, ...] | None) -> str:
    """Return whether the model was written, in words, for error messages."""
    return "the model was not changed" if fingerprint(output) == before else "the model was written"


def show(text: str) -> int:
    """Print the report and return the exit code: writing fails if the reader has closed the pipe."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        abandon_output()
        return failed(f"the model was written, but not this report: {error.strerror}", FAILED)
    return DONE


def exit_code(error: CryptoPredictError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, (InvalidValue, UnusableModel)):
        return BAD_ARGUMENTS
    if isinstance(error, (Refused, BrokenLedger)):
        return REFUSED
    return NO_HISTORY if isinstance(error, (UnusableHistory, SourceError)) else FAILED


def failed(message: str, code: int) -> int:
    """Print a message to standard error and return `code`."""
    print(f"train.py: error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    with needed(*PREREQUISITES):  # for late imports
        code = main(sys.argv[1:], os.environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done: Ctrl-C would only break libraries' clean-up
    sys.exit(code)
