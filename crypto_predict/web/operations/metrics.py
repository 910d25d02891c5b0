"""The metrics for Prometheus: requests and their durations, the model, the process."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import prometheus_client as prometheus
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from crypto_predict.web.model.freshness import Facts

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0)  # seconds
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


# What answers, when it was loaded in seconds since 1970, and since the start the files taken and refused.
ModelState = tuple[Facts, float, int, int]


class Metrics:
    """The metrics of one application, in a separate registry."""

    def __init__(self, state: Callable[[], ModelState]) -> None:
        self._registry = registry = prometheus.CollectorRegistry()
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
        registry.register(_Figures(lambda: _of_model(state())))
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
        self._registry.register(_Figures(lambda: [CounterMetricFamily(name, meaning, value=value())]))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True)
class _Figures:
    """Figures that are read when Prometheus asks."""

    collect: Callable[[], Iterable[Metric]]


def _of_model(state: ModelState) -> Iterator[Metric]:
    served, loaded_at, taken, refused = state
    of = "crypto_predict_model"
    facts = {"version": served.version, "build": served.build, "simulated": str(served.simulated).lower()}
    yield InfoMetricFamily(of, "The model that answers.", value=facts)
    newest = "The newest price that the forecasts start from, of several the oldest, since the Unix epoch."
    for name, meaning, seconds in (
        ("trained", "When the model was trained, since the Unix epoch.", served.trained_at.timestamp()),
        ("newest_price", newest, served.newest_price.timestamp()),
        ("loaded", "When the server took the model up, since the Unix epoch.", loaded_at),
    ):
        yield GaugeMetricFamily(f"{of}_{name}_timestamp_seconds", meaning, value=seconds)
    yield CounterMetricFamily(f"{of}s_taken", "New model files taken up without a restart.", value=taken)
    meaning = "Changed model files refused as damaged or missing, while the earlier model answers."
    yield CounterMetricFamily(f"{of}s_refused", meaning, value=refused)
