"""Start an image as it will run, make every kind of request once, and refuse what must not be released."""

import json
import math
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from crypto_predict.errors import BrokenLedger, UnfitImage, UnusableModel
from crypto_predict.market import DAY
from crypto_predict.release.images import LABELS, docker, pull, take_out
from crypto_predict.release.job import Environ, add_summary
from crypto_predict.release.programs import fetch

START_SECONDS = 60.0  # to the first 200 at /readyz
ANSWER_SECONDS = 15.0  # time limit of each answer
FOUR_KEYS = ["date", "prediction", "prediction low", "prediction_high"]
LOCKED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
PAGES = ("/docs", "/docs/swagger-ui-bundle.js", "/metrics", "/livez")
REFUSED = {"/bitcoin?date=": 400, "/bitcoin?date=tomorrow": 400, "/nothing": 404}  # bad requests, and their status


def smoke(image: str, build: str, environ: Environ, *, allow_simulated: bool, allow_stale: bool) -> Mapping[str, str]:
    """Start an image read-only, make every kind of request, and refuse what must not be released."""
    labels, user, unpacked = pull(image)
    faults = [] if user.partition(":")[0] not in {"", "0", "root"} else ["it runs as root"]
    if (labelled := labels.get(f"{LABELS}version", "")) != build:
        faults.append(f"its label {LABELS}version is {labelled!r}, not {build!r}")
    start_seconds, answers = _run(image, labels, build, allow_simulated=allow_simulated, allow_stale=allow_stale)
    if faults := [*faults, *answers, *_artifact_faults(image)]:
        raise UnfitImage(image, faults)
    size = f"{unpacked / 1e6:,.1f} MB unpacked, base included"
    add_summary(environ, f"**Smoke test**: passed; first answer after {start_seconds:.2f} s; {size}.")
    return {"bytes": str(unpacked), "start_seconds": f"{start_seconds:.3f}"}


def server_faults(
    site: str, build: str, labels: Mapping[str, str], *, allow_simulated: bool, allow_stale: bool
) -> list[str]:
    """Return every fault of the server at `site` (``http://127.0.0.1:8000``), whose image has these labels."""
    faults: list[str] = []
    checks = {
        "version": _version(site, build, labels),
        "card": _card(site, allow_simulated=allow_simulated, allow_stale=allow_stale),
        "forecasts": _forecasts(site),
        "pages": _pages(site),
    }
    for name, check in checks.items():
        try:
            faults += check
        except (ValueError, RecursionError, AttributeError, IndexError, KeyError, TypeError) as error:
            faults.append(f"{name}: the answer cannot be read, or lacks a member: {error!r}")
    return faults


def _run(image: str, labels: Mapping[str, str], build: str, **allowed: bool) -> tuple[float, list[str]]:
    """Return the seconds to the first answer, and the faults of the image, run read-only and without capabilities."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    site, began = f"http://127.0.0.1:{port}", time.monotonic()
    listening = ("--network", "host", "--env", f"PORT={port}", "--env", "HOST=127.0.0.1")  # some engines have no other
    container = docker("create", *LOCKED, *listening, image)
    try:
        docker("start", container)
        while fetch(f"{site}/readyz", ANSWER_SECONDS)[0] != HTTPStatus.OK:
            is_running = docker("inspect", "--format", "{{.State.Running}}", container) == "true"
            if not is_running or time.monotonic() - began > START_SECONDS:
                return 0.0, [f"it was not ready within {START_SECONDS:.0f} s; {_output_of(container)}"]
            time.sleep(0.02)
        start_seconds = time.monotonic() - began
        faults = server_faults(site, build, labels, **allowed)
        docker("stop", "-t", "10", container)  # as a deploy does; the long option has another name in each engine
        if code := int(docker("inspect", "--format", "{{.State.ExitCode}}", container)):
            faults.append(f"asked to stop, it ended with {code}; {_output_of(container)}")
        return start_seconds, faults
    finally:
        docker("rm", "--force", container)


def _output_of(container: str) -> str:
    return f"it wrote:\n{docker('logs', '--tail', '50', container, both=True)}"


def _artifact_faults(image: str) -> list[str]:
    """Return the faults of model and ledger: with a broken ledger, no release could follow this one."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            model, ledger = take_out(image, Path(folder))
        except (BrokenLedger, UnusableModel) as error:
            return [str(error)]
    if model is None:
        return ["its model has another schema than this program's"]
    build, builds = model.card.build, {entry.build for entry in ledger.newest}
    return [] if build in builds else [f"its ledger does not name its model, {build}"]


