"""The peer that the usual tutorial ships: unpickle a fitted Prophet, and predict for each request.

``python -m bench.naive --model FILE --waitress JSON --port PORT``. Its answers have the four keys of ``GET /bitcoin``.
"""

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
    """Serve one route; `model` is a fitted Prophet."""
    app = Flask(__name__)
    CORS(app)

    @app.get("/bitcoin")
    def bitcoin() -> Any:
        row = model.predict(pd.DataFrame({"ds": [pd.to_datetime(request.args["date"])]})).iloc[0]
        keys = {"prediction": "yhat", "prediction low": "yhat_lower", "prediction_high": "yhat_upper"}
        return jsonify({"date": row["ds"], **{key: row[column] for key, column in keys.items()}})

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--waitress", type=json.loads, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    prophet = pickle.loads(options.model.read_bytes())
    waitress.serve(create_app(prophet), host="127.0.0.1", port=options.port, **options.waitress)
