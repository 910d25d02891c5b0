"""The log events and the message at start: the address, the model, and warnings that must not be overlooked."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from crypto_predict import logs
from crypto_predict.baked.schema import MOST_PAIRS, Model
from crypto_predict.web.model.freshness import Facts, freshness
from crypto_predict.wording import duration

SIMULATED = "THE PRICES BEHIND THIS MODEL ARE SIMULATED: its answers say nothing about any real market"
STALE = "THIS MODEL IS STALE: train a new one, with prices up to now"

MOST_LOGGED = MOST_PAIRS  # pairs by their names

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 read, not bound: a server at any address listens there

_log = logging.getLogger("crypto_predict.server")


def announce(
    facts: Facts, example: str, addresses: Sequence[tuple[str, int]], now: datetime, stale_after: timedelta
) -> None:
    """Log that the server listens at `addresses`, with the path of an example, and warn as `announce_model` does."""
    url = base_url(*addresses[0])
    where = {"address": url, "example": f"curl '{url}{example}'", "documentation": f"{url}/docs"}
    announce_model("serving", facts, now, stale_after, **where)


def announce_model(event: str, facts: Facts, now: datetime, stale_after: timedelta, **where: str) -> None:
    """Log what is served from now on, and warn if it is simulated or stale."""
    pairs = list(map(str, facts.newest_prices))
    more = {"more_pairs": len(pairs) - MOST_LOGGED} if len(pairs) > MOST_LOGGED else {}
    logs.event(
        _log,
        logging.INFO,
        event,
        **where,
        build=facts.build,
        trained_at=facts.trained_at.isoformat(),
        pairs=pairs[:MOST_LOGGED],
        **more,
    )
    if facts.simulated:
        logs.event(_log, logging.WARNING, SIMULATED)
    state = freshness(facts, now, stale_after)
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
