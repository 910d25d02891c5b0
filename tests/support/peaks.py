"""Peak memory of this process."""

import re
import resource
import sys
from pathlib import Path


def peak() -> int:
    """Return the peak resident memory of this process, in bytes."""
    if sys.platform == "linux":  # where ru_maxrss includes the parent process before exec
        match = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
        assert match
        return int(match[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
