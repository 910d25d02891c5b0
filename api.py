"""Serve the forecasts of a trained model over HTTP."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

from crypto_predict.prerequisites import needed, quick_imports

with needed("api.py", "requirements-api.txt"), quick_imports():
    from crypto_predict import logs
    from crypto_predict.baked import index, store
    from crypto_predict.command_line import DONE, CommandLine, Option, exit_code, with_secrets
    from crypto_predict.errors import CryptoPredictError, DatabaseError, InvalidValue
    from crypto_predict.http_server.connections import Site
    from crypto_predict.http_server.server import Server, listen
    from crypto_predict.market.ports import PairRegistry
    from crypto_predict.settings import (
        DEFAULT_DATABASE,
        ServeSettings,
        admin_token,
        boolean,
        file_path,
        site_address,
        web_address,
        whole_number,
    )
    from crypto_predict.web.app import BODIES, Access, Service, create_app, is_slow, now
    from crypto_predict.web.operations.startup import announce, base_url
    from crypto_predict.wording import read_duration

if TYPE_CHECKING:
    from crypto_predict.market.clock import Clock

LOG_SECONDS = 5.0  # to write the remaining log lines at the end, unless a second signal comes

_log = logging.getLogger("crypto_predict.server")

TEACHING = """\
examples:
  python api.py                                   serve model.pkl at http://127.0.0.1:8000
  python api.py --host 127.0.0.1 --port 9000      serve to this machine alone
  PORT=9000 python api.py                         the same port, by the environment
  python api.py --database data/market.db         serve what collect.py has collected, too
  SOURCE=simulated python api.py --collect        collect and serve in one process, into data/market.db

  curl 'http://127.0.0.1:8000/bitcoin?date=2026-12-01'      what will a Bitcoin cost?
  curl 'http://127.0.0.1:8000/model'                        where does the answer come from?
  http://127.0.0.1:8000/docs                                everything else that can be asked

Logs are JSON lines on standard output. SIGTERM or Ctrl-C finishes the requests in flight.

environment without an option: ADMIN_TOKEN, who knows it may change which pairs are collected
with --collect also: PAIR, SOURCE, SINCE, KEEP and others of `python collect.py --help`

exit codes: 0 stopped, 1 cannot listen or collect, 2 bad arguments, or another process collects into the database,
  3 no usable model, or no source has any of the pairs
