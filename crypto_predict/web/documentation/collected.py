"""The endpoints of a database in the OpenAPI document, which has them only if the service has a database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

from crypto_predict.baked import plain
from crypto_predict.errors import DatabaseError
from crypto_predict.market import DAY, Candle, Interval, Quote, StoredCandle, digest
from crypto_predict.market.forecast import LEVELS, MINUTES_AHEAD, MinuteForecast
from crypto_predict.market.ports import ACTIVE, SERIES_STATES, BuiltCandle, CollectedSeries
from crypto_predict.market.verdict import Judged, Verdict
from crypto_predict.web.collected import answers, forecasts, rendering
from crypto_predict.web.collected.live_answers import Minute
from crypto_predict.web.collected.prices import PairPrice
from crypto_predict.web.collected.questions import DEFAULT_LIMIT, MOST_CANDLES, PageQuestion, PastQuestion
from crypto_predict.web.collected.series import Example, NotCollected, SeriesState, state
from crypto_predict.web.documentation.schemas import (
    FORMAT_PARAMETER,
    PAIR,
    PAIR_PARAMETER,
    Schema,
    or_null,
    parameter,
    problem_response,
    record,
    ref,
    response,
    schema_of,
)
from crypto_predict.web.http import problems
from crypto_predict.web.http import response as headers
from crypto_predict.web.http.response import CSV, CSV_TYPE, JSON, Rendered
from crypto_predict.web.model.answers import PairRange
from crypto_predict.web.model.questions import MOMENT_PATTERN
from crypto_predict.web.model.snapshots import until_candle

TAG = "collected"
_OPERATIONS = {  # path to schema of the answer, summary, and status to response in addition to the usual ones
    "/candles/{pair}": (
        "Candles",
        "Candles of a pair, with VWAP, in JSON or CSV",
        {"404": "NotCollected", "406": "NotAcceptable"},
    ),
    "/minutes/{pair}": (
        "Minutes",
        "Every minute of a pair with its verdict: traded, quiet, disconnected or exchange down",
        {"404": "NotCollected", "406": "NotAcceptable"},
    ),
    "/top-of-book/{pair}": (
        "Quotes",
        "The best bid and ask of a pair, about each minute",
        {"404": "NotCollected", "406": "NotAcceptable"},
    ),
    "/forecast/{pair}/minutes": (
        "MinutesAhead",
        "The price of a pair in each of the next minutes, with quantiles",
        {"404": "NotCollected", "503": "NoMinuteForecast"},
    ),
    "/forecast/{pair}/minutes/past": (
        "PastMinutes",
        "What was forecast some minutes before each close, beside the close",
        {"404": "NotCollected", "406": "NotAcceptable"},
    ),
    "/digest/{pair}": (
        "DayDigest",
        "The SHA-256 of a day's candles, to compare two collectors",
        {"404": "NotCollected"},
    ),
    "/series": ("SeriesState", "Every collected series, with its span, lag, gaps and rate of mismatch", {}),
    "/prices": ("Prices", "The last price of every collected pair, and its change over 24 hours", {}),
}
_USUAL = {"400": "BadParameter", "304": "NotModified", "412": "PreconditionFailed", "503": "DatabaseUnavailable"}
_PROBLEMS = {  # name to description
    "NotCollected": "No such series is collected; `detail` lists those that are, `parameter` names what was not found.",
    "NotAcceptable": "`Accept` allows neither JSON nor CSV.",
    "NoMinuteForecast": "There is no new forecast, or the database cannot be read; `detail` has the reason.",
    "DatabaseUnavailable": "The database cannot be read now; forecasts are answered as usual.",
}
_DESCRIPTIONS = {
    "/candles/{pair}": """\
Candles ascend, one a row; the opening names a candle. `vwap` is the volume-weighted average price of its UTC day up to
its end, of typical prices `(high + low + close) / 3`.

An interval that is not stored is resampled from the shortest stored one, which `resampled_from` names. A candle is
complete once the source was asked for everything from its opening to its close; incomplete ones are left out. Times
without candles stay gaps. A page rests on 50,000 stored candles at most.

Without `start` the answer is the newest `limit` intervals before `end`, and `Link` has the page before it
(`rel="prev"`). With `start` it begins there, and `Link` has the next page (`rel="next"`). A page may have fewer than
`limit` candles; the last one has no link.
""",
    "/minutes/{pair}": """\
Minutes ascend, one a row, and none is left out, whether it has a candle or not. `verdict` says what was going on:

