"""The figures of a live collector over HTTP: ``/metrics`` for Prometheus, ``/livez`` and ``/readyz`` for containers.

A request asks the event loop of the collector and no database, so that the answer comes at once whatever is away.
"""

import json
import logging
import os
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import ClassVar

import prometheus_client as prometheus
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from crypto_predict.collecting.live.measurements import (
    Figures,
    ForecastFigures,
    SeriesFigures,
    SeriesForecasts,
    StreamFigures,
)
from crypto_predict.errors import CryptoPredictError
from crypto_predict.logs import event
from crypto_predict.market import SeriesKey
from crypto_predict.market.collected import StreamState

PREFIX = "crypto_predict_collector_"
IDLE = 5.0  # seconds after which a connection without a request is closed

Read = Callable[[], Figures | None]  # None: the collector has not begun, has ended, or does not answer

_log = logging.getLogger(__name__)


class CannotServeMetrics(CryptoPredictError):
    """The address of ``--metrics-host`` and ``--metrics-port`` cannot be used."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot serve metrics at {host} port {port}: {reason}; choose another --metrics-port")


@contextmanager
def serving(read: Read, host: str, port: int | None) -> Iterator[str | None]:
    """Serve the figures inside the context; return the address, with the port that the system chose for 0.

    Without a `port` nothing is served.

    Raises:
        CannotServeMetrics: The address does not exist or is taken.
    """
    if port is None:
        yield None
        return
    try:
        server = _Server((host, port), _handler(read))
    except (OSError, UnicodeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        # Numbers of failed look-ups of a name are negative.
        reason = os.strerror(number) if number and number > 0 else "the host does not exist"
        raise CannotServeMetrics(host, port, reason) from error
    address = f"http://{host}:{server.server_address[1]}"
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    event(_log, logging.INFO, "serving metrics", address=address)
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()


class Metrics:
    """The figures as a collector of Prometheus: one time series for each pair or stream that is followed."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        figures = self._read()
        ready = figures is not None and not figures.faults
        yield _gauge("ready", "Whether /readyz answers 200.", ready)
        if figures is not None:
            yield _gauge(
                "database_away_seconds",
                "Time since the database could not be written for the first time; 0 while it can.",
                figures.database_away,
            )
            yield _total("dropped", "Candles and quotes dropped while too many waited for the database.", figures)
            yield _waiting(figures)
            yield from _of_streams(figures)
            yield from _of_series(figures)
            if figures.forecasts is not None:
                yield from _of_forecasts(figures.forecasts)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, meaning, value=value)


def _total(name: str, meaning: str, figures: Figures) -> Metric:
    return CounterMetricFamily(PREFIX + name, meaning, value=figures.dropped)


def _waiting(figures: Figures) -> Metric:
    meaning = "Candles and quotes that are not stored yet."
    metric = GaugeMetricFamily(f"{PREFIX}waiting", meaning, labels=("source", "pair"))
    waiting = {
        (series_figures.stored.series.source, series_figures.stored.series.pair): 0 for series_figures in figures.series
    }
    for (source, pair), count in {**waiting, **figures.waiting}.items():
        metric.add_metric((source, str(pair)), count)
    return metric


_STREAM_GAUGES: dict[str, tuple[str, Callable[[StreamFigures], float | None]]] = {
    "stream_connected": (
        "Whether the stream is connected and delivers.",
        lambda figures: figures.state is StreamState.CONNECTED,
    ),
    "stream_exchange_down": (
        "Whether the exchange has answered that it is not available.",
        lambda figures: figures.state is StreamState.EXCHANGE_DOWN,
    ),
    "stream_lag_seconds": (
        "Time from the newest stored close of any pair to the newest close that can exist.",
        lambda figures: figures.lag,
    ),
    "stream_pairs": ("Pairs that the stream is asked for.", lambda figures: figures.pairs),
}
_STREAM_TOTALS: dict[str, tuple[str, Callable[[StreamFigures], float]]] = {
    "reconnects": ("Connections after an interruption.", lambda figures: figures.reconnects),
    "ticks_late": ("Ticks that came after their candle was saved.", lambda figures: figures.late_ticks),
    "ticks_dropped": ("Ticks with a price or time that no market has.", lambda figures: figures.dropped_ticks),
}
_SERIES_GAUGES: dict[str, tuple[str, Callable[[SeriesFigures], float | None]]] = {
    "lag_seconds": (
        "Time from the newest stored close to the newest close that can exist.",
        lambda figures: figures.lag,
    ),
    "gaps": ("Gaps that the database records.", lambda figures: figures.stored.gaps),
    "gap_candles": ("Candles that are missing in these gaps.", lambda figures: figures.stored.missing),
}
_SERIES_TOTALS: dict[str, tuple[str, Callable[[SeriesFigures], float]]] = {
    "compared": (
        "Candles of the stream that were compared with those of REST.",
        lambda figures: figures.stored.compared,
    ),
    "mismatched": ("Compared candles that differed.", lambda figures: figures.stored.mismatched),
    "rejected_rows": ("Rows that no market can have made, put into the quarantine.", lambda figures: figures.rejected),
}


