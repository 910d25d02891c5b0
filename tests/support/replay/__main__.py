"""Serve Binance in motion as a process of its own, so that a collector can be measured alone.

``python -m tests.support.replay 200 2024-05-17T12:00:00+00:00`` prints the address of a market of so many pairs that
begins with this minute, and serves until its standard input ends. A test with the same pairs and begin knows the truth
of that market.
"""

import sys
from datetime import datetime

from crypto_predict.market.clock import Clock
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import Motion, numbered_pairs
from tests.support.replay.server import ReplayServer

if __name__ == "__main__":
    motion = Motion(Clock(), numbered_pairs(int(sys.argv[1])), begin=datetime.fromisoformat(sys.argv[2]))
    with ReplayServer(BinanceInMotion(motion)) as server:
        print(server.url, flush=True)  # noqa: T201 for its parent
        sys.stdin.read()