- `traded`: the candle has a volume or trades.
- `quiet`: it has neither, or is missing although the live stream was connected throughout.
- `exchange down`: the candle is missing, and the exchange had answered that it is not available.
- `disconnected`: the candle is missing, and the stream was not connected throughout; `reason` says why.

`asked` is whether the source has answered for the minute: a candle missing then is one that the source does not have.
`built_open` to `partial` are the candle built from the ticks of a stream that sends no candles, where there is one;
each of its `ticks` is a trade.
Pages are those of `/candles`.
""",
    "/top-of-book/{pair}": """\
Quotes ascend, one a row. Without `start` the answer is the newest `limit` quotes before `end`, and `Link` has the page
before it (`rel="prev"`). With `start` it begins there, and `Link` has the next page (`rel="next"`).
""",
    "/forecast/{pair}/minutes": """\
At the close of each minute, `cutoff`, the collector forecasts the closes of the next 15. `prediction` is close to the
price at the cutoff, which is hard to beat; the quantiles say how far the price may move. `low` and `high` are those of
10 % and 90 %.

A forecast is answered for two minutes. After that the answer is 503 with the reason, `lag_seconds` since the cutoff (or
since the last candle, if nothing was ever forecast) and `Retry-After`. [/scorecard](/scorecard) has the outcomes.
""",
    "/forecast/{pair}/minutes/past": """\
Closes ascend, one a row, each with the forecast made `horizon` minutes before it, at `cutoff`: `prediction` and the
quantiles. `close` is null if the candle is missing or still to come; closes without a forecast are left out. Forecasts
are kept for a day. Without `start` the answer is the newest `limit` closes before `end`. Pages are those of `/candles`.
""",
    "/digest/{pair}": """\
The SHA-256 of UTF-8 text: one line with the interval in seconds, then one line a candle,
`2024-05-17T00:00:00Z,open,high,low,close,volume` with numbers as Python's `repr` writes them. A line feed ends each.
Compare days that are `complete` only: the source was asked for all of such a day.
""",
    "/series": """\
Of a series without candles `start`, `end` and `lag_seconds` are null. `compared` candles of the live stream were
compared with those that the source returned later, and `mismatched` ones differed; `mismatch_rate` is their share.
`since` is how far back the series is collected, null for all of it.
""",
    "/prices": """\
Of each pair the newest close of the source that answers where none is asked for, and its `time`. `change_24h` is
relative to the last close of the ten minutes that end 24 hours before that time: 0.012 is 1.2 %. It is null if there
was none, as are `price` and `time` before the first candle. One read answers all requests until the next close.
""",
}
_OF_SCORECARD = """\

