"""A live system of three processes on one fast clock: trainer, server and collector, started again after each kill."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from crypto_predict.market import Candle, Interval, Pair, Span, aggregate
from crypto_predict.market.clock import Clock
from tests.support.clocks import program_at
from tests.support.replay.motion import MINUTE, Motion
from tests.support.serving import start

STOP_SECONDS = 60


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
        minutes = [
            candle for each in openings for candle in super(LongMotion, self).truth(pair, Span(each, each + MINUTE))
        ]
        return next(aggregate(minutes, interval), None)


class Part:
    """One process of the system, whose clock agrees with `clock`. Its output goes to a file."""

    def __init__(
        self, program: str, clock: Clock, log: Path, options: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        self._program, self._clock, self._log = program, clock, log
        self._options, self._environ = list(options), dict(environ)
        self._process = self._started()
        self.kills = 0

    def kill(self) -> None:
        """Kill the process and start it again, as a service manager does."""
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self.kills += 1
        self._process = self._started()

    def stop(self) -> int:
        """Ask the process to end; return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()

    def has_ended(self) -> bool:
        """Return whether the process has ended by itself."""
        return self._process.poll() is not None

    def text(self) -> str:
        """Return what it has logged so far."""
        return self._log.read_text()

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

    def __enter__(self) -> Visitor:
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


@contextmanager
def stopped(*parts: Part) -> Iterator[None]:
    """Stop what still runs at the end."""
    try:
        yield
    finally:
        for part in parts:
            if not part.has_ended():
                part.stop()
