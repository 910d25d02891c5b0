"""The OpenAPI document: is it valid, is it complete, and does the running server keep to it?"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

from crypto_predict.baked import store
from crypto_predict.version import __version__
from crypto_predict.web import routes
from crypto_predict.web.app import create_service, now
from crypto_predict.web.openapi import document
from tests.models import BTC, ETH, make_model
from tests.serving import SETTINGS, Served, serving

DOCUMENT = document(make_model(BTC, ETH))
OPERATIONS = {path: item["get"] for path, item in DOCUMENT["paths"].items()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose model has just been trained, for a stale one answers /fresh with 503, as it should."""
    path = tmp_path_factory.mktemp("model") / "model.pkl"
    store.save(make_model(BTC, ETH, trained_at=datetime.now(UTC).replace(microsecond=0)), path)
    with serving(path, "--log-level", "info") as served:
        yield served


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_the_served_document_is_this_one(served: Served) -> None:
    answer = requests.get(f"{served.url}/openapi.json", timeout=30)
    assert answer.json() == DOCUMENT
    assert answer.json()["openapi"] == "3.1.0"
    assert answer.json()["info"]["version"] == __version__


def test_every_route_is_documented_and_every_documented_route_exists() -> None:
    """A route that nobody can find and a promise that nobody keeps are both noticed here."""
    service = create_service(make_model(), SETTINGS, now, threading.Event())
    rules = {routes.template(rule.rule) for rule in routes.create_flask_app(service).url_map.iter_rules()}
    assert rules == set(OPERATIONS)


@pytest.mark.parametrize("path", OPERATIONS)
def test_every_operation_says_what_it_is_for(path: str) -> None:
    operation = OPERATIONS[path]
    assert operation["summary"]
    assert operation["operationId"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(parameter.get("description") or path == "/docs/{file}" for parameter in operation.get("parameters", []))


def examples(parameter: dict[str, Any]) -> list[str]:
    """What Swagger UI offers for a parameter."""
    named = [example["value"] for example in parameter.get("examples", {}).values()]
    return [*named, *([parameter["example"]] if "example" in parameter else [])]


def example_urls() -> Iterator[tuple[str, dict[str, str]]]:
    """Every documented question as it is asked when nothing is changed, and each further example of a parameter."""
    for path, operation in OPERATIONS.items():
        parameters = operation.get("parameters", [])
        most = max((len(examples(parameter)) for parameter in parameters), default=1)
        for index in range(most):
            chosen = {one["name"]: examples(one)[min(index, len(examples(one)) - 1)] for one in parameters}
            in_path = {one["name"] for one in parameters if one["in"] == "path"}
            query = {name: value for name, value in chosen.items() if name not in in_path}
            yield path.format(**chosen), query


@pytest.mark.parametrize(("path", "query"), list(example_urls()))
def test_every_example_works_as_it_is(served: Served, path: str, query: dict[str, str]) -> None:
    """Swagger UI's "Try it out" must not begin with an error."""
    assert requests.get(f"{served.url}{path}", params=query, timeout=30).status_code == 200


def test_the_running_server_keeps_to_the_document(served: Served, tmp_path: Path) -> None:
    """Schemathesis asks everything the document allows and much that it forbids, the same at every run.

    One check is left out: that whatever fits the document is accepted. A document cannot say which days this model
    knows, nor which days there are, so a day that it has never heard of is rightly refused.
    """
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/openapi.json"]
    options = ["--seed", "1", "--max-examples", "20", "--generation-database", "none", "--no-color", "--checks", "all"]
    result = subprocess.run(
        [*command, *options, "--exclude-checks", "positive_data_acceptance"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "No issues found" in result.stdout
