"""What pages are made of in browser tests: models and databases of the same time, and a server at that time."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import api
from crypto_predict import logs
from crypto_predict.baked import store
from crypto_predict.forecasting.record import Record
from crypto_predict.http_server.connections import Site
from crypto_predict.http_server.server import Server, listen
from crypto_predict.market import DAY, Candle, Interval, Pair, SeriesKey, Span, aggregate
from crypto_predict.market.collected import ForecastStep, StreamSpan, StreamState
from crypto_predict.market.forecast import MINUTES_AHEAD, MinuteForecast
from crypto_predict.store import WritableDatabase, open_writer
from crypto_predict.web.app import BODIES, Service, create_app
from crypto_predict.web.operations.startup import announce
from tests.support.histories import history_of, make_candle
from tests.support.minutes import KEEP, MINUTE, scores
from tests.support.models import BTC, ETH, TRAINED_AT, make_model, with_hindcasts, with_models
from tests.support.processes import forked_training
from tests.support.serving import ROOT, Served, running

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

NOW = TRAINED_AT.replace(hour=13, minute=0, second=10)  # ten seconds after a close
RELEASED = [TRAINED_AT - timedelta(days=days) for days in (40, 20)]  # before
RIVALS = ("garch", "mine")  # models beside ours and Prophet
TOKEN = "correct-horse-battery-staple"  # of whoever may add a pair
HOURS = 3  # of minutes in a database
HISTORY = 120  # days in a database
REAL = ROOT.parent / "shared" / "data" / "binance_BTC-USDT_1d.csv"
SPREAD = (-1.7, -1.3, -0.7, 0.0, 0.7, 1.3, 1.7)  # of the quantiles of a forecast

_DOWN, _APART = 40, 55  # minutes before the last one, since when the exchange and the connection failed
_FAILED = 5  # minutes, each


def train(folder: Path, *arguments: str, released: Iterable[datetime] = ()) -> Path:
    """Train a model at `TRAINED_AT` as ``train.py`` does, after releases at earlier instants (UTC); return its path.

    Its ledger is beside it. The backtest has few cutoffs.
    """
    model, ledger = folder / "model.pkl", folder / "model.ledger.jsonl"
    quick = ("--every", "60", "--no-gate", "--output", str(model), *arguments)
    for instant in [*released, TRAINED_AT]:
        before = ("--ledger", str(ledger)) if ledger.exists() else ()
        environ = {"SOURCE_DATE_EPOCH": str(int(instant.timestamp()))}
        done = forked_training(*quick, *before, "--until", f"{instant - DAY:%Y-%m-%d}", environ=environ)
        assert done.code == 0, done.errors
    return model


def published(folder: Path) -> Path:
    """Save a hand-made model of simulated prices, and its ledger: it has releases before, whose outcomes are known.

    It has several models, and what they forecast in the past. Unlike that of `train`, it takes no time, and has no
    backtest.
    """
    record, pairs = Record(), (BTC, ETH)
    model = with_hindcasts(with_models(make_model(*pairs, simulated=True), *RIVALS), *RIVALS, every=7)
    for instant in RELEASED:
        before = make_model(*pairs, trained_at=instant, last=(instant - DAY).date(), simulated=True)
        record.release(before.card, before.forecasts)
    for pair, forecast in model.forecasts.items():
        days = [datetime.combine(forecast.first, time(), UTC) + n * DAY for n in range(len(forecast.closes))]
        candles = [make_candle(day, close) for day, close in zip(days, forecast.closes, strict=True) if close]
        record.settle([history_of(candles, pair, simulated=True)])
    record.release(model.card, model.forecasts)
    (folder / "model.ledger.jsonl").write_bytes(b"".join(record.ledger.content()))
    store.save(replace(model, scorecard=record.scorecard()), folder / "model.pkl")
    return folder / "model.pkl"


class At:
    """A server whose time is set: `now` in its file, which every request reads."""

    def __init__(self, served: Served, file: Path) -> None:
        self.url = served.url
        self._file = file

    @property
    def now(self) -> datetime:
        """The server's time (UTC)."""
        return datetime.fromisoformat(self._file.read_text())

    def move_to(self, now: datetime) -> None:
        """Set the server's time (UTC)."""
        written = self._file.with_suffix(".new")
        written.write_text(now.isoformat())
        written.replace(self._file)


@contextmanager
def serving_at(now: datetime, model: Path, database: Path | None = None, **environ: str) -> Iterator[At]:
    """Run a server of a model, and of a database if one is given, whose time is `now` (UTC) until it is moved."""
    file = model.with_name(f"{model.stem}.now")
    file.write_text(now.isoformat())
    options = ["--database", str(database)] if database else []
    command = ("-m", "tests.support.pages", str(file), "--model", str(model), "--host", "127.0.0.1", "--port", "0")
    with running(*command, *options, environ=environ) as process:
        yield At(Served(process), file)


