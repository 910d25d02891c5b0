"""Python processes that a test starts, asks and kills."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from tests.support.serving import ROOT


@contextlib.contextmanager
def child(code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run code in a process of its own, with arguments and pipes; kill it at the end if it still runs."""
    command = [sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