`minutes` is the record of the minute forecasts, by pair and horizon; null while the database cannot be read. Losses are
of log price, and relative to persistence with a Gaussian distribution of the last day's volatility. `coverage_80` is
the share of outcomes inside the central 80 % interval.
"""
_OF_PAIRS = """\
The pairs of the model come first. Of those that are only collected, nothing is forecast: the other members are null.
`collected` is null while the database cannot be read.
"""

_TEXT: Schema = {"type": "string"}
_INTERVAL: Schema = {**_TEXT, "enum": [interval.label for interval in Interval]}
_NUMBER: Schema = {"type": "number", "minimum": 0}
_ROW: Schema = {
    "type": "array",
    "items": {"anyOf": [schema_of(datetime), _NUMBER, {"type": "null"}]},
    "minItems": len(rendering.COLUMNS),
    "maxItems": len(rendering.COLUMNS),
    "description": f"The values of {', '.join(rendering.COLUMNS)}. Of the last five each may be null.",
}
_OF_CANDLES = {"interval": _INTERVAL, "resampled_from": or_null(_INTERVAL)}
_QUANTILES = (67_012.55, 67_028.5, 67_063.1, 67_100.3, 67_136.9, 67_171.2, 67_187.6)
_OF_EVERY_PAIR = {"pair", "simulated"}  # members of a pair that is only collected, too
_MINUTE_ROW: Schema = {
    "type": "array",
    "items": {"anyOf": [schema_of(datetime), _TEXT, {"type": "boolean"}, _NUMBER, {"type": "null"}]},
    "minItems": len(rendering.MINUTE_COLUMNS),
    "maxItems": len(rendering.MINUTE_COLUMNS),
    "description": f"The values of {', '.join(rendering.MINUTE_COLUMNS)}. From the fifth on they may be null.",
}
_QUOTE_ROW: Schema = {
    "type": "array",
    "items": {"anyOf": [schema_of(datetime), _NUMBER]},
    "minItems": len(rendering.QUOTE_COLUMNS),
    "maxItems": len(rendering.QUOTE_COLUMNS),
    "description": f"The values of {', '.join(rendering.QUOTE_COLUMNS)}.",
}


_PAST_ROW: Schema = {
    "type": "array",
    "items": {"anyOf": [schema_of(datetime), _NUMBER, {"type": "null"}]},
    "minItems": len(rendering.PAST_COLUMNS),
    "maxItems": len(rendering.PAST_COLUMNS),
    "description": f"The values of {', '.join(rendering.PAST_COLUMNS)}. The second may be null.",
}


class _Shown(NamedTuple):
    """An example of a table in both formats."""

    json: Rendered
    csv: Rendered


def extend(document: dict[str, Any], example: Example, ranges: list[PairRange]) -> None:
    """Add the endpoints of a database to a document, and what is collected to ``/pairs`` with its `ranges`."""
    tables = _tables(example)
    shown = _examples(example, tables, ranges)
    components = document["components"]
    components["schemas"] |= _schemas()
    of_model = components["schemas"]["Scorecard"]["properties"]
    minutes = or_null({"type": "array", "items": schema_of(forecasts.MinutesRecord)})
    components["schemas"]["Scorecard"] = record(of_model | {"minutes": minutes})
    for name, problem in _example_problems(example).items():
        components["responses"][name] = problem_response(_PROBLEMS[name], problem)
    document["tags"].append({"name": TAG, "description": "What did it cost? From the database that collect.py writes"})
    parameters = _parameters(example)
    for path, (schema, summary, responses) in _OPERATIONS.items():
        answer = response("The answer.", JSON, schema, shown[schema]) | {"headers": _headers(tables.get(path))}
        if path in tables:
            answer["content"][rendering.CONTENT_TYPES[CSV]] = {
                "schema": {"type": "string"},
                "example": tables[path].csv.body.decode(),
            }
        if path == "/forecast/{pair}/minutes":
            example_file = rendering.minutes_ahead(_example_minutes(example), "csv").body.decode()
            answer["content"][CSV_TYPE] = {"schema": _TEXT, "example": example_file}
        document["paths"][path] = {
            "get": {
                "operationId": "-".join(part for part in path.split("/")[1:] if part != "{pair}"),
                "tags": [TAG],
                "summary": summary,
                "description": _DESCRIPTIONS[path],
                "parameters": parameters.get(path, []),
                "responses": {
                    "200": answer,
                    **{status: ref("responses", name) for status, name in {**_USUAL, **responses}.items()},
                },
            }
        }
    scorecard = document["paths"]["/scorecard"]["get"]
    scorecard["description"] += _OF_SCORECARD
    answered = scorecard["responses"]["200"]
    answered["content"][JSON]["example"]["minutes"] = plain.encode([_example_record(example)])
    del answered["headers"]["Last-Modified"]
    pairs = document["paths"]["/pairs"]["get"]
    pairs["summary"] = "The pairs of the model, the days it answers for, and what is collected"
    pairs["description"] = _OF_PAIRS
    pairs["responses"]["200"]["content"][JSON]["example"] = shown["PairRange"]
    del pairs["responses"]["200"]["headers"]["Last-Modified"]


def _parameters(example: Example) -> dict[str, list[dict[str, Any]]]:
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
    limit = parameter("limit", "The number of rows at most.", count, 100)
    asked = parameter("day", "A UTC day.", {**_TEXT, "format": "date"}, f"{day}") | {"required": True}
    minutes: Schema = {"type": "integer", "minimum": 1, "maximum": MINUTES_AHEAD, "default": MINUTES_AHEAD}
    horizon = parameter("horizon", "The number of minutes ahead.", minutes, 5)
    return {
        "/forecast/{pair}/minutes": [pair, horizon, source, FORMAT_PARAMETER],
        "/forecast/{pair}/minutes/past": [pair, horizon, start, end, limit, source, FORMAT_PARAMETER],
        "/candles/{pair}": [pair, interval, start, end, limit, source, FORMAT_PARAMETER],
        "/minutes/{pair}": [pair, start, end, limit, source, FORMAT_PARAMETER],
        "/top-of-book/{pair}": [pair, start, end, limit, source, FORMAT_PARAMETER],
        "/digest/{pair}": [pair, asked, interval, source],
    }


def _schemas() -> dict[str, Schema]:
    """Return the schemas of the answers, by their names."""
    state = schema_of(SeriesState)
    state["properties"] |= {"interval": _INTERVAL, "state": {**_TEXT, "enum": list(SERIES_STATES)}}
    day = schema_of(answers.DayDigest)
    day["properties"] |= {"interval": _INTERVAL}
    price = schema_of(PairPrice)
    price["properties"] |= {"state": {**_TEXT, "enum": list(SERIES_STATES)}}
    of_pair = {
        name: schema if name in _OF_EVERY_PAIR else or_null(schema)
        for name, schema in schema_of(PairRange)["properties"].items()
    }
    collected = or_null({"type": "array", "items": ref("schemas", "OneSeries")})
    return {
        "Candles": _table(rendering.COLUMNS, "candles", _ROW, _OF_CANDLES),
        "Minutes": _table(rendering.MINUTE_COLUMNS, "minutes", _MINUTE_ROW),
        "PastMinutes": _table(rendering.PAST_COLUMNS, "forecasts", _PAST_ROW, {"horizon": {"type": "integer"}}),
        "Quotes": _table(rendering.QUOTE_COLUMNS, "quotes", _QUOTE_ROW),
        "DayDigest": day,
        "MinutesAhead": schema_of(forecasts.MinutesAhead),
        "OneSeries": state,
        "SeriesState": {"type": "array", "items": ref("schemas", "OneSeries")},
        "Prices": {"type": "array", "items": price},
        "PairRange": {"type": "array", "items": record(of_pair | {"collected": collected})},
    }


def _table(columns: Sequence[str], name: str, row: Schema, more: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of a page of rows."""
    head = {"pair": PAIR, "source": _TEXT, **(more or {}), "simulated": {"type": "boolean"}}
    return record({**head, "columns": {"const": list(columns)}, name: {"type": "array", "items": row}})