def _version(site: str, build: str, labels: Mapping[str, str]) -> Iterator[str]:
    version = _json(site, "/version")
    if version["build"] != build:
        yield f"/version has build {version['build']!r}, not {build!r}"
    for member, label in (("build", "version"), ("git_revision", "revision"), ("trained_at", "created")):
        if (value := labels.get(f"{LABELS}{label}")) != version[member]:
            yield f"/version has {member} {version[member]!r}, and the label {LABELS}{label} {value!r}"


def _card(site: str, *, allow_simulated: bool, allow_stale: bool) -> Iterator[str]:
    card = _json(site, "/model")
    gate = card["gate"]
    if card["simulated"] and not allow_simulated:
        yield "its card says that the prices are simulated"
    if not (gate["passed"] and gate["enforced"]):
        yield f"its card says that the gate was lifted: {gate['reasons']}"
    if allow_stale:
        return
    fresh = json.loads(_get(site, "/fresh")[2])  # 503 for prices of a day ago too, which the gate accepts
    if fresh["age_seconds"] > fresh["stale_after_seconds"]:
        yield f"its card is stale: the model was trained at {card['trained_at']}"
    for pair, facts in card["pairs"].items():
        closed = datetime.fromisoformat(facts["last"]) + DAY
        if datetime.now(UTC) - closed > timedelta(hours=gate["thresholds"]["stalest_hours"]):
            yield f"its card is stale: the last candle of {pair} closed at {closed}"


def _forecasts(site: str) -> Iterator[str]:
    pairs = _json(site, "/pairs")
    for pair in pairs:
        for row in _json(site, pair["forecast"]):
            prices = (row["low"], row["prediction"], row["high"])
            if not _sound(*prices):
                yield f"{pair['forecast']} forecasts {prices} for {row['date']}"
    bitcoin = next((pair for pair in pairs if pair["pair"].startswith("BTC/")), None)
    if bitcoin is not None:
        answer = _json(site, f"/bitcoin?date={bitcoin['last_day']}")
        if list(answer) != FOUR_KEYS or not _sound(*(answer[FOUR_KEYS[key]] for key in (2, 1, 3))):
            yield f"/bitcoin answers {answer}"


def _pages(site: str) -> Iterator[str]:
    if not _json(site, "/scorecard")["entries"]:
        yield "its scorecard does not name a ledger"
    if not str(_json(site, "/openapi.json")["openapi"]).startswith("3."):
        yield "/openapi.json is not an OpenAPI document"
    for path in PAGES:
        if (status := _get(site, path)[0]) != HTTPStatus.OK:
            yield f"{path} answers {status}"
    for path, status in REFUSED.items():
        answered, headers, _ = _get(site, path)
        kind = headers.get("content-type")
        if (answered, kind) != (status, "application/problem+json"):
            yield f"{path} answers {answered} as {kind}, not {status} with problem details"


def _get(site: str, path: str) -> tuple[int, Mapping[str, str], str]:
    status, headers, body = fetch(site + path, ANSWER_SECONDS)
    if not status:
        raise ValueError(body)
    return status, headers, body


def _json(site: str, path: str) -> Any:
    status, _, body = _get(site, path)
    if status != HTTPStatus.OK:
        raise ValueError(f"{path} answers {status}")
    return json.loads(body)


def _sound(low: float, prediction: float, high: float) -> bool:
    return 0 < low <= prediction <= high < math.inf
