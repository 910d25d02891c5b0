"""A database that is missing, unreachable, locked or gone: the answer says why, forecasts go on, and it recovers."""

import contextlib
import json
import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import requests
from werkzeug.test import Client, TestResponse

from crypto_predict.baked import store
from tests.support.applications import client
from tests.support.collected import LATE, fill
from tests.support.databases import new_database, new_postgresql
from tests.support.live import until
from tests.support.models import make_model
from tests.support.serving import ANSWER, run, serving


def problem(response: TestResponse) -> str:
    """Return the detail of a 503 that says when to ask again."""
    assert (response.status_code, response.content_type) == (503, "application/problem+json")
    assert int(response.headers["Retry-After"]) > 0
    return str(json.loads(response.data)["detail"])


def recover(served: Client) -> None:
    until(lambda: served.get("/candles/BTC-USD").status_code == 200)


def forecasts(served: Client) -> None:
    assert served.get("/bitcoin?date=2024-06-01").data == ANSWER
    pairs = served.get("/pairs")
    assert pairs.status_code == 200
    assert [load["collected"] for load in json.loads(pairs.data)] == [None]
    assert served.get("/openapi.json").status_code == 200
    assert served.get("/readyz").status_code == 200


def test_a_file_that_is_missing_is_read_once_it_exists(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The collector may start after the server. The log has one line for the failure, and one for its end."""
    url = str(tmp_path / "market.db")
    served = client(make_model(), lambda: LATE, database=url)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            for path in ("/candles/BTC-USD", "/prices", "/forecast/BTC-USD/minutes"):
                assert "the file does not exist" in problem(served.get(path))
        forecasts(served)
        fill(url)
        recover(served)
    assert caplog.messages == ["database unavailable", "database available again"]


def test_a_file_that_is_deleted_while_it_is_served_is_missed_and_read_again(tmp_path: Path) -> None:
    """An open file would still have its candles, and never get new ones."""
    url = str(tmp_path / "market.db")
    fill(url)
    served = client(make_model(), lambda: LATE, database=url)
    assert served.get("/candles/BTC-USD").status_code == 200
    for path in tmp_path.glob("market.db*"):
        path.unlink()
    problem(served.get("/candles/BTC-USD"))
    forecasts(served)
    fill(url)
    recover(served)


def test_a_server_that_ends_its_connections_is_read_again() -> None:
    """PostgreSQL was restarted; a database that was dropped is missed until it is back."""
    url = new_postgresql()
    fill(url)
    served = client(make_model(), lambda: LATE, database=url)
    assert served.get("/candles/BTC-USD").status_code == 200
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(new_postgresql(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        recover(served)
        other.execute(f"DROP DATABASE {name} WITH (FORCE)")
        assert "does not exist" in problem(served.get("/candles/BTC-USD"))
        forecasts(served)
        other.execute(f"CREATE DATABASE {name}")
    fill(url)
    recover(served)


def test_an_unreachable_server_is_reported_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    served = client(make_model(), database="postgresql://market:hunter2@127.0.0.1:1/market")
    detail = problem(served.get("/digest/BTC-USD?day=2026-11-02"))
    assert "refused" in detail
    assert "127.0.0.1" not in detail
    forecasts(served)
    assert "hunter2" not in detail + caplog.text + "".join(str(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a database, whatever its name says" * 100, "file is not a database; name another file"),
        (b"", "it does not contain the tables of this program"),
    ],
)
def test_a_file_that_is_not_a_database_of_this_program_is_reported(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "market.db").write_bytes(content)
    assert reason in problem(client(make_model(), database=str(tmp_path / "market.db")).get("/series"))


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Lock the tables of candles so that every reader waits."""
    if url.startswith("postgresql"):
        with psycopg.connect(url) as server:
            server.execute("LOCK TABLE price_history, rollups IN ACCESS EXCLUSIVE MODE")
            yield
        return
    connection = sqlite3.connect(url, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


CLIENTS = 120  # of candles
PROBES = ("/livez", "/bitcoin?date=2024-06-01", "/forecast/BTC-USD", "/readyz", "/metrics", "/")


def ask(url: str, address: str) -> requests.Response:
    return requests.get(f"{url}{address}", timeout=60)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_readers_of_a_locked_database_delay_nobody_else(kind: str, tmp_path: Path) -> None:
    """Those that read keep half of the threads, the others wait for a turn without one, and are told when it is late.

    What needs no database is answered, as is the baked part of what also has one.
    """
    url = new_database(kind, tmp_path)
    fill(url)
    if kind == "sqlite":
        with contextlib.closing(sqlite3.connect(url)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # with WAL, readers would not wait
    store.save(make_model(), tmp_path / "model.pkl")
    with serving(tmp_path / "model.pkl", "--threads", "4", DATABASE_URL=url) as served, locked(url):
        stopped, statuses, details = threading.Event(), Counter[int](), set[str | None]()

        def read() -> None:
            with requests.Session() as session:
                while not stopped.is_set():
                    answer = session.get(f"{served.url}/candles/BTC-USD?interval=1h", timeout=60)
                    statuses[answer.status_code] += 1
                    details.add(answer.json().get("detail"))
                    stopped.wait(int(answer.headers.get("Retry-After", "60")))

        readers = [threading.Thread(target=read) for _ in range(CLIENTS)]
        for reader in readers:
            reader.start()
        until(lambda: statuses[503] >= CLIENTS // 2)
        for address in PROBES * 3:
            assert ask(served.url, address).status_code == 200
        assert ask(served.url, "/bitcoin?date=2024-06-01").content == ANSWER
        assert [pair["collected"] for pair in ask(served.url, "/pairs").json()] == [None]
        assert ask(served.url, "/scorecard").json()["minutes"] is None
        assert ask(served.url, "/openapi.json").status_code == 200
        assert set(statuses) == {503}
        assert "too many requests are reading the database now; try again" in details
        stopped.set()
    for reader in readers:
        reader.join()


def test_a_server_of_one_thread_answers_beside_its_database(tmp_path: Path) -> None:
    """A second thread is for what does not need the database."""
    url = new_postgresql()
    fill(url)
    store.save(make_model(), tmp_path / "model.pkl")
    with serving(tmp_path / "model.pkl", "--threads", "1", DATABASE_URL=url) as served, psycopg.connect(url) as other:
        other.execute("LOCK TABLE price_history IN ACCESS EXCLUSIVE MODE")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(ask, served.url, "/candles/BTC-USD")
            until(lambda: other.execute(waiting).fetchall() == [(1,)])
            assert ask(served.url, "/livez").status_code == 200
            assert not reading.done()
            other.rollback()
            assert reading.result().status_code == 200


def test_a_server_with_a_missing_database_starts_and_says_so_in_one_line(tmp_path: Path) -> None:
    store.save(make_model(), tmp_path / "model.pkl")
    with serving(tmp_path / "model.pkl", "--database", str(tmp_path / "market.db")) as served:
        assert requests.get(f"{served.url}/candles/BTC-USD", timeout=30).status_code == 503
        assert requests.get(f"{served.url}/bitcoin?date=2024-06-01", timeout=30).content == ANSWER
        (line,) = served.events("database unavailable")
    assert "the file does not exist" in line["reason"]


def test_a_server_logs_nothing_of_its_database_if_all_is_well(tmp_path: Path) -> None:
    """Libraries log too, at level info."""
    url = str(tmp_path / "market.db")
    fill(url)
    store.save(make_model(simulated=True), tmp_path / "model.pkl")
    with serving(tmp_path / "model.pkl", "--stale-after", "9999d", DATABASE_URL=url) as served:
        answer = requests.get(f"{served.url}/candles/BTC-USD?interval=10m&limit=3", timeout=30)
        assert len(answer.json()["candles"]) == 3
    events = [json.loads(line)["event"] for line in served.lines]
    assert events[0] == "serving"


@pytest.mark.parametrize(
    "address", ["mysql://market:hunter2@db/market", "postgresql://market:hunter2@db", "sqlite://", ":memory:"]
)
def test_a_malformed_address_is_one_clear_line_and_exit_code_2(address: str, tmp_path: Path) -> None:
    store.save(make_model(), tmp_path / "model.pkl")
    code, output, errors = run("--model", str(tmp_path / "model.pkl"), "--port", "0", DATABASE_URL=address)
    assert (code, output) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("api.py: database: ")
    assert "data/market.db" in line
    assert "hunter2" not in line
