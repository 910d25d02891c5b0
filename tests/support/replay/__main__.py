"""Serve an exchange in motion as a process of its own, so that a collector can be measured alone.

``python -m tests.support.replay tests.support.replay.binance:BinanceInMotion --pairs 200 --speed 1`` prints one line of
JSON with the address and the time of its clock, and serves until its standard input ends. A test with the same pairs,
seed, begin and shares knows the truth of that market.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pkgutil import resolve_name

from crypto_predict.market import Pair
from crypto_predict.market.clock import Clock
from tests.support.replay.motion import Motion, Traits, numbered_pairs
from tests.support.replay.server import ReplayServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.replay", description=__doc__)
    parser.add_argument("exchange", help="MODULE:CLASS, which is called with a Motion")
    parser.add_argument("--pairs", default="5", help="a number, or BTC/USDT,ETH/USDT")
    parser.add_argument("--speed", type=float, default=1.0, help="seconds of the market in a second")
    parser.add_argument("--start", type=datetime.fromisoformat, help="the time of its clock at the start")
    parser.add_argument("--begin", type=datetime.fromisoformat, help="the first minute of the market")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quiet", type=float, default=0.05, help="the share of minutes without trades")
    parser.add_argument("--holes", type=float, default=0.0, help="the share of minutes that it does not have")
    given = parser.parse_args()
    start = given.start or (None if given.speed == 1 else datetime.now(UTC))
    clock = Clock(start, given.speed)
    pairs = numbered_pairs(int(given.pairs)) if given.pairs.isdigit() else list(map(Pair.parse, given.pairs.split(",")))
    motion = Motion(clock, pairs, given.seed, given.begin, Traits(given.quiet, given.holes))
    with ReplayServer(resolve_name(given.exchange)(motion)) as server:
        print(json.dumps({"url": server.url, "now": clock.now().isoformat()}), flush=True)  # noqa: T201 for its parent
        sys.stdin.read()


if __name__ == "__main__":
    main()
