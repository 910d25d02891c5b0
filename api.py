"""Serve the forecasts of a trained model over HTTP."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from crypto_predict import logs
from crypto_predict.baked import store
from crypto_predict.errors import UnusableModel
from crypto_predict.settings import EnvironmentParser, ServeSettings, duration, whole_number


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    settings = read_settings(arguments, environ)
    logs.configure(settings.log_level, sys.stdout)
    from crypto_predict.web.app import create_app
    from crypto_predict.web.server import Server

    model = store.load(settings.model)
    draining = threading.Event()
    server = Server(
        create_app(model, settings, draining=draining),
        host=settings.host,
        port=settings.port,
        threads=settings.threads,
        draining=draining,
    )
    print(server.addresses)
    server.run()
    return 0


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> ServeSettings:
    parser = EnvironmentParser(environ, prog="api.py", description=__doc__)
    parser.add_option("--model", Path, "model.pkl", "the model file", "FILE")
    parser.add_option("--host", str, "0.0.0.0", "the address to listen at", "HOST")
    parser.add_option("--port", whole_number("port", 0, 65535), "8000", "the port to listen at", "PORT")
    parser.add_option("--threads", whole_number("threads", 1, 256), "8", "requests worked on at once", "N")
    parser.add_option("--stale-after", duration, "24h", "the age from which /fresh answers 503", "TIME")
    parser.add_option("--retrain-every", duration, "6h", "how long answers may be cached", "TIME")
    parser.add_option("--log-level", logs.level_name, "info", "least level", "LEVEL")
    return ServeSettings(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
