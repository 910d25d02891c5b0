"""The smoke test of an image: it passes what may be released, and refuses the rest with all faults at once."""

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from crypto_predict.baked import store
from crypto_predict.release.__main__ import main
from tests.support.engine import build, docker, forget, image
from tests.support.training import QUICK, REVISION, in_process, price_file

__all__ = ["image"]

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
DONE, FAILED, REFUSED = 0, 1, 4
LABEL = "org.opencontainers.image"
Variant = Callable[..., str]


@pytest.fixture
def variant(image: str, tmp_path: Path, request: pytest.FixtureRequest) -> Variant:
    """Build images that differ from the real one in lines of a Dockerfile, and in files of /app."""

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
    """The build in the labels of an image."""
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    return str(labels[f"{LABEL}.version"])


def trained(folder: Path, *arguments: str, epoch: int) -> tuple[dict[str, bytes], list[str]]:
    """Model and ledger of another training, and the labels that its image would have."""
    output = folder / "model.pkl"
    environ = {"SOURCE_DATE_EPOCH": str(epoch), "MODEL_VERSION": "0.3.1", **REVISION}
    assert in_process(*arguments, *QUICK, "--output", str(output), environ=environ) == DONE
    card = store.load(output).card
    created = f"{card.trained_at:%Y-%m-%dT%H:%M:%SZ}"
    labels = {"version": card.build, "revision": str(card.git_revision), "created": created}
    files = {name: (folder / name).read_bytes() for name in ("model.pkl", "model.ledger.jsonl")}
    return files, [f'LABEL {LABEL}.{name}="{value}"' for name, value in labels.items()]


def test_a_good_image_passes_and_leaves_no_container(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke(image, build_of(image)) == DONE
    printed = capsys.readouterr()
    outputs = json.loads(printed.out)
    assert int(outputs["bytes"]) > 1_000_000
    assert 0 < float(outputs["start_seconds"]) < 60
    assert "**Smoke test**: passed" in printed.err
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={image}") == ""


def test_every_fault_is_reported_at_once(variant: Variant, capsys: pytest.CaptureFixture[str]) -> None:
    """A repair should not need a release for each fault."""
    odd = variant("USER 0", f'LABEL {LABEL}.revision="{"f" * 40}"', f'LABEL {LABEL}.created="2020-01-01T00:00:00Z"')
    assert smoke(odd, "9.9.9-20240518121047") == REFUSED
    complaint = capsys.readouterr().err
    answered = (f"/version has {member}" for member in ("build", "git_revision", "trained_at"))
    for fault in ("it runs as root", f"its label {LABEL}.version is", *answered):
        assert fault in complaint


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        # The server starts without it, but no release could follow this one.
        ({"files": {"model.ledger.jsonl": b'{"kind":"release"}\n'}}, "no usable ledger"),
        ({"lines": ["USER 0", "RUN rm model.ledger.jsonl", "USER 65532"]}, "no usable ledger"),
        ({"files": {"model.pkl": b"no model"}}, "no usable model"),
        # It writes to the file system, which is read-only.
        ({"lines": ['CMD ["sh", "-c", "touch state && exec python api.py"]']}, "not ready .*Read-only file system"),
        # A shell as process 1 does not forward signals: each deploy would cut off requests in flight.
        ({"lines": ['CMD ["sh", "-c", "python api.py; true"]']}, "asked to stop, it ended with 137"),
    ],
    ids=["broken ledger", "no ledger", "damaged model", "writes", "does not end"],
)
def test_an_image_that_cannot_run_or_be_followed_is_refused_with_its_output(
    image: str, variant: Variant, change: dict[str, Any], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = variant(*change.get("lines", []), files=change.get("files"))
    assert smoke(changed, build_of(image)) == REFUSED
    assert re.search(f"(?s){fault}", capsys.readouterr().err)


SIMULATED, LONG_AGO = ("--source", "simulated", "--days", "300"), 1_716_034_247
STALE = ("the model was trained at 2024-05-18", "the last candle of BTC/USD closed at")


@pytest.mark.parametrize(
    ("arguments", "epoch", "faults", "option", "left"),
    [
        (SIMULATED, None, ("the prices are simulated",), "--allow-simulated", ""),
        ((), LONG_AGO, STALE, "--allow-stale", ""),  # trained long ago, on a history that ended long ago
        (("--no-gate",), LONG_AGO, STALE, "--allow-stale", "its card says that the gate was lifted"),
    ],
    ids=["simulated, in a trial", "stale, in a rollback", "no gate, in a rollback"],
)
def test_what_must_not_ship_is_refused_except_where_an_option_accepts_it(  # noqa: PLR0913, PLR0917 a row, and fixtures
    variant: Variant,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    epoch: int | None,
    faults: tuple[str, ...],
    option: str,
    left: str,
) -> None:
    """Everything else is checked all the same."""
    prices = () if arguments is SIMULATED else price_file(tmp_path, 400)
    files, labels = trained(tmp_path, *prices, *arguments, epoch=epoch or int(time.time()))
    odd = variant(*labels, files=files)
    assert smoke(odd, build_of(odd)) == REFUSED
    complaint = capsys.readouterr().err
    assert [fault for fault in (*faults, left) if fault not in complaint] == []
    assert smoke(odd, build_of(odd), option) == (REFUSED if left else DONE)
    assert smoke(odd, "9.9.9-20240518121047", option) == REFUSED
    complaint = capsys.readouterr().err
    assert ("/version has build" in complaint, left in complaint) == (True, True)
    assert [fault for fault in faults if fault in complaint] == []


def test_an_image_that_does_not_exist_or_cannot_start_is_a_failure_and_leaves_no_container(
    image: str, variant: Variant, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke("crypto-predict-test:nowhere", "0.3.1-20240518121047") == FAILED
    assert "No such image" in capsys.readouterr().err
    commandless = variant('CMD ["no-such-program"]')
    assert smoke(commandless, build_of(image)) == FAILED
    assert "no-such-program" in capsys.readouterr().err
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={commandless}") == ""
