"""An interrupted `make test` leaves no process behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.live import until
from tests.support.serving import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")

# Each worker starts a process that has detached itself and ignores SIGTERM, like a server that hangs, and waits for it.
SLOW = """
import subprocess, sys, time

DETACHED = '''
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.setsid()
if os.fork() == 0:
    open(f"{sys.argv[1]}/detached-{os.getpid()}", "w").close()
    time.sleep(600)
'''

def test_slow_one(): run()
def test_slow_two(): run()

def run():
    subprocess.run([sys.executable, "-c", DETACHED, FOLDER], check=True)
    subprocess.run(["sleep", "600"])
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A small run of pytest with two workers, below the reaper, in a session of its own."""
    (tmp_path / "test_slow.py").write_text(f"FOLDER = {str(tmp_path)!r}\n{SLOW}")
    words = ["-m", "pytest", "-c", os.devnull, "-p", "xdist", "-n", "2", str(tmp_path / "test_slow.py")]
    command = [sys.executable, "-m", "tests.support.reaper", sys.executable, *words]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # they take a second of each process
    with subprocess.Popen(command, cwd=ROOT, env=environ, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_after_an_interruption(
    number: signal.Signals, running: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    """Also what has left its session, and what does not end by itself. Ctrl-C is sent to the whole group."""
    until(lambda: len(list(tmp_path.glob("detached-*"))) == 2)
    detached = [psutil.Process(int(path.name.rpartition("-")[2])) for path in tmp_path.glob("detached-*")]
    started = [*psutil.Process(running.pid).children(recursive=True), *detached]
    assert len(started) >= 6
    os.killpg(running.pid, number)
    assert running.wait(60) == 128 + number
    assert [process for process in started if process.is_running()] == []


def test_the_exit_code_is_that_of_the_command() -> None:
    command = [sys.executable, "-m", "tests.support.reaper", sys.executable, "-c", "raise SystemExit(5)"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 5
