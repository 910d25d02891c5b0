"""The OpenAPI 3.1 document, made of operations. Its examples are requests that the given model can answer."""

from datetime import datetime
from functools import cache
from typing import Any

from crypto_predict.baked.schema import Card
from crypto_predict.version import __version__
from crypto_predict.web import collected, model, operations
from crypto_predict.web import folder as folder_endpoints
from crypto_predict.web.collected.endpoint import Sample
from crypto_predict.web.folder.endpoint import Folder
from crypto_predict.web.http.operation import NOT_MODIFIED, Operation, operations_of
from crypto_predict.web.http.response import PAIR as PAIR_HEADER
from crypto_predict.web.http.response import SIMULATED, STALE
from crypto_predict.web.http.schemas import PAIR, TEXT, Schema, record, refs, schema_of
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import KIND, MODEL, provenance_headers
from crypto_predict.web.model.freshness import Freshness
from crypto_predict.web.model.snapshots import Snapshot
from crypto_predict.wording import counted, listed

DESCRIPTION = """\
The price of Bitcoin and other currencies on any day of the model's range, as a forecast with its central 80 % interval.

Times are UTC unless they say otherwise. A **date** means the closing price of that UTC day, a **date-time** the price
at that instant. Past days are answered with the fitted curve, future ones with the forecast. The same model gives the
same answer to the same question, byte for byte. Errors are RFC 9457 problem details.

{model}

The [model card](/model) has the rest: gaps, backtest, versions.
"""
WARNING = """\
**The prices of {pairs} are simulated: every answer about them is invented.** Such an answer carries the header
`Crypto-Predict-Simulated: true`, and every answer but that of `/bitcoin` the member `simulated`.

"""
_LISTED = 10  # pairs in the description
_TAGS = {
    "forecast": "What will it cost?",
    "model": "Where do the answers come from?",
    "operation": "For operators",
    "collected": "What did it cost? From the database that collect.py writes",
}
_PROBLEM = record({"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT})
_PROBLEM["properties"] |= {
    "parameter": {**TEXT, "description": "The parameter at fault, if one is."},
    "lag_seconds": {"type": ["integer", "null"], "description": "How old the newest minute forecast is."},
    **schema_of(Freshness)["properties"],
}
_TOKEN = {"type": "http", "scheme": "bearer", "description": "The token in ADMIN_TOKEN of the server."}


def document(
    snapshot: Snapshot,
    repository_url: str | None = None,
    sample: Sample | None = None,
    folder: Folder | None = None,
) -> dict[str, Any]:
    """Return the document, with a link to the project if it is known, and a database's endpoints with a `sample`.

    A `folder` has the snapshot among others, and its own endpoints.
    """
    samples: list[tuple[Operation[Any], Any]] = [(operation, snapshot) for operation in of_model()]
    if folder is not None:
        samples += [(operation, folder) for operation in of_folder()]
    if sample is not None:
        samples += [(operation, sample) for operation in of_database()]
    card = snapshot.answers.model.card
    described = {(operation.path, operation.method): (operation, shown) for operation, shown in samples}
    tags = [tag for tag in _TAGS if sample is not None or tag != "collected"]
    paths: dict[str, Any] = {}
    schemas, updated = {"Problem": _PROBLEM}, refs("headers", ("ETag", "Cache-Control", SIMULATED, STALE[0]))
    responses = {NOT_MODIFIED: {"description": "The copy you have is still good.", "headers": updated}}
    for operation, shown in sorted(described.values(), key=lambda pair: (tags.index(pair[0].tag), pair[0].place)):
        paths.setdefault(operation.path, {})[operation.method.lower()] = operation.described(shown)
        for name, kind in operation.schemas.items():
            schemas[name] = kind if isinstance(kind, dict) else schema_of(kind)
        responses |= {failure.name: failure.component() for failure in operation.responses(shown)}
    link = {"externalDocs": {"url": repository_url, "description": "The project"}} if repository_url else {}
    security = {} if sample is None else {"securitySchemes": {"administrator": _TOKEN}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Crypto Predict",
            "version": __version__,
            "description": _description(card, len(card.pairs) if folder is None else len(folder.current.pairs)),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": tag, "description": _TAGS[tag]} for tag in tags],
        "paths": paths,
        "components": {"schemas": schemas, "responses": responses, "headers": _headers(snapshot), **security},
        **link,
    }


@cache
def of_model() -> list[Operation[Snapshot]]:
    """Return the operations of the model and of its server."""
    return operations_of(model) + operations_of(operations)


@cache
def of_folder() -> list[Operation[Folder]]:
    """Return the operations of the index of a folder, which replace those of the model at the same address."""
    return operations_of(folder_endpoints)


@cache
def of_database() -> list[Operation[Sample]]:
    """Return the operations of a database, which replace those of the model at the same address."""
    return operations_of(collected)


def _description(card: Card, pairs: int) -> str:
    """Describe the service, and the prices that this model was trained on, which is one of as many `pairs`."""
    lines = [
        f"- {pair} from `{facts.source}`: {counted(facts.candles, 'candle')}, "
        f"{facts.first:%Y-%m-%d} to {facts.last:%Y-%m-%d}"
        for pair, facts in list(card.pairs.items())[:_LISTED]
    ]
    if (more := pairs - len(lines)) > 0:
        lines.append(f"- and {counted(more, 'more pair')}, see [/pairs](/pairs)")
    trained = f"**This model**: release {card.build}, trained {card.trained_at:%Y-%m-%d %H:%M} UTC on daily candles."
    invented = listed([str(pair) for pair, facts in card.pairs.items() if facts.simulated])
    warning = WARNING.format(pairs=invented) if card.simulated else ""
    return warning + DESCRIPTION.format(model="\n".join([trained, "", *lines]))


def _headers(snapshot: Snapshot) -> dict[str, Any]:
    """Return the headers that operations share, by their names."""
    trained_at = snapshot.answers.model.card.trained_at
    provenance = provenance_headers(endpoint.series(snapshot).forecast)
    values = dict([*snapshot.validity.until_change(trained_at), *provenance, (SIMULATED, "true"), STALE])
    true: Schema = {**TEXT, "enum": ["true"]}
    texts: dict[str, tuple[str, Schema]] = {
        "ETag": ("Changes with the model and the program.", TEXT),
        "Last-Modified": ("When the model was trained.", TEXT),
        "Cache-Control": ("How long the answer holds: until the next training, or until it is stale.", TEXT),
        "Crypto-Predict-Kind": ("`fitted` up to the newest price, `forecast` after it.", KIND),
        "Crypto-Predict-As-Of": ("The instant of the newest price behind the answer.", schema_of(datetime)),
        PAIR_HEADER: ("The pair of the price.", PAIR),
        "Crypto-Predict-Model": ("The model of the price.", MODEL),
        SIMULATED: ("Present if the answer rests on invented prices.", true),
        STALE[0]: ("Present if the model, or the newest price behind it, is too old.", true),
    }
    return {
        name: {"description": text, "schema": schema, "example": values[name]} for name, (text, schema) in texts.items()
    }
