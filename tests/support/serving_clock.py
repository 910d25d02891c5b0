"""Run the server as a process with a fast clock.

``python -m tests.support.serving_clock --start 2024-05-17T12:00:00+00:00 --at EPOCH --speed 600 ...`` is `api.py` with
a clock that showed `--start` when this machine's showed `--at`, in seconds since 1970.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import datetime, timedelta

import api
from crypto_predict.market.clock import Clock


def main() -> int:
    """Serve with the clock that the arguments describe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--start", type=datetime.fromisoformat)
    parser.add_argument("--at", type=float)
    parser.add_argument("--speed", type=float)
    given, others = parser.parse_known_args()
    passed = timedelta(seconds=(time.time() - given.at) * given.speed)
    return api.main(others, os.environ, Clock(given.start + passed, given.speed))


if __name__ == "__main__":
    sys.exit(main())
