"""A folder of models: lists come from its index, and a pair's file is read when the pair is asked for."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from crypto_predict.baked import index, schedule
from crypto_predict.baked.index import INDEX, IndexedRecord, Refusal
from crypto_predict.errors import UnusableModel
from crypto_predict.market import Pair
from crypto_predict.web.app import Service, create_app
from crypto_predict.web.folder.editions import FolderEditions
from tests.support.applications import client, problem
from tests.support.folders import write_folder
from tests.support.live import until
from tests.support.models import BTC, ETH, TRAINED_AT, make_model
from tests.support.serving import SETTINGS, run, serving

SOL = Pair("SOL", "USD")
LATER = TRAINED_AT + timedelta(hours=6)
LOADED, EVICTED = "crypto_predict_pairs_loaded_total", "crypto_predict_pairs_evicted_total"
OF_ONE_PAIR = (
    "/forecast/{}",
    "/forecast/{}.csv",
    "/probability/{}?date=2024-06-01&above=60000",
    "/risk/{}",
    "/page/{}/",
    "/page/{}.json",
    "/page/{}/record.json",
    "/page/{}/releases.json",
)


class World:
    """An application in this process, and the folder that it serves."""

    def __init__(self, folder: Path, memory: int = SETTINGS.memory) -> None:
        self.folder = folder
        settings = replace(SETTINGS, model=folder, memory=memory)
        service = Service(index.read(folder), settings, lambda: LATER, threading.Event())
        assert isinstance(service.editions, FolderEditions)
        self.editions, self.client = service.editions, Client(create_app(service, None))

    def look(self) -> None:
        """Look at the index twice: a change is taken up once it rests."""
        self.editions.look()
        self.editions.look()

    def get(self, path: str) -> Any:
        """The JSON of an answer."""
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.data
        return answer.json

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        lines = self.client.get("/metrics").get_data(as_text=True).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def file(self, pair: Pair) -> Path:
        """The file of a pair."""
        return self.folder / self.editions.current.index.models[pair].file


def damaged(path: Path) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[-1_000] ^= 1
    path.write_bytes(data)


@pytest.fixture
def world(tmp_path: Path) -> World:
    write_folder(tmp_path, BTC, ETH, SOL)
    return World(tmp_path)


def test_lists_and_health_open_no_model_file(world: World) -> None:
    """Among thousands of pairs, what is asked about all of them must not read all of them."""
    for path in world.folder.glob("*.pkl"):
        path.unlink()
    assert [row["pair"] for row in world.get("/pairs")] == ["BTC/USD", "ETH/USD", "SOL/USD"]
    assert world.get("/model")["pairs"]["ETH/USD"]["last_candle"] == "2024-05-17"
    assert world.get("/models")["pairs"]["ETH/USD"]["served"] == "combined"
    assert world.get("/scorecard") == {"pairs": {}, "simulated": {}}
    assert world.get("/version")["build"] == make_model(BTC).card.build
    assert world.get("/readyz")["status"] == "ready"
    assert world.get("/fresh")["age_seconds"] == 6 * 3_600
    assert world.metric(LOADED) == 0


def test_the_list_of_pairs_is_that_of_a_single_file(world: World) -> None:
    """A client need not know which of the two is served."""
    single = client(make_model(BTC, ETH, SOL), lambda: LATER)
    assert world.get("/pairs") == single.get("/pairs").json


@pytest.mark.parametrize("pair", [BTC, ETH])
def test_a_pair_is_answered_as_by_a_server_of_its_file_alone(world: World, pair: Pair) -> None:
    single = client(make_model(pair), lambda: LATER)
    for path in OF_ONE_PAIR[:4]:
        ours, theirs = (each.get(path.format(pair.slug)) for each in (world.client, single))
        assert (ours.status_code, ours.data) == (200, theirs.data), path
    for path in ("/model", "/models", "/scorecard"):
        assert world.client.get(f"{path}?pair={pair.slug}").data == single.get(path).data
    for path in OF_ONE_PAIR[4:]:
        assert world.client.get(path.format(pair.slug)).status_code == 200, path
    assert world.metric(LOADED) == 1


def test_bitcoin_in_dollars_is_the_first_pair(tmp_path: Path) -> None:
    """The pairs of an index ascend, but existing callers of /bitcoin expect dollars."""
    write_folder(tmp_path, Pair("AAVE", "USD"), Pair("BTC", "EUR"), BTC)
    world = World(tmp_path)
    assert world.client.get("/bitcoin?date=2024-06-01").headers["Crypto-Predict-Pair"] == "BTC/USD"
    assert "BTC/USD: price forecast" in world.client.get("/").get_data(as_text=True)
    assert world.client.get("/feed.xml").status_code == 200


def test_a_folder_without_bitcoin_has_no_bitcoin(tmp_path: Path) -> None:
    write_folder(tmp_path, ETH, SOL)
    world = World(tmp_path)
    body = problem(world.client.get("/bitcoin"), 404)
    assert "'BTC/USD' is not in this model, which holds ETH/USD, SOL/USD" in body["detail"]
    assert world.client.get("/").status_code == 200


@pytest.mark.parametrize("path", [path.format("DOGE-USD") for path in OF_ONE_PAIR])
def test_an_unknown_pair_is_404_without_a_list_of_thousands(tmp_path: Path, path: str) -> None:
    pairs = [Pair(f"P{number}", "USD") for number in range(100, 140)]
    whole = write_folder(tmp_path, BTC)
    entry, data = whole.models[BTC], (tmp_path / whole.models[BTC].file).read_bytes()
    entries = {pair: replace(entry, file=index.file_name(pair, entry.sha256)) for pair in [BTC, *pairs]}
    for named in entries.values():
        (tmp_path / named.file).write_bytes(data)
    index.write(replace(whole, asked=tuple(entries), models=entries), tmp_path)
    answer = World(tmp_path).client.get(path)
    assert "and 5 more, see /pairs" in problem(answer, 404)["detail"]


@pytest.mark.parametrize("path", ["/forecast/money", "/probability/B-U?date=2024-06-01&above=1", "/model?pair=x"])
def test_a_malformed_pair_is_400(world: World, path: str) -> None:
    assert problem(world.client.get(path), 400)["parameter"] == "pair"


def test_another_spelling_of_a_pair_is_the_same_pair(world: World) -> None:
    assert world.client.get("/forecast/eth_usd").data == world.client.get("/forecast/ETH-USD").data
    assert world.client.get("/page/eth_usd/").headers["Location"] == "../ETH-USD/"
    assert world.client.get("/page/ETH-USD").headers["Location"] == "ETH-USD/"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("eth", ["ETH/USD"]),
        ("sol-usd", ["SOL/USD"]),
        ("usd", ["BTC/USD", "ETH/USD", "SOL/USD"]),
        ("", ["BTC/USD", "ETH/USD", "SOL/USD"]),
        ("doge", []),
    ],
)
def test_pairs_are_searched_by_their_names(world: World, text: str, pairs: list[str]) -> None:
    """In a folder as in a single file."""
    for app in (world.client, client(make_model(BTC, ETH, SOL), lambda: LATER)):
        assert [row["pair"] for row in app.get(f"/pairs?q={text}").get_json()] == pairs


def test_the_least_recently_asked_pair_makes_room(tmp_path: Path) -> None:
    """One of these pairs takes some 0.8 MB at most, so two of them fit."""
    write_folder(tmp_path, BTC, ETH, SOL)
    world = World(tmp_path, memory=2)
    for pair, loaded in ((BTC, 1), (ETH, 2), (BTC, 2), (SOL, 3), (BTC, 3), (ETH, 4)):
        assert world.client.get(f"/forecast/{pair.slug}").status_code == 200
        assert world.metric(LOADED) == loaded, pair
    assert world.metric(EVICTED) == 2


def test_rendered_pages_count_as_memory(tmp_path: Path) -> None:
    """Pairs that fit as they are read grow with what is asked of them."""
    pairs = [Pair(f"P{number}", "USD") for number in range(10, 40)]
    write_folder(tmp_path, *pairs)
    world = World(tmp_path, memory=14)
    for pair in pairs:
        world.client.get(f"/forecast/{pair.slug}")
    fitting = len(pairs) - int(world.metric(EVICTED))
    for path in OF_ONE_PAIR[4:7]:
        for pair in pairs[-fitting:]:
            assert world.client.get(path.format(pair.slug)).status_code == 200
    assert world.metric(LOADED) == len(pairs)
    world.editions.current.trim()
    assert world.metric(EVICTED) > len(pairs) - fitting
    world.client.get(f"/forecast/{pairs[-1].slug}")
    assert world.metric(LOADED) == len(pairs)


@pytest.mark.parametrize("fault", ["damaged", "missing", "exchanged"])
def test_a_file_that_cannot_be_used_is_a_503_of_its_pair_alone(
    world: World, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything else answers, the scripts of the page included."""
    path, reason = world.file(ETH), "it is not the file that index.json names: damaged, altered or exchanged"
    if fault == "missing":
        path.unlink()
        reason = "the file does not exist; train one with: python train.py"
    elif fault == "exchanged":
        path.write_bytes(world.file(SOL).read_bytes())
    else:
        damaged(path)
    for address in OF_ONE_PAIR:
        answer = world.client.get(address.format("ETH-USD"))
        assert problem(answer, 503)["detail"] == f"the model of ETH/USD cannot be used: {reason}"
        assert answer.headers["Retry-After"] == "5"
    for address in ("/bitcoin?date=2024-06-01", "/forecast/SOL-USD", "/page/SOL-USD/", "/pairs", "/readyz", "/docs"):
        assert world.client.get(address).status_code == 200, address
    assert world.metric("crypto_predict_pairs_unusable_total") == 1
    assert [record.getMessage() for record in caplog.records].count("the model of a pair is refused") == 1


