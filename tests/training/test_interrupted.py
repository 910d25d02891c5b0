"""Trainings that end in the middle, or meet another one: what is left is whole, and the next training mends the rest.

Every training is a process. An audit hook, which Python calls before each file is opened, renamed or removed, ends it
there.
"""

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.baked import store
from crypto_predict.baked.files import locked
from crypto_predict.baked.ledger import Ledger
from tests.support.processes import Finished, forked_training
from tests.support.serving import ROOT
from tests.support.training import Outputs
from tests.training.test_ledger import release

FIRST, SECOND, THIRD = date(2025, 5, 31), date(2025, 6, 10), date(2025, 6, 30)
BUILDS = {FIRST: "-20250601001000", SECOND: "-20250611001000", THIRD: "-20250701001000"}


def interfere(folder: str, number: int, action: str) -> None:
    """Print each step in the folder; at the n-th, raise an error of the disk, or send the process a signal."""
    seen = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in {"open", "os.rename", "os.remove"} or (event == "open" and not args[2] & os.O_CREAT):
            return
        if str(args[0]).startswith(folder):
            seen.append(event)
            os.write(1, f"{event} {args[0]}\n".encode())
            if len(seen) == number and action == "EIO":
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(args[0]))
            if len(seen) == number:
                os.kill(os.getpid(), int(action))

    sys.addaudithook(hook)


class Output(Outputs):
    """The outputs of trainings that are continued, killed or failed."""

    def builds(self) -> list[str]:
        """Return the builds in the ledger, without their version."""
        return [line["build"][line["build"].index("-") :] for line in self.lines() if line["kind"] == "release"]

    def names(self) -> set[str]:
        """Return the files of the folder, temporary ones too."""
        return {path.name for path in self.folder.iterdir()}

    def train(self, last: date, number: int, action: str, *options: str) -> Finished:
        """Train in a separate process, which ends in this way when it touches the folder for the n-th time."""
        carried = ("--ledger", str(self.ledger)) if self.ledger.exists() else ()
        market = (
            "--source",
            "simulated",
            "--hours",
            "0",
            "--days",
            "60",
            "--every",
            "50",
            "--no-gate",
            "--until",
            str(last),
        )
        end = (last.toordinal() + 1 - date(1970, 1, 1).toordinal()) * 86_400  # seconds since 1970
        epoch = {"SOURCE_DATE_EPOCH": str(end + 600), "GIT_REVISION": "0" * 40}
        before = partial(interfere, str(self.folder), number, action)
        return forked_training(
            *market, "--output", str(self.model_file), *carried, *options, environ=epoch, before=before
        )

    def next_training(self, last: date, *options: str) -> int:
        """Train without interruption, continuing the ledger if there is one; return the exit code."""
        carried = ("--ledger", str(self.ledger)) if self.ledger.exists() else ()
        return release(self.folder, last, *carried, "--days", "60", "--no-gate", *options)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """One release."""
    output = Output(tmp_path_factory.mktemp("first"))
    assert output.train(FIRST, 0, "0").code == 0
    return output