def main(file: Path, arguments: list[str]) -> None:
    """Serve as `api.py` does, with the time of a file."""
    settings, _ = api.read_settings(arguments, os.environ)
    lines = logs.Lines(sys.stdout.fileno())
    logs.configure("info", lines.write)
    model = store.load(settings.model)
    access = api.database_access(settings.database, os.environ) if settings.database else None
    draining = threading.Event()
    service = Service(model, settings, lambda: datetime.fromisoformat(file.read_text()), draining, access)
    application = create_app(service, None)

    def dated(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer with the time of the file: a page compares it with the reader's clock."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, ("Date", format_datetime(service.clock(), usegmt=True))], *error)

        return application(environ, start)

    server = Server(Site(dated, bodies=BODIES), listen(settings.host, settings.port), settings.threads, draining)
    announce(service.editions.facts, service.editions.example, server.addresses, service.clock(), settings.stale_after)
    server.run()
    lines.close(1)


def price(minute: int) -> float:
    """Return the price at the end of a minute, counted from 1970."""
    return round(60_000 + 900 * math.sin(minute / 97) + 60 * math.sin(minute / 5), 2)


def candle(opening: datetime) -> Candle:
    """Return the candle that opens at an instant. Every seventh has no trades."""
    minute = int(opening.timestamp()) // 60
    first, last = price(minute - 1), price(minute)
    high, low = max(first, last) + 3.5, min(first, last) - 2.5
    return Candle(opening, first, high, low, last, 0.0 if minute % 7 == 0 else 1 + minute % 5)


def forecast(cutoff: datetime) -> MinuteForecast:
    """Return the forecast made at a close."""
    last = price(int(cutoff.timestamp()) // 60 - 1)
    widths = [last * 0.0005 * math.sqrt(horizon) for horizon in range(1, MINUTES_AHEAD + 1)]
    quantiles = tuple(tuple(last + width * share for share in SPREAD) for width in widths)
    return MinuteForecast(cutoff, last, tuple(last for _ in widths), quantiles)


class Growing:
    """A database with minutes and forecasts of some pairs from one source, as a collector leaves it.

    `grow` adds the next minute. Days are there, too, and minutes without trades, without connection, and while the
    exchange was down.
    """

    def __init__(self, writer: WritableDatabase, end: datetime, source: str, pairs: Sequence[Pair]) -> None:
        """Write everything up to the close at `end` (UTC)."""
        self._writer = writer
        self._all = [SeriesKey(source, pair, Interval.MINUTE_1) for pair in pairs]
        self.end = end
        start = end - HOURS * 60 * MINUTE
        missing = [Span(end - first * MINUTE, end - (first - _FAILED) * MINUTE) for first in (_APART, _DOWN)]
        openings = [start + n * MINUTE for n in range(HOURS * 60)]
        for series in self._all:
            writer.follow(series, simulated=source == "simulated")
            kept = [candle(opening) for opening in openings if not any(opening in span for span in missing)]
            writer.write(series, kept, Span(start, end))
            days = replace(series, interval=Interval.DAY_1)
            writer.follow(days, simulated=source == "simulated")
            today = Interval.DAY_1.floor(end)
            first = today - HISTORY * DAY
            hours = [first + n * timedelta(hours=1) for n in range(HISTORY * 24)]
            daily = [candle(hour)._replace(volume=1.0) for hour in hours]
            writer.write(days, list(aggregate(daily, Interval.DAY_1)), Span(first, today))
        states = [
            StreamSpan(Span(start, end), StreamState.CONNECTED, ""),
            StreamSpan(missing[0], StreamState.DISCONNECTED, "no message for 45 s"),
            StreamSpan(missing[1], StreamState.EXCHANGE_DOWN, "503: maintenance"),
        ]
        for state in states:
            writer.write_streams(source, pairs, state)
        cutoffs = [opening + MINUTE for opening in openings[-60:]]
        steps = [_step(cutoff) for cutoff in cutoffs]
        writer.write_forecasts(dict.fromkeys(self._all, steps), KEEP)

    def grow(self) -> Candle:
        """Add the next minute of each pair, and the forecast at its close; return the candle, which all have."""
        added = candle(self.end)
        self.end += MINUTE
        connected = StreamSpan(Span(added.open_time, self.end), StreamState.CONNECTED, "")
        self._writer.write_closed({series: [added] for series in self._all})
        self._writer.write_streams(self._all[0].source, [series.pair for series in self._all], connected)
        self._writer.write_forecasts({series: [_step(self.end)] for series in self._all}, KEEP)
        return added


def write_minutes(database: Path, days: Mapping[Pair, int]) -> None:
    """Fill a new SQLite database with nothing but minutes of so many whole days of each pair before `NOW`.

    Of each six hours the first minute alone has trades, which is all that their days need.
    """
    end = Interval.DAY_1.floor(NOW)
    with open_writer(str(database)) as writer:
        for pair, count in days.items():
            series = SeriesKey("simulated", pair, Interval.MINUTE_1)
            writer.follow(series, simulated=True)
            span = Span(end - count * DAY, end)
            openings = [span.start + n * timedelta(hours=6) for n in range(count * 4)]
            writer.write(series, [candle(opening) for opening in openings], span)


def _step(cutoff: datetime) -> ForecastStep:
    return ForecastStep(forecast(cutoff), cutoff, tuple(scores(horizon) for horizon in (1, 5, 15)))


@contextmanager
def growing(database: Path, source: str = "simulated", pairs: Sequence[Pair] = (BTC, ETH)) -> Iterator[Growing]:
    """Fill a new SQLite database up to the newest close before `NOW`, and keep it open for more."""
    with open_writer(str(database)) as writer:
        yield Growing(writer, Interval.MINUTE_1.floor(NOW), source, pairs)


@contextmanager
def collecting_site(folder: Path, **environ: str) -> Iterator[tuple[Growing, At]]:
    """Run a server of the model of `published` beside a database that grows, at `NOW`."""
    database = folder / "market.db"
    with growing(database) as growth, serving_at(NOW, published(folder), database, **environ) as server:
        yield growth, server


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