"""

COMMAND = CommandLine(
    "api.py",
    __doc__ or "",
    [
        Option(
            "--model",
            file_path,
            "the model file that train.py wrote, or its folder",
            "FILE",
            default="model.pkl",
        ),
        Option(
            "--memory",
            whole_number("memory", 1, 1_000_000),
            "megabytes for pairs of a folder that were asked for; the others are read again",
            "MB",
            default="64",
        ),
        Option(
            "--database",
            str,
            "the database that collect.py writes, for /candles and others",
            "URL",
            variable="DATABASE_URL",
        ),
        Option(
            "--collect",
            boolean,
            f"collect live in the same process; the database is {DEFAULT_DATABASE} unless --database is given",
        ),
        Option("--host", str, "the address to listen at", "HOST", default="0.0.0.0"),  # noqa: S104 for containers
        Option("--port", whole_number("port", 0, 65_535), "the port to listen at; 0 picks one", "PORT", default="8000"),
        Option("--threads", whole_number("threads", 1, 256), "number of requests processed at once", "N", default="8"),
        Option(
            "--stale-after", read_duration, "age of model or newest price at which /fresh is 503", "TIME", default="24h"
        ),
        Option(
            "--cache-for",
            read_duration,
            "answers may be cached until the model is this old, unless a training is planned",
            "TIME",
            default="6h",
        ),
        Option("--retrain-every", read_duration, "the former name", "TIME", former_name_of="cache_for", hidden=True),
        Option("--repository-url", web_address, "address of the project, linked in /docs", "URL"),
        Option("--site-url", site_address, "address of this site, for the links of /feed.xml", "URL"),
        Option(
            "--log-level", logs.level_name, f"lowest level logged: {', '.join(logs.LEVELS)}", "LEVEL", default="info"
        ),
        Option("--greet", boolean, "print where to open the page, as at a terminal"),
        Option("--check-address", boolean, "only check that the address is free, and end with 0 or 1"),
    ],
    TEACHING,
)


def main(arguments: Sequence[str], environ: Mapping[str, str], clock: Clock | None = None) -> int:
    """Serve until a signal stops the server; return the exit code. A `clock` replaces that of this machine."""
    settings, check_only = read_settings(arguments, environ)
    lines = logs.Lines(sys.stdout.fileno() if sys.stdout else -1)
    logs.configure(settings.log_level, lines.write)
    try:
        if check_only:
            for listener in listen(settings.host, settings.port):
                listener.close()
        else:
            serve(settings, environ, lines, clock)
    except CryptoPredictError as error:
        print(f"api.py: {error}", file=sys.stderr)
        return exit_code(error)
    finally:
        lines.close(LOG_SECONDS)
    return DONE


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[ServeSettings, bool]:
    """Return the settings from options and environment, and whether only to check the address.

    Raises:
        SystemExit: With 2 after a bad argument, with 0 after ``--help``.
    """
    options = vars(COMMAND.parse(arguments, environ))
    check_only = bool(options.pop("check_address"))
    if options["collect"]:
        options["database"] = options["database"] or DEFAULT_DATABASE
    try:
        token = admin_token(environ)
    except InvalidValue as error:
        COMMAND.fail(str(error))
    return ServeSettings(**options, admin_token=token), check_only


def serve(settings: ServeSettings, environ: Mapping[str, str], lines: logs.Lines, clock: Clock | None = None) -> None:
    """Load the model, or the index of a folder, and serve it until a signal stops the server; then close `lines`.

    Raises:
        CannotListen: The address does not exist or is taken.
        InvalidValue: The address of the database is malformed.
        UnusableModel: The model file is missing or not valid.
        CryptoPredictError: What ended the collector.
    """
    content = index.read(settings.model) if settings.model.is_dir() else store.load(settings.model)
    if settings.collect:
        check_packages()
    access = database_access(settings.database, environ, clock) if settings.database else None
    draining = threading.Event()
    log = lines.write if settings.log_level in {"debug", "info"} else None
    present = now if clock is None else clock.now
    service = Service(content, settings, present, draining, access)
    site = Site(create_app(service, log), is_slow if access is not None else None, BODIES)
    server = Server(site, listen(settings.host, settings.port), settings.threads, draining)
    service.metrics.add_total(
        "crypto_predict_log_lines_dropped",
        "Log lines dropped because they were not read in time.",
        lambda: lines.dropped,
    )
    service.metrics.add_total(
        "crypto_predict_connections_dropped",
        "Connections closed for a time limit, or to make room.",
        lambda: server.pool.dropped,
    )
    with collecting(settings, environ, server.stop, clock) if settings.collect else nullcontext():
        if service.database is not None:
            with suppress(DatabaseError), service.database.reading():
                pass  # a malformed address ends the program, a failure is logged and tried again at the next request
        editions = service.editions
        announce(editions.facts, editions.example, server.addresses, present(), settings.stale_after)
        if settings.greet or (sys.stdout and sys.stdout.isatty()):
            lines.write(f"Open {base_url(*server.addresses[0])}")  # for a person at a terminal
        threading.Thread(target=service.editions.watch, args=(draining,), name="editions", daemon=True).start()
        if service.live is not None:
            threading.Thread(target=service.live.watch, args=(draining,), name="live", daemon=True).start()
        server.run()
    lines.close(LOG_SECONDS, lambda: server.is_hurried)


def database_access(url: str, environ: Mapping[str, str], clock: Clock | None = None) -> Access | None:
    """Return what opens the database; None, after a warning, if the packages for it are not installed."""
    try:
        from crypto_predict.store import open_reader  # noqa: PLC0415 the image without a database has no packages for it
    except ModuleNotFoundError as error:
        missing = f"the package {error.name} is not installed; the image's target `live` has it"
        logs.event(_log, logging.WARNING, "serving without a database: DATABASE_URL is set", reason=missing)
        return None
    return partial(open_reader, url), partial(open_registry, url, environ, clock)


def check_packages() -> None:
    """Exit with 1 and one line if the packages for collecting are not installed, as in the image of a release."""
    try:
        with quick_imports():
            from crypto_predict import store as _  # noqa: F401, PLC0415 only to find out
            from crypto_predict.collecting.live import collector, metrics  # noqa: F401, PLC0415 as above
    except ModuleNotFoundError as error:
        advice = "install requirements-live.txt with pip, or use the image's target `live`"
        sys.exit(f"api.py: error: --collect: the package {error.name} is not installed; {advice}")


@contextmanager
def collecting(
    settings: ServeSettings, environ: Mapping[str, str], failed: Callable[[], object], clock: Clock | None
) -> Iterator[None]:
    """Collect live in a thread inside the context; `failed` is called if that ends by itself.

    Raises:
        SystemExit: With 2 after a bad variable.
        CryptoPredictError: The collector cannot begin, or has ended.
    """
    with quick_imports():
        from crypto_predict.collecting.live import metrics  # noqa: PLC0415 nothing else needs the packages
        from crypto_predict.collecting.live.collector import Collector  # noqa: PLC0415 as above
        from crypto_predict.collecting.live.process import ENDING  # noqa: PLC0415 as above
        from crypto_predict.collecting.options import settings_beside  # noqa: PLC0415 as above
        from crypto_predict.store import open_writer  # noqa: PLC0415 as above
        from crypto_predict.threads import running  # noqa: PLC0415 as above

    what = settings_beside(settings.database or DEFAULT_DATABASE, environ)
    with open_writer(what.database) as database:
        collector, address = Collector(what, database, clock), (what.metrics_host, what.metrics_port)
        thread = running(collector.run, collector.stop, failed, ENDING, "collector")
        with metrics.serving(collector.figures, *address), thread:
            yield


@contextmanager
def open_registry(url: str, environ: Mapping[str, str], clock: Clock | None) -> Iterator[PairRegistry]:
    """Open the registry of the collected pairs for one change."""
    # The libraries of the exchanges take a second to import, and are needed for this alone.
    from crypto_predict.collecting import registry  # noqa: PLC0415 see above
    from crypto_predict.store import open_writer  # noqa: PLC0415 the image without a database has no packages for it

    with open_writer(url) as database:
        yield registry.open_registry(database, environ, clock)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], with_secrets("api.py", os.environ)))
