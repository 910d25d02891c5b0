import json
from datetime import UTC, datetime

import pytest

from tests.support.applications import client
from tests.support.models import TRAINED_AT, make_forecast, make_model


class Watched:
    """An application, and what it wrote about its requests."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.client = client(make_model(), log=self.log.append)

    def lines(self) -> list[dict[str, object]]:
        """The lines it logged."""
        return [json.loads(line) for line in self.log]

    def metric(self, series: str) -> float:
        """Return the value of a series as Prometheus reads it; 0 if it does not exist."""
        text = self.client.get("/metrics").get_data(as_text=True)
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{series} ")), 0.0)


@pytest.mark.parametrize(
    ("method", "path", "query", "status", "sent"),
    [
        ("GET", "/bitcoin", "date=2024-06-01", 200, True),
        ("HEAD", "/bitcoin", "date=2024-06-01", 200, False),
        ("GET", "/forecast/BTC-USD", "", 200, True),
        ("GET", "/nowhere", "", 404, True),
        ("POST", "/bitcoin", "", 405, True),
    ],
)
def test_each_request_is_one_line(method: str, path: str, query: str, status: int, sent: bool) -> None:
    watched = Watched()
    answer = watched.client.open(f"{path}?{query}", method=method)
    (line,) = watched.lines()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(str(line.pop("time")))).total_seconds() < 60
    assert float(str(line.pop("ms"))) >= 0
    assert line == {
        "level": "info",
        "event": "request",
        "method": method,
        "path": path,
        "query": query,
        "status": status,
        "bytes": len(answer.data) if sent else 0,
    }


def test_requests_cannot_break_or_flood_the_log() -> None:
    """Clients choose path, query and method: they are escaped and cut."""
    watched = Watched()
    forged = '%0a{"event": "forged"}%22'
    watched.client.open(f"/{forged}{'x' * 10_000}?{'y' * 10_000}", method="Z" * 1_000)
    (line,) = watched.lines()
    assert str(line["path"]).startswith('/\n{"event": "forged"}"')
    assert len(watched.log[0]) < 1_000


@pytest.mark.parametrize(
    ("query", "logged"),
    [
        ("token=hunter2", "token=***"),
        ("date=2024-06-01&api_KEY=hunter2&model=prophet", "date=2024-06-01&api_KEY=***&model=prophet"),
        ("to%6ben=hunter2;%61uthorization=Bearer+hunter2", "to%6ben=***;%61uthorization=***"),
        ("PassWord=hunter2=&x=hunter", "PassWord=***&x=hunter"),
        ("date=2024-06-01T12%3A00Z", "date=2024-06-01T12%3A00Z"),
        (f"{'x' * 60}=1&secret={'hunter2' * 9}", f"{'x' * 60}=1&secret=***"),
        ("token", "token"),
    ],
)
def test_a_secret_in_a_query_is_not_logged(query: str, logged: str) -> None:
    """Clients send tokens there by mistake."""
    watched = Watched()
    watched.client.get("/pairs", query_string=query)
    (line,) = watched.lines()
    assert line["query"] == logged


def test_requests_are_counted_by_route_method_and_status() -> None:
    """By the template of the route: clients choose paths, and each series costs memory."""
    watched = Watched()
    forecasts = ("/forecast/BTC-USD", "/forecast/XYZ-USD")
    for path in ("/bitcoin?date=2024-06-01", "/bitcoin?date=2024-06-02", "/bitcoin?x", *forecasts, "/a", "/b"):
        watched.client.get(path)
    watched.client.open("/bitcoin", method="BREW")
    name = "crypto_predict_requests_total"
    assert watched.metric(f'{name}{{method="GET",route="/bitcoin",status="200"}}') == 2
    assert watched.metric(f'{name}{{method="GET",route="/bitcoin",status="400"}}') == 1
    assert watched.metric(f'{name}{{method="GET",route="/forecast/{{pair}}",status="200"}}') == 1
    assert watched.metric(f'{name}{{method="GET",route="/forecast/{{pair}}",status="404"}}') == 1
    assert watched.metric(f'{name}{{method="GET",route="unmatched",status="404"}}') == 2
    assert watched.metric(f'{name}{{method="other",route="unmatched",status="405"}}') == 1
    assert watched.metric('crypto_predict_request_duration_seconds_count{route="/bitcoin"}') == 3


def test_the_model_and_the_process_are_among_the_metrics() -> None:
    """Alerts on the age of the model, and of its newest price, need no second source."""
    watched, of_model = Watched(), "crypto_predict_model"
    assert watched.metric(f'{of_model}_info{{build="0.3.1-20240518121047",simulated="false",version="0.3.1"}}') == 1
    assert watched.metric(f"{of_model}_trained_timestamp_seconds") == TRAINED_AT.timestamp()
    assert watched.metric(f"{of_model}_newest_price_timestamp_seconds") == make_forecast().anchor.at.timestamp()
    assert watched.metric("process_resident_memory_bytes") > 0


def test_two_applications_count_apart() -> None:
    """Applications in one process do not share metrics."""
    watched, other = Watched(), Watched()
    watched.client.get("/pairs")
    assert other.metric('crypto_predict_requests_total{method="GET",route="/pairs",status="200"}') == 0
