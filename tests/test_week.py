"""A live system by one command, for days: trainer, server and collector beside an exchange that fails, on one clock.

Three hours by default, at 600 times the speed: a training then takes hours of the market. ``DAYS=7`` lives
through a week, which takes 17 minutes.
"""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.baked.ledger import Content, Ledger, Outcome, Place, Release
from crypto_predict.errors import DatabaseError
from crypto_predict.market import DAY, Candle, Interval, Pair, Span, aggregate
from crypto_predict.market.clock import Clock
from crypto_predict.store import open_reader
from tests.support.clocks import program_at
from tests.support.engine import free_port
from tests.support.live import binance_of, minutes_of, stored, until
from tests.support.replay import streams
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, SECOND, Motion, Traits
from tests.support.replay.server import Asked, ReplayServer, altered, refused
from tests.support.serving import start

SPEED = 600.0
LENGTH = float(os.environ.get("DAYS") or 0.15) * DAY
IS_LONG = LENGTH > DAY
EVERY = timedelta(hours=6 if IS_LONG else 1)  # from one training to the next
START = datetime(2024, 5, 17, 4, 50, tzinfo=UTC)
BEGIN = START - 400 * DAY
BTC, ETH, SOL = (Pair(base, "USDT") for base in ("BTC", "ETH", "SOL"))
FORECAST = {Pair(base, "USD") for base in ("BTC", "ETH", "SOL")}  # as the pairs are named to the system
TOKEN = "correct horse battery staple"
SLACK = 60 * SECOND * SPEED  # a training takes seconds, which at this speed are hours
ADDRESSES = ("/bitcoin?date=2024-06-01", "/forecast/BTC-USD", "/forecast/ETH-USD", "/version", "/", "/page/ETH-USD/")


STOP_SECONDS = 180


