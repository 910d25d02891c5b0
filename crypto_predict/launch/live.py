"""Run trainer and server as one program: a model is trained again and again, and served from the first one on.

    python -m crypto_predict.launch.live --repeat 6h --source alpaca,simulated --port 8000

`make run` does this. An existing model is served at once, and the trainer refreshes it; without one the first training
comes first, and its failure ends the program. The server takes later models up by itself. What the trainer prints is
shown until the server has started; later it is in `LOG` alone.

A signal stops both, and nothing outlives this process, whether Ctrl-C, a closed terminal or SIGTERM ends it; on Linux
not even if it is killed. A trainer that ends by itself is started again, and so is a server that was killed. Every
other end of the server ends the program.
"""

import argparse
import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

MODEL, LEDGER, SCHEDULE = Path("model.pkl"), Path("model.ledger.jsonl"), Path("model.training.json")
LOG = Path("model.training.log")
DONE, FAILED, BAD_ARGUMENTS, NO_MODEL = 0, 1, 2, 3  # exit codes of train.py and api.py
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_SECONDS = 20.0  # for a child to end after SIGTERM, before it is killed
PAUSE_SECONDS = 60.0  # before a trainer that has ended is started again
RESTART_SECONDS = 1.0  # before a server that was killed is started again
SHOWN_SECONDS = 0.2  # after the start of the server: the report follows the model, which starts it
STEP_SECONDS = 0.1  # from one look at the children to the next
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux' prctl

Fingerprint = tuple[int, ...]
Child = subprocess.Popen[bytes]


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Read the command line, and run both; return the exit code."""
    parser = argparse.ArgumentParser("crypto_predict.launch.live", description="Train again and again, and serve.")
    parser.add_argument("--repeat", default="", help="from one training to the next, such as 6h; empty: train once")
    parser.add_argument("--source", required=True, help="of the training")
    parser.add_argument("--pair", help="of the training; by default that of the environment")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True)
    given = parser.parse_args(arguments)
    if "MAKELEVEL" in environ:  # make, which starts it, may be killed
        _end_with_parent()
    address = ["--host", given.host, "--port", given.port]
    # One that cannot be used is found by the server at once, or else only after the training.
    if not MODEL.exists() and (code := subprocess.run(_program("api.py", *address, "--check-address")).returncode):  # noqa: S603, PLW1510 no shell reads it
        return code
    ledger = ["--ledger", str(LEDGER)] if LEDGER.exists() and not given.repeat else []
    again = ["--repeat", given.repeat] if given.repeat else []
    pair = ["--pair", given.pair] if given.pair else []
    trainer = _program("train.py", "--source", given.source, "--output", str(MODEL), *pair, *again, *ledger)
    server = _program("api.py", *address, "--model", str(MODEL), "--greet")
    return Live(trainer, server, {"LOG_LEVEL": "warning", **environ}, repeats=bool(given.repeat)).run()


def _program(name: str, *words: str) -> list[str]:
    return [sys.executable, name, *words]


@dataclass
class Live:
    """The two children, and when to start them."""

    trainer_command: Sequence[str]
    server_command: Sequence[str]
    environ: Mapping[str, str]
    repeats: bool  # whether the trainer is to run as long as the server
    trainer: Child | None = None
    server: Child | None = None
    trainer_from: float = 0.0  # when it may start (again), by the monotonic clock
    server_from: float = 0.0
    shown_until: float = math.inf  # what the trainer prints is shown
    unusable: Fingerprint | None = None  # the model file that the server has refused
    signals: list[int] = field(default_factory=list)

    def run(self) -> int:
        """Run until a signal, or an end of a child, ends both; return the exit code."""
        if not MODEL.exists():
            SCHEDULE.unlink(missing_ok=True)  # of a trainer that was killed
        for number in SIGNALS:
            signal.signal(number, lambda number, _: self.signals.append(number))
        with LOG.open("wb") as written, LOG.open("rb") as printed:
            try:
                while not self.signals:
                    code = self._step(written)
                    if code is not None or time.monotonic() < self.shown_until:
                        _show(printed.read())
                    if code is not None:
                        return code
                    time.sleep(STEP_SECONDS)
                ended = self._stop()
                return 128 + self.signals[0] if self.server is None else ended
            finally:
                self._stop()

    def _step(self, log: IO[bytes]) -> int | None:
        """Start what shall run now; return the exit code if the program is to end."""
        now = time.monotonic()
        if self.trainer is None and now >= self.trainer_from:
            self.trainer = self._start(self.trainer_command, log)
        trained = self.repeats or (self.trainer is not None and self.trainer.poll() == DONE)
        usable = trained and fingerprint(MODEL) not in {None, self.unusable}
        if self.server is None and now >= self.server_from and usable:
            self.server, self.shown_until = self._start(self.server_command, None), now + SHOWN_SECONDS
        if self.server is None and not MODEL.exists():
            with suppress(OSError, ValueError):
                if json.loads(SCHEDULE.read_bytes()).get("failure") is not None:  # of the last attempt
                    return FAILED
        end = self._server_end(now)
        return self._trainer_end(now) if end is None else end

    def _server_end(self, now: float) -> int | None:
        """Forget a server that has ended if another one can take its place; return the exit code if not."""
        if self.server is None or (code := self.server.poll()) is None:
            return None
        if code < 0:
            _show(f"the server was ended by {signal.Signals(-code).name}; it starts again\n".encode())
        elif code == NO_MODEL and self.repeats and fingerprint(MODEL) != self.unusable:
            self.unusable = fingerprint(MODEL)  # the training that runs replaces it
        else:
            return code
        self.server, self.server_from = None, now + RESTART_SECONDS
        return None

    def _trainer_end(self, now: float) -> int | None:
        """Forget a trainer that has ended if another one can take its place; return the exit code if not."""
        if self.trainer is None or (code := self.trainer.poll()) is None or (code == DONE and not self.repeats):
            return None
        if self.server is None or code == BAD_ARGUMENTS or not self.repeats:
            return code if code >= 0 else 128 - code
        text = f"the trainer has ended with {code}, as {LOG} says; it starts again in {PAUSE_SECONDS:g} seconds\n"
        _show(text.encode())
        self.trainer, self.trainer_from = None, now + PAUSE_SECONDS
        return None

    def _start(self, command: Sequence[str], output: IO[bytes] | None) -> Child:
        """Start a child in a process group of its own, so that Ctrl-C reaches it once: from here."""
        return subprocess.Popen(  # noqa: S603 no shell reads the words
            command,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            process_group=0,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 this process has one thread
        )

    def _stop(self) -> int:
        """Stop the children that run; return the exit code of the server. Every further signal is passed on."""
        running = [child for child in (self.server, self.trainer) if child is not None]
        sent, deadline = 0, time.monotonic() + STOP_SECONDS
        while any(child.poll() is None for child in running):
            number = signal.SIGKILL if time.monotonic() > deadline else signal.SIGTERM
            if number == signal.SIGKILL or sent < max(1, len(self.signals)):
                for child in running:
                    child.send_signal(number)
                sent += 1
            time.sleep(STEP_SECONDS / 5)
        return DONE if self.server is None else int(self.server.returncode)


def fingerprint(path: Path) -> Fingerprint | None:
    """Return a value that changes when the file is replaced; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _end_with_parent() -> None:
    """In a child: let the kernel send SIGTERM when this process ends, however it ends. Only Linux can do this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _show(data: bytes) -> None:
    with suppress(OSError):  # the terminal was closed
        os.write(sys.stderr.fileno(), data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
