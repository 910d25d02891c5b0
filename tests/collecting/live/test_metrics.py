"""The figures of a running collector over HTTP: metrics, health, and the dashboard and the alerts that use them."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from crypto_predict.collecting.live import metrics
from crypto_predict.collecting.live.collector import AWAY
from crypto_predict.collecting.live.streams.stream import LAGGING
from crypto_predict.market import Span
from crypto_predict.market.clock import Clock
from tests.support.applications import client
from tests.support.collecting import collecting as collecting_process
from tests.support.databases import new_database, new_postgresql, stopped_server
from tests.support.live import until
from tests.support.live_markets import BEGIN, CALM, SPEED, START, collecting, market
from tests.support.models import make_model
from tests.support.replay.motion import MINUTE, Motion
from tests.support.serving import ROOT
from tests.support.yaml_files import read_yaml

OF_BTC = {"source": "binance", "pair": "BTC/USDT", "interval": "1m"}
OF_STREAM = {"source": "binance"}
DASHBOARD = ROOT / "deploy" / "grafana" / "collector.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
API = ROOT / "api.py"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_in(text: str) -> Samples:
    """Return every value of an answer of `/metrics`, by name and labels."""
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value for each in families for sample in each.samples
    }


class Scraped(NamedTuple):
    """A collector whose figures are served, and its market."""

    address: str
    motion: Motion

    def get(self, path: str) -> requests.Response:
        """Send a request."""
        return requests.get(f"{self.address}{path}", timeout=10)

    def samples(self) -> Samples:
        """Return every value of a scrape, by name and labels."""
        return samples_in(self.get("/metrics").text)

    def value(self, name: str, **labels: str) -> float | None:
        """Return one value; None if it is absent."""
        return self.samples().get((f"{metrics.PREFIX}{name}", frozenset(labels.items())))


@contextmanager
def scraped(database: str, speed: float = SPEED, begin: datetime = BEGIN) -> Iterator[Scraped]:
    with (
        market(Clock(START, speed), begin=begin) as result,
        collecting(database, result) as collector,
        metrics.serving(collector.figures, "127.0.0.1", 0) as address,
    ):
        assert address is not None
        yield Scraped(address, result.motion)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """One collector for all tests that do not disturb it."""
    with scraped(new_database("sqlite", tmp_path_factory.mktemp("calm")), CALM, START - timedelta(hours=25)) as result:
        until(lambda: result.value("candles_total", **OF_BTC, by="stream"), "a candle of the stream is stored")
        until(lambda: result.value("compared_total", **OF_BTC), "it is compared")
        until(lambda: result.value("forecasts_total", **OF_BTC), "it has a forecast")
        yield result


def test_each_pair_its_forecasts_and_its_stream_have_their_figures(calm: Scraped) -> None:
    on_time = {0, 60, 120}
    until(lambda: calm.value("lag_seconds", **OF_BTC) in on_time, "it is not late")
    until(lambda: calm.value("stream_connected", **OF_STREAM) == 1, "the stream is connected")
    until(lambda: calm.value("ready") == 1, "it is ready")
    for path in ("/livez", "/readyz"):
        answer = calm.get(path)
        assert (answer.json(), answer.headers["Cache-Control"]) == ({"status": "ok", "reasons": []}, "no-store")
    assert (calm.value("candles_total", **OF_BTC, by="rest") or 0) >= 20
    for name in ("mismatched_total", "rejected_rows_total", "gaps"):
        assert calm.value(name, **OF_BTC) == 0
    for name in ("database_away_seconds", "dropped_total"):
        assert calm.value(name) == 0
    assert calm.value("waiting", source="binance", pair="BTC/USDT") is not None
    assert calm.value("stream_pairs", **OF_STREAM) == 2
    assert calm.value("forecast_lag_seconds", **OF_BTC) in on_time
    assert (calm.value("forecast_fits_total", **OF_BTC) or 0) >= 1
    assert calm.value("forecast_rebuilds_total", **OF_BTC) is not None
    for name in ("forecast_step_seconds", "forecast_fit_seconds_total"):
        assert (calm.value(name) or 0) > 0


def test_the_number_of_time_series_grows_with_the_pairs_alone(calm: Scraped) -> None:
    """Labels are sources, pairs and intervals that are followed, and how a candle came."""
    samples = [(name, labels) for name, labels in calm.samples() if name.startswith(metrics.PREFIX)]
    assert {name for _, labels in samples for name, _ in labels} == {"source", "pair", "interval", "by"}
    of_pairs = [labels for _, labels in samples if ("pair", "BTC/USDT") in labels]
    assert len(of_pairs) == len([labels for _, labels in samples if ("pair", "ETH/USDT") in labels]) < 15


def test_other_paths_and_methods_are_refused(calm: Scraped) -> None:
    assert calm.get("/").status_code == 404
    assert requests.post(f"{calm.address}/livez", timeout=10).status_code == 501
    head = requests.head(f"{calm.address}/livez", timeout=10)
    assert (head.status_code, head.content) == (200, b"")


def test_clients_that_send_nothing_do_not_keep_others_waiting(calm: Scraped) -> None:
    host, port = calm.address.removeprefix("http://").split(":")
    with ExitStack() as idle:
        for _ in range(50):
            idle.enter_context(socket.create_connection((host, int(port))))
        assert calm.get("/livez").status_code == 200


def names_in(expressions: list[str]) -> set[str]:
    """Return the names of the metrics in expressions of PromQL."""
    return {name for text in expressions for name in re.findall(r"\b(?:crypto_predict|process)_[a-z_]+", text)}


def expressions_of_dashboard() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    queries = [entry["query"]["query"] for entry in dashboard["templating"]["list"] if entry["type"] == "query"]
    return [*queries, *(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()))]


def rules() -> list[dict[str, Any]]:
    return [rule for group in read_yaml(str(ALERTS.relative_to(ROOT)))["groups"] for rule in group["rules"]]


def samples_of_a_server() -> Samples:
    """Return the samples of a server that has answered a request, with those that `api.py` adds."""
    process = client(make_model())
    process.get("/bitcoin")
    text = process.get("/metrics").get_data(as_text=True)
    dropped = re.findall(r'"(crypto_predict_[a-z_]+_dropped)"', API.read_text(encoding="utf-8"))
    return {**samples_in(text), **{(f"{name}_total", frozenset()): 0.0 for name in dropped}}


def test_dashboard_and_alerts_use_metrics_and_labels_that_a_running_collector_and_a_server_have(calm: Scraped) -> None:
    """A renamed metric would leave a panel empty, and an alert silent."""
    samples = {*calm.samples(), *samples_of_a_server()}
    for expressions in (expressions_of_dashboard(), [rule["expr"] for rule in rules()]):
        used = names_in(expressions)
        assert len(used) >= 8
        assert used - {name for name, _ in samples} == set()
    texts = [*expressions_of_dashboard(), *(rule["expr"] for rule in rules())]
    texts += [text for rule in rules() for text in rule["annotations"].values()]
    used = {name for text in texts for name in re.findall(r"[{,]([a-z]+)(?:=|!~)", text)}
    used |= {name for text in texts for name in re.findall(r"\$labels\.([a-z]+)", text)}
    used |= {name for text in texts for result in re.findall(r"by \(([a-z, ]+)\)", text) for name in result.split(", ")}
    labels = {name for _, result in samples for name, _ in result}
    assert {"source", "instance"} <= used <= labels | {"instance", "job"}


def test_every_panel_of_the_dashboard_has_its_own_place() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


PROMTOOL = shutil.which("promtool") or ""
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
STREAM, SERIES = 'instance="a",source="binance"', 'instance="a",source="binance",pair="BTC/USDT",interval="1m"'
# Each metric with its labels and values, one a minute, and the alerts that are active after 30 minutes.
CASES: dict[str, tuple[dict[str, str], set[str]]] = {
    "everything is well": (
        {
            'up{job="collector",instance="a"}': "1x60",
            'crypto_predict_collector_ready{instance="a"}': "1x60",
            f"crypto_predict_collector_lag_seconds{{{SERIES}}}": "0x60",
            f"crypto_predict_collector_stream_lag_seconds{{{STREAM}}}": "0x60",
            f"crypto_predict_collector_forecast_lag_seconds{{{SERIES}}}": "0x60",
            f'crypto_predict_collector_candles_total{{{SERIES},by="stream"}}': "0+1x60",
            f"crypto_predict_collector_compared_total{{{SERIES}}}": "0+1x60",
            f"crypto_predict_collector_mismatched_total{{{SERIES}}}": "7x60",
            f"crypto_predict_collector_rejected_rows_total{{{SERIES}}}": "3x60",
            f"crypto_predict_collector_reconnects_total{{{STREAM}}}": "1x60",
            'crypto_predict_collector_database_away_seconds{instance="a"}': "0x60",
            'crypto_predict_collector_dropped_total{instance="a"}': "0x60",
        },
        set(),
    ),
    "the collector is down": ({'up{job="collector",instance="a"}': "0x60"}, {"CollectorDown"}),
    "it is not ready": ({'crypto_predict_collector_ready{instance="a"}': "0x60"}, {"CollectorNotReady"}),
    "nothing comes": (
        {
            f"crypto_predict_collector_lag_seconds{{{SERIES}}}": "1200+60x60",
            f"crypto_predict_collector_forecast_lag_seconds{{{SERIES}}}": "1200+60x60",
            f"crypto_predict_collector_stream_lag_seconds{{{STREAM}}}": "1200+60x60",
            f'crypto_predict_collector_candles_total{{{SERIES},by="stream"}}': "5x60",
        },
        {"PairLagging", "StreamLagging", "NoCandles"},
    ),
    "the stream differs and is refused": (
        {
            f"crypto_predict_collector_compared_total{{{SERIES}}}": "0+10x60",
            f"crypto_predict_collector_mismatched_total{{{SERIES}}}": "0+1x60",
            f"crypto_predict_collector_rejected_rows_total{{{SERIES}}}": "0+1x60",
            f"crypto_predict_collector_reconnects_total{{{STREAM}}}": "0+1x60",
        },
        {"StreamDiffersFromRest", "QuarantineGrowing", "StreamUnstable"},
    ),
    "candles come without forecasts": (
        {
            f"crypto_predict_collector_lag_seconds{{{SERIES}}}": "0x60",
            f"crypto_predict_collector_forecast_lag_seconds{{{SERIES}}}": "3000+60x60",
        },
        {"ForecastsLagging"},
    ),
    "the server is well": (
        {
            'up{job="api",instance="a"}': "1x60",
            'crypto_predict_model_trained_timestamp_seconds{instance="a"}': "0x60",
            'crypto_predict_model_newest_price_timestamp_seconds{instance="a"}': "0x60",
            'crypto_predict_models_refused_total{instance="a"}': "3x60",
            'crypto_predict_requests_total{instance="a",route="/bitcoin",status="200"}': "0+100x60",
            'crypto_predict_requests_total{instance="a",route="/fresh",status="503"}': "0+50x60",
            'crypto_predict_request_duration_seconds_bucket{instance="a",le="0.1"}': "0+100x60",
            'crypto_predict_request_duration_seconds_bucket{instance="a",le="+Inf"}': "0+101x60",
            'crypto_predict_connections_dropped_total{instance="a"}': "0+1x60",
        },
        set(),
    ),
    "the server is down": ({'up{job="api",instance="a"}': "0x60"}, {"ServerDown"}),
    "its model is old": (
        {'crypto_predict_model_trained_timestamp_seconds{instance="a"}': "-50000x60"},
        {"TrainingsFail"},
    ),
    "its prices are old": (
        {'crypto_predict_model_newest_price_timestamp_seconds{instance="a"}': "-90000x60"},
        {"ForecastStale"},
    ),
    "it refuses a model, fails, is slow and busy": (
        {
            'crypto_predict_models_refused_total{instance="a"}': "0+1x60",
            'crypto_predict_requests_total{instance="a",route="/bitcoin",status="200"}': "0+90x60",
            'crypto_predict_requests_total{instance="a",route="/candles/{pair}",status="503"}': "0+10x60",
            'crypto_predict_request_duration_seconds_bucket{instance="a",le="0.5"}': "0+90x60",
            'crypto_predict_request_duration_seconds_bucket{instance="a",le="5.0"}': "0+100x60",
            'crypto_predict_request_duration_seconds_bucket{instance="a",le="+Inf"}': "0+100x60",
            'crypto_predict_connections_dropped_total{instance="a"}': "0+60x60",
        },
        {"ModelRefused", "ServerErrors", "ServerSlow", "ConnectionsDropped"},
    ),
    "the database is away": (
        {
            'crypto_predict_collector_database_away_seconds{instance="a"}': "0+60x60",
            'crypto_predict_collector_dropped_total{instance="a"}': "0+100x60",
        },
        {"DatabaseAway", "RowsDropped"},
    ),
}


@needs_promtool
@pytest.mark.parametrize("case", CASES)
def test_each_alert_comes_when_its_trouble_lasts_and_no_other_one(case: str, tmp_path: Path) -> None:
    given, expected = CASES[case]
    series = [{"series": name, "values": values} for name, values in given.items()]
    result = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"}) > 0',
        "eval_time": "30m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)],
    }
    test = {"rule_files": [str(ALERTS)], "evaluation_interval": "15s"}
    path = tmp_path / "test.yml"
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": [result]}]
    path.write_text(json.dumps({**test, "tests": tests}))  # JSON is YAML
    done = subprocess.run([PROMTOOL, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do() -> None:
    """Whoever is woken by one needs a next step, which is in the guide. Each has a case above."""
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}
    names = [rule["alert"] for rule in rules()]
    guide = (ROOT / "docs" / "self-hosting.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([A-Z][a-z]\w+)` \|", guide, re.MULTILINE) == names
    assert {name for _, expected in CASES.values() for name in expected} == set(names)


@needs_promtool
def test_promtool_accepts_the_configuration() -> None:
    config = str(ALERTS.with_name("prometheus.yml"))  # names the rules
    done = subprocess.run([PROMTOOL, "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_its_exchange_it_is_live_but_not_ready(tmp_path: Path) -> None:
    """Starting it again would not help, so it stays live."""
    with scraped(new_database("sqlite", tmp_path)) as result:
        until(lambda: result.get("/readyz").status_code == 200, "it is ready")
        now = result.motion.now()
        result.motion.outage(Span(now, now + timedelta(seconds=LAGGING) + 5 * MINUTE), trading=True)
        late = r'\["binance: the newest candle is \d+ s behind; its stream is exchange down since 2024-[^"]*"\]'
        until(lambda: re.search(late, result.get("/readyz").text), "the lag is over its bound")
        assert result.get("/readyz").status_code == 503
        assert result.get("/livez").status_code == 200
        assert result.value("stream_exchange_down", **OF_STREAM) == 1
        until(lambda: result.get("/readyz").status_code == 200, "it is ready again")


def test_without_its_database_it_answers_at_once_and_says_for_how_long() -> None:
    """A scrape asks no database."""
    with scraped(new_postgresql()) as result:
        until(lambda: result.get("/readyz").status_code == 200, "it is ready")
        with stopped_server():
            until(lambda: (result.value("database_away_seconds") or 0) > AWAY, "the database is away for long enough")
            assert (result.value("waiting", source="binance", pair="BTC/USDT") or 0) > 0
            answer = result.get("/readyz")
            assert answer.status_code == 503
            assert "the database has been away for " in answer.json()["reasons"][0]
            assert result.get("/livez").status_code == 200
        until(lambda: result.value("database_away_seconds") == 0, "the database is back")
        until(lambda: result.get("/readyz").status_code == 200, "it is ready again")


def test_a_collector_that_does_not_run_is_neither_live_nor_ready() -> None:
    with metrics.serving(lambda: None, "127.0.0.1", 0) as address:
        for path in ("/livez", "/readyz"):
            answer = requests.get(f"{address}{path}", timeout=10)
            assert answer.status_code == 503
            assert "does not answer" in answer.json()["reasons"][0]
        assert "crypto_predict_collector_ready 0.0" in requests.get(f"{address}/metrics", timeout=10).text


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_an_address_that_cannot_be_used_ends_the_command_with_1(host: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = ("--source", "simulated", "--metrics-host", host, "--metrics-port", port)
        with collecting_process(new_database("sqlite", tmp_path), *options) as process:
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"collect.py: error: cannot serve metrics at {host} port {port}: " in errors.splitlines()[-1]
    assert "Traceback" not in errors
