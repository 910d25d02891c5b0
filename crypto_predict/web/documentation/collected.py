"""The endpoints of a database in the OpenAPI document, which has them only if the service has a database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.errors import DatabaseError
from crypto_predict.market import DAY, Candle, Interval, StoredCandle, digest
from crypto_predict.market.ports import CollectedSeries
from crypto_predict.web import problems, rendering
from crypto_predict.web.answers import PairRange
from crypto_predict.web.collected import answers
from crypto_predict.web.collected import rendering as tables
from crypto_predict.web.collected.questions import (
    DEFAULT_LIMIT,
    MOST_CANDLES,
    CandlesQuestion,
)
from crypto_predict.web.documentation.schemas import (
    PAIR,
    PAIR_PARAMETER,
    Schema,
    parameter,
    record,
    ref,
    response,
    schema_of,
)
from crypto_predict.web.questions import MOMENT_PATTERN
from crypto_predict.web.snapshots import until_candle

_TAG = "collected"
_OPERATIONS = {  # path to schema of the answer, summary, and status to response in addition to the usual ones
    "/candles/{pair}": (
        "Candles",
        "Candles of a pair, with VWAP, in JSON or CSV",
        {"404": "NotCollected", "406": "NotAcceptable"},
    ),
    "/digest/{pair}": (
        "DayDigest",
        "The SHA-256 of a day's candles, to compare two collectors",
        {"404": "NotCollected"},
    ),
    "/series": ("SeriesState", "Every collected series, with its span, lag and gaps", {}),
}
_USUAL = {"400": "BadParameter", "304": "NotModified", "412": "PreconditionFailed", "503": "DatabaseUnavailable"}
_PROBLEMS = {  # name to description
    "NotCollected": "No such series is collected; `detail` lists those that are, `parameter` names what was not found.",
    "NotAcceptable": "`Accept` allows neither JSON nor CSV.",
    "DatabaseUnavailable": "The database cannot be read now; forecasts are answered as usual.",
}
_DESCRIPTIONS = {
    "/candles/{pair}": """\
Candles ascend, one a row; the opening names a candle. `vwap` is the volume-weighted average price of its UTC day up to
its end, of typical prices `(high + low + close) / 3`.

An interval that is not stored is resampled from the shortest stored one, which `resampled_from` names. Such a candle is
left out if the source was not asked for all of its time; times without candles stay gaps. A page rests on 50,000 stored
candles at most.

Without `start` the answer is the newest `limit` intervals before `end`, and `Link` has the page before it
(`rel="prev"`). With `start` it begins there, and `Link` has the next page (`rel="next"`). A page may have fewer than
`limit` candles; the last one has no link.
""",
    "/digest/{pair}": """\
