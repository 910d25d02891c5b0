"""Train a forecast and bake it into one file: history in, ``model.pkl`` out."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from crypto_predict.prerequisites import needed, quick_imports

PROGRAM = "train.py"
PREREQUISITES = PROGRAM, "requirements-train.txt"
SIGNALS = (signal.SIGTERM, signal.SIGINT)

if __name__ == "__main__":
    # What comes while the imports run waits for its handler: the kernel would drop it in process 1 of a container.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

with needed(*PREREQUISITES), quick_imports():
    from crypto_predict.baked.index import INDEX
    from crypto_predict.command_line import DONE, failed, print_report, with_secrets
    from crypto_predict.errors import CryptoPredictError
    from crypto_predict.market import Interval
    from crypto_predict.market.clock import Clock
    from crypto_predict.sources.stored import CollectedMarket
    from crypto_predict.training import repeat
    from crypto_predict.training.options import TrainSettings, read_settings


def main(arguments: Sequence[str], environ: Mapping[str, str], clock: Clock | None = None) -> int:
    """Train once or, with ``--repeat``, until a signal comes; return the exit code. `clock` is by default the system's.

    Each training of ``--repeat`` is this program again, with the same arguments, in a process of its own.
    """
    settings, as_json = read_settings(arguments, environ)
    if not os.environ.get("SOURCE_DATE_EPOCH", "unset").strip():
        del os.environ["SOURCE_DATE_EPOCH"]  # NumPy reads it too, and fails if it is empty
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    if settings.repeat is not None and repeat.ATTEMPT not in environ:
        command = [sys.executable, __file__, *arguments]
        return repeat.repeat(settings.repeat, settings.output, command, environ, clock or Clock())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    now = datetime.now(UTC)
    if settings.repeat is not None:
        now = datetime.fromisoformat(environ[repeat.ATTEMPT])
        repeat.end_with_trainer()
    if settings.interval is not Interval.DAY_1:
        return run(partial(score_past, settings, as_json, now), settings.backtest, "the file of forecasts")
    if settings.merged:
        return run(partial(merge, settings, as_json), settings.output / INDEX, "the index")
    if settings.is_folder:
        return run(partial(train_folder, settings, as_json, now), settings.output / INDEX, "the index")
    return run(partial(train, settings, as_json, now), settings.output, "the model")


def train(settings: TrainSettings, as_json: bool, now: datetime) -> tuple[str, int]:
    """Train a model on what has closed by `now` (UTC), write it, and return the report and the exit code."""
    # The forecasting libraries take seconds to import; --help and a mistyped option need not wait for them.
    with quick_imports():
        from crypto_predict.training import pipeline, report  # noqa: PLC0415 see above

    model, seconds, is_complete = pipeline.train(settings, now, partial(open_database, settings.database))
    code = DONE if is_complete or settings.repeat is None else repeat.INCOMPLETE
    as_report = report.as_json if as_json else report.as_text if settings.verbose else report.as_summary
    return as_report(model.card, settings.output, seconds), code


def train_folder(settings: TrainSettings, as_json: bool, now: datetime) -> tuple[str, int]:
    """Train a model for each pair on what has closed by `now` (UTC), write their folder, and return report and code."""
    with quick_imports():
        from crypto_predict.training.fleet import report, run  # noqa: PLC0415 see `train`

    fleet = run.train(settings, now, partial(open_database, settings.database))
    return (report.as_json if as_json else report.as_text)(fleet.release, settings.output, fleet.trained), DONE


def merge(settings: TrainSettings, as_json: bool) -> tuple[str, int]:
    """Make one folder of those of all shards, and return report and code."""
    from crypto_predict.training.fleet import merge, report  # noqa: PLC0415 see `train`

    release = merge.merge(settings.merged, settings.output, settings.most_refused)
    return (report.as_json if as_json else report.as_text)(release, settings.output), DONE


def score_past(settings: TrainSettings, as_json: bool, now: datetime) -> tuple[str, int]:
    """Score the forecasts of minutes or hours up to `now` (UTC), write them if asked; return report and code."""
    with quick_imports():
        from crypto_predict.training import intraday  # noqa: PLC0415 see `train`

    scores = intraday.score_past(settings, now, partial(open_database, settings.database))
    return (intraday.as_json if as_json else intraday.as_text)(scores, settings.backtest), DONE


def run(work: Callable[[], tuple[str, int]], output: Path | None, what: str) -> int:
    """Do the work, which may write `output`, and print the report that it returns; return the exit code of both.

    `what` names the output in error messages.
    """
    before = None if output is None else fingerprint(output)
    try:
        text, code = work()
    except CryptoPredictError as error:
        return failed(PROGRAM, str(error), error)
    except OSError as error:
        where = error.filename or output
        return failed(PROGRAM, f"cannot write {where}: {error.strerror}; {outcome(output, before, what)}", error)
    except KeyboardInterrupt as error:
        return failed(PROGRAM, f"interrupted; {outcome(output, before, what)}", error)
    written = f"{what} was written, but not this report" if output else "the report could not be written"
    try:
        print_report(text)
    except KeyboardInterrupt as error:
        return failed(PROGRAM, f"interrupted; {written}", error)
    except OSError as error:
        return failed(PROGRAM, f"{written}: {error.strerror}", error)
    return code


def open_database(url: str) -> CollectedMarket:
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


def outcome(output: Path | None, before: tuple[int, ...] | None, what: str) -> str:
    """Return whether `what`, the file `output`, was written, in words, for error messages."""
    return f"{what} was {'not changed' if output is None or fingerprint(output) == before else 'written'}"


if __name__ == "__main__":
    with needed(*PREREQUISITES):  # for late imports
        code = main(sys.argv[1:], with_secrets(PROGRAM, os.environ))
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # they would only interrupt the clean-up of libraries
    sys.exit(code)
