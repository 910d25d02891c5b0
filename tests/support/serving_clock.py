"""Run the server as a process with a fast clock.

``python -m tests.support.serving_clock --start 2024-05-17T12:00:00+00:00 --at EPOCH --speed 600 ...`` is `api.py` with
the clock of `clocks.read_clock`.
"""

from __future__ import annotations

import os
import sys

import api
from tests.support.clocks import read_clock

if __name__ == "__main__":
    clock, arguments = read_clock()
    sys.exit(api.main(arguments, os.environ, clock))
