"""The peer that the usual tutorial ships: unpickle a fitted Prophet and ask it for each request.

``python -m bench.naive --model FILE --waitress JSON --port PORT``. Its answers have the four keys of ``GET /bitcoin``.
"""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import waitress
from flask import Flask, jsonify, request
from flask_cors import CORS


def create_app(model: Any) -> Flask:
    """One route; `model` is a fitted Prophet."""
    app = Flask(__name__)
    CORS(app)

    @app.get("/bitcoin")
    def bitcoin() -> Any:
        """One row of `predict`."""
        row = model.predict(pd.DataFrame({"ds": [pd.to_datetime(request.args["date"])]})).iloc[0]
        return jsonify(
            {
                "date": row["ds"],
                "prediction": row["yhat"],
                "prediction low": row["yhat_lower"],
                "prediction_high": row["yhat_upper"],
            }
        )

    return app


def main() -> None:
    """Serve the pickled model on loopback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--waitress", type=json.loads, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    app = create_app(pickle.loads(options.model.read_bytes()))
    waitress.serve(app, host="127.0.0.1", port=options.port, **options.waitress)


if __name__ == "__main__":
    main()
