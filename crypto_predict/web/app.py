"""Assemble the application."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from crypto_predict.baked.schema import Model
from crypto_predict.settings import ServeSettings
from crypto_predict.web.collected.administration import Administration, Connect
from crypto_predict.web.collected.database import Connection, Database
from crypto_predict.web.editions import Editions
from crypto_predict.web.http.problems import Refusing
from crypto_predict.web.operations.access_log import Log, Observed
from crypto_predict.web.operations.metrics import Metrics
from crypto_predict.web.page import assets
from crypto_predict.web.page.html import Site
from crypto_predict.web.routes import FastLane, Service, create_flask_app

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class Access(NamedTuple):
    """How a database is opened."""

    connect: Callable[[], Connection]  # for reading
    registry: Connect | None = None  # for one change of the collected pairs; None: they cannot be changed


def create_service(
    model: Model,
    settings: ServeSettings,
    clock: Callable[[], datetime],
    draining: threading.Event,
    access: Access | None = None,
) -> Service:
    """Create what the routes need, beginning with `model`; ``/readyz`` answers 503 once the server sets `draining`.

    `access` opens the database, if there is one. Half of the threads may read it at once. The collected pairs can be
    changed if it has a registry and `settings` have a token.
    """
    token = settings.admin_token
    site = Site(
        live=access is not None,
        static=False,
        address=settings.site_url,
        stale_after=settings.stale_after,
        repository_url=settings.repository_url,
        assets=assets.find(),
    )
    editions = Editions(model, settings, site, clock)
    metrics = Metrics(editions.state)
    database = Database(access.connect, max(1, settings.threads // 2)) if access else None
    if database is not None:
        metrics.add_total(
            "crypto_predict_damaged_rows",
            "Rows of the database left out of answers because they are damaged.",
            lambda: database.damaged,
        )
    return Service(
        editions=editions,
        metrics=metrics,
        clock=clock,
        stale_after=settings.stale_after,
        repository_url=settings.repository_url,
        draining=draining,
        database=database,
        administration=Administration(token, access.registry) if token and access and access.registry else None,
    )


def create_app(service: Service, log: Log | None) -> WSGIApplication:
    """Create the whole application: Flask behind the fast lane, refusals and observation, with a `log` of requests."""
    return Observed(Refusing(FastLane(create_flask_app(service), service)), service.metrics, log)
