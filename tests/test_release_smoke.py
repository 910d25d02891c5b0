"""The smoke test of an image: what ships is let through, and whatever must not ship is refused, all faults at once."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.release.__main__ import main
from tests.engine import build, docker, forget, image, needs_engine
from tests.training import QUICK, REVISION, in_process, price_file

__all__ = ["image"]

pytestmark = [needs_engine, pytest.mark.timeout(600)]
DONE, REFUSED = 0, 4
LABEL = "org.opencontainers.image"
Variant = Callable[..., str]


@pytest.fixture
def variant(image: str, tmp_path: Path, request: pytest.FixtureRequest) -> Variant:
    """Makes images that differ from the real one in the lines of a Dockerfile, and in files of /app."""

    def make(*lines: str, files: Mapping[str, bytes] | None = None) -> str:
        folder = tmp_path / "variant"
        folder.mkdir()
        copies = [f"COPY {name} /app/" for name in files or {}]
        (folder / "Dockerfile").write_text("\n".join([f"FROM {image}", *copies, *lines, ""]))
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content)
        tag = f"{image}-variant"
        build(arguments={}, context=folder, tag=tag)
        request.addfinalizer(lambda: forget(tag))
        return tag

    return make


def smoke(reference: str, build: str, *options: str) -> int:
    return main(["smoke", "--image", reference, "--build", build, "--json", *options], {})


def build_of(image: str) -> str:
    """What an image calls itself."""
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    return str(labels[f"{LABEL}.version"])


def trained(folder: Path, *arguments: str, epoch: int) -> tuple[dict[str, bytes], list[str]]:
    """Model and ledger of another training, and the labels that its image would have."""
    output = folder / "model.pkl"
    environ = {"SOURCE_DATE_EPOCH": str(epoch), "MODEL_VERSION": "0.3.1", **REVISION}
    assert in_process(*arguments, *QUICK, "--output", str(output), environ=environ) == DONE
    card = store.load(output).card
    labels = {
        "version": card.build,
        "revision": str(card.git_revision),
        "created": f"{card.trained_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    files = {name: (folder / name).read_bytes() for name in ("model.pkl", "model.ledger.jsonl")}
    return files, [f'LABEL {LABEL}.{name}="{value}"' for name, value in labels.items()]


def test_the_image_that_ships_is_fit(image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke(image, build_of(image), "--into", str(tmp_path)) == DONE
    outputs = json.loads(capsys.readouterr().out)
    assert int(outputs["bytes"]) > 1_000_000
    assert 0 < float(outputs["start_seconds"]) < 60
    assert store.load(tmp_path / "model.pkl").card.build == build_of(image)
    assert (tmp_path / "model.ledger.jsonl").exists()


def test_nothing_is_left_running(image: str) -> None:
    """A runner, or a machine at home, has better things to do."""
    smoke(image, build_of(image))
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={image}") == ""


def test_an_image_that_calls_itself_something_else_is_refused_in_each_place(
    image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke(image, "9.9.9-20240518121047") == REFUSED
    complaint = capsys.readouterr().err
    assert f"its label {LABEL}.version is" in complaint
    assert "/version says build" in complaint


def test_labels_that_disagree_with_the_answers_are_refused(
    image: str, variant: Variant, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = variant(f'LABEL {LABEL}.revision="{"f" * 40}"', f'LABEL {LABEL}.created="2020-01-01T00:00:00Z"')
    assert smoke(changed, build_of(image)) == REFUSED
    complaint = capsys.readouterr().err
    assert "/version says git_revision" in complaint
    assert "/version says trained_at" in complaint


def test_root_is_refused(image: str, variant: Variant, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke(variant("USER 0"), build_of(image)) == REFUSED
    assert "it runs as root" in capsys.readouterr().err


def test_a_card_that_says_simulated_is_refused_but_in_a_trial(
    variant: Variant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = ("--source", "simulated", "--days", "300")
    files, labels = trained(tmp_path, *market, epoch=int(time.time()))
    invented = variant(*labels, files=files)
    assert smoke(invented, build_of(invented)) == REFUSED
    assert "its card says that the prices are simulated" in capsys.readouterr().err
    assert smoke(invented, build_of(invented), "--allow-simulated") == DONE


def test_a_stale_card_is_refused(variant: Variant, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both a model that was trained long ago and one whose history ended long ago."""
    files, labels = trained(tmp_path, *price_file(tmp_path, 400), epoch=1_716_034_247)
    stale = variant(*labels, files=files)
    assert smoke(stale, build_of(stale)) == REFUSED
    complaint = capsys.readouterr().err
    assert "its card is stale: the model was trained at 2024-05-18" in complaint
    assert "its card is stale: the last candle of BTC/USD closed at" in complaint


def test_a_model_that_the_gate_did_not_pass_is_refused(
    variant: Variant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, labels = trained(tmp_path, *price_file(tmp_path, 400), "--no-gate", epoch=int(time.time()))
    lifted = variant(*labels, files=files)
    assert smoke(lifted, build_of(lifted)) == REFUSED
    assert "its card says that the gate was lifted" in capsys.readouterr().err


def test_a_broken_ledger_is_refused(image: str, variant: Variant, capsys: pytest.CaptureFixture[str]) -> None:
    """With it in place, no release could ever follow this one."""
    broken = variant(files={"model.ledger.jsonl": b'{"kind":"release"}\n'})
    assert smoke(broken, build_of(image)) == REFUSED
    assert "no usable ledger" in capsys.readouterr().err


def test_an_image_that_does_not_start_is_refused_with_what_it_wrote(
    image: str, variant: Variant, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here it wants to write where a locked container cannot, as images do that were only ever tried unlocked."""
    wants_to_write = variant("""CMD ["sh", "-c", "touch /app/state && exec python api.py"]""")
    assert smoke(wants_to_write, build_of(image)) == REFUSED
    complaint = capsys.readouterr().err
    assert "it was not ready" in complaint
    assert "Read-only file system" in complaint


def test_an_image_that_does_not_end_when_asked_is_refused(
    image: str, variant: Variant, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell as process 1 passes no signal on: requests in flight would be cut off at each deploy."""
    deaf = variant("""CMD ["sh", "-c", "python api.py; true"]""")
    assert smoke(deaf, build_of(image)) == REFUSED
    assert "asked to stop, it ended with 137" in capsys.readouterr().err


def test_a_damaged_model_is_refused(image: str, variant: Variant, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke(variant(files={"model.pkl": b"no model"}), build_of(image)) == REFUSED
    assert "no usable model" in capsys.readouterr().err
