"""What a request waits while the server takes a new model up: the slowest of 8 clients, with and without one."""

import http.client
import itertools
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from bench import models
from bench.figures import Figure
from bench.load import Server, drive, running
from crypto_predict.baked import store
from crypto_predict.baked.schema import Model
from crypto_predict.market import Pair
from crypto_predict.wording import counted

CLIENTS = 8
REQUESTS = 20_000  # a round, which is longer than the server takes to find and load a file
ROUNDS = 5
MORE_MS = 100  # that the slowest answer may take longer
SIZES = (1, 20)  # pairs of the model


def measure(source: str, folder: Path) -> Iterator[Figure]:
    """Train a model in `folder` from `source`, and let the server take changed ones up under load.

    Raises:
        RuntimeError: An answer was lost, was mixed from two models, or a model was not taken up within a round.
    """
    path = folder / "model.pkl"
    models.bake(source, path)
    trained = store.load(path)
    for pairs in SIZES:
        yield _measured(path, _widened(trained, pairs))


def _measured(path: Path, model: Model) -> Figure:
    versions = [_moved(model, n) for n in range(ROUNDS + 1)]
    store.save(versions[0], path)
    forecast = next(iter(model.forecasts.values()))
    days = [forecast.first + timedelta(days=n) for n in range((forecast.end - forecast.first).days)]
    paths = [f"/bitcoin?date={day}" for day in itertools.islice(itertools.cycle(days), REQUESTS)]
    command = ["api.py", "--model", str(path), "--host", "127.0.0.1", "--threads", str(CLIENTS)]
    quiet, busy = [], []
    with running(command, paths[0]) as server:
        drive(server.port, paths, CLIENTS)  # until everything is prepared
        with _checking(server, forecast.end):
            for version in versions[1:]:
                quiet.append(_slowest(server, paths))
                before = _answer(server.port, forecast.end)
                store.save(version, path)
                busy.append(_slowest(server, paths))
                if _answer(server.port, forecast.end) == before:
                    raise RuntimeError("the model was not taken up")
    limit = statistics.median(quiet) + MORE_MS
    name = f"slowest answer while a model is taken up, {counted(len(model.forecasts), 'pair')}"
    return Figure(name, max(busy), limit, f"without, and {MORE_MS} ms", "ms", 1)


def _slowest(server: Server, paths: list[str]) -> float:
    return 1_000 * max(drive(server.port, paths, CLIENTS).latencies)


def _widened(model: Model, pairs: int) -> Model:
    """Return a model with the same forecast for so many pairs."""
    ((pair, forecast),) = model.forecasts.items()
    names = [pair, *(Pair(f"COIN{n}", pair.quote) for n in range(1, pairs))]
    card = replace(model.card, pairs={name: replace(model.card.pairs[pair], traded=name) for name in names})
    return replace(model, card=card, forecasts=dict.fromkeys(names, forecast))


def _moved(model: Model, n: int) -> Model:
    """Return the model of a later training, at another price."""
    forecasts = {
        pair: replace(forecast, anchor=replace(forecast.anchor, price=forecast.anchor.price * (1 + n / 100)))
        for pair, forecast in model.forecasts.items()
    }
    card = replace(model.card, trained_at=model.card.trained_at + timedelta(seconds=n))
    return replace(model, card=card, forecasts=forecasts)


def _answer(port: int, day: date) -> tuple[str, bytes]:
    """Return the entity tag and the body of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", f"/bitcoin?date={day}")
        answer = connection.getresponse()
        return str(answer.headers["ETag"]), answer.read()
    finally:
        connection.close()


@contextmanager
def _checking(server: Server, day: date) -> Iterator[None]:
    """Ask in a thread as well; raise at the end if an entity tag came with two bodies, or a model was never seen."""
    bodies: dict[str, set[bytes]] = {}
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.02):
            tag, body = _answer(server.port, day)
            bodies.setdefault(tag, set()).add(body)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if [len(answers) for answers in bodies.values()] != [1] * (ROUNDS + 1):
        raise RuntimeError(f"answers were mixed: {bodies}")
