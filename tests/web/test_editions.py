"""The next model takes the place of the current one while the server runs."""

from __future__ import annotations

import gc
import http.client
import json
import logging
import os
import pickle
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from crypto_predict.baked import schedule, store
from crypto_predict.baked.schema import VERSION, Model, Scorecard
from crypto_predict.market import DAY
from crypto_predict.web.app import Service, create_app
from crypto_predict.web.editions import Editions
from tests.support.ledgers import START, make_ledger, make_release
from tests.support.live import until
from tests.support.models import BTC, ETH, TRAINED_AT, make_forecast, make_model, with_models
from tests.support.serving import SETTINGS, serving_model

LATER = TRAINED_AT + timedelta(hours=6)
FIRST = make_model(BTC)
SECOND = with_models(make_model(BTC, ETH, trained_at=LATER), "garch", "mine", served="mine", pairs=[BTC])
PATHS = (
    *(
        "/bitcoin?date=2024-06-01",
        "/forecast/BTC-USD",
        "/probability/BTC-USD?date=2024-06-01&above=60000",
        "/model",
        "/risk/BTC-USD",
    ),
    *("/models", "/version", "/openapi.json", "/", "/page/BTC-USD.json"),
)
TAKEN, REFUSED = "crypto_predict_models_taken_total", "crypto_predict_models_refused_total"


class World:
    """An application in this process, and the files that it serves."""

    def __init__(self, folder: Path, model: Model = FIRST) -> None:
        self.path, self.ledger = folder / "model.pkl", folder / "model.ledger.jsonl"
        store.save(model, self.path)
        self.editions, self.client = opened(self.path)

    def look(self) -> None:
        """Look at the files twice: what has changed is taken once it rests."""
        self.editions.look()
        self.editions.look()

    def get(self, path: str) -> Any:
        """The JSON of an answer."""
        return self.client.get(path).json

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        lines = self.client.get("/metrics").get_data(as_text=True).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def opened(path: Path, stale_after: timedelta = SETTINGS.stale_after) -> tuple[Editions, Client]:
    """The editions of an application that begins with a model file, and a client of it."""
    settings = replace(SETTINGS, model=path, stale_after=stale_after)
    service = Service(store.load(path), settings, lambda: LATER, threading.Event())
    assert isinstance(service.editions, Editions)
    return service.editions, Client(create_app(service, None))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_everything_follows_the_new_model_as_after_a_restart(world: World) -> None:
    """The bytes, the entity tags and the expiry are those of a server that begins with the file."""
    assert world.client.get("/forecast/ETH-USD").status_code == 404
    assert world.client.get("/page/ETH-USD/").status_code == 404
    store.save(SECOND, world.path)
    world.look()
    _, restarted = opened(world.path)
    for path in (*PATHS, "/forecast/ETH-USD", "/page/ETH-USD/", "/pairs", "/scorecard", "/feed.xml", "/docs", "/fresh"):
        ours, theirs = world.client.get(path), restarted.get(path)
        assert (ours.status_code, ours.data) == (200, theirs.data), path
        assert dict(ours.headers) == dict(theirs.headers), path
    assert "/page/ETH-USD/" in world.client.get("/").get_data(as_text=True)
    assert world.client.get("/bitcoin?date=2024-06-01").headers["Crypto-Predict-Model"] == "mine"
    assert world.client.get("/bitcoin?date=2024-06-01&model=garch").status_code == 200
    assert "garch" in world.client.get("/openapi.json").get_data(as_text=True)
    assert world.metric(TAKEN) == 1
    assert world.metric("crypto_predict_model_trained_timestamp_seconds") == LATER.timestamp()
    store.save(FIRST, world.path)
    world.look()
    assert world.client.get("/forecast/ETH-USD").status_code == 404
    assert world.client.get("/bitcoin?date=2024-06-01&model=garch").status_code == 400
    assert "garch" not in world.client.get("/openapi.json").get_data(as_text=True)
    assert [pair["pair"] for pair in world.get("/pairs")] == ["BTC/USD"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (store.dumps(SECOND)[:-1_000], "truncated"),
        (store.dumps(SECOND).replace(b"sha256X@\0\0\0", b"sha256X@\0\0\0" + b"0" * 64, 1), "damaged"),
        (store.dumps(SECOND).replace(b"schemaK%c" % VERSION, b"schemaK\x05", 1), "schema 5"),
        (pickle.dumps(os.getcwd), "it is not a model of this program"),
        (None, "does not exist"),
    ],
    ids=["empty", "half-written", "damaged", "older schema", "hostile", "absent"],
)
def test_a_file_that_is_refused_leaves_the_earlier_model(
    data: bytes | None, reason: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and counted once for each changed file, not at each look; a good one is taken afterwards."""
    before = [world.client.get(path).data for path in PATHS]
    world.path.unlink()
    if data is not None:
        world.path.write_bytes(data)
    for _ in range(3):
        world.look()
    assert [world.client.get(path).data for path in PATHS] == before
    (record,) = (log_record for log_record in caplog.records if log_record.levelno == logging.ERROR)
    assert reason in str(vars(record))
    assert (world.metric(REFUSED), world.metric(TAKEN)) == (1, 0)
    store.save(SECOND, world.path)
    world.look()
    assert world.client.get("/forecast/ETH-USD").status_code == 200
    assert (world.metric(REFUSED), world.metric(TAKEN)) == (1, 1)


def test_a_file_that_is_being_written_is_left_alone_until_it_rests(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy over a slow network would be refused, and logged, at each look."""
    data = store.dumps(SECOND)
    for size in range(1_000, 10_000, 1_000):
        world.path.write_bytes(data[:size])
        world.editions.look()
    world.path.write_bytes(data)
    world.look()
    assert (world.metric(REFUSED), world.metric(TAKEN)) == (0, 1)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_same_model_is_not_taken_again(world: World) -> None:
    """A touched file, and a copy of it under another inode, have the same answers."""
    before = world.editions.current
    world.look()
    os.utime(world.path, ns=(1, 1))
    world.look()
    world.path.write_bytes(world.path.read_bytes())
    world.look()
    assert world.editions.current is before
    assert world.metric(TAKEN) == 0


def test_a_model_that_was_replaced_while_the_server_started_is_found(tmp_path: Path) -> None:
    """Between reading the file and the first look, a training may end."""
    path = tmp_path / "model.pkl"
    store.save(SECOND, path)
    settings = replace(SETTINGS, model=path)
    editions = Service(FIRST, settings, lambda: LATER, threading.Event()).editions
    assert isinstance(editions, Editions)
    editions.look()
    assert editions.current.snapshot.answers.model == SECOND


def test_a_link_to_another_model_is_followed(tmp_path: Path) -> None:
    """Deployments switch a symbolic link, to the file or to its folder."""
    for name, model in (("one", FIRST), ("two", SECOND)):
        (tmp_path / name).mkdir()
        store.save(model, tmp_path / name / "model.pkl")
    (tmp_path / "current").symlink_to("one")
    editions, client = opened(tmp_path / "current" / "model.pkl")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "current")
    editions.look()
    editions.look()
    assert client.get("/forecast/ETH-USD").status_code == 200


