"""Run a command as a process and measure it, or ask it and kill it; or fork a training from a server."""

import gc
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
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
    code = subprocess.run(sys.argv[1:], timeout=280, stdin=subprocess.DEVNULL).returncode
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


# The first training starts this server, which imports the libraries; each one is a fork of it. Importing takes longer
# than the training of a short history. Tests that need a new interpreter use `run_measured`.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        *("pytest", "train", "crypto_predict.training.pipeline", "crypto_predict.training.report"),
        *("crypto_predict.sources.alpaca.rest", "cmdstanpy"),  # which a training imports when it needs them
    ]
)


def forked_training(*arguments: str, environ: Mapping[str, str], before: Callable[[], None] | None = None) -> Finished:
    """Execute `before`, which must be picklable, and ``train.py ARGUMENTS``; kill the process after 100 s."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = _SERVER.Process(target=_train, args=(folder, arguments, dict(environ), before))
        process.start()
        process.join(100)
        process.kill()
        process.join()
        assert process.exitcode is not None
        output, errors = (folder / "1").read_text(), (folder / "2").read_text()
        peak = int((folder / "peak").read_text()) if process.exitcode >= 0 else 0  # a killed process leaves none
        return Finished(process.exitcode, output, errors, peak)


def _train(
    folder: Path, arguments: tuple[str, ...], environ: dict[str, str], before: Callable[[], None] | None
) -> None:
    gc.freeze()  # the libraries of the server; they are never garbage
    for descriptor in (1, 2):
        os.dup2(os.open(folder / str(descriptor), os.O_CREAT | os.O_WRONLY | os.O_APPEND), descriptor)
    inherited = surroundings(environ)
    os.environ.clear()
    os.environ.update(inherited)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for jobs in the background
    import train  # noqa: PLC0415 already imported in the server; other processes need not import it

    if before:
        before()
    try:
        sys.exit(train.main(arguments, os.environ))
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        (folder / "peak").write_text(str(peak if sys.platform == "darwin" else peak * 1024))
