"""The register of outages: whatever goes wrong with an exchange or a collector is one event in it, with its cause.

Some twenty minutes of the market by default, at 60 times the speed; ``HOURS=24`` lives through a day.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from crypto_predict.market import Interval, Pair, Span
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import StreamState
from crypto_predict.market.register import Cause, RegisteredOutage
from crypto_predict.store import open_reader, open_writer
from tests.support.live import binance_of, collecting_apart, states, until
from tests.support.replay import streams
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, SECOND, Motion, Traits
from tests.support.replay.server import ReplayServer, refused

HOURS = float(os.environ.get("HOURS", "0"))
SPEED = 60.0
START = datetime(2024, 5, 17, 12, 0, 20, tzinfo=UTC)
BEGIN = Interval.MINUTE_1.ceil(START - 30 * MINUTE)
EVER = Span(BEGIN, START + timedelta(days=10))
PAIRS = tuple(Pair(base, "USDT") for base in ("BTC", "ETH", "SOL"))
NAMED = ("--pair", ",".join(map(str, PAIRS)))
APART = 3 * MINUTE  # from one fault to the next: nothing of both is in the same minute
EARLY = 60 * SECOND  # a stream may have been silent for 45 s, and a process not have stored the last 15 s
STALLED = re.compile("nothing was received|not answer a ping|no data")  # what this machine does if it is busy


@dataclass
class Fault:
    """What went wrong, and what the register is to have of it."""

    name: str
    causes: tuple[Cause, ...]
    start: datetime
    end: datetime = field(default=START)  # when everything went on


class Market:
    """An exchange that fails, and a collector of it, a process that is killed."""

    def __init__(self, database: str, chance: Random, stack: ExitStack) -> None:
        self.motion = Motion(Clock(START, SPEED), PAIRS, 0, BEGIN, Traits(quiet=0.1, holes=0.02))
        self.faults: list[Fault] = []
        self._database, self._chance = database, chance
        self._exchange = BinanceInMotion(self.motion)
        self._server = stack.enter_context(ReplayServer(self._exchange))
        self._collector = stack.enter_context(ExitStack())
        self.kinds: Mapping[str, tuple[Callable[[], None], tuple[Cause, ...]]] = {
            "dropped": (self._drop, (Cause.CONNECTION,)),
            "outage": (self._outage, (Cause.EXCHANGE,)),
            "killed": (self._kill, (Cause.COLLECTOR,)),
            "half open": (self._silence, (Cause.CONNECTION,)),
            "killed in an outage": (self._kill_in_an_outage, (Cause.EXCHANGE, Cause.COLLECTOR)),
            "refused": (self._refuse, (Cause.EXCHANGE,)),
            "REST": (self._rest, ()),
        }

    def begin(self) -> None:
        """Start the collector, and wait until it is connected for a while."""
        open_writer(self._database).close()
        self._start()
        self._connected(BEGIN)

    def fail(self, kind: str) -> None:
        """Let something go wrong, and wait until everything has gone on for a while."""
        act, causes = self.kinds[kind]
        fault = Fault(kind, causes, self.motion.now())
        self.faults.append(fault)
        act()
        fault.end = self._connected(fault.start) if causes else self.motion.now()

    def _connected(self, after: datetime) -> datetime:
        """Wait until the stream has been connected anew for some minutes; return when that began."""
        starts: list[datetime] = []

        def is_long() -> bool:
            known = states(self._database, "binance", PAIRS[0], Span(after, EVER.end))
            if not known or known[-1].state is not StreamState.CONNECTED:
                return False
            span = known[-1].span
            starts.append(span.start)
            return span.start >= after - EARLY and span.end - span.start > APART

        until(is_long, "the stream is connected again")
        return starts[-1]

    def _start(self) -> None:
        self._collector.enter_context(
            collecting_apart(self._database, self.motion.clock, binance_of(self._server), *NAMED)
        )

    def wait(self, length: timedelta) -> None:
        """Let some time of the market pass."""
        end = self.motion.now() + length
        until(lambda: self.motion.now() >= end)

    def _drop(self) -> None:
        self._exchange.streams.apply(streams.drop)

    def _silence(self) -> None:
        self._exchange.streams.apply(streams.silence)

    def _outage(self) -> None:
        now = self.motion.now()
        self.motion.outage(Span(now, now + self._chance.uniform(60, 300) * SECOND), trading=self._chance.random() < 0.5)
        until(lambda: not self.motion.is_down())

    def _kill(self) -> None:
        self._collector.close()
        self.wait(self._chance.uniform(60, 300) * SECOND)
        self._start()

    def _kill_in_an_outage(self) -> None:
        now = self.motion.now()
        self.motion.outage(Span(now, now + 12 * MINUTE))
        self.wait(2 * MINUTE)
        self._kill()
        until(lambda: not self.motion.is_down())

    def _refuse(self) -> None:
        times = self._chance.randint(2, 4)
        self._server.inject(refused(503, "not now"), times, when=lambda request: request.path == "/stream")
        self._exchange.streams.apply(streams.drop)

    def _rest(self) -> None:
        fault = refused(502, "no")
        self._server.inject(fault, self._chance.randint(1, 6), when=lambda request: request.path != "/stream")
        self.wait(MINUTE)


@pytest.mark.timeout(400 + 2 * HOURS * 60)
@pytest.mark.long
def test_every_fault_is_one_outage_with_its_cause_and_nothing_else_is_one(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Quiet minutes, minutes that the exchange does not have and refusals of REST are not outages."""
    database, chance = str(tmp_path / "market.db"), Random(28)
    with ExitStack() as stack:
        market = Market(database, chance, stack)
        market.begin()
        for kind in market.kinds:
            market.fail(kind)
        while market.motion.now() < START + timedelta(hours=HOURS):
            market.wait(chance.uniform(60, 600) * SECOND)
            market.fail(chance.choice(list(market.kinds)))
        market.wait(3 * MINUTE)
    outages = registered(database, market.motion)
    matched = [[outage for outage in outages if _is_of(outage, fault)] for fault in market.faults]
    wrong, stalls = list[tuple[Fault, list[RegisteredOutage]]](), 0
    for fault, own in zip(market.faults, matched, strict=True):
        surplus = Counter(outage.cause for outage in own)
        surplus.subtract(fault.causes)
        stalled = surplus.pop(Cause.CONNECTION, 0)  # while it was connected again
        stalls += max(stalled, 0)
        if stalled < 0 or any(surplus.values()) or not all(outage.pairs == PAIRS and outage.is_over for outage in own):
            wrong.append((fault, own))
    others = [outage for outage in outages if not any(outage in own for own in matched)]
    counts = [f"{name}: {count}" for name, count in sorted(Counter(fault.name for fault in market.faults).items())]
    facts = f"{len(market.faults)} faults, {len(outages)} outages, {len(others) + stalls} of this machine alone"
    record_property("faults", "; ".join([facts, *counts]))
    assert not wrong, facts
    assert not [outage for outage in others if not STALLED.search(outage.reason)], others


def registered(database: str, motion: Motion) -> list[RegisteredOutage]:
    with open_reader(database) as reader:
        return list(reader.outages(EVER, 10_000, motion.now()))


def _is_of(outage: RegisteredOutage, fault: Fault) -> bool:
    return fault.start - EARLY <= outage.span.start and outage.span.end <= fault.end + SECOND