@pytest.fixture(scope="module")
def steps(first: Output, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The file operations of a second training."""
    run = copy(first, tmp_path_factory.mktemp("steps")).train(SECOND, 0, "0")
    assert run.code == 0, run.errors
    return [line for line in run.output.splitlines() if line.startswith(("open ", "os."))]


def copy(output: Output, folder: Path) -> Output:
    """Copy the files to another folder."""
    for path in output.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return Output(folder)


def whole(output: Output) -> str:
    """Check model and ledger, and return the build of the model."""
    model = store.load(output.model_file)
    assert Ledger.read(output.ledger, [model.scorecard.head]).entries == model.scorecard.entries
    return model.card.build[model.card.build.index("-") :]


def test_the_ledger_is_renamed_before_the_model(steps: list[str]) -> None:
    """Two locks, two temporary files, two renames, two locks removed."""
    kinds = [step.split()[0] for step in steps]
    assert kinds == ["open"] * 4 + ["os.rename"] * 2 + ["os.remove"] * 2
    renamed = [Path(step.split()[1]).name for step in steps if step.startswith("os.rename")]
    assert [name.split(".")[2] for name in renamed] == ["ledger", "pkl"]


@pytest.mark.parametrize("step", range(4, 8))
def test_a_killed_training_leaves_a_valid_release_and_the_next_one_cleans_up(
    step: int, first: Output, steps: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGKILL before each step: the older ledger is continued, and an incomplete release is dropped."""
    output = copy(first, tmp_path)
    assert output.train(SECOND, step, str(int(signal.SIGKILL))).code == -signal.SIGKILL
    renamed = sum("os.rename" in done for done in steps[: step - 1])
    released = [BUILDS[FIRST], *([BUILDS[SECOND]] if renamed == 2 else [])]
    assert whole(output) == released[-1]
    assert output.builds() == [BUILDS[FIRST], *([BUILDS[SECOND]] if renamed else [])]
    assert {name for name in output.names() if not name.startswith(".")} == {"model.pkl", "model.ledger.jsonl"}

    assert output.next_training(THIRD) == 0
    assert output.builds() == [*released, BUILDS[THIRD]]
    assert whole(output) == BUILDS[THIRD]
    assert output.names() == {"model.pkl", "model.ledger.jsonl"}
    assert ("bytes dropped" in caplog.text) == (renamed == 1)


@pytest.mark.parametrize("fails", [False, True])
def test_a_first_training_killed_before_its_model_releases_nothing(fails: bool, tmp_path: Path) -> None:
    """Without a model, the temporary model file identifies the ledger's release.

    A training that fails afterwards removes this file, the only sign that the entries were not released, and them too.
    """
    output = Output(tmp_path)
    assert output.train(FIRST, 6, str(int(signal.SIGKILL))).code == -signal.SIGKILL
    assert output.builds() == [BUILDS[FIRST]]
    assert not output.model_file.exists()
    if fails:
        assert output.next_training(SECOND, "--until", "1969-01-01") == 3
        assert output.names() == set()
    assert output.next_training(SECOND) == 0
    assert output.builds() == [BUILDS[SECOND]]
    assert output.names() == {"model.pkl", "model.ledger.jsonl"}


def test_entries_before_a_killed_release_are_kept(first: Output, tmp_path: Path) -> None:
    """A ledger from elsewhere is continued beside a new output."""
    output = Output(tmp_path)
    killed = output.train(SECOND, 6, str(int(signal.SIGKILL)), "--ledger", str(first.ledger))
    assert killed.code == -signal.SIGKILL, killed.errors
    assert output.builds() == [BUILDS[FIRST], BUILDS[SECOND]]
    assert output.next_training(SECOND, "--until", "1969-01-01") == 3
    assert output.builds() == [BUILDS[FIRST]]
    assert output.next_training(THIRD) == 0
    assert output.builds() == [BUILDS[FIRST], BUILDS[THIRD]]
    assert output.names() == {"model.pkl", "model.ledger.jsonl"}


def test_a_model_by_any_suffix_is_the_commit_point(first: Output, tmp_path: Path) -> None:
    """``--output model.bin`` has its ledger in model.ledger.jsonl as well."""
    output = copy(first, tmp_path)
    model = output.model_file.rename(tmp_path / "model.bin")
    named = ("--output", str(model))
    assert output.train(SECOND, 6, str(int(signal.SIGKILL)), *named).code == -signal.SIGKILL
    assert output.builds() == [BUILDS[FIRST], BUILDS[SECOND]]
    assert output.next_training(THIRD, *named) == 0
    assert output.builds() == [BUILDS[FIRST], BUILDS[THIRD]]


def test_an_interrupt_during_clean_up_prints_no_traceback() -> None:
    """Libraries clean up when the interpreter ends, and Ctrl-C would interrupt that."""
    late = "import atexit, os, runpy, signal, sys; atexit.register(os.kill, os.getpid(), signal.SIGINT); "
    run = "sys.argv = ['train.py', '--output', '/dev/null']; runpy.run_path('train.py', run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", late + run], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == "train.py: error: --output: '/dev/null' is not a regular file\n"


@pytest.mark.parametrize(
    ("step", "action", "code", "message"),
    [
        (6, "EIO", 1, "Input/output error; the model was not changed"),
        (6, str(int(signal.SIGINT)), 130, "interrupted; the model was not changed"),
        (7, str(int(signal.SIGINT)), 130, "interrupted; the model was written"),
    ],
)
def test_an_error_reports_correctly_whether_the_model_was_written(  # noqa: PLR0913, PLR0917 cause and expected result
    step: int, action: str, code: int, message: str, first: Output, tmp_path: Path
) -> None:
    """After a disk error or Ctrl-C while writing: one line, no temporary file, and a valid release."""
    output = copy(first, tmp_path)
    run = output.train(SECOND, step, action)
    assert run.code == code, run.errors
    assert run.errors.splitlines()[-1].endswith(message)
    assert "Traceback" not in run.errors
    assert not any(name.endswith(".tmp") for name in output.names())
    released = BUILDS[SECOND] if message.endswith("written") else BUILDS[FIRST]
    assert whole(output) == released
    assert output.next_training(THIRD) == 0
    assert output.builds() == list(dict.fromkeys([BUILDS[FIRST], released, BUILDS[THIRD]]))


def test_a_first_release_that_fails_leaves_no_ledger(tmp_path: Path) -> None:
    output = Output(tmp_path)
    run = output.train(FIRST, 6, "EIO")
    assert run.code == 1
    assert run.errors.splitlines()[-1].endswith(f"{os.strerror(errno.EIO)}; the model was not changed")
    assert output.names() == set()


def test_a_second_training_names_the_process_that_holds_the_lock_and_ends_with_2(
    first: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = copy(first, tmp_path)
    with locked(output.model_file, "--output"):
        assert output.next_training(SECOND) == 2
    assert f" is not free: process {os.getpid()} on " in capsys.readouterr().err
    assert whole(output) == BUILDS[FIRST]


def test_two_trainings_at_once_never_lose_a_release(first: Output, tmp_path: Path) -> None:
    """Every training that ended with 0 is in the ledger, and the others wrote nothing."""
    output = copy(first, tmp_path)
    carried = (
        "--ledger",
        str(output.ledger),
        "--days",
        "60",
        "--every",
        "50",
        "--no-gate",
        "--hours",
        "0",
        "--source",
        "simulated",
    )
    trainings = [
        partial(forked_training, *carried, "--until", str(SECOND), "--output", str(output.model_file), environ={})
        for _ in range(3)
    ]
    with ThreadPoolExecutor() as pool:
        codes = [run.result().code for run in [pool.submit(training) for training in trainings]]
    assert set(codes) <= {0, 2}
    assert 0 in codes
    assert len(output.builds()) == 1 + codes.count(0)
    whole(output)