The SHA-256 of UTF-8 text: one line with the interval in seconds, then one line a candle,
`2024-05-17T00:00:00Z,open,high,low,close,volume` with numbers as Python's `repr` writes them. A line feed ends each.
Compare days that are `complete` only: the source was asked for all of such a day.
""",
    "/series": "Of a series without candles `start`, `end` and `lag_seconds` are null.",
}

_TEXT: Schema = {"type": "string"}
_INTERVAL: Schema = {**_TEXT, "enum": [interval.label for interval in Interval]}
_NUMBER: Schema = {"type": "number", "minimum": 0}
_ROW: Schema = {
    "type": "array",
    "items": {"anyOf": [schema_of(datetime), _NUMBER, {"type": "null"}]},
    "minItems": len(tables.COLUMNS),
    "maxItems": len(tables.COLUMNS),
    "description": f"The values of {', '.join(tables.COLUMNS)}. Of the last five each may be null.",
}


def extend(document: dict[str, Any], example: answers.Example, ranges: list[PairRange]) -> None:
    """Add the endpoints of a database to a document, and what is collected to ``/pairs`` with its `ranges`."""
    page = _page(example)
    shown = _examples(example, page, ranges)
    components = document["components"]
    components["schemas"] |= _schemas()
    for name, problem in _example_problems(page).items():
        body = json.loads(problem.rendered().body)
        components["responses"][name] = response(_PROBLEMS[name], problems.CONTENT_TYPE, "Problem", body)
    document["tags"].append({"name": _TAG, "description": "What did it cost? From the database that collect.py writes"})
    parameters = _parameters(example)
    for path, (schema, summary, responses) in _OPERATIONS.items():
        answer = response("The answer.", tables.JSON, schema, shown[schema]) | {"headers": _headers(path, page)}
        document["paths"][path] = {
            "get": {
                "operationId": path.split("/")[1],
                "tags": [_TAG],
                "summary": summary,
                "description": _DESCRIPTIONS[path],
                "parameters": parameters.get(path, []),
                "responses": {
                    "200": answer,
                    **{status: ref("responses", name) for status, name in {**_USUAL, **responses}.items()},
                },
            }
        }
    csv = {
        "schema": {"type": "string"},
        "example": tables.candles(page, CandlesQuestion(example.series.pair), tables.CSV).body.decode(),
    }
    document["paths"]["/candles/{pair}"]["get"]["responses"]["200"]["content"][tables.CONTENT_TYPES[tables.CSV]] = csv
    pairs = document["paths"]["/pairs"]["get"]
    pairs["summary"] = "The pairs of the model, the days it answers for, and what is collected of them"
    pairs["responses"]["200"]["content"][tables.JSON]["example"] = shown["PairRange"]
    del pairs["responses"]["200"]["headers"]["Last-Modified"]


def _parameters(example: answers.Example) -> dict[str, list[dict[str, Any]]]:
    """Return the parameters by path."""
    series, day = example.series, example.day
    pair = PAIR_PARAMETER | {"example": series.pair.slug}
    interval = parameter(
        "interval",
        "The length of a candle; by default the shortest one that is stored.",
        _INTERVAL,
        series.interval.label,
    )
    source = parameter(
        "source",
        "By default a real source before a simulated one, then the one with the newest candle.",
        _TEXT,
        series.source,
    )
    moment = {**_TEXT, "pattern": MOMENT_PATTERN}
    start = parameter(
        "start", "An ISO 8601 date-time, included, or date, for its beginning.", moment, f"{day}T00:00:00Z"
    )
    end = parameter("end", "The same, not included; by default the newest close.", moment, f"{day + DAY}T00:00:00Z")
    count: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_CANDLES, "default": DEFAULT_LIMIT}
    limit = parameter("limit", "The number of candles at most.", count, 100)
    asked = parameter("day", "A UTC day.", {**_TEXT, "format": "date"}, f"{day}") | {"required": True}
    return {
        "/candles/{pair}": [pair, interval, start, end, limit, source],
        "/digest/{pair}": [pair, asked, interval, source],
    }


def _schemas() -> dict[str, Schema]:
    """Return the schemas of the answers, by their names."""
    state = schema_of(answers.SeriesState)
    state["properties"] |= {"interval": _INTERVAL}
    day = schema_of(answers.DayDigest)
    day["properties"] |= {"interval": _INTERVAL}
    of_pair = schema_of(PairRange)
    collected: Schema = {"anyOf": [{"type": "array", "items": state}, {"type": "null"}]}
    candles = {
        "pair": PAIR,
        "source": _TEXT,
        "interval": _INTERVAL,
        "resampled_from": {"anyOf": [_INTERVAL, {"type": "null"}]},
        "simulated": {"type": "boolean"},
        "columns": {"const": list(tables.COLUMNS)},
        "candles": {"type": "array", "items": _ROW},
    }
    return {
        "Candles": record(candles),
        "DayDigest": day,
        "SeriesState": {"type": "array", "items": state},
        "PairRange": {"type": "array", "items": record(of_pair["properties"] | {"collected": collected})},
    }


def _examples(example: answers.Example, page: answers.Page, ranges: list[PairRange]) -> dict[str, Any]:
    """Return an answer for each schema, by its name."""
    question = CandlesQuestion(example.series.pair)
    series, rows = example.series, [candle for candle, _ in page.candles]
    sha256 = digest(rows, series.interval)
    of_day = answers.DayDigest(
        series.pair, series.source, series.interval.label, example.day, len(rows), True, sha256, page.found.simulated
    )
    states = [answers.state(page.found, page.found.newest_close or datetime.now(UTC))]
    return {
        "Candles": json.loads(tables.candles(page, question, tables.JSON).body),
        "DayDigest": plain.encode(of_day),
        "SeriesState": plain.encode(states),
        "PairRange": json.loads(tables.pairs(ranges, states).body),
    }


def _headers(path: str, page: answers.Page) -> dict[str, Any]:
    """Return the documented headers of an answer of the database."""
    rendered = tables.candles(page, CandlesQuestion(page.found.series.pair), tables.JSON)
    values = dict([*until_candle(rendered.body, timedelta(seconds=42)), *rendered.headers])
    described = {
        "ETag": ("Changes with the candles.", _TEXT),
        "Cache-Control": ("Until the next candle closes, for a minute at most.", _TEXT),
    }
    if path == "/candles/{pair}":
        described |= {
            "Vary": ("The format depends on `Accept`.", _TEXT),
            "Link": ("The next page, or the page before.", _TEXT),
            rendering.PAIR: ("The pair of the candles.", PAIR),
            "Crypto-Predict-Source": ("The source of the candles, percent-encoded.", _TEXT),
            "Crypto-Predict-Interval": ("The interval of the candles.", _INTERVAL),
        }
    simulated = {rendering.SIMULATED: ref("headers", rendering.SIMULATED)}
    return simulated | {
        name: {"description": text, "schema": schema, "example": values[name]}
        for name, (text, schema) in described.items()
    }


def _example_problems(page: answers.Page) -> Mapping[str, problems.Problem]:
    """Return a problem of each kind in `_PROBLEMS`."""
    errors = {
        "NotCollected": answers.NotCollected("pair", "XYZ/USD", [page.found]),
        "NotAcceptable": tables.NotAcceptable(),
        "DatabaseUnavailable": DatabaseError("", "the server does not answer"),
    }
    return {name: problems.of_error(error) for name, error in errors.items()}


def _page(example: answers.Example) -> answers.Page:
    """Return two invented candles of a series, and a link."""
    series, opening = example.series, datetime.combine(example.day, time(), UTC)
    following = opening + series.interval.length
    candles = (
        StoredCandle(
            Candle(opening, 67_000.0, 67_200.5, 66_900.0, 67_100.0, 12.5, 838_125.0, 1042, 6.25, 419_062.5), 67_066.8
        ),
        StoredCandle(
            Candle(following, 67_100.0, 67_150.0, 67_050.0, 67_080.0, 7.5, 503_250.0, 604, 3.0, 201_300.0), 67_076.6
        ),
    )
    newest = following + series.interval.length
    found = CollectedSeries(
        series, simulated=False, state="collected", first_open=opening, newest_close=newest, gaps=0, missing=0
    )
    return answers.Page(found, series.interval, candles, newest, None)