def test_a_damaged_first_pair_leaves_the_others(world: World) -> None:
    """Documentation and scripts are those of any pair."""
    damaged(world.file(BTC))
    for path in ("/bitcoin", "/", "/page/BTC-USD/", "/feed.xml"):
        assert problem(world.client.get(path), 503)["parameter"] == "pair"
    page = world.client.get("/page/ETH-USD/").get_data(as_text=True)
    for path in ("/openapi.json", "/docs", *(f"/page/{file}" for file in built(page))):
        assert world.client.get(path).status_code == 200, path


def built(page: str) -> list[str]:
    """The built files that a page loads."""
    return [part.split('"')[0] for part in page.split("../../page/")[1:] if part.startswith("built/")]


def test_files_that_are_exchanged_with_their_digests_are_refused(world: World) -> None:
    """The card in a file has its pair, whatever the index says."""
    whole, data = world.editions.current.index, world.file(ETH).read_bytes()
    digest = whole.models[ETH].sha256
    entry = replace(whole.models[ETH], file=index.file_name(SOL, digest))
    (world.folder / entry.file).write_bytes(data)
    index.write(replace(whole, models={**whole.models, SOL: entry}), world.folder)
    world.look()
    assert "it is of ETH/USD, not of SOL/USD alone" in problem(world.client.get("/forecast/SOL-USD"), 503)["detail"]
    assert world.client.get("/forecast/ETH-USD").status_code == 200


