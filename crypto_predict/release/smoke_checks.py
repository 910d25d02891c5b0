"""What a running server must answer before it ships: every kind of request once."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from crypto_predict.market import DAY
from crypto_predict.release.engine import LABELS
from crypto_predict.release.fetch import NoAnswer, fetch
from crypto_predict.settings import GateThresholds

ANSWER_SECONDS = 15.0
STALEST = timedelta(hours=GateThresholds().stalest_hours)  # since the last candle's close, as in the gate
FOUR_KEYS = ["date", "prediction", "prediction low", "prediction_high"]
PAGES = ("/docs", "/docs/swagger-ui-bundle.js", "/metrics", "/livez")
REFUSED = {"/bitcoin": 400, "/bitcoin?date=tomorrow": 400, "/nothing": 404}  # bad requests, and the status they get

_ask = partial(fetch, seconds=ANSWER_SECONDS)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a running server should be."""

    build: str
    labels: Mapping[str, str]  # of its image
    allow_simulated: bool
    allow_stale: bool


def faults(site: str, expected: Expected) -> list[str]:
    """Return every fault of the server at `site` (``http://127.0.0.1:8000``)."""
    found: list[str] = []
    for check in (_version, _card, _forecasts, _bitcoin, _pages):
        try:
            found += check(site, expected)
        except (NoAnswer, ValueError, RecursionError) as error:
            found.append(f"{check.__name__.strip('_')}: the answer cannot be read: {error}")
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            found.append(f"{check.__name__.strip('_')}: the answer lacks what it must have: {error!r}")
    return found


def is_ready(site: str) -> bool:
    """Return whether ``/readyz`` answers 200."""
    try:
        return _ask(f"{site}/readyz").status == http.client.OK
    except NoAnswer:
        return False


def _version(site: str, expected: Expected) -> Iterator[str]:
    version = _json(site, "/version")
    if version["build"] != expected.build:
        yield f"/version has build {version['build']!r}, not {expected.build!r}"
    for member, label in (("build", "version"), ("git_revision", "revision"), ("trained_at", "created")):
        if (value := expected.labels.get(f"{LABELS}{label}")) != version[member]:
            yield f"/version has {member} {version[member]!r}, and the label {LABELS}{label} {value!r}"


def _card(site: str, expected: Expected) -> Iterator[str]:
    card = _json(site, "/model")
    if card["simulated"] and not expected.allow_simulated:
        yield "its card says that the prices are simulated"
    if not (card["gate"]["passed"] and card["gate"]["enforced"]):
        yield f"its card says that the gate was lifted: {card['gate']['reasons']}"
    if expected.allow_stale:
        return
    fresh = json.loads(_ask(f"{site}/fresh").body)  # 503 for prices of a day ago too, which the gate accepts
    if fresh["age_seconds"] > fresh["stale_after_seconds"]:
        yield f"its card is stale: the model was trained at {card['trained_at']}"
    for pair, facts in card["pairs"].items():
        closed = datetime.fromisoformat(facts["last"]) + DAY
        if datetime.now(UTC) - closed > STALEST:
            yield f"its card is stale: the last candle of {pair} closed at {closed}"


def _forecasts(site: str, _: Expected) -> Iterator[str]:
    for pair in _json(site, "/pairs"):
        for row in _json(site, pair["forecast"]):
            prices = (row["low"], row["prediction"], row["high"])
            if not _sound(*prices):
                yield f"{pair['forecast']} forecasts {prices} for {row['date']}"


def _bitcoin(site: str, _: Expected) -> Iterator[str]:
    """Check the answer that existing callers expect, if the model holds Bitcoin."""
    held = next((pair for pair in _json(site, "/pairs") if pair["pair"].startswith("BTC/")), None)
    if held is None:
        return
    answer = _json(site, f"/bitcoin?date={held['last_day']}")
    if list(answer) != FOUR_KEYS or not _sound(*(answer[FOUR_KEYS[key]] for key in (2, 1, 3))):
        yield f"/bitcoin answers {answer}"


def _pages(site: str, _: Expected) -> Iterator[str]:
    if not _json(site, "/scorecard")["entries"]:
        yield "its scorecard does not name a ledger"
    if not str(_json(site, "/openapi.json")["openapi"]).startswith("3."):
        yield "/openapi.json is not an OpenAPI document"
    for path in PAGES:
        if (status := _ask(site + path).status) != http.client.OK:
            yield f"{path} answers {status}"
    for path, status in REFUSED.items():
        answer = _ask(site + path)
        kind = answer.headers.get("content-type")
        if (answer.status, kind) != (status, "application/problem+json"):
            yield f"{path} answers {answer.status} as {kind}, not {status} with problem details"


def _json(site: str, path: str) -> Any:
    answer = _ask(site + path)
    if answer.status != http.client.OK:
        raise ValueError(f"{path} answers {answer.status}")
    return json.loads(answer.body)


def _sound(low: float, prediction: float, high: float) -> bool:
    return 0 < low <= prediction <= high < math.inf
