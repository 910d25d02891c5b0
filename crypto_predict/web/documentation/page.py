"""The addresses of the page in the OpenAPI document: pages, their documents, and the feed."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from crypto_predict.baked import plain
from crypto_predict.baked.schema import Anchor, LiveForecast, LiveRecord, LiveScore, ProphetScore, Score
from crypto_predict.web import rendering
from crypto_predict.web.documentation.schemas import PAIR, Schema, cut, or_null, record, ref, refs, response, schema_of
from crypto_predict.web.page import documents, html
from crypto_predict.web.page.feed import CONTENT_TYPE as FEED_TYPE
from crypto_predict.web.page.releases import ReleasesDocument
from crypto_predict.web.snapshots import Snapshot

TAG = {"name": "page", "description": "The page, and what it reads. Its documents may change with the page"}

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_NUMBERS: Schema = {"type": "array", "items": _NUMBER}
_WHOLE: Schema = {"type": "integer"}
_STEPS: Schema = {
    "type": "array",
    "items": _WHOLE,
    "description": "A price a day: the difference to the one before in units of 10^-`decimals`, of the first one to 0.",
}
_PAGE = '<!doctype html>\n<html lang="en">...'
_FEED = '<?xml version="1.0" encoding="utf-8"?>...'
_OPERATIONS = {  # path to operation, type and schema of the answer, and summary
    "/": ("root", html.CONTENT_TYPE, "Page", "The page of the first pair"),
    "/page/{slug}/": ("page", html.CONTENT_TYPE, "Page", "The page of a pair"),
    "/page/{slug}.json": (
        "page-forecast",
        documents.CONTENT_TYPE,
        "ForecastDocument",
        "The history of a pair and its forecast for a year, by day",
    ),
    "/page/{slug}/record.json": (
        "page-record",
        documents.CONTENT_TYPE,
        "RecordDocument",
        "How good the forecasts of a pair have been, in figures and words",
    ),
    "/page/{slug}/releases.json": (
        "page-releases",
        documents.CONTENT_TYPE,
        "ReleasesDocument",
        "The past releases of a pair, and what followed",
    ),
    "/feed.xml": ("feed", FEED_TYPE, "Feed", "An Atom feed with an entry for each release"),
}


def extend(document: dict[str, Any], snapshot: Snapshot) -> None:
    """Add the addresses of the page to an OpenAPI document."""
    examples = _examples(snapshot)
    slugs = [pair.slug for pair in snapshot.answers.held]
    slug = {
        "name": "slug",
        "in": "path",
        "required": True,
        "description": "A pair of the model, written as in this list.",
        "schema": {"type": "string", "enum": slugs},
        "example": slugs[0],
    }
    document["tags"].append(TAG)
    document["components"]["schemas"] |= _schemas()
    for path, (name, content_type, schema, summary) in _OPERATIONS.items():
        answer = response("The answer.", content_type, schema, examples[schema])
        answer["headers"] = refs("headers", ("ETag", "Cache-Control", rendering.SIMULATED))
        responses = {
            "200": answer,
            "304": ref("responses", "NotModified"),
            "412": ref("responses", "PreconditionFailed"),
        }
        if "{slug}" in path:
            responses["404"] = ref("responses", "UnknownPair")
        if path == "/page/{slug}/":
            responses["302"] = {"description": "The address has another spelling of the pair."}
        document["paths"][path] = {
            "get": {
                "operationId": name,
                "tags": [TAG["name"]],
                "summary": summary,
                "description": "",
                "parameters": [slug] if "{slug}" in path else [],
                "responses": responses,
            }
        }


def _schemas() -> dict[str, Schema]:
    day, instant = schema_of(date), schema_of(datetime)
    prophet = {"prediction": _STEPS, "low": or_null(_STEPS), "high": or_null(_STEPS)}
    forecast = {
        "pair": PAIR,
        "slug": _TEXT,
        "quote": _TEXT,
        "decimals": {"type": "integer"},
        "simulated": {"type": "boolean"},
        "source": _TEXT,
        "first": day,
        "last": day,
        "closes": {**_STEPS, "items": or_null(_WHOLE)},
        "fitted": _STEPS,
        "anchor": schema_of(Anchor),
        "levels": _NUMBERS,
        "prediction": _STEPS,
        "quantiles": {"type": "array", "items": _STEPS},
        "prophet": record(prophet),
    }
    alone = {"scores": _list_of(ProphetScore, documents.PROPHET_SCORE), "words": _TEXT}
    backtest = {
        "first_cutoff": day,
        "last_cutoff": day,
        "cutoffs": {"type": "integer"},
        "scores": _list_of(Score, documents.SCORE),
        "prophet": or_null(record(alone)),
    }
    live = _members(LiveRecord, documents.LIVE)
    live["by_horizon"] = _list_of(LiveScore, documents.LIVE_SCORE)
    live["latest"] = {"type": "array", "items": schema_of(LiveForecast)}
    live["since"] = instant
    found = {
        "pair": PAIR,
        "simulated": {"type": "boolean"},
        "coverage": _NUMBER,
        "words": {"type": "array", "items": _TEXT},
        "backtest": or_null(record(backtest)),
        "live": or_null(record(live)),
    }
    return {
        "Page": _TEXT,
        "Feed": _TEXT,
        "ForecastDocument": record(forecast),
        "RecordDocument": record(found),
        "ReleasesDocument": schema_of(ReleasesDocument),
    }


def _members(kind: type, names: Iterable[str]) -> dict[str, Schema]:
    hints = typing.get_type_hints(kind)
    return {name: schema_of(hints[name]) for name in names}


def _list_of(kind: type, names: Iterable[str]) -> Schema:
    return {"type": "array", "items": record(_members(kind, names))}


def _examples(snapshot: Snapshot) -> dict[str, Any]:
    """Return an answer for each schema, by its name."""
    answers, pair = snapshot.answers, snapshot.answers.held[0]
    forecast, found = documents.forecast(answers, pair), documents.record(answers, pair)
    card = answers.model.card
    releases = ReleasesDocument(pair, card.pairs[pair].simulated, (str(card.trained_at.date()),))
    return {
        "Page": _PAGE,
        "Feed": _FEED,
        "ForecastDocument": cut(forecast),
        "RecordDocument": cut(found),
        "ReleasesDocument": plain.encode(releases),
    }
