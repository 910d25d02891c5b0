"""What ``--database`` may be."""

import re
import socket
from pathlib import Path

import pytest

from crypto_predict.errors import DatabaseError, InvalidValue
from crypto_predict.store import open_reader, open_writer
from tests.support.databases import PASSWORD, USER, new_postgresql, with_user
from tests.support.minutes import MINUTES

MALFORMED = """
:memory: sqlite:// sqlite:/// sqlite:///:memory: sqlite:///market.db?mode=memory file:market.db market.db?mode=ro
mysql://user:secret@host/market postgresql+psycopg2://user:secret@host/market postgresql:// postgresql://user:secret@host
postgresql://user:secret@host:port/market postgresql://user:secret@host:5432/market?colour=secret
postgresql://user:p@secret@host/market postgresql://user:p@secret:p@host/market postgresql://user:p@secret/p@host/market
postgresql:/user:secret@host/market postgresql//user:secret@host/market user:secret@host/market
"""
SPACED = (
    "",
    "sqlite:market.db\n",
    "market\0.db",
    "postgresql://u:secret@host/db\n",
    "host=example user=me password=secret",
)


@pytest.mark.parametrize("address", [*MALFORMED.split(), *SPACED])
def test_a_malformed_address_is_named_without_its_password(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is created, a folder named after a password least of all. A database in memory would be lost."""
    monkeypatch.chdir(tmp_path)
    for opened in (open_reader, open_writer):
        with pytest.raises(InvalidValue, match=r"is not a path such as data/market\.db, sqlite:///") as caught:
            opened(address)
        assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_path_and_a_url_name_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is created. Characters with a meaning in URLs are parts of a name."""
    monkeypatch.chdir(tmp_path)
    name = "sub folder/märket #1 100%.db"
    open_writer(f"sqlite:///{name}").close()
    assert [path.name for path in (tmp_path / "sub folder").iterdir()] == [Path(name).name]
    for same in (name, f"./{name}", str(tmp_path / name), f"sqlite:///{tmp_path}/{name}"):
        open_reader(same).close()


def test_postgres_is_another_name_of_postgresql() -> None:
    """Some hosts print their addresses so."""
    url = new_postgresql()
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=False)
    for scheme in ("postgres", "postgresql+psycopg"):
        with open_reader(url.replace("postgresql", scheme, 1)) as reader:
            assert [collected.series for collected in reader.collected()] == [MINUTES]


def test_a_server_that_cannot_be_used_is_an_error_without_the_password() -> None:
    """It refuses the password, the user or the database, cannot be reached, or accepts the connection only."""
    url = new_postgresql()
    open_writer(url).close()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for address, message in (
            (with_user(url, USER, "secret"), f"password authentication failed for user .{USER}."),
            (with_user(url, USER, PASSWORD.replace("@", "%40")), "permission denied"),
            (re.sub(r"market_\d+", "nothing", url), 'database "nothing" does not exist'),
            ("postgresql://u:secret@127.0.0.1:1/market", re.escape("database postgresql://***@127.0.0.1:1/market: ")),
            (f"postgresql://u:secret@127.0.0.1:{port}/market?connect_timeout=2", "timeout"),
        ):
            with pytest.raises(DatabaseError, match=message) as caught:
                open_reader(address)
            assert "secret" not in str(caught.value)
