"""Return the memory of sent answers to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

LARGE_BYTES = 131_072  # the initial threshold of glibc

_M_MMAP_THRESHOLD = -3  # of malloc.h


def give_back_large_blocks() -> None:
    """Fix the size from which glibc maps blocks directly, so that freeing them returns their memory to the system.

    By default glibc raises this threshold when a mapped block is freed. Later blocks then come from its arenas, which
    thousands of unread answers would fragment. Other C libraries do not raise it.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # musl does not have mallopt
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
