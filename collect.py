"""Collect the candles of exchanges in a database, and report how complete they are."""

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from crypto_predict.prerequisites import needed, quick_imports

PROGRAM = "collect.py"
PREREQUISITES = PROGRAM, "requirements-live.txt"
LOG_SECONDS = 0.2  # to write the remaining log lines at the end
SIGNALS = (signal.SIGTERM, signal.SIGINT)

if __name__ == "__main__":
    # What comes while the imports run waits for its handler: the kernel would drop it in process 1 of a container.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

with needed(*PREREQUISITES), quick_imports():
    from crypto_predict import logs
    from crypto_predict.collecting.options import CollectSettings, Mode, read_settings
    from crypto_predict.command_line import DONE, failed, print_report, with_secrets
    from crypto_predict.errors import CryptoPredictError
    from crypto_predict.market.clock import Clock


def main(arguments: Sequence[str], environ: Mapping[str, str], clock: Clock | None = None) -> int:
    """Run one mode, from the command line and environment to the report; return the exit code.

    A `clock` replaces that of this machine while the market is collected live.
    """
    settings = read_settings(arguments, environ)
    if settings.mode is Mode.LIVE:
        return run_live(settings, clock or Clock())
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C; process 1 of a container ignores it
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        text, code = run(settings, datetime.now(UTC))
    except CryptoPredictError as error:
        return failed(PROGRAM, str(error), error)
    except OSError as error:  # of an exported folder
        where = error.filename or settings.folder
        advice = "make room or check the permissions; the files before it are whole, and the same command continues"
        return failed(PROGRAM, f"cannot use {where}: {error.strerror}; {advice}", error)
    except KeyboardInterrupt as error:
        return failed(PROGRAM, "interrupted; what was collected is stored, and the same command continues", error)
    try:
        print_report(text)
    except OSError as error:
        return failed(PROGRAM, f"the report cannot be written: {error.strerror}", error)
    return code


def run(settings: CollectSettings, now: datetime) -> tuple[str, int]:
    """Return the report and the exit code of one mode; `now` is in UTC."""
    # The libraries of databases and exchanges take a second to import; --help need not wait for them.
    with quick_imports():
        from crypto_predict import store  # noqa: PLC0415 see above
        from crypto_predict.collecting import commands  # noqa: PLC0415 see above

    if settings.folder is not None:
        return run_folder(settings, settings.folder, now)
    if not settings.mode.writes:
        with store.open_reader(settings.database) as reader:
            return commands.report(settings, reader, now), DONE
    with store.open_writer(settings.database) as database:
        if settings.mode is Mode.REBUILD_ROLLUPS:
            return commands.rebuild_rollups(settings, database), DONE
        outcomes = commands.collect(settings, database, now)
        return commands.summary(outcomes, database), commands.worst_code(outcomes)


def run_folder(settings: CollectSettings, folder: Path, now: datetime) -> tuple[str, int]:
    """Export, import or verify a folder; return the report and the exit code. `now` is in UTC."""
    with quick_imports():
        from crypto_predict import store  # noqa: PLC0415 as in `run`
        from crypto_predict.collecting import folders  # noqa: PLC0415 as in `run`

    if settings.mode is Mode.IMPORT:
        selection = folders.described(settings, folder)  # before a database is made
        with store.open_writer(settings.database) as database:
            return folders.import_folder(database, folder, selection, now), DONE
    if settings.mode is Mode.VERIFY and not settings.has_database:
        return folders.verify(settings, folder, None)
    with store.open_reader(settings.database) as reader:
        if settings.mode is Mode.VERIFY:
            return folders.verify(settings, folder, reader)
        return folders.export(settings, folder, reader), DONE


def run_live(settings: CollectSettings, clock: Clock) -> int:
    """Collect until a signal comes; return the exit code. Logs are JSON lines on standard error."""
    with quick_imports():
        from crypto_predict import store  # noqa: PLC0415 as in `run`
        from crypto_predict.collecting.live.collector import Collector  # noqa: PLC0415 as in `run`
        from crypto_predict.collecting.live.metrics import serving  # noqa: PLC0415 as in `run`
        from crypto_predict.collecting.live.process import Ending  # noqa: PLC0415 as in `run`

    lines = logs.Lines(sys.stderr.fileno() if sys.stderr else -1)
    logs.configure("info", lines.write)
    ending = Ending(lambda: lines.close(LOG_SECONDS))
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        with store.open_writer(settings.database) as database:
            collector = Collector(settings, database, clock)
            ending.when_asked(collector.stop)
            with serving(collector.figures, settings.metrics_host, settings.metrics_port):
                collector.run()
    except CryptoPredictError as error:
        lines.close(LOG_SECONDS)
        return failed(PROGRAM, str(error), error)
    except KeyboardInterrupt:  # before the collector began
        pass
    lines.close(LOG_SECONDS)
    return ending.code


if __name__ == "__main__":
    with needed(*PREREQUISITES):  # for late imports
        code = main(sys.argv[1:], with_secrets(PROGRAM, os.environ))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C would only interrupt the clean-up of libraries
    sys.exit(code)
