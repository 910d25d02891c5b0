"""Memory that goes back to the system when an answer has been sent."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

LARGE_BYTES = 131_072  # what glibc begins with

_M_MMAP_THRESHOLD = -3  # of malloc.h


def give_back_large_blocks() -> None:
    """Keep glibc from pooling large blocks for each thread, where thousands of unread answers leave holes for ever.

    Once a large block has been freed, glibc takes blocks of its size from pools, unless its threshold has been set.
    Other C libraries do not do that.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # musl has no such function
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
