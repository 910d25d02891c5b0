"""The containers of `deploy/kubernetes` as processes: their command, environment, probes and end."""

import signal
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import requests

from crypto_predict.baked import index, store
from crypto_predict.market import Interval, Pair
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import Shard
from crypto_predict.store import open_reader
from tests.support.databases import new_postgresql
from tests.support.kubernetes import PROBES, Pod, find, ordinals
from tests.support.live import binance_of, until
from tests.support.models import make_model
from tests.support.replay.binance import BinanceInMotion
from tests.support.replay.motion import MINUTE, Motion
from tests.support.replay.server import ReplayServer

PAIRS = [Pair(base, "USDT") for base in ("BTC", "ETH", "SOL")]


def wait_for_probes(pod: Pod, process: subprocess.Popen[str]) -> None:
    def passes(probe: str) -> bool:
        assert process.poll() is None, process.communicate()
        return pod.passes(probe)

    for probe in PROBES:
        until(partial(passes, probe), f"{probe} passes")


def test_the_server_starts_with_its_probes_and_ends_in_time(tmp_path: Path) -> None:
    """Kubernetes kills what has not ended after the grace period; requests in flight would be lost."""
    store.save(make_model(), tmp_path / "model.pkl")
    deployment = find("base", "Deployment", "api")
    pod = Pod("base", deployment)
    with pod.running(MODEL=str(tmp_path / "model.pkl")) as process:
        wait_for_probes(pod, process)
        assert requests.get(f"{pod.address('http')}/bitcoin?date=2024-06-01", timeout=10).status_code == 200
        assert requests.get(f"{pod.address('http')}/metrics", timeout=10).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) == 0


def test_collectors_and_server_share_a_database_whose_address_is_a_secret(tmp_path: Path) -> None:
    """All pods start at once, at an empty database. Each collector has the shard of its own number."""
    database, collector = new_postgresql(), find("live", "StatefulSet", "collector")
    (tmp_path / "url").write_text(database)
    store.save(make_model(), tmp_path / "model.pkl")
    begin = Interval.MINUTE_1.floor(datetime.now(UTC)) - 10 * MINUTE
    with ReplayServer(BinanceInMotion(Motion(Clock(), PAIRS, begin=begin))) as server, ExitStack() as ends:
        settings = {**binance_of(server), "PAIR": "BTC/USD,ETH/USD,SOL/USD", "NO_FORECASTS": "1"}
        pods = [Pod("live", collector, ordinal, database=tmp_path) for ordinal in ordinals(collector)]
        processes = [ends.enter_context(pod.running(**settings)) for pod in pods]
        served = Pod("live", find("live", "Deployment", "api"), database=tmp_path)
        serving = ends.enter_context(served.running(MODEL=str(tmp_path / "model.pkl")))
        for pod, process in zip([*pods, served], [*processes, serving], strict=True):
            wait_for_probes(pod, process)
        until(partial(is_served, served), "a stored candle is served")
        with open_reader(database) as reader:
            collected = {state.shard: state.collector for state in reader.shards()}
        for number, process in enumerate(processes, 1):
            assert collected[Shard(number, len(pods))].startswith(f"process {process.pid} on ")
        for process in (*processes, serving):
            process.send_signal(signal.SIGTERM)
        assert [process.wait(100) for process in (*processes, serving)] == [0] * (len(pods) + 1)


def test_the_shards_of_a_training_become_one_folder(tmp_path: Path) -> None:
    """Each index trains its part of the list into a folder of its own, and another job merges the folders."""
    training, lists = find("training", "CronJob", "training"), tmp_path / "lists"
    lists.mkdir()
    for name, text in find("training", "ConfigMap", "pairs")["data"].items():
        (lists / name).write_text(text)
    quick = {"SOURCE": "simulated", "DAYS": "120", "EVERY": "60", "HOURS": "0", "NO_GATE": "1", "UNTIL": "2024-05-01"}
    shards = training["spec"]["jobTemplate"]["spec"]["completions"]
    pods = [Pod("training", training, number, lists=lists, models=tmp_path) for number in range(shards)]
    merging = Pod("training", find("training", "CronJob", "merging"), models=tmp_path)
    for pod in (*pods, merging):
        with pod.running(**quick, RIVALS="garch", SERVE="combined") as process:
            assert process.wait(200) == 0, process.communicate()
    release = index.read(tmp_path / "current")
    assert [str(pair) for pair in release.models] == ["BNB/USD", "BTC/USD", "ETH/USD", "LTC/USD", "SOL/USD"]


def is_served(pod: Pod) -> bool:
    return requests.get(f"{pod.address('http')}/candles/BTC-USDT?interval=1m", timeout=30).status_code == 200
