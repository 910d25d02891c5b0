"""What a running server must answer before it may be released: every kind of question once."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from crypto_predict.market import DAY
from crypto_predict.release.engine import LABELS
from crypto_predict.release.fetch import Answer, NoAnswer, fetch
from crypto_predict.settings import GateThresholds

ANSWER_SECONDS = 15.0
STALEST = timedelta(hours=GateThresholds().stalest_hours)  # from the last candle's close, as the gate has it
FOUR_KEYS = ["date", "prediction", "prediction low", "prediction_high"]
REFUSED = {"/bitcoin": 400, "/bitcoin?date=tomorrow": 400, "/nothing": 404}  # what every server must refuse, and how

_UNREADABLE = (NoAnswer, ValueError)  # of an answer; JSON's error is among them


@dataclass(frozen=True, slots=True)
class Release:
    """What a running server should be."""

    build: str
    labels: Mapping[str, str]  # of its image
    now: datetime  # UTC
    allow_simulated: bool


Question = Callable[[str, Release], Iterator[str]]  # from site and release to what is wrong


def faults(site: str, release: Release) -> list[str]:
    """Everything that is wrong with the server at `site` (``http://127.0.0.1:8000``)."""
    found: list[str] = []
    for question in (_version, _card, _forecasts, _bitcoin, _scorecard, _pages, _refusals):
        try:
            found += question(site, release)
        except _UNREADABLE as error:
            found.append(f"{question.__name__.strip('_')}: its answer cannot be read: {error}")
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            found.append(f"{question.__name__.strip('_')}: its answer has not what it must have: {error!r}")
    return found


def answers(address: str) -> bool:
    """Whether there is an answer of status 200."""
    try:
        return _ask(address).status == http.client.OK
    except NoAnswer:
        return False


def _ask(address: str) -> Answer:
    return fetch("GET", address, ANSWER_SECONDS)


def _version(site: str, release: Release) -> Iterator[str]:
    version = _json(site, "/version")
    if version["build"] != release.build:
        yield f"/version says build {version['build']!r}, not {release.build!r}"
    for member, label in (("build", "version"), ("git_revision", "revision"), ("trained_at", "created")):
        named = release.labels.get(f"{LABELS}{label}")
        if named != version[member]:
            yield f"/version says {member} {version[member]!r}, and the label {LABELS}{label} {named!r}"


def _card(site: str, release: Release) -> Iterator[str]:
    card = _json(site, "/model")
    if card["simulated"] and not release.allow_simulated:
        yield "its card says that the prices are simulated"
    if not (card["gate"]["passed"] and card["gate"]["enforced"]):
        yield f"its card says that the gate was lifted: {card['gate']['reasons']}"
    if _status(site, "/fresh") != http.client.OK:
        yield f"its card is stale: the model was trained at {card['trained_at']}"
    for pair, facts in card["pairs"].items():
        closed = datetime.fromisoformat(facts["last"]) + DAY
        if release.now - closed > STALEST:
            yield f"its card is stale: the last candle of {pair} closed at {closed}"


def _forecasts(site: str, _: Release) -> Iterator[str]:
    for pair in _json(site, "/pairs"):
        for row in _json(site, pair["forecast"]):
            prices = (row["low"], row["prediction"], row["high"])
            if not _sound(*prices):
                yield f"{pair['forecast']} forecasts {prices} for {row['date']}"


def _bitcoin(site: str, _: Release) -> Iterator[str]:
    """The answer that its callers know, where the model holds Bitcoin."""
    held = next((pair for pair in _json(site, "/pairs") if pair["pair"].startswith("BTC/")), None)
    if held is None:
        return
    answer = _json(site, f"/bitcoin?date={held['last_day']}")
    sound = _sound(answer["prediction low"], answer["prediction"], answer["prediction_high"])
    if list(answer) != FOUR_KEYS or not sound:
        yield f"/bitcoin answers {answer}"


def _scorecard(site: str, _: Release) -> Iterator[str]:
    if not _json(site, "/scorecard")["entries"]:
        yield "its scorecard names no ledger"


def _pages(site: str, _: Release) -> Iterator[str]:
    if not str(_json(site, "/openapi.json")["openapi"]).startswith("3."):
        yield "/openapi.json is no OpenAPI document"
    for path in ("/docs", "/docs/swagger-ui-bundle.js", "/metrics", "/livez"):
        if (status := _status(site, path)) != http.client.OK:
            yield f"{path} answers {status}"


def _refusals(site: str, _: Release) -> Iterator[str]:
    for path, expected in REFUSED.items():
        answer = _ask(site + path)
        kind = answer.headers.get("content-type")
        if (answer.status, kind) != (expected, "application/problem+json"):
            yield f"{path} answers {answer.status} as {kind}, not {expected} with problem details"


def _status(site: str, path: str) -> int:
    return _ask(site + path).status


def _json(site: str, path: str) -> Any:
    answer = _ask(site + path)
    if answer.status != http.client.OK:
        raise ValueError(f"{path} answers {answer.status}")
    return json.loads(answer.body)


def _sound(low: float, prediction: float, high: float) -> bool:
    return 0 < low <= prediction <= high < math.inf
