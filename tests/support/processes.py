"""Run a command as a process and measure it."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.support.serving import ROOT, surroundings


@dataclass(frozen=True)
class Finished:
    """The result of a process."""

    code: int
    output: str
    errors: str
    peak: int  # bytes of resident memory


def run_measured(command: Sequence[str | bytes], environ: Mapping[str, str | bytes], seconds: float = 100) -> Finished:
    """Run a command in the project's folder with a minimal environment and `environ`; kill it after `seconds`."""
    program = [sys.executable, "-c", _MEASURE, str(seconds), *command]
    done = subprocess.run(program, env=surroundings(environ), cwd=ROOT, capture_output=True, check=False)
    errors, _, peak = done.stderr.decode("utf-8", "replace").rpartition("peak ")
    return Finished(done.returncode, done.stdout.decode(), errors, int(peak))


# A process in between, as RUSAGE_CHILDREN covers all children of a process: this one has one child.
_MEASURE = """
import resource, subprocess, sys
try:
    code = subprocess.run(sys.argv[2:], timeout=float(sys.argv[1]), stdin=subprocess.DEVNULL).returncode
except subprocess.TimeoutExpired:
    code = 124
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
sys.stderr.write(f"peak {peak if sys.platform == 'darwin' else peak * 1024}")
sys.exit(code)
"""
