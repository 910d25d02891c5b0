"""The web application in this process, for tests that need no server."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from werkzeug.test import Client, TestResponse

from crypto_predict.baked.schema import Model
from crypto_predict.store import open_reader
from crypto_predict.web import app
from crypto_predict.web.model.snapshots import Limits, Snapshot
from crypto_predict.web.operations.access_log import Log
from tests.support.models import TRAINED_AT
from tests.support.serving import SETTINGS


def snapshot_of(model: Model, stale_after: timedelta = SETTINGS.stale_after) -> Snapshot:
    """Return the snapshot of a model without a planned training."""
    return Snapshot.of(model, None, Limits(SETTINGS.cache_for, stale_after))


def service_of(
    model: Model,
    clock: Callable[[], datetime] = lambda: TRAINED_AT,
    draining: threading.Event | None = None,
    access: app.Access | None = None,
    token: str | None = None,
) -> app.Service:
    """Return what the endpoints of a model need; whoever knows the token changes the collected pairs."""
    settings = replace(SETTINGS, admin_token=token)
    return app.Service(model, settings, clock, draining or threading.Event(), access)


def client(
    model: Model,
    clock: Callable[[], datetime] = lambda: TRAINED_AT,
    *,
    draining: threading.Event | None = None,
    log: Log | None = None,
    database: str | None = None,
) -> Client:
    access = None if database is None else (partial(open_reader, database), None)
    return Client(app.create_app(service_of(model, clock, draining, access), log))


def administered(model: Model, clock: Callable[[], datetime], access: app.Access, token: str | None) -> Client:
    """A client of the whole application, which changes the collected pairs for whoever knows the token."""
    return Client(app.create_app(service_of(model, clock, None, access, token), None))


@dataclass(frozen=True)
class Probabilities:
    """The address of probabilities of an application."""

    app: Client

    def answer_to(self, query: Mapping[str, object], pair: str = "BTC-USD", status: int = 200) -> dict[str, Any]:
        """Return the body of the answer, which must have this status."""
        text = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
        response = self.app.get(f"/probability/{pair}?{text}")
        assert response.status_code == status, response.get_data(as_text=True)
        return dict(json.loads(response.data))

    def ask(self, **query: object) -> dict[str, Any]:
        """Return the answer about Bitcoin."""
        return self.answer_to(query)

    def probability(self, **query: object) -> float:
        """Return the number of the answer."""
        return float(self.ask(**query)["probability"])


def problem(response: TestResponse, status: int) -> dict[str, Any]:
    """Return the body of an answer that must be a problem with this status, and short."""
    assert (response.status_code, response.content_type) == (status, "application/problem+json"), response.data
    assert response.headers["Cache-Control"] == "no-store"
    assert len(response.data) < 1_000
    body = json.loads(response.data)
    assert body["status"] == status
    assert {"type", "title", "detail"} <= body.keys()
    return dict(body)