def _of_streams(figures: Figures) -> Iterator[Metric]:
    for name, (meaning, read) in _STREAM_GAUGES.items():
        gauge = GaugeMetricFamily(PREFIX + name, meaning, labels=("source",))
        for stream in figures.streams:
            if (value := read(stream)) is not None:
                gauge.add_metric((stream.source,), value)
        yield gauge
    for name, (meaning, count) in _STREAM_TOTALS.items():
        total = CounterMetricFamily(PREFIX + name, meaning, labels=("source",))
        for stream in figures.streams:
            total.add_metric((stream.source,), count(stream))
        yield total


def _of_series(figures: Figures) -> Iterator[Metric]:
    labels = ("source", "pair", "interval")
    for name, (meaning, read) in _SERIES_GAUGES.items():
        gauge = GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
        for series_figures in figures.series:
            if (value := read(series_figures)) is not None:
                gauge.add_metric(_labels(series_figures), value)
        yield gauge
    for name, (meaning, count) in _SERIES_TOTALS.items():
        total = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
        for series_figures in figures.series:
            total.add_metric(_labels(series_figures), count(series_figures))
        yield total
    meaning = "Candles stored, those of REST if they were new or changed."
    stored = CounterMetricFamily(f"{PREFIX}candles", meaning, labels=(*labels, "by"))
    for series_figures in figures.series:
        stored.add_metric((*_labels(series_figures), "stream"), series_figures.streamed)
        stored.add_metric((*_labels(series_figures), "rest"), series_figures.fetched)
    yield stored


_FORECAST_TOTALS: dict[str, tuple[str, Callable[[SeriesForecasts], int]]] = {
    "forecasts": ("Minute forecasts that were stored.", lambda figures: figures.made),
    "forecast_fits": ("Fits of the coefficients of the minute forecasts.", lambda figures: figures.fits),
    "forecast_rebuilds": (
        "States computed anew for candles that came late or were revised.",
        lambda figures: figures.rebuilds,
    ),
}


def _of_forecasts(figures: ForecastFigures) -> Iterator[Metric]:
    yield _gauge(
        "forecast_step_seconds",
        "Time that the newest scores and minute forecasts of all pairs took, until they were stored.",
        figures.step_seconds,
    )
    meaning = "Time that was spent on fits of the coefficients of the minute forecasts."
    yield CounterMetricFamily(f"{PREFIX}forecast_fit_seconds", meaning, value=figures.fit_seconds)
    labels = ("source", "pair", "interval")
    meaning = "Time from the cutoff of the newest minute forecast to the newest close that can exist."
    gauge = GaugeMetricFamily(f"{PREFIX}forecast_lag_seconds", meaning, labels=labels)
    for series, series_forecasts in figures.series.items():
        if series_forecasts.lag is not None:
            gauge.add_metric(_names(series), series_forecasts.lag)
    yield gauge
    for name, (meaning, count) in _FORECAST_TOTALS.items():
        total = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
        for series, series_forecasts in figures.series.items():
            total.add_metric(_names(series), count(series_forecasts))
        yield total


def _labels(series_figures: SeriesFigures) -> tuple[str, str, str]:
    return _names(series_figures.stored.series)


def _names(series: SeriesKey) -> tuple[str, str, str]:
    return series.source, str(series.pair), series.interval.label


class _Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind, without looking up the name of the host, which may take seconds."""
        socketserver.TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    timeout = IDLE
    routes: ClassVar[dict[str, Callable[[], tuple[int, str, bytes]]]]

    def do_GET(self) -> None:
        """Answer one request."""
        route = self.routes.get(self.path.partition("?")[0])
        if route is None:
            self.send_error(404, explain=f"this port has {', '.join(self.routes)}")
            return
        status, kind, body = route()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 as above

    def log_message(self, *_: object) -> None:
        """Do not log requests: they come every few seconds."""


def _handler(read: Read) -> type[_Handler]:
    registry = prometheus.CollectorRegistry()
    for collector in (prometheus.ProcessCollector, prometheus.PlatformCollector, prometheus.GCCollector):
        collector(registry=registry)
    registry.register(Metrics(read))

    def live() -> tuple[int, str, bytes]:
        if read() is None:
            return _health(["the collector has not begun, has ended, or does not answer"])
        return _health([])

    def ready() -> tuple[int, str, bytes]:
        figures = read()
        return live() if figures is None else _health(figures.faults)

    class Handler(_Handler):
        routes: ClassVar = {
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/livez": live,
            "/readyz": ready,
        }

    return Handler


def _health(faults: list[str]) -> tuple[int, str, bytes]:
    status, text = (503, "unavailable") if faults else (200, "ok")
    return status, "application/json", json.dumps({"status": text, "reasons": faults}).encode() + b"\n"
