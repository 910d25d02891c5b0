"""The OpenAPI document is valid and complete, and the running server conforms to it."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from crypto_predict.market import Interval, SeriesKey
from crypto_predict.version import __version__
from crypto_predict.web import routes
from crypto_predict.web.app import create_service, now
from crypto_predict.web.collected.series import Example
from crypto_predict.web.documentation.openapi import document
from crypto_predict.web.http import response as response_headers
from tests.support.applications import snapshot_of
from tests.support.models import BTC, ETH, make_model
from tests.support.serving import SETTINGS, Served, serving_model

NOW = datetime.now(UTC).replace(microsecond=0)
# A model that has just been trained, on prices of the last day: a stale one answers /fresh with 503, as it should.
MODEL = make_model(BTC, ETH, trained_at=NOW, last=(NOW - timedelta(hours=36)).date())
DOCUMENT = document(snapshot_of(MODEL))
OPERATIONS = {path: item["get"] for path, item in DOCUMENT["paths"].items()}
UNLISTED = {  # routes that the document leaves out, and why
    "/": "is a page for people, as are the next two",
    "/page/{slug}/": "is the page of a pair",
    "/page/{slug}": "redirects to the page",
    "/page/{slug}.json": "is what the page reads, and may change with it",
    "/page/{slug}/record.json": "likewise",
    "/page/{slug}/releases.json": "likewise",
    "/feed.xml": "is for readers of news",
    "/page/{slug}/releases/{day}.json": "has a day of the list of releases, which may be empty",
    "/page/built/{file}": "is what the page loads",
    "/feed/{month}.xml": "is linked by the feed, if it has so many entries",
    "/docs": "is the page that shows the document",
    "/docs/{file}": "is what that page loads",
    "/openapi.json": "is the document",
}
UNLISTED |= dict.fromkeys(
    ("/forecast/{pair}/minutes.csv", "/forecast/{pair}/minutes/past.csv"), "is another way to write format=csv"
)
OF_A_DATABASE = {
    *("/candles/{pair}", "/minutes/{pair}", "/top-of-book/{pair}", "/digest/{pair}", "/series", "/prices"),
    *("/forecast/{pair}/minutes", "/forecast/{pair}/minutes/past"),
}
PLACEHOLDERS = {"string", "additionalProp1", 0, 1}  # invented by Swagger UI if an example is missing


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    options = ("--log-level", "info", "--stale-after", "2d")
    with serving_model(MODEL, tmp_path_factory.mktemp("model"), *options) as served:
        yield served


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_the_served_document_is_this_one(served: Served) -> None:
    answer = requests.get(f"{served.url}/openapi.json", timeout=30)
    assert answer.json() == DOCUMENT
    assert answer.json()["openapi"] == "3.1.0"
    assert answer.json()["info"]["version"] == __version__


def test_every_route_is_documented_and_every_documented_route_exists() -> None:
    """No hidden route, and no documented one that is missing. Those of a database answer 404 without one."""
    service = create_service(make_model(), SETTINGS, now, threading.Event())
    rules = {routes.template(rule.rule) for rule in routes.create_flask_app(service).url_map.iter_rules()}
    assert rules - UNLISTED.keys() - OF_A_DATABASE == set(OPERATIONS)
    example = Example(SeriesKey("alpaca", BTC, Interval.MINUTE_1), NOW.date())
    assert rules - UNLISTED.keys() == document(snapshot_of(MODEL), None, example)["paths"].keys() - {"/pairs/{pair}"}
    assert UNLISTED.keys() <= rules


@pytest.mark.parametrize("path", OPERATIONS)
def test_every_operation_is_described(path: str) -> None:
    operation = OPERATIONS[path]
    assert operation["summary"]
    assert operation["operationId"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(parameter["description"] for parameter in operation.get("parameters", []))


def examples(parameter: dict[str, Any]) -> list[str]:
    """Return the examples of a parameter, as text; an optional one may have none."""
    named = [example["value"] for example in parameter.get("examples", {}).values()]
    found = [*named, *([parameter["example"]] if "example" in parameter else [])]
    return [",".join(map(str, one)) if isinstance(one, list) else str(one) for one in found]


def example_urls() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield path and query of every documented request, with each example of its parameters."""
    for path, operation in OPERATIONS.items():
        parameters = [one for one in operation.get("parameters", []) if one.get("required") or examples(one)]
        most = max((len(examples(parameter)) for parameter in parameters), default=1)
        for index in range(most):
            chosen = {one["name"]: examples(one)[min(index, len(examples(one)) - 1)] for one in parameters}
            in_path = {one["name"] for one in parameters if one["in"] == "path"}
            query = {name: value for name, value in chosen.items() if name not in in_path}
            yield path.format(**chosen), query


@pytest.mark.parametrize(("path", "query"), list(example_urls()))
def test_every_example_request_succeeds(served: Served, path: str, query: dict[str, str]) -> None:
    """Swagger UI's "Try it out" must not begin with an error."""
    assert requests.get(f"{served.url}{path}", params=query, timeout=30).status_code == 200


