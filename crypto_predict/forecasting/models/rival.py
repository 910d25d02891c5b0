"""A model of other people, in a process of its own: `host` is the program there.

The process gets a day only once the harness hands over a history that contains it. So a rival cannot see what follows a
cutoff, wherever in its process it looks. It can harm nothing here: what it prints is kept apart, and it ends, with all
processes that it has begun, when its time is over. It does not inherit the keys of exchanges or the database's address.
As another user it cannot read them from the memory and the files of the training either.

What it needs beyond the packages of the training is in an environment beside its file, which `launch.rivals` makes.
"""

import contextlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import pandas as pd

from crypto_predict.forecasting.models.contract import ModelFailed
from crypto_predict.forecasting.models.host import LENGTH
from crypto_predict.history.columns import FloatArray

MEMORY = 4 * 2**30  # bytes that a rival's process may allocate
MOST_REFIT_EVERY = 365

_NAME = re.compile("[a-z][a-z0-9-]{0,29}")
_MOST_HEADER, _MOST_DATA = 4 * 2**10, 64 * 2**10  # bytes of an answer
_MOST_OUTPUT = 8 * 2**10  # bytes of what it printed last
_ENVIRONMENT = Path(".venv")  # beside the file of a rival
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # more make small fits many times slower
_HOST = Path(__file__).with_name("host.py")

_log = logging.getLogger(__name__)


class Rival:
    """A `contract.Model` that lives in another process. `close` ends it."""

    def __init__(
        self,
        path: Path,
        seconds: float,
        secrets: Collection[str] = (),
        user: int | None = None,
        memory: int = MEMORY,
    ) -> None:
        """Start the process of the file `path`. An answer may take so many `seconds`, the import included.

        `secrets` are the environment variables that it does not get. `user` is the id of its user and its group,
        which only root can choose.

        Raises:
            ModelFailed: The file cannot be imported, or is not a model.
        """
        self.name, self._seconds, self._sent = path.stem, seconds, 0
        if not path.is_file():
            raise ModelFailed(self.name, f"there is no file {path}")
        self.own_seconds = 0.0  # that its answers took so far in its own code
        ours, theirs = socket.socketpair()
        self._socket, self._output = ours, bytearray()
        environ = _ONE_THREAD | {name: value for name, value in os.environ.items() if name not in secrets}
        user = user if os.geteuid() == 0 else None
        if user is not None:
            environ["HOME"] = tempfile.gettempdir()
        own = path.parent / _ENVIRONMENT / "bin" / "python"
        python = str(own.absolute()) if own.exists() else sys.executable
        try:
            self._process = subprocess.Popen(  # noqa: S603 the user's own file, in a process of its own
                [python, "-P", str(_HOST), str(theirs.fileno()), str(path.resolve()), str(memory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env=environ | {"PYTHONHASHSEED": "0"},
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )
        except OSError as error:
            ours.close()
            raise ModelFailed(self.name, f"its process cannot be started: {error.strerror}") from error
        finally:
            theirs.close()
        if self._process.stdout is None:
            raise AssertionError
        self._reader = threading.Thread(target=self._read_output, args=[self._process.stdout], daemon=True)
        self._reader.start()
        try:
            traits, _ = self._receive(time.monotonic() + seconds)
            self.name, self.refit_every, self.updates, self.first_cutoff = _traits(traits)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fit(self, history: pd.DataFrame) -> None:
        """Let the next `forecast` fit the history."""
        self._call, self._history = "fit", history

    def update(self, history: pd.DataFrame) -> None:
        """Let the next `forecast` go on with the history."""
        self._call, self._history = "update", history

    def forecast(self, horizons: Sequence[int], levels: Sequence[float]) -> FloatArray:
        """Return what the rival forecasts.

        Raises:
            ModelFailed: It fails, ends, or does not answer in time.
        """
        days = self._history.index.asi8[self._sent :]  # type: ignore[attr-defined]  # seconds, see `contract.frame`
        data = np.column_stack([days, self._history.to_numpy()[self._sent :]]).tobytes()
        self._sent = len(self._history)
        question = {"call": self._call, "horizons": list(horizons), "levels": list(levels), "bytes": len(data)}
        text, deadline = json.dumps(question).encode(), time.monotonic() + self._seconds
        try:
            self._socket.settimeout(self._seconds)
            self._socket.sendall(LENGTH.pack(len(text)) + text + data)
        except OSError as error:
            raise self._ended() from error
        header, data = self._receive(deadline)
        shape, seconds = header.get("shape"), header.get("seconds")
        if not isinstance(shape, list) or not isinstance(seconds, float) or np.prod(shape) * 8 != len(data):
            raise ModelFailed(self.name, "its process does not answer as agreed")
        self.own_seconds += seconds
        return np.frombuffer(data).reshape(shape)

    def close(self) -> None:
        """End the process and all that it has begun."""
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=1)
        if self._output:
            lines = self._output.decode(errors="replace").splitlines()
            _log.debug("%s printed: %s", self.name, " | ".join(filter(None, map(str.strip, lines)))[-1000:])

    def _receive(self, deadline: float) -> tuple[dict[str, Any], bytes]:
        try:
            (length,) = LENGTH.unpack(self._read(LENGTH.size, deadline))
            if length > _MOST_HEADER:
                raise ValueError
            header = json.loads(self._read(length, deadline))
            if not 0 <= (size := header.get("bytes")) <= _MOST_DATA:
                raise ValueError
            data = self._read(size, deadline)
        except TimeoutError as error:
            raise ModelFailed(self.name, f"no answer within {self._seconds:g} seconds") from error
        except OSError as error:
            raise self._ended() from error
        except (ValueError, AttributeError, TypeError) as error:
            raise ModelFailed(self.name, "its process does not answer as agreed") from error
        if "error" in header:
            raise ModelFailed(self.name, str(header["error"]))
        return header, data

    def _read(self, count: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            self._socket.settimeout(max(deadline - time.monotonic(), 1e-6))
            part = self._socket.recv(count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return bytes(data)

    def _ended(self) -> ModelFailed:
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return ModelFailed(self.name, "its process no longer answers")
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return ModelFailed(self.name, f"its process ended {how}")

    def _read_output(self, pipe: IO[bytes]) -> None:
        with pipe:
            while data := os.read(pipe.fileno(), 2**16):
                self._output += data
                del self._output[:-_MOST_OUTPUT]


def _traits(traits: dict[str, Any]) -> tuple[str, int, bool, date | None]:
    name, every, first = traits.get("name"), traits.get("refit_every"), traits.get("first_cutoff")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ModelFailed(f"{name!s:.30}", "its name is not one of small letters, digits and hyphens, at most 30")
    if type(every) is not int or not 1 <= every <= MOST_REFIT_EVERY:
        raise ModelFailed(name, f"refit_every is {every!s:.30}, not a number of days from 1 to {MOST_REFIT_EVERY}")
    try:
        return name, every, bool(traits.get("updates")), None if first is None else date.fromisoformat(first)
    except (TypeError, ValueError) as error:
        raise ModelFailed(name, f"first_cutoff is {first!s:.30}, not a day such as 2025-01-31") from error
