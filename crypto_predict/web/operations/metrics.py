"""What Prometheus is told: requests, their time, the model, the process. One registry for each application."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from crypto_predict.baked.schema import Model
from crypto_predict.web.operations.freshness import newest_price

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0)  # seconds
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Metrics:
    """The meters of one application."""

    def __init__(self, model: Model) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "crypto_predict_requests",
            "Requests answered.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "crypto_predict_request_duration_seconds",
            "Time from a request's arrival at the application to its answer.",
            ("route",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        # Looking a series up by its labels costs more than counting does.
        self._meters: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._describe(model)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def _describe(self, model: Model) -> None:
        card = model.card
        Info("crypto_predict_model", "The model that answers.", registry=self._registry).info(
            {"version": card.version, "build": card.build, "simulated": str(card.simulated).lower()}
        )
        Gauge(
            "crypto_predict_model_trained_timestamp_seconds",
            "When the model was trained, since the Unix epoch.",
            registry=self._registry,
        ).set(card.trained_at.timestamp())
        Gauge(
            "crypto_predict_model_newest_price_timestamp_seconds",
            "The newest price that the forecasts start from, of several the oldest, since the Unix epoch.",
            registry=self._registry,
        ).set(newest_price(model).timestamp())

    def count(self, route: str, method: str, status: str, seconds: float) -> None:
        """Record one request. A stranger's method is not given a series of its own."""
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
        """Everything measured so far, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Total:
    """A counter that is kept elsewhere."""

    def __init__(self, name: str, meaning: str, value: Callable[[], int]) -> None:
        self._name = name
        self._meaning = meaning
        self._value = value

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the metrics (the interface of a Prometheus collector)."""
        yield CounterMetricFamily(self._name, self._meaning, value=self._value())
