"""The OpenAPI document is valid and complete, with a database and without one, and the server conforms to it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from crypto_predict.market import Interval
from crypto_predict.market.collected import ForecastStep
from crypto_predict.store import open_reader, open_writer
from crypto_predict.version import __version__
from crypto_predict.web import app
from crypto_predict.web.documentation.openapi import document
from crypto_predict.web.http.operation import template
from tests.support.applications import client, service_of, snapshot_of
from tests.support.collected import END, LATE, MINUTES, fill
from tests.support.minutes import KEEP, forecast, scores
from tests.support.models import BTC, ETH, make_model, with_models
from tests.support.serving import serving_model

MODEL = with_models(
    make_model(BTC, ETH, trained_at=LATE, last=(LATE - timedelta(hours=36)).date()), "garch", pairs=[ETH]
)
UNLISTED = {  # routes that the document leaves out, and why
    **dict.fromkeys(("/", "/page/{slug}/", "/page/{slug}"), "are pages for people"),
    **dict.fromkeys((f"/page/{{slug}}{end}.json" for end in ("", "/record", "/releases")), "are what the page reads"),
    "/feed.xml": "is for readers of news",
    **dict.fromkeys(("/page/outages/", "/page/outages/{name}/"), "are pages of the register for people"),
    "/page/outages/feed.xml": "is for readers of news",
    "/page/{slug}/releases/{day}.json": "has a day of the list of releases, which may be empty",
    **dict.fromkeys((f"/page/{{slug}}/{part}/{{model}}.json" for part in ("models", "hindcasts")), "are what it draws"),
    "/page/built/{file}": "is what the page loads",
    "/feed/{month}.xml": "is linked by the feed, if it has so many entries",
    "/docs": "is the page that shows the document",
    "/docs/{file}": "is what that page loads",
    "/openapi.json": "is the document",
    **dict.fromkeys((f"/forecast/{{pair}}/minutes{end}.csv" for end in ("", "/past")), "are for format=csv"),
}
PLACEHOLDERS = {"string", "additionalProp1", 0, 1}  # invented by Swagger UI if an example is missing


def store_forecast(database: str, cutoff: datetime) -> None:
    """Store a forecast that is answered for three minutes, and an outcome."""
    step = ForecastStep(replace(forecast(0), cutoff=cutoff), cutoff, (scores(1),))
    with open_writer(database) as writer:
        writer.write_forecasts({MINUTES: [step]}, KEEP)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("database") / "market.db")
    fill(path)
    store_forecast(path, END)
    return path


class Documented:
    """An application, and its document with every reference replaced by its target."""

    def __init__(self, database: str | None) -> None:
        self.client = client(MODEL, lambda: LATE, database=database)
        self.whole: dict[str, Any] = self.client.get("/openapi.json").get_json()
        self.paths = self._resolved(self.whole["paths"])

    def _resolved(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._resolved(member) for member in node]
        if not isinstance(node, dict):
            return node
        if "$ref" not in node:
            return {name: self._resolved(member) for name, member in node.items()}
        target: Any = self.whole
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return self._resolved(target)


@pytest.fixture(scope="module", params=["model", "database"])
def documented(request: pytest.FixtureRequest, database: str) -> Documented:
    """The application without a database, and with one."""
    return Documented(database if request.param == "database" else None)


def test_the_document_is_valid(documented: Documented) -> None:
    assert list(OpenAPIV31SpecValidator(documented.whole).iter_errors()) == []
    assert (documented.whole["openapi"], documented.whole["info"]["version"]) == ("3.1.0", __version__)


def test_every_route_is_documented_and_every_documented_route_exists(documented: Documented, database: str) -> None:
    """No hidden route, and no documented one that is missing. Those of a database answer 404 without one."""

    def rules(access: app.Access | None) -> set[str]:
        flask: Flask = app.create_flask_app(service_of(MODEL, access=access))
        of_flask = {template(rule.rule) for rule in flask.url_map.iter_rules()}
        return of_flask | {"/bitcoin", "/"}  # which Flask never sees

    routes = rules((partial(open_reader, database), None))
    assert routes - UNLISTED.keys() == Documented(database).paths.keys()
    assert UNLISTED.keys() <= routes
    assert rules(None) >= documented.paths.keys() - {"/pairs/{pair}"}


def operations(documented: Documented) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in documented.paths.items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_operation_is_described(documented: Documented) -> None:
    tags = {tag["name"] for tag in documented.whole["tags"]}
    for _, _, operation in operations(documented):
        assert operation["summary"]
        assert operation["operationId"]
        assert operation["tags"][0] in tags
        assert all(parameter["description"] for parameter in operation.get("parameters", []))


def test_every_answer_has_an_example_that_fits_its_schema(documented: Documented) -> None:
    """Without an example, Swagger UI shows `"string"` and `0`, which this service never sends."""
    for _, _, operation in operations(documented):
        for response in operation["responses"].values():
            for shown in [*response.get("content", {}).values(), *response.get("headers", {}).values()]:
                OAS31Validator(shown["schema"]).validate(shown["example"])
                assert shown["example"] not in ([], {}, *PLACEHOLDERS)


def examples(parameter: dict[str, Any]) -> list[str]:
    """Return the examples of a parameter, as text; an optional one may have none."""
    named = [example["value"] for example in parameter.get("examples", {}).values()]
    values = [*named, *([parameter["example"]] if "example" in parameter else [])]
    return [",".join(map(str, value)) if isinstance(value, list) else str(value) for value in values]


def example_requests(path: str, operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield address and query of every documented request, with each example of its parameters."""
    parameters = [parameter for parameter in operation["parameters"] if examples(parameter)]
    for index in range(max((len(examples(parameter)) for parameter in parameters), default=1)):
        values = {parameter["name"]: (examples(parameter) * 9)[index] for parameter in parameters}
        query = {name: value for name, value in values.items() if f"{{{name}}}" not in path}
        yield path.format(**values), query


