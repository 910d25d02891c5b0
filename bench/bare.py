"""The peer that does nothing: one Flask route that returns a constant.

``python -m bench.bare --waitress JSON --port PORT``.
"""

from __future__ import annotations

import argparse
import json

import waitress
from flask import Flask


def create_app() -> Flask:
    """One route, one constant."""
    app = Flask(__name__)

    @app.get("/bitcoin")
    def bitcoin() -> str:
        return "constant"

    return app


def main() -> None:
    """Serve the constant on loopback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waitress", type=json.loads, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    waitress.serve(create_app(), host="127.0.0.1", port=options.port, **options.waitress)


if __name__ == "__main__":
    main()
