"""Run a command as a process and measure it, or ask it and kill it."""

import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.support.serving import ROOT, running, surroundings


@dataclass(frozen=True)
class Finished:
    """The result of a process."""

    code: int
    output: str
    errors: str
    peak: int = 0  # bytes of resident memory


def run_measured(command: Sequence[str | bytes], environ: Mapping[str, str | bytes]) -> Finished:
    """Run a command in the project's folder with a minimal environment and `environ`; kill it after 100 s."""
    program = [sys.executable, "-c", _MEASURE, *command]
    done = subprocess.run(program, env=surroundings(environ), cwd=ROOT, capture_output=True, check=False)
    errors, _, peak = done.stderr.decode("utf-8", "replace").rpartition("peak ")
    return Finished(done.returncode, done.stdout.decode(), errors, int(peak))


# A process in between, as RUSAGE_CHILDREN covers all children of a process: this one has one child.
_MEASURE = """
import resource, subprocess, sys
try:
    code = subprocess.run(sys.argv[1:], timeout=100, stdin=subprocess.DEVNULL).returncode
except subprocess.TimeoutExpired:
    code = 124
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
sys.stderr.write(f"peak {peak if sys.platform == 'darwin' else peak * 1024}")
sys.exit(code)
"""


def peak() -> int:
    """Return the peak resident memory of this process, in bytes."""
    if sys.platform == "linux":  # where ru_maxrss includes the parent process before exec
        match = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
        assert match
        return int(match[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def child(code: str, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run code in a process of its own, with arguments and pipes, in a context."""
    return running("-c", code, *arguments, stdin=subprocess.PIPE)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