def resolved(node: Any) -> Any:
    """Return the node with every reference replaced by its target."""
    if isinstance(node, list):
        return [resolved(member) for member in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target: Any = DOCUMENT
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return resolved(target)
    return {name: resolved(member) for name, member in node.items()}


RESPONSES = {
    f"{path} {status}": response
    for path, operation in resolved(OPERATIONS).items()
    for status, response in operation["responses"].items()
}


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
def test_every_answer_has_an_example_that_fits_its_schema(response: dict[str, Any]) -> None:
    """Without an example, Swagger UI shows `"string"` and `0`, which this service never sends."""
    for kind in response.get("content", {}).values():
        OAS31Validator(kind["schema"]).validate(kind["example"])
        assert kind["example"] not in ([], {}, *PLACEHOLDERS)
    for header in response.get("headers", {}).values():
        OAS31Validator(header["schema"]).validate(header["example"])
        assert header["example"] not in PLACEHOLDERS


@pytest.mark.parametrize(("path", "query"), list(example_urls()))
def test_an_example_has_the_members_of_the_real_answer(served: Served, path: str, query: dict[str, str]) -> None:
    """Examples must neither omit nor invent members."""
    answer = requests.get(f"{served.url}{path}", params=query, timeout=30)
    template = next(known for known in OPERATIONS if re.fullmatch(re.sub(r"{[a-z]+}", "[^/]+", known), path))
    if "json" not in answer.headers["Content-Type"]:
        return
    kind = RESPONSES[f"{template} 200"]["content"]["application/json"]
    real, shown = (body[0] if isinstance(body, list) else body for body in (answer.json(), kind["example"]))
    assert list(shown) == list(real)
    OAS31Validator(kind["schema"]).validate(answer.json())


def test_headers_of_an_answer_are_documented(served: Served) -> None:
    answer = requests.get(f"{served.url}/bitcoin?date={NOW.date()}", timeout=30)
    documented = RESPONSES["/bitcoin 200"]["headers"]
    ours = {name for name in answer.headers if name.startswith("Crypto-Predict-")}
    assert (
        ours | {response_headers.SIMULATED, response_headers.STALE[0], "ETag", "Last-Modified", "Cache-Control"}
        == documented.keys()
    )


def test_the_description_names_the_training_data() -> None:
    """The time of the training, the source and the span, and where to find the rest."""
    text = DOCUMENT["info"]["description"]
    card = MODEL.card.pairs[BTC]
    for part in (f"{NOW:%Y-%m-%d %H:%M} UTC", "`alpaca`", f"{card.first:%Y-%m-%d} to {card.last:%Y-%m-%d}", "(/model)"):
        assert part in text
    assert "simulated" not in text


def test_the_document_links_to_the_project_if_its_url_is_known(served: Served, tmp_path: Path) -> None:
    """The image is built with that URL."""
    assert "externalDocs" not in requests.get(f"{served.url}/openapi.json", timeout=30).json()
    with serving_model(MODEL, tmp_path, REPOSITORY_URL="https://example.org/crypto-predict") as linked:
        links = requests.get(f"{linked.url}/openapi.json", timeout=30).json()["externalDocs"]
    assert links == {"url": "https://example.org/crypto-predict", "description": "The project"}


def test_the_document_warns_of_invented_prices() -> None:
    text = document(snapshot_of(make_model(BTC, ETH, simulated={ETH})))["info"]["description"]
    assert text.startswith("**The prices of ETH/USD are simulated")


def schemathesis(served: Served, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Send requests that the document allows or forbids, the same at every run of a day."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/openapi.json"]
    steady = ["--seed", "1", "--max-examples", "20", "--generation-database", "none", "--no-color", "--checks", "all"]
    # Without the warning that many requests are refused: a document cannot list the days of a model.
    warnings = ["--warnings", "missing_test_data,missing_deserializer,unsupported_regex,method_not_allowed"]
    return subprocess.run(
        [*command, *steady, *warnings, *options], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )


def test_the_running_server_conforms_to_the_document(served: Served, tmp_path: Path) -> None:
    """Except for what a document cannot say: the range of days, and which of two values must be larger."""
    result = schemathesis(served, tmp_path, "--continue-on-failure")
    found = set(re.findall(r"^- (.*)$", result.stdout, re.MULTILINE))
    assert {title.split(" ", 1)[1] for title in found} == {"Schema-valid request rejected"}, result.stdout
    details = [json.loads(body)["detail"] for body in re.findall(r"`({.*})`", result.stdout)]
    assert details
    refusals = (
        "(date|start|end): .* lies outside the range of this model",
        "end .* lies before start",
        "below .* must be more than above",
        "above and below are missing",
    )
    for detail in details:
        assert re.match("|".join(refusals), detail)