def _examples(example: Example, tables: Mapping[str, _Shown], ranges: list[PairRange]) -> dict[str, Any]:
    """Return an answer for each schema, by its name."""
    found, series = _found(example), example.series
    rows = _example_candles(example)
    sha256 = digest(rows, series.interval)
    of_day = answers.DayDigest(
        series.pair, series.source, series.interval.label, example.day, len(rows), True, sha256, found.simulated
    )
    states = example_states(example)
    return {
        **{_OPERATIONS[path][0]: json.loads(shown.json.body) for path, shown in tables.items()},
        "DayDigest": plain.encode(of_day),
        "MinutesAhead": plain.encode(_example_minutes(example)),
        "SeriesState": plain.encode(states),
        "Prices": plain.encode([_example_price(example)]),
        "PairRange": json.loads(rendering.pairs(ranges, states).body),
    }


def _headers(table: _Shown | None) -> dict[str, Any]:
    """Return the documented headers of an answer of the database, which may be a table."""
    example = table.json if table else Rendered(b"", [])
    values = dict([*until_candle(example.body, timedelta(seconds=42)), *example.headers])
    described = {
        "ETag": ("Changes with the candles.", _TEXT),
        "Cache-Control": ("Until a second after the next candle closes, for a minute at most.", _TEXT),
        "Vary": ("The format depends on `Accept`.", _TEXT),
        "Link": ("The next page, or the page before.", _TEXT),
        headers.PAIR: ("The pair of the rows.", PAIR),
        headers.SERIES[0]: ("The source of the rows, percent-encoded.", _TEXT),
        headers.SERIES[1]: ("The interval of the candles.", _INTERVAL),
    }
    return {headers.SIMULATED: ref("headers", headers.SIMULATED)} | {
        name: {"description": text, "schema": schema, "example": values[name]}
        for name, (text, schema) in described.items()
        if name in values
    }


def _example_problems(example: Example) -> Mapping[str, problems.Problem]:
    """Return a problem of each kind in `_PROBLEMS`."""
    errors = {
        "NotCollected": NotCollected("pair", "XYZ/USD", [_found(example)]),
        "NotAcceptable": rendering.NotAcceptable(),
        "NoMinuteForecast": forecasts.NoMinuteForecast(
            "the next minutes of BTC/USD from binance are not forecast: the collector does not run",
            timedelta(seconds=310),
            timedelta(seconds=42),
        ),
        "DatabaseUnavailable": DatabaseError("", "the server does not answer"),
    }
    return {name: problems.of_error(error) for name, error in errors.items()}


