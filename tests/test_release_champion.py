"""Taking the last release's model and ledger out of its image, on a real engine and a real registry."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.release.__main__ import main
from tests.engine import build, docker, forget, needs_engine, registry
from tests.models import make_model
from tests.support.registries import digest_at, failing, needs_skopeo
from tests.training import QUICK, in_process, price_file

__all__ = ["registry"]

pytestmark = [needs_engine, needs_skopeo]
DONE, FAILED, REFUSED = 0, 1, 4
BUILD = "0.3.1-20240518121047"
NEXT = "0.3.1-20240518181047"
EMPTY = {"digest": "", "build": "", "champion": "", "ledger": ""}
DOCKERFILE = f"""\
FROM scratch
LABEL org.opencontainers.image.version="{BUILD}"
COPY app /app
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """A model and its ledger as a training leaves them."""
    folder = tmp_path_factory.mktemp("trained")
    output = folder / "model.pkl"
    assert in_process(*price_file(folder, 400), *QUICK, "--output", str(output)) == DONE
    return {"model.pkl": output.read_bytes(), "model.ledger.jsonl": (folder / "model.ledger.jsonl").read_bytes()}


def released(registry: str, folder: Path, files: Mapping[str, bytes]) -> str:
    """An image with these files in /app, pushed as the last release; returns its tag."""
    (folder / "app").mkdir(parents=True)
    for name, content in files.items():
        (folder / "app" / name).write_bytes(content)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    tag = f"{registry}/owner/crypto-predict:latest"
    build(arguments={}, context=folder, tag=tag)
    docker("push", tag)
    forget(tag)
    return tag


def champion(tag: str, folder: Path, *options: str, environ: Mapping[str, str] | None = None) -> int:
    given = ("--image", tag, "--into", str(folder / "champion"), "--build", NEXT, "--json", *options)
    return main(["champion", *given], environ or {})


def test_model_and_ledger_of_the_last_release_are_handed_to_the_training(
    registry: str, trained: Mapping[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tag = released(registry, tmp_path / "context", trained)
    assert champion(tag, tmp_path) == DONE
    outputs = json.loads(capsys.readouterr().out)
    assert (outputs["digest"], outputs["build"]) == (digest_at(tag), BUILD)
    assert Path(outputs["champion"]).read_bytes() == trained["model.pkl"]
    assert Path(outputs["ledger"]).read_bytes() == trained["model.ledger.jsonl"]


def test_the_first_release_has_no_champion(registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither where the registry knows no such name, nor where it has other tags under it."""
    assert champion(f"{registry}/owner/nothing:latest", tmp_path) == DONE
    assert json.loads(capsys.readouterr().out) == EMPTY


def test_a_registry_that_fails_is_no_first_release(
    registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Taken for one, its outage would end the record of every forecast."""
    with failing(registry, lambda _, path: path.endswith("/manifests/latest")) as broken:
        assert champion(f"{broken}/owner/crypto-predict:latest", tmp_path) == FAILED
    assert "500" in capsys.readouterr().err
    assert champion("127.0.0.1:9/owner/crypto-predict:latest", tmp_path) == FAILED


def test_a_registry_that_will_not_tell_can_be_gone_round_by_hand(
    registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some deny that they have not got what nobody has published yet, and a first release must be possible there."""
    with failing(registry, lambda *_: True) as hidden:
        tag = f"{hidden}/owner/crypto-predict:latest"
        assert champion(tag, tmp_path) == FAILED
        assert "run the release by hand with begin_anew" in capsys.readouterr().err
        assert champion(tag, tmp_path, "--begin-anew") == DONE
    said = capsys.readouterr()
    assert json.loads(said.out) == EMPTY
    assert "there is none to go back to" in said.err


def test_a_broken_ledger_stops_the_release_and_says_how_to_go_on(
    registry: str, trained: Mapping[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = trained["model.ledger.jsonl"].replace(b'"low":[', b'"low":[1', 1)
    tag = released(registry, tmp_path / "context", {**trained, "model.ledger.jsonl": broken})
    assert champion(tag, tmp_path) == REFUSED
    complaint = capsys.readouterr().err
    assert "line 1" in complaint
    assert "begin_anew" in complaint


def test_a_ledger_of_another_model_is_no_ledger(
    registry: str, trained: Mapping[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that lost its last lines is whole in itself: only the model knows how it ended."""
    shorter = b"".join(trained["model.ledger.jsonl"].splitlines(keepends=True)[:-1])
    tag = released(registry, tmp_path / "context", {**trained, "model.ledger.jsonl": shorter})
    assert champion(tag, tmp_path) == REFUSED
    assert "ledger" in capsys.readouterr().err


@pytest.mark.parametrize("older", ["0.3.0-20240518181047", "0.3.1-20240518121046"])
def test_an_old_run_that_is_started_again_cannot_become_the_last_release(
    older: str, registry: str, trained: Mapping[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would bring old code back under everybody's `latest`, and nobody would have said so."""
    tag = released(registry, tmp_path / "context", trained)
    assert champion(tag, tmp_path, "--build", older) == FAILED
    assert f"{older} is older than the last release, {BUILD}" in capsys.readouterr().err


def test_the_record_can_begin_anew_and_the_last_release_is_still_the_one_to_go_back_to(
    registry: str, trained: Mapping[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tag = released(registry, tmp_path / "context", {**trained, "model.ledger.jsonl": b"broken"})
    assert champion(tag, tmp_path, "--begin-anew") == DONE
    expected = {"digest": digest_at(tag), "build": BUILD, "champion": "", "ledger": ""}
    assert json.loads(capsys.readouterr().out) == expected


def test_a_model_of_another_schema_is_not_compared_and_its_ledger_goes_on(
    registry: str, trained: Mapping[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the first release after a change of the schema, and each one after it, would fail."""
    older = trained["model.pkl"].replace(b"\x8c\x06schemaK\x02", b"\x8c\x06schemaK\x01", 1)
    assert older != trained["model.pkl"]
    tag = released(registry, tmp_path / "context", {**trained, "model.pkl": older})
    assert champion(tag, tmp_path, environ={"GITHUB_ACTIONS": "true"}) == DONE
    said = capsys.readouterr().out
    warning, _, outputs = said.partition("\n")
    assert warning.startswith("::warning::the last model was written with another schema")
    assert (json.loads(outputs)["champion"], bool(json.loads(outputs)["ledger"])) == ("", True)


def test_a_damaged_model_and_an_image_of_something_else_stop_the_release(
    registry: str, trained: Mapping[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = store.dumps(make_model())[:-20]
    tag = released(registry, tmp_path / "damaged", {**trained, "model.pkl": damaged})
    assert champion(tag, tmp_path) == FAILED
    complaint = capsys.readouterr().err
    assert "no usable model" in complaint
    assert "begin_anew" in complaint
    tag = released(registry, tmp_path / "other", {"readme.txt": b"hello"})
    assert champion(tag, tmp_path) == FAILED
    assert "it is no image of this project" in capsys.readouterr().err