def with_ledger(model: Model, ledger: bytes) -> Model:
    entries = ledger.splitlines()
    return replace(model, scorecard=Scorecard(len(entries), json.loads(entries[-1])["sha256"], {}, {}))


def test_the_record_is_read_with_the_model_that_names_its_end(tmp_path: Path) -> None:
    """A training replaces the ledger before the model: what the model does not name was not released yet."""
    release, two = make_release(), make_release(START + DAY)
    short, long = make_ledger(release), make_ledger(release, two)
    path = tmp_path / "model.ledger.jsonl"
    path.write_bytes(short)
    world = World(tmp_path, with_ledger(FIRST, short))
    releases, feed = "/page/BTC-USD/releases.json", "/feed.xml"
    world.editions.current.prepare()
    assert world.get(releases)["days"] == ["2024-05-18"]
    path.write_bytes(long)
    world.look()
    assert world.get(releases)["days"] == ["2024-05-18"]
    assert world.metric(TAKEN) == 0
    store.save(with_ledger(SECOND, long), world.path)
    world.look()
    assert world.get(releases)["days"] == ["2024-05-19", "2024-05-18"]
    assert world.client.get(feed).get_data(as_text=True).count("<entry>") == 2
    assert world.get("/scorecard")["entries"] == 2


def test_a_ledger_that_is_put_beside_the_model_later_is_read(tmp_path: Path) -> None:
    """One that was lost is copied back from a backup."""
    data = make_ledger(make_release())
    world = World(tmp_path, with_ledger(FIRST, data))
    world.editions.current.prepare()
    assert world.get("/page/BTC-USD/releases.json")["days"] == []
    world.ledger.write_bytes(data)
    world.look()
    assert world.get("/page/BTC-USD/releases.json")["days"] == ["2024-05-18"]