def test_every_example_request_succeeds_with_the_members_of_the_example(documented: Documented) -> None:
    """Swagger UI's "Try it out" must not begin with an error, nor examples omit or invent members."""
    for path, method, operation in operations(documented):
        for address, query in example_requests(path, operation) if method == "get" else ():
            for content_type, shown in operation["responses"]["200"]["content"].items():
                if "format" in query:
                    query["format"] = "json" if "json" in content_type else "csv"
                answer = documented.client.get(address, query_string=query)
                assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type), (address, query)
                if "json" not in content_type:
                    assert answer.text.split()[0] == shown["example"].split()[0]
                    continue
                body: Any = answer.get_json()
                OAS31Validator(shown["schema"]).validate(body)
                real, example = (whole[0] if isinstance(whole, list) else whole for whole in (body, shown["example"]))
                assert list(example) == list(real)


SIMULATED = ("Crypto-Predict-Simulated", "Crypto-Predict-Stale")  # headers of some answers alone


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/bitcoin", "?date=2026-11-04"),
        *(("/scorecard", ""), ("/forecast/{pair}/minutes", "")),
        *((f"/{table}/{{pair}}", "?source=simulated&limit=1") for table in ("candles", "minutes", "top-of-book")),
    ],
)
def test_the_headers_of_an_answer_are_documented(path: str, query: str, database: str) -> None:
    whole = Documented(database)
    answer = whole.client.get(f"{path.format(pair='BTC-USD')}{query}")
    general = ("Access-Control-", "Content-", "X-Content-Type-Options")
    ignored = {*SIMULATED, *(["Vary"] if answer.headers.get("Vary") in {None, "Accept-Encoding"} else [])}
    ours = {name.lower() for name, _ in answer.headers if not name.startswith(general) and name not in ignored}
    described = set(whole.paths[path]["get"]["responses"]["200"]["headers"]) - ignored
    assert {name.lower() for name in described} == ours


