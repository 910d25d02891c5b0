"""The document of a service with a database is valid and complete, and the running server conforms to it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from crypto_predict.baked import store
from crypto_predict.market import Interval
from crypto_predict.market.ports import ForecastStep
from crypto_predict.store import open_writer
from crypto_predict.web.documentation.openapi import of_database
from tests.support.collected import MINUTES, fill
from tests.support.minute_forecasts import KEEP, forecast, scores
from tests.support.models import BTC, ETH, make_model
from tests.support.serving import Served, serving
from tests.web.documentation.test_openapi import PLACEHOLDERS, schemathesis

AHEAD = "/forecast/{pair}/minutes"
PATHS = sorted({operation.path for operation in of_database() if operation.method == "GET"})


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = str(tmp_path_factory.mktemp("database") / "market.db")
    fill(found)
    return found


@pytest.fixture(scope="module")
def served(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path, now = tmp_path_factory.mktemp("served") / "model.pkl", datetime.now(UTC).replace(microsecond=0)
    store.save(make_model(BTC, ETH, trained_at=now, last=(now - timedelta(hours=36)).date()), path)
    options = ("--database", database, "--stale-after", "2d")
    with serving(path, *options, ADMIN_TOKEN="not known to the tests") as served:
        yield served


@pytest.fixture
def forecast_now(database: str) -> None:
    """Store a forecast that is answered for three minutes, and an outcome."""
    cutoff = Interval.MINUTE_1.ceil(datetime.now(UTC))
    made = ForecastStep(replace(forecast(0), cutoff=cutoff), cutoff, (scores(1),))
    with open_writer(database) as writer:
        writer.write_forecasts({MINUTES: [made]}, KEEP)


@pytest.fixture(scope="module")
def document(served: Served) -> dict[str, Any]:
    """The document, with its references replaced by what they refer to."""
    whole = requests.get(f"{served.url}/openapi.json", timeout=30).json()
    OpenAPIV31SpecValidator(whole).validate()

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(member) for member in node]
        if not isinstance(node, dict):
            return node
        if "$ref" not in node:
            return {name: resolve(member) for name, member in node.items()}
        target = whole
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return resolve(target)

    found = resolve(whole)
    assert isinstance(found, dict)
    return found


@pytest.mark.usefixtures("forecast_now")
@pytest.mark.parametrize("path", PATHS)
def test_the_example_request_succeeds_and_its_answer_fits_the_document(
    path: str, document: dict[str, Any], served: Served
) -> None:
    """Swagger UI's "Try it out" must not begin with an error, nor examples omit or invent members."""
    operation = document["paths"][path]["get"]
    chosen = {parameter["name"]: parameter["example"] for parameter in operation["parameters"]}
    query = {name: value for name, value in chosen.items() if name != "pair"}
    for content_type, kind in operation["responses"]["200"]["content"].items():
        if "format" in query:
            query["format"] = "json" if "json" in content_type else "csv"
        answer = requests.get(f"{served.url}{path.format(**chosen)}", params=query, timeout=30)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
        if "json" not in content_type:
            assert answer.text.partition("\n")[0].strip() == kind["example"].partition("\n")[0].strip()
            continue
        OAS31Validator(kind["schema"]).validate(answer.json())
        real, shown = (body[0] if isinstance(body, list) else body for body in (answer.json(), kind["example"]))
        assert list(shown) == list(real)


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_an_example_that_fits_its_schema(path: str, document: dict[str, Any]) -> None:
    for response in document["paths"][path]["get"]["responses"].values():
        for kind in response.get("content", {}).values():
            OAS31Validator(kind["schema"]).validate(kind["example"])
            assert kind["example"] not in ([], {}, *PLACEHOLDERS)
        for header in response.get("headers", {}).values():
            OAS31Validator(header["schema"]).validate(header["example"])


@pytest.mark.usefixtures("forecast_now")
@pytest.mark.parametrize(("address", "path"), [("/scorecard", "/scorecard"), ("/forecast/BTC-USD/minutes", AHEAD)])
def test_headers_of_a_forecast_are_documented(
    address: str, path: str, document: dict[str, Any], served: Served
) -> None:
    described = document["paths"][path]["get"]["responses"]["200"]["headers"].keys() - {"Crypto-Predict-Stale"}
    assert described == {"ETag", "Cache-Control", "Crypto-Predict-Simulated"}
    assert described <= requests.get(f"{served.url}{address}", timeout=30).headers.keys()


@pytest.mark.parametrize("name", ["candles", "minutes", "top-of-book"])
def test_headers_of_a_table_are_documented(name: str, document: dict[str, Any], served: Served) -> None:
    answer = requests.get(f"{served.url}/{name}/BTC-USD?source=simulated&limit=1", timeout=30)
    documented = document["paths"][f"/{name}/{{pair}}"]["get"]["responses"]["200"]["headers"].keys()
    general = {"Access-Control-", "Content-", "X-Content-Type-Options", "Date", "Server"}
    ours = {name for name in answer.headers if not any(name.startswith(start) for start in general)}
    assert {name.lower() for name in ours} == {name.lower() for name in documented}


@pytest.mark.usefixtures("forecast_now")
def test_the_running_server_conforms_to_the_document(served: Served, tmp_path: Path) -> None:
    """Except that an end before the start, or a series that is not collected, fits the document and is refused.

    The token is not known, so what is collected stays as it is.
    """
    only = [word for path in [*PATHS, "/pairs/{pair}"] for word in ("--include-path", path)]
    result = schemathesis(served, tmp_path, "--exclude-checks", "positive_data_acceptance", *only)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "No issues found" in result.stdout
    assert re.search(rf"Selected: {len(PATHS) + 2}/", result.stdout), result.stdout
