"""The program of a rival's process: it loads a file with a model, and answers what `rival.Rival` asks.

It runs by its path, not as a part of the package, and imports nothing of it: what a rival's file imports or replaces
stays in this process. An answer leaves it as numbers, or as one line of text.

A message is a length (4 bytes), a JSON object of that length, and as many bytes of numbers as its member `bytes` says.
"""

import importlib.util
import inspect
import json
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ("open", "high", "low", "close", "volume")
LENGTH = struct.Struct("<I")


class Forecaster:
    """A file's function ``forecast(history, horizons, levels)`` in the form of a class."""

    def __init__(self, forecast: Callable[..., Any], module: Any) -> None:
        self._forecast = forecast
        self.name = getattr(module, "name", None)
        self.first_cutoff = getattr(module, "first_cutoff", None)

    def fit(self, history: pd.DataFrame) -> None:
        """Keep the history for the forecast."""
        self._history = history

    def forecast(self, horizons: list[int], levels: list[float]) -> Any:
        """Call the function."""
        return self._forecast(self._history, horizons, levels)


def load(path: Path) -> Any:
    """Import the file and return its model."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    if callable(function := getattr(module, "forecast", None)):
        return Forecaster(function, module)
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == path.stem and {"fit", "forecast"} <= set(dir(value))
    ]
    if len(classes) != 1:
        raise ImportError(
            f"{path.name} has no function forecast(history, horizons, levels), and {len(classes)} classes with "
            "fit(history) and forecast(horizons, levels)"
        )
    return classes[0]()


def traits(model: Any, path: Path) -> dict[str, Any]:
    """Return what a model says of itself."""
    first = getattr(model, "first_cutoff", None)
    return {
        "name": str(getattr(model, "name", None) or path.stem.replace("_", "-").lower()),
        "refit_every": int(getattr(model, "refit_every", 1)),
        "first_cutoff": None if first is None else f"{first}"[:10],
        "updates": callable(getattr(model, "update", None)),
    }


def numbers(answer: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return an answer as an array; text is not a number, even where it reads like one."""
    array = np.asarray(answer)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"forecast returned {array.dtype} in place of prices")
    return np.ascontiguousarray(array, dtype=np.float64)


class Host:
    """The side of a connection on which the rival lives."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rwb")
        self._process = os.getpid()

    def receive(self) -> tuple[dict[str, Any], bytes] | None:
        """Return the next question; None at the end."""
        if not (length := self._file.read(LENGTH.size)):
            return None
        header = json.loads(self._file.read(*LENGTH.unpack(length)))
        return header, self._file.read(header["bytes"])

    def send(self, header: dict[str, Any], data: bytes = b"") -> None:
        """Answer. A copy of this process, which a rival has forked, has nothing to say."""
        if os.getpid() != self._process:
            os._exit(1)
        text = json.dumps(header | {"bytes": len(data)}).encode()
        self._file.write(LENGTH.pack(len(text)) + text + data)
        self._file.flush()


def serve(host: Host, path: Path) -> None:
    """Answer questions until the other side closes."""
    model = load(path)
    host.send(traits(model, path))
    days, rows, columns = np.empty(0), np.empty((0, len(COLUMNS))), pd.Index(COLUMNS)
    while (question := host.receive()) is not None:
        header, data = question
        added = np.frombuffer(data).reshape(-1, 1 + len(COLUMNS))
        days, rows = np.concatenate([days, added[:, 0]]), np.concatenate([rows, added[:, 1:]])
        index = pd.DatetimeIndex(days.astype("int64").astype("datetime64[s]"), tz="UTC", name="time")
        history = pd.DataFrame(rows.copy(), index, columns)
        random.seed(0)  # the same history gives the same forecast
        np.random.seed(0)
        begun = time.perf_counter()
        getattr(model, header["call"])(history)
        answer = numbers(model.forecast(list(header["horizons"]), list(header["levels"])))
        seconds = time.perf_counter() - begun
        host.send({"shape": answer.shape, "seconds": seconds}, answer.tobytes())


def end_with(number: int) -> None:
    """End this process, and those that the rival has begun, once the other side of a socket is closed or has died."""
    poll = select.poll()
    poll.register(number, 0)  # a hang-up is always reported
    poll.poll()
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Serve the file of the second argument on the socket of the first, within the bytes of memory of the third."""
    number, path, memory = sys.argv[1:]
    threading.Thread(target=end_with, args=[int(number)], daemon=True).start()
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    host = Host(socket.socket(fileno=int(number)))
    try:
        serve(host, Path(path))
    except BaseException as error:  # noqa: BLE001 whatever a rival raises, sys.exit() included, excludes it
        first = next(iter(f"{error}".splitlines()), "")
        if isinstance(error, ModuleNotFoundError):
            first += f"; {Path(path).parent.name}/requirements.txt lists what is installed"
        host.send({"error": f"{type(error).__name__}: {first}"[:300].rstrip(": ")})


if __name__ == "__main__":
    main()