class LongMotion(Motion):
    """A market whose hours and days before `sampled_before` are made of one minute an hour, so that years are cheap."""

    def __init__(self, *arguments: Any, sampled_before: datetime, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sampled_before = sampled_before
        self._whole: dict[tuple[Pair, Interval, datetime], Candle | None] = {}

    def candles(self, pair: Pair, interval: Interval, span: Span, *, with_open: bool = False) -> list[Candle]:
        """Return the candles that open in `span` as REST has them now: those that have closed, and the open one."""
        if interval.length < timedelta(hours=1):
            return super().candles(pair, interval, span, with_open=with_open)
        candles, opening, now = [], interval.ceil(max(span.start, self.begin)), self.now()
        while opening < span.end and opening <= now:
            candles += self._candle_of(pair, interval, opening, now, with_open=with_open)
            opening += interval.length
        return candles

    def _candle_of(
        self, pair: Pair, interval: Interval, opening: datetime, now: datetime, *, with_open: bool
    ) -> list[Candle]:
        key, close = (pair, interval, opening), opening + interval.length
        if key not in self._whole:
            if close > self._sampled_before:
                candles = super().candles(pair, interval, Span(opening, close), with_open=with_open)
                if close + MINUTE > now or not candles:
                    return candles
                self._whole[key] = candles[0]
            else:
                self._whole[key] = self._sampled(pair, interval, opening)
        candle = self._whole[key]
        return [] if candle is None else [candle]

    def _sampled(self, pair: Pair, interval: Interval, opening: datetime) -> Candle | None:
        hours = interval.length // timedelta(hours=1)
        last = opening + interval.length - MINUTE
        openings = sorted({opening, *(opening + number * timedelta(hours=1) for number in range(hours)), last})
        minutes = [candle for each in openings for candle in self.truth(pair, Span(each, each + MINUTE))]
        return next(aggregate(minutes, interval), None)


class Part:
    """One process of the system, whose clock agrees with `clock`. Its output goes to a file."""

    def __init__(
        self, program: str, clock: Clock, log: Path, options: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        self._program, self._clock, self._log = program, clock, log
        self._options, self._environ = list(options), dict(environ)
        self._process = self._started()

    def kill(self) -> None:
        """Kill the process and start it again, as a service manager does."""
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._process = self._started()

    def stop(self) -> int:
        """Ask the process to end; return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()

    def _started(self) -> subprocess.Popen[str]:
        program = program_at(self._clock, self._program)
        with self._log.open("ab") as log:
            return start(self._options, self._environ, program=program, stdout=log, stderr=log)


class Visitor:
    """A context in which one client asks the same addresses over and over, on a connection that it keeps open."""

    def __init__(self, port: int, paths: Sequence[str], pause: float) -> None:
        self.answers = 0
        self.slowest = 0.0  # seconds
        self.faults: list[tuple[float, str]] = []  # when, on the monotonic clock, and what
        self.bodies: dict[tuple[str, str], set[str]] = {}  # digests of the bodies, by path and entity tag
        self._port, self._paths, self._pause = port, paths, pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._visit, name="visitor")

    def __enter__(self) -> "Visitor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(STOP_SECONDS)

    def mixed(self) -> list[tuple[str, str]]:
        """Return the addresses and entity tags that had more than one body."""
        return [key for key, digests in self.bodies.items() if len(digests) > 1]

    def _visit(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stopped.wait(self._pause):
            for path in self._paths:
                began = time.monotonic()
                try:
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    body = answer.read()
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    self.faults.append((began, f"{path}: {error!r}"))
                    continue
                self.answers += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                if answer.status != 200:
                    self.faults.append((began, f"{path}: {answer.status} {body.decode()[:200]}"))
                elif tag := answer.headers["ETag"]:
                    self.bodies.setdefault((path, tag), set()).add(hashlib.sha256(body).hexdigest())
        connection.close()


def ask(port: int, path: str, **options: Any) -> tuple[int, Any]:
    """Return the status and the JSON of one answer; 0 and None if the server does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(options.pop("method", "GET"), path, **options)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()


def in_another_unit(rows: list[list[Any]]) -> list[list[Any]]:
    """Multiply the prices of the newest days by 100, which the gate refuses."""
    return [
        *rows[:-3],
        *([row[0], *(f"{float(price) * 100:.2f}" for price in row[1:5]), *row[5:]] for row in rows[-3:]),
    ]


class Releases:
    """What a ledger has."""

    def __init__(self, path: Path) -> None:
        self.pairs: dict[datetime, set[Pair]] = {}  # by the time of the training
        self.outcomes = 0
        Ledger.read(path, visit=self._visit)

    def _visit(self, content: Content, _: Place) -> None:
        if isinstance(content, Release):
            self.pairs.setdefault(content.made_at, set()).add(content.pair)
        elif isinstance(content, Outcome):
            self.outcomes += 1


class Week:
    """The faults of a week, in order, and what a watcher sees meanwhile."""

    def __init__(
        self, motion: LongMotion, exchange: BinanceInMotion, server: ReplayServer, parts: Mapping[str, Part], port: int
    ) -> None:
        self.oldest = timedelta(0)  # the greatest age of the served model
        self.trained: set[datetime] = set()  # the training times that were served
        self.failures: set[str] = set()  # the reasons that the server gave for failed trainings
        self.restarts: list[tuple[float, float]] = []  # of the server, from its kill until it is ready again
        self._motion, self._exchange, self._server = motion, exchange, server
        self._parts, self._port = parts, port

    def live(self) -> None:
        """Let everything happen once: at shares of the length."""
        plan: list[tuple[float, Callable[[], object]]] = [
            (0.05, self._add_a_pair),
            (0.15, self._parts["trainer"].kill),
            (0.20, self._parts["collector"].kill),
            (0.25, partial(self._outage, 0.6 * EVERY)),
            (0.35, self._kill_server),
            (0.40, partial(self._server.inject, refused(429, "slowly", retry_after="1"), 20)),
            (0.45, partial(self._refuse, EVERY)),
            (0.60, partial(self._exchange.streams.apply, streams.drop)),
            (0.65, partial(self._outage, 0.9 * EVERY)),
            (0.75, self._parts["trainer"].kill),
            (0.78, self._kill_server),
            (0.80, self._parts["collector"].kill),
        ]
        for share, happens in plan:
            self._watch(START + share * LENGTH)
            happens()
        self._watch(START + LENGTH)

    def is_restarting(self, at: float) -> bool:
        """Return whether the server was being restarted at an instant of the monotonic clock."""
        return any(began - 0.5 <= at <= ended for began, ended in self.restarts)

    def _watch(self, end: datetime) -> None:
        while self._motion.now() < end:
            status, ages = ask(self._port, "/fresh")
            if status == 200:
                self.oldest = max(self.oldest, timedelta(seconds=ages["age_seconds"]))
                if (training := ages["training"]) and training["reason"]:
                    self.failures.add(training["reason"])
            elif status == 503:
                self.oldest = timedelta.max
            _, version = ask(self._port, "/version")
            if version is not None:
                self.trained.add(datetime.fromisoformat(version["trained_at"]))
            time.sleep(0.1)

    def _add_a_pair(self) -> None:
        body = json.dumps({"pair": "SOL/USD"})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        status, answer = ask(self._port, "/pairs", method="POST", body=body, headers=headers)
        assert status in {200, 201}, answer

    def _kill_server(self) -> None:
        began = time.monotonic()
        self._parts["api"].kill()
        until(lambda: ask(self._port, "/readyz")[0] == 200, "the server is ready again")
        self.restarts.append((began, time.monotonic()))

    def _outage(self, length: timedelta) -> None:
        """Let the exchange be away, though it goes on trading."""
        now = self._motion.now()
        self._motion.outage(Span(now, now + length), trading=True)

    def _refuse(self, length: timedelta) -> None:
        """Let the exchange send daily candles that the gate refuses."""

        def is_daily(request: Asked | Any) -> bool:
            return str(request.query.get("interval")) == "1d"

        with self._server.failing(altered(in_another_unit), is_daily):
            self._watch(self._motion.now() + length)


@pytest.mark.timeout(300 + 2 * LENGTH.total_seconds() / SPEED)
@pytest.mark.long
def test_a_system_is_fresh_after_a_week_of_outages_refusals_and_kills(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Whoever comes back after a week finds a fresh forecast, a growing record and every collected pair in it."""
    motion = LongMotion(Clock(START, SPEED), [BTC, ETH, SOL], 0, BEGIN, Traits(), sampled_before=START - DAY)
    exchange = BinanceInMotion(motion)
    model, database, port = tmp_path / "model.pkl", str(tmp_path / "market.db"), free_port()
    with ExitStack() as stack:
        server = stack.enter_context(ReplayServer(exchange))
        environ = {**binance_of(server), "DATABASE_URL": database}

        def run(program: str, *options: str, **more: str) -> Part:
            started = Part(program, motion.clock, tmp_path / f"{program}.log", options, environ | more)
            stack.callback(started.stop)
            return started

        collector = run("collect", "--pair", "BTC/USD,ETH/USD", "--since", f"{START:%Y-%m-%d}")
        until(lambda: motion.now() > START + 2 * MINUTE and are_collected(database, {BTC, ETH}))
        short = ("--days", "365", "--every", "14")
        every = f"{int(EVERY.total_seconds())}s"
        trainer = run("train", "--repeat", every, "--output", str(model), *short, PAIR="collected")
        until(model.exists, "the first model is written")
        address = ("--host", "127.0.0.1", "--port", str(port))
        api = run("api", "--model", str(model), *address, ADMIN_TOKEN=TOKEN, STALE_AFTER="30d")
        until(lambda: ask(port, "/readyz")[0] == 200, "the server is ready")
        parts = {"collector": collector, "trainer": trainer, "api": api}
        week = Week(motion, exchange, server, parts, port)
        with Visitor(port, ADDRESSES, 0.02) as visitor:
            week.live()
        end = Interval.MINUTE_1.floor(motion.now()) - 5 * MINUTE
        for pair in (BTC, ETH):
            until(partial(is_whole, database, motion, pair, end), f"every minute of {pair} up to {end} is stored")
        is_forecast = partial(has_forecasts, port, motion.now() - (2 * EVERY if IS_LONG else timedelta(0)))
        until(is_forecast, "every collected pair has a new forecast", 120)
        codes = {name: part.stop() for name, part in parts.items()}
    released = Releases(tmp_path / "model.ledger.jsonl")
    facts = {
        "length": LENGTH,
        "trainings served": len(week.trained),
        "trainings in the record": len(released.pairs),
        "outcomes in the record": released.outcomes,
        "greatest age of the model": week.oldest,
        "answers": visitor.answers,
        "slowest answer": f"{visitor.slowest:.3f} s",
        "reasons of failed trainings": len(week.failures),
    }
    record_property("week", "; ".join(f"{name}: {fact}" for name, fact in facts.items()))
    assert not [fault for at, fault in visitor.faults if not week.is_restarting(at)]
    assert not visitor.mixed()
    assert visitor.answers > 100
    if IS_LONG:
        assert week.oldest <= 2 * EVERY + SLACK
    assert week.trained <= released.pairs.keys()
    assert released.pairs[max(released.pairs)] == FORECAST
    if IS_LONG:
        assert len(released.pairs) >= LENGTH / EVERY / 2
        assert week.failures
        assert released.outcomes >= LENGTH // DAY
    assert codes == dict.fromkeys(codes, 0)


def has_forecasts(port: int, since: datetime) -> bool:
    """Return whether every collected pair has a forecast of a training that began after an instant."""
    _, version = ask(port, "/version")
    answers = [ask(port, f"/forecast/{pair.slug}")[0] for pair in sorted(FORECAST, key=str)]
    return datetime.fromisoformat(version["trained_at"]) > since and set(answers) == {200}


def are_collected(database: str, pairs: set[Pair]) -> bool:
    """Return whether the database has these pairs, so that the first training finds them."""
    with suppress(DatabaseError), open_reader(database) as reader:
        return {series.series.pair for series in reader.collected()} >= pairs
    return False


def is_whole(database: str, motion: LongMotion, pair: Pair, end: datetime) -> bool:
    span = Span(Interval.DAY_1.floor(START), end)
    return stored(database, minutes_of("binance", pair), span) == motion.truth(pair, span)
