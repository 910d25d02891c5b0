"""``POST /pairs`` and ``DELETE /pairs/{pair}`` with the real registry, through the whole application."""

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from crypto_predict.collecting.registry import Registry
from crypto_predict.errors import InvalidValue
from crypto_predict.market import Pair
from crypto_predict.market.ports import CandleSource, PairRegistry
from crypto_predict.settings import TOKEN_BYTES
from crypto_predict.sources.alpaca.rest import Alpaca
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.exchange import Settings
from crypto_predict.sources.simulated import Simulated
from crypto_predict.store import open_reader, open_writer
from crypto_predict.web.app import Access
from crypto_predict.web.collected.administration import MOST_WRONG, MOST_WRONG_OF_ALL, Administration
from crypto_predict.web.http.problems import Problem
from tests.support.applications import administered, client, problem
from tests.support.collected import LATE, fill
from tests.support.live import until
from tests.support.models import make_model
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.minutes import QUICK
from tests.support.replay.server import ReplayServer

TOKEN = "correct horse battery staple"
SOLANA = Pair("SOL", "USD")
SIMULATED = Simulated(0)
CLIENTS = itertools.count(1)  # one for each


@contextmanager
def registry(url: str, sources: Sequence[CandleSource] = (SIMULATED,)) -> Iterator[PairRegistry]:
    with open_writer(url) as database:
        yield Registry(database, sources)


@contextmanager
def slow_registry(url: str, opened: threading.Event, released: threading.Event) -> Iterator[PairRegistry]:
    """Open the registry of a database once it is released, as if an exchange did not answer."""
    opened.set()
    released.wait(60)
    with registry(url) as pair_registry:
        yield pair_registry


def access(url: str, *sources: CandleSource) -> Access:
    return partial(open_reader, url), partial(registry, url, sources or (SIMULATED,))


