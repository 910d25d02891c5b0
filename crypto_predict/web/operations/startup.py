"""The log events and the message at start: the address, the model, and warnings that must not be overlooked."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from crypto_predict import logs
from crypto_predict.baked.schema import Model
from crypto_predict.web.model.freshness import freshness
from crypto_predict.wording import duration

SIMULATED = "THE PRICES BEHIND THIS MODEL ARE SIMULATED: its answers say nothing about any real market"
STALE = "THIS MODEL IS STALE: train a new one, with prices up to now"

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 read, not bound: a server at any address listens there

_log = logging.getLogger("crypto_predict.server")


def announce(model: Model, addresses: Sequence[tuple[str, int]], now: datetime, stale_after: timedelta) -> None:
    """Log that the server listens at `addresses`, and warn if the model is simulated or stale."""
    url = base_url(*addresses[0])
    facts = {"address": url, "example": f"curl '{url}{example_path(model)}'", "documentation": f"{url}/docs"}
    announce_model("serving", model, now, stale_after, **facts)


def announce_model(event: str, model: Model, now: datetime, stale_after: timedelta, **facts: str) -> None:
    """Log that a model is served from now on, and warn if it is simulated or stale."""
    card = model.card
    logs.event(
        _log,
        logging.INFO,
        event,
        **facts,
        build=card.build,
        trained_at=card.trained_at.isoformat(),
        pairs=[str(pair) for pair in model.forecasts],
    )
    if card.simulated:
        logs.event(_log, logging.WARNING, SIMULATED)
    state = freshness(model, now, stale_after)
    if state.stale:
        age, newest_price_age = (
            duration(timedelta(seconds=seconds)) for seconds in (state.age_seconds, state.candle_age_seconds)
        )
        limit = duration(stale_after)
        logs.event(_log, logging.WARNING, STALE, age=age, newest_price_age=newest_price_age, stale_after=limit)


def base_url(host: str, port: int) -> str:
    """Return the URL on this machine of a server that listens at `host` and `port`."""
    name = _LOOPBACK.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def example_path(model: Model) -> str:
    """Return a request for Bitcoin a month ahead if the model holds it, else for its first pair."""
    pair, forecast = next(iter(model.forecasts.items()))
    if any(traded.base == "BTC" for traded in model.forecasts):
        return f"/bitcoin?date={forecast.last + timedelta(days=30)}"
    return f"/forecast/{pair.slug}"