def test_a_new_index_is_taken_up_and_keeps_what_is_the_same(world: World) -> None:
    for pair in (BTC, ETH):
        world.client.get(f"/forecast/{pair.slug}")
    before = world.editions.current
    newer = write_folder(world.folder, BTC, SOL, trained_at=LATER)
    index.write(replace(newer, models={**newer.models, SOL: before.index.models[SOL]}), world.folder)
    assert world.client.get("/forecast/ETH-USD").status_code == 200  # from memory
    world.look()
    assert [row["pair"] for row in world.get("/pairs")] == ["BTC/USD", "SOL/USD"]
    assert world.client.get("/forecast/ETH-USD").status_code == 404
    assert world.get("/version")["build"].endswith(f"{LATER:%Y%m%d%H%M%S}")
    assert world.get("/model?pair=BTC-USD")["build"].endswith(f"{LATER:%Y%m%d%H%M%S}")
    assert world.metric("crypto_predict_models_taken_total") == 1


def test_a_file_that_has_gone_with_its_index_is_answered_from_the_newer_one(world: World) -> None:
    """A training removes the files that its index does not name; no request may fall between the two."""
    write_folder(world.folder, BTC, ETH, SOL, trained_at=LATER)
    answer = world.client.get("/model?pair=ETH-USD")
    assert answer.get_json()["build"].endswith(f"{LATER:%Y%m%d%H%M%S}")


@pytest.mark.parametrize("data", [b"", b"{", b'{"format": "crypto-predict models", "version": 2}'])
def test_an_index_that_is_refused_leaves_the_earlier_one(world: World, data: bytes) -> None:
    before = world.client.get("/pairs").data
    (world.folder / INDEX).write_bytes(data)
    world.look()
    assert world.client.get("/pairs").data == before
    assert world.client.get("/forecast/ETH-USD").status_code == 200
    assert world.metric("crypto_predict_models_refused_total") == 1


