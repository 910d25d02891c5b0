"""One Flask route that returns a constant: ``python -m bench.bare --waitress JSON --port PORT``."""

import argparse
import json

import waitress
from flask import Flask

app = Flask(__name__)


@app.get("/bitcoin")
def bitcoin() -> str:
    """Return the constant."""
    return "constant"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waitress", type=json.loads, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    waitress.serve(app, host="127.0.0.1", port=options.port, **options.waitress)
