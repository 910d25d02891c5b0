"""The metrics for Prometheus: requests and their durations, the model, the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import prometheus_client as prometheus
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from crypto_predict.baked.schema import Model
from crypto_predict.web.operations.freshness import newest_price

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0)  # seconds
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Metrics:
    """The metrics of one application, in a separate registry."""

    def __init__(self, model: Model) -> None:
        registry, card = prometheus.CollectorRegistry(), model.card
        self._registry = registry
        labels = ("route", "method", "status")
        self._requests = Counter("crypto_predict_requests", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "crypto_predict_request_duration_seconds",
            "Time from a request's arrival at the application to its answer.",
            ("route",),
            buckets=BUCKETS,
            registry=registry,
        )
        # Finding a series by its labels takes longer than counting.
        self._meters: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        prometheus.Info("crypto_predict_model", "The model that answers.", registry=registry).info(
            {"version": card.version, "build": card.build, "simulated": str(card.simulated).lower()}
        )
        trained = "When the model was trained, since the Unix epoch."
        newest = "The newest price that the forecasts start from, of several the oldest, since the Unix epoch."
        for name, meaning, instant in (
            ("crypto_predict_model_trained_timestamp_seconds", trained, card.trained_at),
            ("crypto_predict_model_newest_price_timestamp_seconds", newest, newest_price(model)),
        ):
            prometheus.Gauge(name, meaning, registry=registry).set(instant.timestamp())
        for collector in (prometheus.ProcessCollector, prometheus.PlatformCollector, prometheus.GCCollector):
            collector(registry=registry)

    def count(self, route: str, method: str, status: str, seconds: float) -> None:
        """Record one request. Unknown methods share one series: clients choose them, and each series costs memory."""
        key = (route, method if method in METHODS else "other", status)
        meters = self._meters.get(key)
        if meters is None:
            meters = self._meters[key] = (self._requests.labels(*key), self._seconds.labels(route))
        requests, duration = meters
        requests.inc()
        duration.observe(seconds)

    def add_total(self, name: str, meaning: str, value: Callable[[], int]) -> None:
        """Expose an external counter, read by a function, as ``<name>_total``."""
        self._registry.register(_Total(name, meaning, value))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True)
class _Total:
    """An external counter as a Prometheus collector."""

    name: str
    meaning: str
    value: Callable[[], int]

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self.name, self.meaning, value=self.value())