@pytest.fixture
def app(own_url: str) -> Client:
    """The application with an empty database, where the simulated market is collected."""
    open_writer(own_url).close()
    return administered(make_model(), lambda: LATE, access(own_url), TOKEN)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """The same, where every request is refused."""
    url = str(tmp_path_factory.mktemp("database") / "market.db")
    fill(url)
    return administered(make_model(), lambda: LATE, access(url), TOKEN)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a filled database that a test may change."""
    path = str(tmp_path / "market.db")
    fill(path)
    return path


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def add(app: Client, body: object, token: str = TOKEN) -> TestResponse:
    return app.post("/pairs", json=body, headers=bearer(token))


def remove(app: Client, address: str, token: str = TOKEN) -> TestResponse:
    return app.delete(f"/pairs/{address}", headers=bearer(token))


def states(app: Client) -> list[tuple[str, str, str]]:
    return [(load["pair"], load["source"], load["state"]) for load in json.loads(app.get("/series").data)]


def test_a_pair_is_added_removed_and_added_again(app: Client) -> None:
    """Its series stays, so the candles do, and the collector goes on where it ended."""
    created = add(app, {"pair": "SOL/USD", "since": "2026-01-01T02:00+02:00"})
    assert (created.status_code, created.headers["Cache-Control"]) == (201, "no-store")
    assert created.headers["Crypto-Predict-Simulated"] == "true"
    row = json.loads(created.data)
    assert [json.loads(app.get("/series").data), row["since"]] == [[row], "2026-01-01T00:00:00Z"]
    assert (row["pair"], row["source"], row["interval"], row["state"]) == ("SOL/USD", "simulated", "1m", "active")
    again = add(app, {"pair": "sol_usd", "source": None, "since": None})
    assert (again.status_code, json.loads(again.data)) == (200, row)
    removed = remove(app, "SOL-USD")
    assert (removed.status_code, json.loads(removed.data)) == (200, [{**row, "state": "stopped"}])
    assert states(app) == [("SOL/USD", "simulated", "stopped")]
    assert problem(remove(app, "SOL-USD"), 404)["parameter"] == "pair"
    assert add(app, {"pair": "SOL/USD"}).status_code == 201
    assert states(app) == [("SOL/USD", "simulated", "active")]


@pytest.mark.parametrize(
    ("database", "token"), [(True, None), (True, ""), (False, TOKEN)], ids=["no token", "empty", "no packages"]
)
def test_without_a_token_nothing_can_be_changed(database: bool, token: str | None, url: str) -> None:
    """Not even with an empty token, which everybody knows."""
    opened = access(url) if database else (partial(open_reader, url), None)
    app = administered(make_model(), lambda: LATE, opened, token)
    before = states(app)
    for sent in ("", TOKEN, "None"):
        assert "ADMIN_TOKEN" in problem(add(app, {"pair": "SOL/USD"}, sent), 403)["detail"]
        problem(remove(app, "BTC-USD", sent), 403)
    assert states(app) == before


def test_a_service_without_a_database_takes_no_changes() -> None:
    app = client(make_model())
    assert add(app, {"pair": "SOL/USD"}).status_code == 405
    assert remove(app, "BTC-USD").status_code == 404


@pytest.mark.parametrize(
    "authorization",
    [
        *(None, "", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"),
        *(f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN}, Bearer {TOKEN}", f"Bearer\t{TOKEN}", "Bearer \xfc\xdf\xff"),
        *("Bearer " + "\xe2\x98\x83" * 9, "Bearer " + "x" * 1_000_000, f"Bearer {TOKEN}" + " " * 1_000_000 + "x"),
        "x" * 1_000_000,
    ],
    ids=lambda text: str(text)[:20].strip(),
)
def test_a_token_that_is_missing_or_wrong_is_401(authorization: str | None, shared: Client) -> None:
    """Whatever is wrong with the rest of the request: a stranger learns nothing about it."""
    before = states(shared)
    headers = {} if authorization is None else {"Authorization": authorization}
    somebody = new_client()
    for response in (
        shared.post("/pairs", json={"pair": "SOL/USD"}, headers=headers, environ_base=somebody),
        shared.post("/pairs?x=1", data=b"\xff", headers=headers, environ_base=somebody),
        shared.delete("/pairs/BTC-USD", headers=headers, environ_base=somebody),
        shared.delete("/pairs/money", headers=headers, environ_base=somebody),
    ):
        result = problem(response, 401)
        assert TOKEN not in result["detail"]
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="pairs"')
    assert states(shared) == before


@given(st.text(st.characters(max_codepoint=255), max_size=40))
@settings(max_examples=50)
def test_no_header_but_the_right_one_is_accepted(text: str) -> None:
    """WSGI passes the bytes of a header as Latin-1."""
    administration = Administration(TOKEN, unused)
    for value in (text, f"Bearer {text}".encode("latin-1").decode("latin-1")):
        with pytest.raises(Problem, match=r"TOKEN|is wrong"):
            administration.check(value, "192.0.2.1")


def unused() -> AbstractContextManager[PairRegistry]:
    raise AssertionError("nothing is changed")


def new_client() -> dict[str, str]:
    """Return the address of a client that has not guessed yet."""
    return {"REMOTE_ADDR": f"2001:db8:0:{next(CLIENTS):x}::1"}


def test_whoever_guesses_too_often_is_not_listened_to_for_a_while(own_url: str) -> None:
    """Not even a right guess is accepted then, or guessing would go on. Others are not locked out."""
    open_writer(own_url).close()
    app = administered(make_model(), lambda: LATE, access(own_url), TOKEN)
    body, attacker, administrator = {"pair": "SOL/USD"}, new_client(), new_client()
    for number in range(MOST_WRONG):
        answer = app.post("/pairs", json=body, headers=bearer(f"guess {number}"), environ_base=attacker)
        problem(answer, 401)
    for token in ("another guess", TOKEN):
        forged = {**bearer(token), "X-Forwarded-For": "192.0.2.77"}
        answer = app.post("/pairs", json=body, headers=forged, environ_base=attacker)
        assert "too many wrong tokens" in problem(answer, 429)["detail"]
        assert 0 < int(answer.headers["Retry-After"]) <= 60
    neighbour = {"REMOTE_ADDR": attacker["REMOTE_ADDR"].replace("::1", ":5:6:7:8")}
    problem(app.post("/pairs", json=body, headers=bearer(), environ_base=neighbour), 429)
    assert app.post("/pairs", json=body, headers=bearer(), environ_base=administrator).status_code == 201
    assert app.get("/series", environ_base=attacker).status_code == 200


def test_an_attack_from_many_addresses_ends_too_and_does_not_lock_the_administrator_out() -> None:
    """Who has sent the right token before is listened to. A minute later everybody is again."""
    now = 1_000.0
    administration = Administration(TOKEN, unused, clock=lambda: now)
    right = f"Bearer {TOKEN}"
    administration.check(right, "192.0.2.1")
    for number in range(MOST_WRONG_OF_ALL):
        with pytest.raises(Problem, match="is wrong"):
            administration.check("Bearer guess", f"198.51.100.{number}")
    with pytest.raises(Problem, match="60 s"):
        administration.check(right, "198.51.100.200")
    administration.check(right, "192.0.2.1")
    now += 60
    administration.check(right, "203.0.113.1")


def test_an_address_without_a_network_counts_as_well() -> None:
    """A link-local address has a zone."""
    administration = Administration(TOKEN, unused)
    for _ in range(MOST_WRONG):
        with pytest.raises(Problem, match="is wrong"):
            administration.check("Bearer guess", "fe80::1%eth0")
    with pytest.raises(Problem, match="too many"):
        administration.check(f"Bearer {TOKEN}", "fe80::2%eth0")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("token", [TOKEN, "schl\xfcssel \u2603 der lang ist", "x" * TOKEN_BYTES])
def test_the_right_token_is_accepted(scheme: str, token: str, tmp_path: Path) -> None:
    """Names of schemes have no case (RFC 9110, section 11.1). A token beyond ASCII is sent as UTF-8."""
    url = str(tmp_path / "market.db")
    open_writer(url).close()
    app = administered(make_model(), lambda: LATE, access(url), token)
    sent = {"HTTP_AUTHORIZATION": f"{scheme} {token}".encode().decode("latin-1")}
    assert app.post("/pairs", json={"pair": "SOL/USD"}, environ_base=sent).status_code == 201


NOT_OBJECTS = [
    *(b"", b"SOL/USD", b"\xff\xfe", b'{"pair": "SOL/USD"', b'{"pair": "SOL/USD"} {}', b'["SOL/USD"]', b'"SOL/USD"'),
    *(b"null", b"[" * 4_000, b'{"a":' * 800, b"1" * 4_095),
]
NOT_PAIRS = ["null", "1", '["SOL/USD"]', "{}", "true", '""', '"SOLUSD"', '"SOL/USD\\u0000"', '"\\ud800/USD"']
NOT_SOURCES = ["1", '""', '"kraken"', '"\\u2603\\r\\nSet-Cookie: a=b"']
NOT_SINCE = [
    *("1767225600", "NaN", '""', '"yesterday"', '"2026-02-30"', '"9999-12-31T23:59-02:00"'),
    *('"2026-11-05"', '"0001-01-01"'),  # tomorrow, and before there was a Bitcoin
]


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        *((body, None) for body in NOT_OBJECTS),
        (b"{}", "pair"),
        *((f'{{"pair": {value}}}'.encode(), "pair") for value in NOT_PAIRS),
        (b'{"pair": "SOL/USD", "pair": "BTC/USD"}', "pair"),
        *((f'{{"pair": "SOL/USD", "source": {value}}}'.encode(), "source") for value in NOT_SOURCES),
        *((f'{{"pair": "SOL/USD", "since": {value}}}'.encode(), "since") for value in NOT_SINCE),
        (b'{"pair": "SOL/USD", "Pair": "BTC/USD"}', "Pair"),
        (b'{"pair": "SOL/USD", "interval": "1h"}', "interval"),
        (b'{"pair": "SOL/USD", "' + b"x" * 2_000 + b'": 1}', "x" * 80 + "..."),
        (b'{"pair": "SOL/USD", "\\ud800": 1}', "\ud800"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_body_is_400_and_names_the_member(body: bytes, parameter: str | None, shared: Client) -> None:
    before = states(shared)
    response = shared.post("/pairs", data=body, content_type="application/json", headers=bearer())
    assert problem(response, 400).get("parameter") == parameter
    assert states(shared) == before


@pytest.mark.parametrize("length", [4_096, 1_000_000])
def test_a_body_that_is_too_long_is_413(length: int, shared: Client) -> None:
    body = b'{"pair": "SOL/USD"}'.ljust(length)
    problem(shared.post("/pairs", data=body, content_type="application/json", headers=bearer()), 413)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_a_body_that_is_not_announced_as_json_is_415(content_type: str | None, shared: Client) -> None:
    """A form of another page could send the other types without asking first."""
    response = shared.post("/pairs", data=b'{"pair": "SOL/USD"}', content_type=content_type, headers=bearer())
    assert "application/json" in problem(response, 415)["detail"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["pair", "source", "since", "x"]), inner, max_size=4)
        ),
    )
)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_causes_a_fault_of_the_server(shared: Client, body: object) -> None:
    response = shared.post("/pairs", data=json.dumps(body), content_type="application/json", headers=bearer())
    assert response.status_code in {400, 413}


@pytest.mark.parametrize(
    ("address", "status", "parameter"),
    [
        ("DOGE-USD", 404, "pair"),
        ("BTC-USD?source=kraken", 404, "source"),
        ("BTC-USD?source=", 404, "source"),
        ("money", 400, "pair"),
        ("%00", 400, "pair"),
        ("B" * 3_000, 400, "pair"),
        ("BTC-USD?x=1", 400, "x"),
        ("BTC-USD?source=simulated&source=simulated", 400, "source"),
    ],
)
def test_what_cannot_be_removed_is_named(address: str, status: int, parameter: str, shared: Client) -> None:
    before = states(shared)
    assert problem(remove(shared, address), status)["parameter"] == parameter
    assert states(shared) == before


def test_a_pair_is_removed_from_one_source_only(own_url: str) -> None:
    fill(own_url)
    app = administered(make_model(), lambda: LATE, access(own_url), TOKEN)
    assert [load["source"] for load in json.loads(remove(app, "BTC-USD?source=simulated").data)] == ["simulated"]
    assert ("BTC/USD", "alpaca", "active") in states(app)
    assert json.loads(app.get("/candles/BTC-USD?source=simulated&limit=2").data)["candles"]


def test_a_pair_that_no_exchange_has_is_refused_after_asking(url: str) -> None:
    with ReplayServer(AlpacaExchange({})) as server:
        app = administered(make_model(), lambda: LATE, access(url, Alpaca(Settings(server.url), policy=QUICK)), TOKEN)
        before = states(app)
        result = problem(add(app, {"pair": "NOPE/USD"}), 422)
    assert result["parameter"] == "pair"
    assert "'NOPE/USD' cannot be collected: alpaca: " in result["detail"]
    assert states(app) == before


def test_an_exchange_that_cannot_be_asked_is_503_and_nothing_changes(url: str) -> None:
    """A pair that may not exist is not followed."""
    binance = Binance(Settings("http://127.0.0.1:9"), policy=QUICK)
    app = administered(make_model(), lambda: LATE, access(url, binance), TOKEN)
    before = states(app)
    response = add(app, {"pair": "ADA/USD"})
    assert "could not be asked" in problem(response, 503)["detail"]
    assert int(response.headers["Retry-After"]) > 0
    assert states(app) == before


def test_a_setting_of_the_server_that_is_not_valid_is_not_the_fault_of_the_client(url: str) -> None:

    @contextmanager
    def misconfigured() -> Iterator[PairRegistry]:
        raise InvalidValue("BINANCE_API_URL", "https://me:hunter2@nowhere", "an address")
        yield

    app = administered(make_model(), lambda: LATE, (partial(open_reader, url), misconfigured), TOKEN)
    result = problem(add(app, {"pair": "ADA/USD"}), 503)
    assert "BINANCE_API_URL" in result["detail"]
    assert "hunter2" not in str(result)


def test_a_database_that_is_away_is_503(tmp_path: Path) -> None:
    app = administered(make_model(), lambda: LATE, access(str(tmp_path / "market.db")), TOKEN)
    assert "the file does not exist" in problem(add(app, {"pair": "ADA/USD"}), 503)["detail"]
    assert not (tmp_path / "market.db").exists()


def test_one_change_is_made_at_a_time_and_forecasts_go_on(url: str) -> None:
    """An exchange that hangs does not take all threads."""
    opened, released = threading.Event(), threading.Event()
    slow = (partial(open_reader, url), partial(slow_registry, url, opened, released))
    app = administered(make_model(), lambda: LATE, slow, TOKEN)
    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(add(app, {"pair": "SOL/USD"}).status_code))
    first.start()
    assert opened.wait(60)
    assert int(add(app, {"pair": "ADA/USD"}).headers["Retry-After"]) > 0
    assert remove(app, "BTC-USD").status_code == 503
    assert app.get("/bitcoin?date=2024-06-01").status_code == 200
    released.set()
    first.join()
    assert answers == [201]
    assert remove(app, "SOL-USD").status_code == 200


def test_a_change_that_takes_too_long_ends_with_an_error_and_is_still_made(url: str) -> None:
    """The client can ask again: adding twice changes nothing."""
    opened, released = threading.Event(), threading.Event()
    administration = Administration(TOKEN, partial(slow_registry, url, opened, released), most_seconds=0.05)
    with pytest.raises(Problem, match="ask again"):
        administration.add(SOLANA)
    released.set()
    with open_reader(url) as reader:
        until(lambda: SOLANA in {collected.series.pair for collected in reader.collected()})


@pytest.mark.parametrize("path", ["/pairs", "/pairs/BTC-USD"])
def test_pages_of_other_origins_cannot_send_the_token(path: str, shared: Client) -> None:
    """They may read everything. A page of the same origin does not ask before it sends."""
    for method, names, allowed in (
        ("GET", "Authorization", ""),
        ("GET", "authorization, content-type", "content-type"),
        ("GET", "X-Y", "X-Y"),
        ("POST", "Authorization", ""),
        ("DELETE", "Authorization", ""),
    ):
        requested = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": names}
        preflight = shared.options(path, headers={"Origin": "https://example.org", **requested})
        assert preflight.status_code == 200
        assert preflight.headers.get("Access-Control-Allow-Headers", "") == allowed
        assert preflight.headers.get("Access-Control-Allow-Methods", "") == (
            "GET, HEAD, OPTIONS" if method == "GET" else ""
        )


def test_the_addresses_have_these_methods(shared: Client) -> None:
    assert set(shared.options("/pairs").allow) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert set(shared.options("/pairs/BTC-USD").allow) == {"DELETE", "OPTIONS"}
    response = shared.get("/pairs/BTC-USD")
    assert set(response.allow) == {"DELETE", "OPTIONS"}
    assert "Allow" in problem(response, 405)["detail"]