def test_the_plan_of_trainings_is_followed_without_another_model(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It changes after each attempt, also a failed one. Without it, or if it is damaged, nothing is promised."""
    every, path = timedelta(hours=6), schedule.schedule_beside(world.path)

    def shown() -> tuple[object, str, bool]:
        world.look()
        page = world.client.get("/").get_data(as_text=True)
        return (
            world.get("/fresh")["training"],
            world.client.get(PATHS[0]).headers["Cache-Control"],
            "Next training" in page,
        )

    assert shown() == (None, "public, max-age=60", False)
    schedule.write(schedule.Schedule(every, LATER + timedelta(hours=1)), path)
    plan = {"next_at": "2024-05-18T19:10:47Z", "every_seconds": 21_600, "failed_at": None, "reason": None}
    assert shown() == (plan, "public, max-age=3600", True)
    failure = schedule.Failure(LATER, "no exchange could be reached")
    schedule.write(schedule.Schedule(every, LATER + timedelta(minutes=6), failure), path)
    failed = {"failed_at": "2024-05-18T18:10:47Z", "reason": "no exchange could be reached"}
    assert shown() == (plan | failed | {"next_at": "2024-05-18T18:16:47Z"}, "public, max-age=360", True)
    path.write_text("{")
    assert shown() == (None, "public, max-age=60", False)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "the schedule of trainings is not used"
    ]
    assert world.metric(TAKEN) == world.metric(REFUSED) == 0


def test_an_earlier_model_is_freed_at_once(world: World) -> None:
    """Memory does not grow over weeks of trainings, not even until the collector of garbage comes."""
    gc.disable()
    try:
        for n in range(3):
            for path in (*PATHS, "/page/BTC-USD/releases.json", "/feed.xml", "/scorecard", "/nothing", "/page/x/"):
                world.client.get(path)
            before = weakref.ref(world.editions.current.snapshot.answers)
            store.save(make_model(BTC, trained_at=LATER + n * timedelta(hours=1)), world.path)
            world.look()
            world.client.get(PATHS[0])
            assert before() is None
    finally:
        gc.enable()
    assert world.metric(TAKEN) == 3


PRICES = (67_010.0, 50_000.0, 90_000.0)


def priced(anchor: float, trained_at: datetime) -> Model:
    """A model whose every forecast differs from that of another anchor."""
    model = make_model(BTC, trained_at=trained_at)
    forecast = make_forecast()
    return replace(model, forecasts={BTC: replace(forecast, anchor=replace(forecast.anchor, price=anchor))})


def ask(address: tuple[str, int], stopped: threading.Event, answers: set[tuple[str, str, bytes]]) -> None:
    """Ask without a pause until it is stopped, and collect path, entity tag and body of each answer."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    while not stopped.is_set():
        for path in PATHS:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, (path, body)
            answers.add((path, str(answer.headers["ETag"]), body))
    connection.close()


def test_no_answer_is_lost_or_mixed_while_models_follow_each_other(tmp_path: Path) -> None:
    """Each body is that of the model whose entity tag it carries, also while the damaged file lies there."""
    models = [priced(price, TRAINED_AT + n * timedelta(hours=6)) for n, price in enumerate(PRICES)]
    expected: list[set[tuple[str, str, bytes]]] = []
    for n, model in enumerate(models):
        (folder := tmp_path / str(n)).mkdir()
        store.save(model, folder / "model.pkl")
        _, client = opened(folder / "model.pkl", stale_after=timedelta(days=100_000))
        answers = {path: client.get(path) for path in PATHS}
        expected.append({(path, answer.headers["ETag"], answer.data) for path, answer in answers.items()})
    stopped, result = threading.Event(), set[tuple[str, str, bytes]]()
    options = ("--stale-after", "100000d")
    with serving_model(models[0], tmp_path, *options) as served, ThreadPoolExecutor(8) as clients:
        asking = [clients.submit(ask, served.address, stopped, result) for _ in range(8)]
        try:
            for n in (1, 2):
                (tmp_path / "model.pkl").write_bytes(b"damaged")
                until(lambda: len(served.events("new model refused; the earlier one is served")) == n)  # noqa: B023 now
                shutil.copy(tmp_path / str(n) / "model.pkl", tmp_path / "model.pkl")
                until(lambda: len(served.events("new model taken up")) == n)  # noqa: B023 now
                until(lambda: expected[n] <= result)  # noqa: B023 now
        finally:
            stopped.set()
        for future in asking:
            future.result()
    assert result == set().union(*expected)
