"""`make run`: one program that trains again and again, serves, and leaves nothing behind however it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from crypto_predict.baked import store
from tests.support.engine import free_port
from tests.support.live import until
from tests.support.models import make_model
from tests.support.serving import ROOT, surroundings

SECONDS = 180.0
QUICK = {"SOURCE": "simulated", "DAYS": "60", "EVERY": "60", "NO_GATE": "1"}


@dataclass
class Program:
    """The program in a folder of its own, in a session of its own, with its output in a file."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return (self.folder / "output").read_text()

    @property
    def build(self) -> str | None:
        """What the server says it serves; None without a server."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/version", timeout=10) as answer:
                return str(answer.read())
        except (urllib.error.URLError, ConnectionError):
            return None

    def children(self) -> dict[str, psutil.Process]:
        """The processes below this one by the name of their program, the trainings of the trainer as ``training``."""
        named = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                words = child.cmdline()
                name = next((Path(word).name for word in words if word.endswith(".py")), "")
                named["training" if name in named else name] = child
        return named

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(SECONDS)


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the program in a folder with links to the commands and the package; kill what is left at the end."""
    for name in ("train.py", "api.py", "crypto_predict"):
        (tmp_path / name).symlink_to(ROOT / name)
    started: list[Program] = []

    def run(repeat: str = "6h", source: str = "simulated", **environ: str) -> Program:
        port = free_port()
        words = ["--repeat", repeat, "--source", source, "--host", "127.0.0.1", "--port", str(port)]
        with (tmp_path / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "crypto_predict.launch.live", *words],
                cwd=tmp_path,
                env=surroundings(QUICK | environ),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Program(tmp_path, port, process))
        return started[-1]

    yield run
    for program in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(program.process.pid).children(recursive=True):
                child.kill()
        program.process.kill()
        program.process.wait(SECONDS)


def await_end(children: dict[str, psutil.Process]) -> None:
    """Wait until all processes have ended."""
    assert children
    _, alive = psutil.wait_procs(list(children.values()), SECONDS)
    assert alive == []


def test_it_trains_serves_and_ends_with_one_plain_line(start: Start) -> None:
    """Ctrl-C in a terminal ends both with 0, as it ended the server alone."""
    program = start()
    until(lambda: "Open " in program.output)
    assert program.build
    lines = program.output.splitlines()
    assert lines[-1] == f"Open http://127.0.0.1:{program.port}"
    assert len(lines) <= 25
    assert any(line.startswith("BTC/USD: 60 days of simulated") for line in lines)
    children = program.children()
    assert {"train.py", "api.py"} <= children.keys()
    os.killpg(program.process.pid, signal.SIGINT)
    assert program.wait() == 0
    await_end(children)


def test_an_existing_model_is_served_at_once_and_refreshed(start: Start, tmp_path: Path) -> None:
    """Who starts it again waits for nothing. The report of the training does not bury the address."""
    store.save(make_model(), tmp_path / "model.pkl")
    program = start()
    until(lambda: "Open " in program.output)
    until(lambda: "wrote model.pkl" in (tmp_path / "model.training.log").read_text())
    assert program.output.splitlines()[-1] == f"Open http://127.0.0.1:{program.port}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_it_ends_nothing_is_left(number: signal.Signals, start: Start, tmp_path: Path) -> None:
    """A closed terminal, make that is ended, a lack of memory: also in the middle of a training."""
    if number == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells children that their parent was killed")
    store.save(make_model(), tmp_path / "model.pkl")
    program = start()
    until(lambda: program.build and "training" in program.children())
    children = program.children()
    program.process.send_signal(number)
    assert program.wait() == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    await_end(children)


def test_a_server_that_is_killed_starts_again(start: Start, tmp_path: Path) -> None:
    store.save(make_model(), tmp_path / "model.pkl")
    program = start()
    until(lambda: program.build)
    killed = program.children()["api.py"]
    killed.kill()
    until(lambda: program.build and program.children().get("api.py") not in {None, killed})
    assert "the server was ended by SIGKILL; it starts again" in program.output


@pytest.mark.parametrize("repeat", ["6h", ""])
def test_without_a_model_the_failure_of_the_first_training_ends_it(repeat: str, start: Start) -> None:
    """Who waits for the first answer reads why there is none."""
    program = start(repeat, source="file:missing.csv", PAIR="BTC/USD")
    assert program.wait() != 0
    assert "missing.csv" in program.output


def test_without_repeat_it_trains_once(start: Start) -> None:
    program = start("")
    until(lambda: program.build)
    assert "train.py" not in program.children() or program.children()["train.py"].status() == psutil.STATUS_ZOMBIE


def test_wrong_arguments_end_it_also_beside_a_server(start: Start, tmp_path: Path) -> None:
    """A mistyped pair must not look like a working system."""
    store.save(make_model(), tmp_path / "model.pkl")
    program = start(PAIR="BTCUSD")
    assert program.wait() == 2
    assert "BTCUSD" in (tmp_path / "model.training.log").read_text()
