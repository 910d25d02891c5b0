"""What a live collector measures of itself, over HTTP: ``/metrics`` for Prometheus, ``/livez`` and ``/readyz``.

A request asks the event loop of the collector and no database, so that the answer comes at once whatever is away.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from types import SimpleNamespace

import prometheus_client as prometheus
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from crypto_predict.errors import CryptoPredictError
from crypto_predict.logs import event

PREFIX = "crypto_predict_collector_"
IDLE = 5.0  # seconds after which a connection without a request is closed

# The meaning of each metric, by name. One that ends with ``_total`` never falls.
METRICS = {
    "database_away_seconds": "Time since the database could not be written for the first time; 0 while it can.",
    "dropped_total": "Candles and quotes dropped while too many waited for the database.",
    "shards": "Shards that are collected here: more than 1 if other collectors are gone.",
    "waiting": "Candles and quotes that are not stored yet.",
    "stream_connected": "Whether the stream is connected and delivers.",
    "stream_exchange_down": "Whether the exchange has answered that it is not available.",
    "stream_lag_seconds": "Time from the newest stored close of any pair to the newest close that can exist.",
    "stream_pairs": "Pairs that the stream is asked for.",
    "reconnects_total": "Connections after an interruption.",
    "ticks_late_total": "Ticks that came after their candle was saved.",
    "ticks_dropped_total": "Ticks with a price or time that no market has.",
    "lag_seconds": "Time from the newest stored close to the newest close that can exist.",
    "gaps": "Gaps that the database records.",
    "gap_candles": "Candles that are missing in these gaps.",
    "compared_total": "Candles of the stream that were compared with those of REST.",
    "mismatched_total": "Compared candles that differed.",
    "rejected_rows_total": "Rows that no market can have made, put into the quarantine.",
    "candles_total": "Candles stored, those of REST if they were new or changed.",
    "forecast_step_seconds": (
        "Time that the newest scores and minute forecasts of all pairs took, until they were stored."
    ),
    "forecast_fit_seconds_total": "Time that was spent on fits of the coefficients of the minute forecasts.",
    "forecast_lag_seconds": "Time from the cutoff of the newest minute forecast to the newest close that can exist.",
    "forecasts_total": "Minute forecasts that were stored.",
    "forecast_fits_total": "Fits of the coefficients of the minute forecasts.",
    "forecast_rebuilds_total": "States computed anew for candles that came late or were revised.",
    "hour_forecast_lag_seconds": "Time from the cutoff of the newest forecast of hours to the end of the newest hour.",
    "hour_forecasts_total": "Forecasts of hours that were stored.",
    "hour_forecast_seconds_total": "Time that was spent on forecasts of hours.",
}
LABELS = ("source", "pair", "interval", "by")  # a value has the first one, or more of them, or none

_log = logging.getLogger(__name__)

Values = Mapping[tuple[str, ...], Mapping[str, float | None]]  # by the labels, and by the metric; None: not known
# What a live collector measures of itself at one instant: why it is not ready, all reasons or none, and its values.
Figures = tuple[Sequence[str], Values]
Read = Callable[[], Figures | None]
_SILENT: Figures = (["the collector has not begun, has ended, or does not answer"], {})  # in place of None


@contextmanager
def serving(read: Read, host: str, port: int | None) -> Iterator[str | None]:
    """Serve the figures inside the context; return the address, with the port that the system chose for 0.

    Without a `port` nothing is served. Raise `CryptoPredictError` if the address does not exist or is taken.
    """
    if port is None:
        yield None
        return
    server = ThreadingHTTPServer((host, port), _handler(read), bind_and_activate=False)
    server.request_queue_size = 128
    try:
        TCPServer.server_bind(server)  # that of HTTP looks up the name of the host, which may take seconds
        server.server_activate()
    except (OSError, UnicodeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        # Numbers of failed look-ups of a name are negative.
        reason = os.strerror(number) if number and number > 0 else "the host does not exist"
        text = f"cannot serve metrics at {host} port {port}: {reason}; choose another --metrics-port"
        server.server_close()
        raise CryptoPredictError(text) from error
    address = f"http://{host}:{server.server_address[1]}"
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    event(_log, logging.INFO, "serving metrics", address=address)
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()


def _metrics(read: Read) -> Iterator[Metric]:
    """Yield every metric: one time series for each pair or stream that is followed."""
    faults, rows = read() or _SILENT
    yield GaugeMetricFamily(f"{PREFIX}ready", "Whether /readyz answers 200.", value=not faults)
    for name, meaning in METRICS.items():
        values = [(labels, value) for labels, row in rows.items() if (value := row.get(name)) is not None]
        if values:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(PREFIX + name, meaning, labels=LABELS[: len(values[0][0])])
            for labels, value in values:
                family.add_metric(labels, value)
            yield family


def _handler(read: Read) -> type[BaseHTTPRequestHandler]:
    registry = prometheus.CollectorRegistry()
    for collector in (prometheus.ProcessCollector, prometheus.PlatformCollector, prometheus.GCCollector):
        collector(registry=registry)
    own = SimpleNamespace(collect=partial(_metrics, read))

    def health(*, is_ready: bool) -> tuple[int, str, bytes]:
        figures = read() or _SILENT
        faults = list(figures[0]) if is_ready or figures is _SILENT else []
        status, text = (503, "unavailable") if faults else (200, "ok")
        return status, "application/json", json.dumps({"status": text, "reasons": faults}).encode() + b"\n"

    routes: dict[str, Callable[[], tuple[int, str, bytes]]] = {
        "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry) + generate_latest(own)),
        "/livez": lambda: health(is_ready=False),
        "/readyz": lambda: health(is_ready=True),
    }

    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE

        def do_GET(self) -> None:
            """Answer one request."""
            route = routes.get(self.path.partition("?")[0])
            if route is None:
                self.send_error(404, explain=f"this port has {', '.join(routes)}")
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

    return Handler
