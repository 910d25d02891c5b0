"""Train a forecast and bake it into one file: history in, ``model.pkl`` out."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from crypto_predict.prerequisites import needed, quick_imports

PROGRAM = "train.py"
PREREQUISITES = PROGRAM, "requirements-train.txt"

with needed(*PREREQUISITES), quick_imports():
    from crypto_predict.command_line import DONE, failed, print_report
    from crypto_predict.errors import CryptoPredictError
    from crypto_predict.market.ports import MarketReader
    from crypto_predict.training.options import read_settings


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one training, from the command line and environment to the model file; return the exit code."""
    settings, as_json = read_settings(arguments, environ)
    if not os.environ.get("SOURCE_DATE_EPOCH", "unset").strip():
        del os.environ["SOURCE_DATE_EPOCH"]  # NumPy reads it too, and fails if it is empty
    before = fingerprint(settings.outputs.model)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        # The forecasting libraries take seconds to import; --help and a mistyped option need not wait for them.
        with quick_imports():
            from crypto_predict.training import pipeline, report  # noqa: PLC0415 see above

        run = pipeline.train(settings, datetime.now(UTC), partial(open_database, settings.history.database))
    except CryptoPredictError as error:
        return failed(PROGRAM, str(error), error)
    except OSError as error:
        where = error.filename or settings.outputs.model
        return failed(
            PROGRAM, f"cannot write {where}: {error.strerror}; {outcome(settings.outputs.model, before)}", error
        )
    except KeyboardInterrupt as error:
        return failed(PROGRAM, f"interrupted; {outcome(settings.outputs.model, before)}", error)
    try:
        print_report(report.as_json(run) if as_json else report.as_text(run))
    except KeyboardInterrupt as error:
        return failed(PROGRAM, "interrupted; the model was written, but not this report", error)
    except OSError as error:
        return failed(PROGRAM, f"the model was written, but not this report: {error.strerror}", error)
    return DONE


def open_database(url: str) -> MarketReader:
    """Open what ``collect.py`` has collected. Exit with 1 and one line if the packages for databases are missing."""
    with needed("train.py", "requirements-live.txt"):
        from crypto_predict.store import open_reader  # noqa: PLC0415 requirements-train.txt does not have its packages
    return open_reader(url)


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


if __name__ == "__main__":
    with needed(*PREREQUISITES):  # for late imports
        code = main(sys.argv[1:], os.environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C would only interrupt the clean-up of libraries
    sys.exit(code)