def test_a_refused_pair_is_named_and_does_not_make_the_others_stale(tmp_path: Path) -> None:
    """Its earlier file is served; a delisted pair would otherwise make /fresh 503 for ever."""
    refusal = Refusal(LATER, ("SOL/USD: its last candle is 9 days old",))
    old = write_folder(tmp_path, SOL, trained_at=TRAINED_AT - timedelta(days=9)).models[SOL]
    data = (tmp_path / old.file).read_bytes()
    whole = write_folder(tmp_path, BTC, refused={SOL: refusal})
    (tmp_path / old.file).write_bytes(data)
    index.write(replace(whole, models={**whole.models, SOL: old}), tmp_path)
    world = World(tmp_path)
    assert world.client.get("/fresh").status_code == 200
    assert world.get("/model")["refused"]["SOL/USD"]["reasons"] == list(refusal.reasons)
    assert world.client.get("/forecast/SOL-USD").status_code == 200


def test_the_record_of_each_pair_is_in_the_index(tmp_path: Path) -> None:
    record = IndexedRecord(TRAINED_AT, 12, 40, 20, 8, 0.98, 0.81)
    whole = write_folder(tmp_path, BTC, ETH)
    entry = replace(whole.models[ETH], record=record)
    index.write(replace(whole, models={**whole.models, ETH: entry}), tmp_path)
    assert World(tmp_path).get("/scorecard")["pairs"]["ETH/USD"]["coverage"] == 0.81


def test_the_plan_of_the_trainings_beside_the_index_is_read(world: World) -> None:
    plan = schedule.Schedule(timedelta(hours=6), LATER + timedelta(hours=1))
    world.client.get("/forecast/ETH-USD")
    schedule.write(plan, schedule.schedule_beside(world.folder / INDEX))
    world.look()
    assert world.get("/fresh")["training"]["every_seconds"] == 6 * 3_600
    assert world.client.get("/forecast/ETH-USD").headers["Cache-Control"] == "public, max-age=3600"


def test_a_folder_without_a_model_is_refused_at_the_start(tmp_path: Path) -> None:
    """With one line and exit code 3, as a model file that is missing."""
    code, _, errors = run("--model", str(tmp_path))
    assert (code, errors.count("\n")) == (3, 1)
    assert "index.json: the file does not exist; train the models with" in errors
    write_folder(tmp_path, refused={SOL: Refusal(LATER, ("no candles",))})
    with pytest.raises(UnusableModel, match="every pair was refused"):
        World(tmp_path)


def test_no_request_is_lost_or_mixed_while_an_index_follows_another(tmp_path: Path) -> None:
    """Eight clients ask for pairs at random, and for the whole, while the folder is trained again and again."""
    pairs = [BTC, ETH, SOL, Pair("XRP", "USD")]
    write_folder(tmp_path, *pairs)
    with serving(tmp_path, "--memory", "1") as served:
        stop, builds = threading.Event(), Counter[str]()

        def ask(number: int) -> None:
            connection = http.client.HTTPConnection(*served.address, timeout=60)
            while not stop.is_set():
                number += 1
                pair = pairs[number * 7 // 3 % len(pairs)]
                connection.request("GET", f"/model?pair={pair.slug}")
                answer = connection.getresponse()
                body = json.loads(answer.read())
                assert answer.status == 200, body
                assert list(body["pairs"]) == [str(pair)]
                assert body["build"].endswith(f"{datetime.fromisoformat(body['trained_at']):%Y%m%d%H%M%S}")
                builds[body["build"]] += 1
                connection.request("GET", "/model")
                files = json.loads(connection.getresponse().read())["pairs"].values()
                assert len({file["build"] for file in files}) == 1

        def seen(count: int) -> bool:
            return len(builds) >= count or any(each.done() for each in clients)

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(ask, number) for number in range(8)]
            try:
                for hours in range(1, 4):
                    write_folder(tmp_path, *pairs, trained_at=TRAINED_AT + timedelta(hours=hours))
                    until(partial(seen, hours + 1))
            finally:
                stop.set()
            for each in clients:
                each.result()
    assert len(builds) == 4
