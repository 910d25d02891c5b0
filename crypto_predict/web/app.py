"""Puts the application together."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crypto_predict.baked.schema import Model
from crypto_predict.settings import ServeSettings
from crypto_predict.web.answers import Answers
from crypto_predict.web.caching import Caching, Clock
from crypto_predict.web.fast_lane import FastLane
from crypto_predict.web.metrics import Metrics
from crypto_predict.web.observing import Log, Observed
from crypto_predict.web.refusals import Refusing
from crypto_predict.web.routes import create_flask_app
from crypto_predict.web.service import Service

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def now() -> datetime:
    """The clock on the wall."""
    return datetime.now(UTC)


def create_app(
    model: Model,
    settings: ServeSettings,
    *,
    clock: Clock = now,
    draining: threading.Event | None = None,
    log: Log | None = None,
) -> WSGIApplication:
    """The whole application: Flask, the fast lane before it, the measuring around both.

    Args:
        model: What it answers from.
        settings: When the model is stale, and when the next one is due.
        clock: Now, in UTC.
        draining: Set by the server once it stops; ``/readyz`` then answers 503.
        log: Takes a line for each request, if anybody wants one.
    """
    return assemble(create_service(model, settings, clock, draining or threading.Event()), log)


def assemble(service: Service, log: Log | None) -> WSGIApplication:
    """The same of a service that is there already."""
    return Observed(Refusing(FastLane(create_flask_app(service), service)), service.metrics, log)


def create_service(model: Model, settings: ServeSettings, clock: Clock, draining: threading.Event) -> Service:
    """What the routes are made of."""
    return Service(
        model=model,
        answers=Answers(model),
        caching=Caching(model, settings.retrain_every, clock),
        metrics=Metrics(model),
        clock=clock,
        stale_after=settings.stale_after,
        repository_url=settings.repository_url,
        draining=draining,
    )
