"""What a server says once it listens: where, with which model, and whatever must not be overlooked about it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from crypto_predict import logs
from crypto_predict.baked.schema import Model
from crypto_predict.web.documentation.examples import example_path
from crypto_predict.web.operations.freshness import freshness
from crypto_predict.wording import duration

SIMULATED = "THE PRICES BEHIND THIS MODEL ARE SIMULATED: its answers say nothing about any real market"
STALE = "THIS MODEL IS STALE: train a new one, with prices up to now"

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 read, not bound: where a server at any address is asked

_log = logging.getLogger("crypto_predict.server")


def announce(model: Model, addresses: Sequence[tuple[str, int]], now: datetime, stale_after: timedelta) -> None:
    """Log that the server listens at `addresses`, and warn where the model is simulated or stale."""
    url = base_url(*addresses[0])
    card = model.card
    logs.event(
        _log,
        logging.INFO,
        "serving",
        address=url,
        example=f"curl '{url}{example_path(model)}'",
        documentation=f"{url}/docs",
        build=card.build,
        trained_at=card.trained_at.isoformat(),
        pairs=[str(pair) for pair in model.forecasts],
    )
    if card.simulated:
        logs.event(_log, logging.WARNING, SIMULATED)
    ages = freshness(model, now, stale_after)
    if ages.stale:
        logs.event(
            _log,
            logging.WARNING,
            STALE,
            age=duration(timedelta(seconds=ages.age_seconds)),
            newest_price_age=duration(timedelta(seconds=ages.candle_age_seconds)),
            stale_after=duration(stale_after),
        )


def greeting(model: Model, address: tuple[str, int]) -> str:
    """The same for a person at a terminal: where the server is, and a first question."""
    url = base_url(*address)
    return f"\nServing at {url}, Swagger UI at {url}/docs. Ask for example:\n\n  curl '{url}{example_path(model)}'\n"


def base_url(host: str, port: int) -> str:
    """Where a person on this machine asks a server that listens at `host` and `port`."""
    name = _ANYWHERE.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
