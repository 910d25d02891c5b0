import json
import re

import pytest
from crypto_predict.release.tags import image_name
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue
from crypto_predict.release.__main__ import BAD_ARGUMENTS, DONE, main

GOOD = {
    "--registry": "ghcr.io",
    "--repository": "Owner/crypto-predict",
    "--build": "0.3.1-20240518121047",
}
NEARLY = st.text("aZ09.-_/:[]@\n") | st.text()


def names(**changed: str) -> int:
    """The command with good arguments but those; its exit code."""
    given = GOOD | {f"--{name}": value for name, value in changed.items()}
    return main(["tags", *(f"{name}={value}" for name, value in given.items()), "--json"], {})


def test_names_are_in_lower_case_as_registries_demand(capsys: pytest.CaptureFixture[str]) -> None:
    assert names() == DONE
    assert json.loads(capsys.readouterr().out) == {
        "image": "ghcr.io/owner/crypto-predict",
        "build_ref": "ghcr.io/owner/crypto-predict:0.3.1-20240518121047",
        "version_ref": "ghcr.io/owner/crypto-predict:0.3.1",
        "latest_ref": "ghcr.io/owner/crypto-predict:latest",
    }


@pytest.mark.parametrize(
    ("registry", "repository", "image"),
    [
        ("localhost:5000", "Owner/Name", "localhost:5000/owner/name"),
        ("localhost", "o/n", "localhost/o/n"),
        ("127.0.0.1:5000", "o/n", "127.0.0.1:5000/o/n"),
        ("[::1]:5000", "o/n", "[::1]:5000/o/n"),
        ("GHCR.io", "A-B/c_d.e--f__g", "ghcr.io/a-b/c_d.e--f__g"),
        ("registry.example.org", "o/n/deeper", "registry.example.org/o/n/deeper"),
    ],
)
def test_any_registry_will_do(registry: str, repository: str, image: str) -> None:
    assert image_name(registry, repository) == image


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("registry", "ghcr"),  # would be an owner at Docker Hub
        ("registry", "https://ghcr.io"),
        ("registry", "ghcr.io/"),
        ("registry", "user@ghcr.io"),
        ("registry", "-ghcr.io"),
        ("registry", "ghcr.io:port"),
        ("registry", ""),
        ("repository", ""),
        ("repository", "owner/"),
        ("repository", "owner/name:tag"),
        ("repository", "owner/name@sha256:00"),
        ("repository", "owner/-name"),
        ("repository", "owner/name_"),
        ("repository", "owner/a___b"),
        ("repository", "owner/a..b"),
        ("repository", "owner/.github"),
        ("repository", "owner/näme"),
        ("repository", "owner/name\n"),
        ("repository", "owner/" + "n" * 250),
        ("build", "0.3.1"),
        ("build", "0.3-20240518121047"),
        ("build", "v0.3.1-20240518121047"),
        ("build", "0.3.1\n-20240518121047"),
        ("build", "0.3.1-20240518121047-2"),
        ("build", "0.3.1-20241318121047"),
        ("build", "0.3.1-2024051812104"),
        ("build", "0.3.1-२०२४०५१८१२१०४७"),
    ],
)
def test_what_an_engine_would_refuse_is_refused_here_by_its_name(
    name: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before an hour of training, and not when it is to be pushed."""
    assert names(**{name: value}) == BAD_ARGUMENTS
    assert f"--{name}: " in capsys.readouterr().err


@given(registry=NEARLY, repository=NEARLY)
def test_whatever_comes_out_is_a_name(registry: str, repository: str) -> None:
    """Engines read a name by its first slash: what stands before it must be the registry that was meant."""
    for host in (registry, "ghcr.io"):
        try:
            name = image_name(host, repository)
        except InvalidValue:
            continue
        assert name == f"{host.lower()}/{repository.lower()}"
        assert re.fullmatch(r"[a-z0-9.:\[\]-]+(/[a-z0-9._-]+)+", name)
        assert len(name) <= 255
