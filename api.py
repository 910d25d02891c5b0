"""Serve the forecasts of a trained model over HTTP."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from crypto_predict import logs
from crypto_predict.baked import evaluation, store
from crypto_predict.errors import CryptoPredictError, UnusableModel
from crypto_predict.settings import EnvironmentParser, ServeSettings, duration, web_address, whole_number
from crypto_predict.web.announcement import announce, greeting
from crypto_predict.web.app import assemble, create_service, now
from crypto_predict.web.server import CannotListen, Server

EXIT_CODES: dict[type[CryptoPredictError], int] = {CannotListen: 1, UnusableModel: 3}

LOG_SECONDS = 5.0  # for the log's reader to take what is left at the end

TEACHING = """\
examples:
  python api.py                                   serve model.pkl at http://127.0.0.1:8000
  python api.py --host 127.0.0.1 --port 9000      serve to this machine alone
  PORT=9000 python api.py                         the same port, by the environment

  curl 'http://127.0.0.1:8000/bitcoin?date=2026-12-01'      what will a Bitcoin cost?
  curl 'http://127.0.0.1:8000/model'                        where does the answer come from?
  http://127.0.0.1:8000/docs                                everything else that can be asked

Logs are JSON lines on standard output. SIGTERM or Ctrl-C finishes the requests in flight.

exit codes: 0 stopped, 1 cannot listen, 2 bad arguments, 3 no usable model
"""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until a signal says stop.

    Returns:
        The exit code.
    """
    settings = read_settings(arguments, environ)
    lines = logs.Lines(sys.stdout.fileno() if sys.stdout else None)
    logs.configure(settings.log_level, lines.write)
    try:
        serve(settings, lines)
    except tuple(EXIT_CODES) as error:
        print(f"api.py: {error}", file=sys.stderr)
        return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
    finally:
        lines.close(LOG_SECONDS)
    return 0


def serve(settings: ServeSettings, lines: logs.Lines) -> None:
    """Load the model and answer questions about it.

    Raises:
        CannotListen: The address is not there or is taken.
        UnusableModel: There is nothing to serve.
    """
    model = store.load(settings.model)
    for pair, forecast in model.forecasts.items():
        if faults := evaluation.faults(forecast):
            raise UnusableModel(settings.model, f"its forecast of {pair} cannot be evaluated: {faults[0]}")
    draining = threading.Event()
    log = lines.write if settings.log_level in {"debug", "info"} else None
    service = create_service(model, settings, now, draining)
    server = Server(assemble(service, log), settings, draining)
    service.metrics.add_total(
        "crypto_predict_log_lines_dropped", "Log lines that nobody read in time.", lambda: lines.dropped
    )
    service.metrics.add_total(
        "crypto_predict_connections_dropped",
        "Connections closed that did nothing, or to make room.",
        lambda: server.dropped_connections,
    )
    announce(model, server.addresses, now(), settings.stale_after)
    if sys.stdout and sys.stdout.isatty():
        print(greeting(model, server.addresses[0]), file=sys.stderr)
    threading.Thread(target=service.answers.prepare, name="prepare", daemon=True).start()  # nobody waits for it
    server.run()


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> ServeSettings:
    """Options and environment as settings; ends the process with 2 where they make no sense."""
    parser = EnvironmentParser(environ, prog="api.py", description=__doc__, epilog=TEACHING)
    parser.add_option("--model", Path, "model.pkl", "the model file that train.py wrote", "FILE")
    parser.add_option(
        "--host",
        str,
        "0.0.0.0",  # noqa: S104 a container is asked from outside of it
        "the address to listen at",
        "HOST",
    )
    parser.add_option("--port", whole_number("port", 0, 65_535), "8000", "the port to listen at; 0 picks one", "PORT")
    parser.add_option("--threads", whole_number("threads", 1, 256), "8", "requests worked on at once", "N")
    parser.add_option(
        "--stale-after", duration, "24h", "the age of the model or its newest price at which /fresh is 503", "TIME"
    )
    parser.add_option("--retrain-every", duration, "6h", "answers may be cached until the next retrain", "TIME")
    parser.add_option("--repository-url", web_address, "", "where the project is, linked to in /docs", "URL")
    parser.add_option(
        "--log-level", logs.level_name, "info", f"the least that is logged: {', '.join(logs.LEVELS)}", "LEVEL"
    )
    return ServeSettings(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
