"""Trainings in separate processes that do not import the libraries again.

The first one starts a server, which imports them; every training is a fork of that server. Importing takes longer than
the training of a short history. Tests that need a new interpreter use `run_measured`.
"""

import gc
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.processes import Finished
from tests.support.serving import surroundings

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