def _tables(example: Example) -> dict[str, _Shown]:
    """Return a page of invented rows of a series for each table, by its path; each has a link."""
    question, found, interval = PageQuestion(example.series.pair), _found(example), example.series.interval
    first, second = _example_candles(example)
    newest = second.open_time + interval.length
    stored = [StoredCandle(first, 67_066.8), StoredCandle(second, 67_076.6)]
    candles = answers.Page(found, interval, stored, newest, None)
    built = BuiltCandle(first.open_time, 67_000.5, 67_200.0, 66_900.5, 67_100.0, 57, 1, False, volume=3.5)
    missing = Judged(second.open_time, Verdict.DISCONNECTED, False, "no answer to a ping within 20 s", None)
    judged = [
        Minute(Judged(first.open_time, Verdict.TRADED, True, "", stored[0]), built),
        Minute(missing, None),
    ]
    minutes = answers.Page(found, interval, judged, newest, None)
    book = [
        Quote(first.open_time, 67_099.5, 0.25, 67_100.5, 1.5),
        Quote(second.open_time, 67_079.5, 0.5, 67_080.5, 0.75),
    ]
    quotes = answers.Page(found, interval, book, newest, None)
    made = MinuteForecast(first.open_time, 67_100.0, (67_100.3,) * MINUTES_AHEAD, (_QUANTILES,) * MINUTES_AHEAD)
    past = answers.Page(
        found, interval, [forecasts.PastMinute(made, 67_110.5), forecasts.PastMinute(made, None)], newest, None
    )
    of_past = PastQuestion(question)
    return {
        "/forecast/{pair}/minutes/past": _Shown(
            *(rendering.past_minutes(past, of_past, kind) for kind in rendering.CONTENT_TYPES)
        ),
        "/candles/{pair}": _Shown(*(rendering.candles(candles, question, kind) for kind in rendering.CONTENT_TYPES)),
        "/minutes/{pair}": _Shown(*(rendering.minutes(minutes, question, kind) for kind in rendering.CONTENT_TYPES)),
        "/top-of-book/{pair}": _Shown(*(rendering.quotes(quotes, question, kind) for kind in rendering.CONTENT_TYPES)),
    }


def _example_candles(example: Example) -> list[Candle]:
    """Return two invented candles of a series."""
    opening = datetime.combine(example.day, time(), UTC)
    following = opening + example.series.interval.length
    return [
        Candle(opening, 67_000.0, 67_200.5, 66_900.0, 67_100.0, 12.5, 838_125.0, 1042, 6.25, 419_062.5),
        Candle(following, 67_100.0, 67_150.0, 67_050.0, 67_080.0, 7.5, 503_250.0, 604, 3.0, 201_300.0),
    ]


def _example_minutes(example: Example) -> forecasts.MinutesAhead:
    """Return an invented forecast of two minutes of a series."""
    series, cutoff = example.series, datetime.combine(example.day, time(), UTC)
    rows = tuple(
        forecasts.MinuteAhead(
            minutes=minutes,
            time=cutoff + minutes * Interval.MINUTE_1.length,
            prediction=_QUANTILES[3],
            low=_QUANTILES[1],
            high=_QUANTILES[5],
            quantiles=dict(zip(map(repr, LEVELS), _QUANTILES, strict=True)),
        )
        for minutes in (1, 2)
    )
    return forecasts.MinutesAhead(series.pair, series.source, False, cutoff, 67_100.0, rows)


def _example_record(example: Example) -> forecasts.MinutesRecord:
    """Return an invented record of a series."""
    since = datetime.combine(example.day, time(0, 1), UTC)
    score = forecasts.MinuteScore(1, 1_439, 1.0002, 0.82, 0.88, 0.507, 0.803, 0.898)
    series = example.series
    return forecasts.MinutesRecord(series.pair, series.source, False, since, since + timedelta(minutes=1_438), (score,))


def _example_price(example: Example) -> PairPrice:
    """Return an invented price of the pair of a series."""
    series, newest = example.series, _example_candles(example)[-1]
    close = newest.open_time + series.interval.length
    return PairPrice(series.pair, series.source, False, ACTIVE, newest.close, close, 0.01203)


def example_states(example: Example) -> list[SeriesState]:
    """Return the state of the series, as an answer shows it."""
    found = _found(example)
    return [state(found, found.newest_close or datetime.now(UTC))]


def _found(example: Example) -> CollectedSeries:
    """Return the state of the series as if it had the two candles."""
    first, second = (candle.open_time for candle in _example_candles(example))
    newest = second + example.series.interval.length
    return CollectedSeries(
        example.series,
        simulated=False,
        state=ACTIVE,
        first_open=first,
        newest_close=newest,
        gaps=0,
        missing=0,
        compared=1_440,
        mismatched=1,
    )
