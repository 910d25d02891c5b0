"""Run a command, and leave nothing of it behind: no server, database, browser or container, however it ends.

    python -m tests.support.reaper COMMAND [WORD ...]

`make test` runs pytest with it. An interrupted pytest does not always tear fixtures down, and a process that has
detached itself, such as a database, is no descendant of it any more. On Linux this process adopts such orphans. A
first Ctrl-C or SIGTERM interrupts the command; when it has ended, or does not in time, all descendants are ended.
Containers are those whose name begins with `PREFIX` and the number of the run, `RUN` in the environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

import psutil

PREFIX, RUN = "crypto-predict-test-", "CRYPTO_PREDICT_TEST_RUN"
PATIENCE = 5.0  # seconds for an interrupted command to end by itself
ENDING = 3.0  # seconds for the other processes
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SUBREAPER, _PARENT_DEATH_SIGNAL = 36, 1  # of Linux' prctl


def name_of_run() -> str:
    """Return what the names of the containers and projects of this run begin with."""
    return PREFIX + os.environ.get(RUN, "")


def main(command: Sequence[str]) -> int:
    """Run the command, then end what it has left; return its exit code, or 128 and the signal."""
    _prctl(_SUBREAPER, 1)
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)

    for number in SIGNALS:
        signal.signal(number, interrupt)
    run = secrets.token_hex(3)
    # In a group of its own, so that Ctrl-C in a terminal reaches it once.
    child = subprocess.Popen(
        command,
        env={**os.environ, RUN: run},
        process_group=0,
        preexec_fn=lambda: _prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM),  # noqa: PLW1509 this process has one thread
    )
    try:
        until = float("inf")
        while child.poll() is None and time.monotonic() < until and len(received) < 2:
            if received and until == float("inf"):
                until = time.monotonic() + PATIENCE
                os.killpg(child.pid, signal.SIGINT)
            bury_orphans(child.pid)
            time.sleep(0.05)
    finally:
        end_descendants()
        if received:
            remove_containers(PREFIX + run)
    return 128 + received[0] if received else child.wait()


def bury_orphans(command: int) -> None:
    """Read the exit codes of the orphans that have ended: until then, a test that waits for one would see it.

    `command` is the process whose exit code is read elsewhere.
    """
    if sys.platform != "linux":  # nothing is adopted there
        return
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != command:
            os.waitpid(ended.si_pid, 0)


def end_descendants() -> None:
    """End every process below this one, also those that are started meanwhile."""
    begun = time.monotonic()
    while running := psutil.Process().children(recursive=True):
        for process in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate() if time.monotonic() - begun < ENDING else process.kill()
        psutil.wait_procs(running, 0.5)


def remove_containers(prefix: str) -> None:
    """Remove the containers of this run from the engine, if there is one."""
    if shutil.which("docker") is None:
        return
    for engine in {os.environ.get("DOCKER_HOST"), os.environ.get("MULTI_PLATFORM_ENGINE")} - {None}:
        environ = {**os.environ, "DOCKER_HOST": str(engine)}
        listing = ["docker", "ps", "--all", "--quiet", "--filter", f"name=^{prefix}"]
        result = subprocess.run(listing, env=environ, capture_output=True, text=True, timeout=60, check=False).stdout
        if identities := result.split():
            removal = ["docker", "rm", "--force", "--volumes", *identities]
            subprocess.run(removal, env=environ, capture_output=True, timeout=60, check=False)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
