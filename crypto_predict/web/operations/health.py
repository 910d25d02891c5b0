"""``/livez``, ``/readyz``, ``/fresh`` and ``/metrics``: what orchestrators and Prometheus ask."""

import json
import threading
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from crypto_predict.baked import plain
from crypto_predict.baked.schedule import Schedule
from crypto_predict.web.http.operation import Failure, Operation
from crypto_predict.web.http.problems import Problem
from crypto_predict.web.http.response import SIMULATED, Rendered, json_body, simulated_header
from crypto_predict.web.http.schemas import BOOLEAN, TEXT, record, refs, schema_of
from crypto_predict.web.model.freshness import Facts, Freshness, Training, freshness
from crypto_predict.web.model.snapshots import Snapshot
from crypto_predict.web.operations import metrics
from crypto_predict.web.operations.metrics import Metrics

_METRICS = b"""\
# HELP crypto_predict_requests_total Requests answered.
# TYPE crypto_predict_requests_total counter
crypto_predict_requests_total{method="GET",route="/bitcoin",status="200"} 1027.0
"""
_UNCACHED = ("Cache-Control", "no-store")
_STOPPING = "server is stopping: it finishes the requests it has and takes no new ones"
_MARKED = refs("headers", [SIMULATED])
_TOO_OLD = "The model or its newest price is too old; `detail` names which, and how old both are."


class Health(NamedTuple):
    """What the health of a server follows from, at one instant."""

    facts: Facts
    schedule: Schedule | None  # of the trainings to come
    now: datetime  # UTC
    stale_after: timedelta
    draining: threading.Event  # set when the server stops
    metrics: Metrics


def ready(health: Health) -> Rendered:
    """Return that requests may be sent; raise a `Problem` if the server stops."""
    if health.draining.is_set():
        raise Problem(503, f"this {_STOPPING}")
    return _state(status="ready", simulated=health.facts.simulated)


def fresh(health: Health) -> Rendered:
    """Return the ages of the model and its newest price; raise a `Problem` if one of them is too old."""
    ages = freshness(health.facts, health.now, health.stale_after, health.schedule)
    if ages.stale:
        raise _stale(ages)
    return _state(status="fresh", **plain.encode(ages))


def _state(**members: object) -> Rendered:
    headers = [_UNCACHED, *simulated_header(members.get("simulated") is True)]
    return json_body(f"{json.dumps(members)}\n".encode(), headers)


def _measured(exposition: bytes) -> Rendered:
    return Rendered(exposition, [_UNCACHED, ("Content-Type", metrics.CONTENT_TYPE)])


def _ages(snapshot: Snapshot, price_seconds: int) -> Freshness:
    """Return the ages of an example."""
    card, hours = snapshot.answers.model.card, timedelta(hours=6)
    failed = card.trained_at + hours
    training = Training(failed + timedelta(minutes=6), int(hours.total_seconds()), failed, "no exchange was reached")
    return Freshness(300, price_seconds, 86_400, card.simulated, training)


def _stale(ages: Freshness) -> Problem:
    return Problem(503, str(ages), **plain.encode(ages))


_operation = partial(Operation[Snapshot], tag="operation", validated=False)  # ``answer(health)``
LIVE = _operation(
    rule="/livez",
    answer=lambda _: _state(status="alive"),
    text="Is the process alive?",
    place=1,
    schemas={"Alive": record({"status": TEXT})},
    examples=lambda _: [_state(status="alive")],
)
READY = _operation(
    rule="/readyz",
    answer=ready,
    text="May it be sent requests?",
    place=2,
    schemas={"Readiness": record({"status": TEXT, "simulated": BOOLEAN})},
    examples=lambda snapshot: [_state(status="ready", simulated=snapshot.answers.model.card.simulated)],
    headers=lambda _: _MARKED,
    failures=lambda _: [Failure("NotReady", f"The {_STOPPING}.", Problem(503, f"this {_STOPPING}"))],
)
FRESH = _operation(
    rule="/fresh",
    answer=fresh,
    text="""Are the model and its newest price as young as they should be?

A stale model still answers. The newest price is the one that the forecast starts from: the close of the newest hourly
candle, or of the newest daily one if the source has no hourly ones. Of several pairs the oldest one counts.
`training` says when the next training begins, and when and why the last attempt failed; it is null if none is planned.
""",
    place=3,
    schemas={"Freshness": record({"status": TEXT, **schema_of(Freshness)["properties"]})},
    examples=lambda snapshot: [_state(status="fresh", **plain.encode(_ages(snapshot, 7_800)))],
    headers=lambda _: _MARKED,
    failures=lambda snapshot: [Failure("Stale", _TOO_OLD, _stale(_ages(snapshot, 148 * 86_400)))],
)
METRICS = _operation(
    rule="/metrics",
    answer=lambda health: _measured(health.metrics.exposition()),
    text="What Prometheus collects",
    place=4,
    schemas={"Metrics": TEXT},
    examples=lambda _: [_measured(_METRICS)],
)