def test_the_document_lists_the_models_of_the_file() -> None:
    """Swagger UI offers them. Each address has those of its pairs, and the default if they share it."""

    def listed(served: str) -> list[Any]:
        model = with_models(make_model(ETH, BTC), "garch", "mine", served=served, pairs=[ETH])
        paths = document(snapshot_of(model))["paths"]
        addresses = ("/bitcoin", "/forecast/{pair}", "/probability/{pair}", "/risk/{pair}")
        parameters = [parameter for path in addresses for parameter in paths[path]["get"]["parameters"]]
        return [(choice["schema"], choice["example"]) for choice in parameters if choice["name"] == "model"]

    bitcoin: dict[str, Any] = {"type": "string", "enum": ["combined", "prophet"], "default": "combined"}
    every: dict[str, Any] = {"type": "string", "enum": ["combined", "prophet", "garch", "mine"]}
    ours = {"default": "combined"}
    assert listed("combined") == [(bitcoin, "combined"), *[(every | ours, "combined")] * 3]
    assert listed("mine") == [(bitcoin, "combined"), *[(every, "mine")] * 3]


def test_the_description_names_the_training_data(documented: Documented) -> None:
    """The time of the training, the source and the span, and where to find the rest."""
    text, card = documented.whole["info"]["description"], MODEL.card.pairs[BTC]
    span = f"{card.first:%Y-%m-%d} to {card.last:%Y-%m-%d}"
    assert all(part in text for part in (f"{LATE:%Y-%m-%d %H:%M} UTC", "`alpaca`", span, "(/model)"))
    assert "simulated" not in text


def test_the_document_links_to_the_project_if_its_url_is_known(documented: Documented) -> None:
    """The image is built with that URL."""
    assert "externalDocs" not in documented.whole
    links = document(snapshot_of(MODEL), "https://example.org/crypto-predict")["externalDocs"]
    assert links == {"url": "https://example.org/crypto-predict", "description": "The project"}


def test_the_document_warns_of_invented_prices() -> None:
    text = document(snapshot_of(make_model(BTC, ETH, simulated={ETH})))["info"]["description"]
    assert text.startswith("**The prices of ETH/USD are simulated")


def test_the_running_server_conforms_to_the_document(database: str, tmp_path: Path) -> None:
    """Except for what a document cannot say: the range of days, and which of two values must be larger.

    The requests, which the document allows or forbids, are the same at every run of a day. The token of the
    administrator is not known, so what is collected stays as it is.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    # A model that has just been trained, on prices of the last day: a stale one answers /fresh with 503, as it should.
    recent = make_model(BTC, ETH, trained_at=now, last=(now - timedelta(hours=36)).date())
    model = with_models(recent, "garch", "mine", served="mine", pairs=[ETH])
    store_forecast(database, Interval.MINUTE_1.ceil(now))
    command = str(Path(sys.executable).with_name("schemathesis"))
    steady = ["--seed", "1", "--max-examples", "10", "--generation-database", "none", "--no-color", "--checks", "all"]
    # Without the warning that many requests are refused: a document cannot list the days of a model.
    warnings = ["--warnings", "missing_deserializer,unsupported_regex,method_not_allowed", "--continue-on-failure"]
    options = ("--database", database, "--stale-after", "2d", "--log-level", "info")
    with serving_model(model, tmp_path, *options, ADMIN_TOKEN="not known to the tests") as served:
        document_url = f"{served.url}/openapi.json"
        paths = requests.get(document_url, timeout=30).json()["paths"]
        run = [command, "run", document_url, *steady, *warnings]
        result = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    operations = sum(map(len, paths.values()))
    assert f"Selected: {operations}/{operations}" in result.stdout, result.stdout
    failures = set(re.findall(r"^- (.*)$", result.stdout, re.MULTILINE))
    assert {title.split(" ", 1)[1] for title in failures} == {"Schema-valid request rejected"}, result.stdout
    details = [json.loads(body)["detail"] for body in re.findall(r"`({.*})`", result.stdout)]
    assert details
    refusals = (
        "(date|start|end): .* lies outside the range of this model",
        "date: .* has passed",
        "day: .* is not a day from 1970-01-01",
        "(pair|source|interval): .* is not collected",
        "interval: '1w' is not one of .*: the digest is that of a day",
        "id: .* is not the id of an outage|id: the register has no outage",
        "end .* lies before start",
        "(stays_)?below .* must be more than (stays_)?above",
        ".* are different questions: ask one at a time",
        ".* (has passed|has no candle).*, so nobody knows what was touched on it",
        "model: 'garch' is not one of|model: 'mine' is not one of",
        "above, below, touches, stays_above and stays_below are missing",
    )
    for detail in details:
        assert re.match("|".join(refusals), detail)
