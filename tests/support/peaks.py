"""The memory that a process has taken."""

import re
import resource
import sys
from pathlib import Path


def peak() -> int:
    """The most memory that this process had so far, in bytes."""
    if sys.platform == "linux":  # where ru_maxrss begins with what the parent process had
        found = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
        assert found
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
