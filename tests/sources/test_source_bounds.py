"""The bounds on a source: hostile exchanges and files, read by the real command in a process."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.histories import make_history
from tests.support.processes import Finished, forked_training
from tests.support.replay import server
from tests.support.replay.alpaca import exchange, full_page, huge
from tests.support.replay.server import Fault, ReplayServer

pytestmark = pytest.mark.repeats

HEADER = b"time,open,high,low,close,volume\n"
ROW = b"2021-01-01,10,12,9,11,1\n"
MOST_MEMORY = 128 * 2**20  # bytes above what the program takes by itself
DAYS = ("--until", "2021-07-19", "--days", "150", "--every", "50")


@pytest.fixture(scope="module")
def usual_peak(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The memory of a run that ends before anything is read."""
    return trained(tmp_path_factory.mktemp("nothing"), "--pair", "BTC/USD", "--source", "file:no-such-file.csv").peak


def trained(folder: Path, *arguments: str, **environ: str) -> Finished:
    """One training into this folder."""
    return forked_training("--output", str(folder / "model.pkl"), *arguments, environ=environ)


def market() -> ReplayServer:
    """An exchange with 200 sound days of BTC/USD."""
    return exchange(make_history(200).candles, timeframe="1Day")


@pytest.mark.parametrize(
    ("fault", "environ", "met"),
    [
        (full_page, {}, "it sent more than 200,000 candles for one history; SOURCE_CANDLES"),
        (huge("{}", 31), {}, "sent more than 4 MiB in one answer"),
        (huge("{}", 3), {}, "sent more than 320,000 values in one answer"),
        (server.bomb, {}, "sent more than 4 MiB in one answer"),
        (server.drip_body, {"SOURCE_SECONDS": "1"}, "it took longer than 1 s for one history"),
    ],
)
def test_a_hostile_exchange_is_stopped_by_a_bound_that_is_named(
    fault: Fault, environ: dict[str, str], met: str, tmp_path: Path, usual_peak: int
) -> None:
    """An exchange cannot take unlimited time or memory, and simulated prices do not hide the attack."""
    with market() as served:
        served.inject(fault, times=10_000)
        run = trained(tmp_path, *DAYS, "--source", "alpaca,simulated", ALPACA_DATA_URL=served.url, **environ)
    assert run.code == 3, run.errors
    assert met in run.errors
    assert "Traceback" not in run.errors
    assert run.peak < usual_peak + MOST_MEMORY
    assert not list(tmp_path.iterdir())


def repeated(line: bytes, megabytes: int, head: bytes = HEADER) -> Callable[[Path], None]:
    """Write a compressed file that repeats one line until it is so long."""

    def write(path: Path) -> None:
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(head)
            for _ in range(megabytes):
                file.write(line * (2**20 // len(line) or 1))

    return write


@pytest.mark.parametrize(
    ("write", "met"),
    [
        (repeated(ROW, 100), "it has more than 200,000 lines; SOURCE_CANDLES allows more"),
        (repeated(b"x\n", 100), "... and 981 more"),
        (repeated(ROW[:-1] + b"," * 4_000 + b"\n", 130, HEADER[:-1] + b",a" * 4_000 + b"\n"), "100,000,000 characters"),
        (repeated(b"9", 130), "line 2 is longer than 10,000 characters"),
        (os.mkfifo, "it is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is not a regular file"),
    ],
    ids=["rows", "faulty rows", "columns", "one line", "pipe", "device"],
)
def test_a_hostile_file_is_stopped_by_a_bound_that_is_named(
    write: Callable[[Path], None], met: str, tmp_path: Path, usual_peak: int
) -> None:
    write(tmp_path / "prices.csv.gz")
    run = trained(tmp_path, "--pair", "BTC/USD", "--source", f"file:{tmp_path}/prices.csv.gz")
    assert run.code == 3, run.errors
    assert met in run.errors
    assert "Traceback" not in run.errors
    assert run.peak < usual_peak + MOST_MEMORY


def test_a_password_in_an_address_is_never_printed(tmp_path: Path) -> None:
    """It is printed neither after a success nor after an error, nor in the report."""
    password = "hush%2Fhush"
    with market() as served:
        url = served.url.replace("//", f"//user:{password}@")
        runs = [trained(tmp_path, *DAYS, "--source", "alpaca", "--json", ALPACA_DATA_URL=url)]
        assert runs[0].code == 0, runs[0].errors
    runs.append(trained(tmp_path, "--source", "alpaca", ALPACA_DATA_URL=url, SOURCE_SECONDS="1"))  # it has stopped
    runs += [
        trained(tmp_path, "--source", "alpaca", ALPACA_DATA_URL=wrong)
        for wrong in (f"{url}?key=hush", url.replace("%2F", "/"), "ftp://user:hush@host", "http://user:hush@[::1")
    ]
    assert [run.code for run in runs] == [0, 3, 2, 2, 2, 2]
    assert not any("hush" in run.output + run.errors for run in runs)
    assert b"hush" not in (tmp_path / "model.pkl").read_bytes()
