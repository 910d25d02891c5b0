"""Models of other people: trained while the image is built, with packages of their own; it serves only numbers."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import engine
from tests.support.engine import copy_context, running_container
from tests.support.layers import MODEL_FILES, layers_above_base
from tests.support.wheels import make_wheel

image = engine.image  # a fixture
pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.repeats, pytest.mark.timeout(600)]

MOST_BYTES = 13_500_000  # in the layers above the base, with the models below
MARK = "SOURCE-4d0e7a91c3"
KEY = "SK-2c7f90b1e64d83a5"
# It needs a package that no index has. It looks for secrets where the training has them.
MINE = f"""
# {MARK}
import os
from pathlib import Path

import candle_shop

def forecast(history, horizons, levels):
    assert os.getuid() != 0
    for path in [*Path("/run/secrets").glob("*"), Path(f"/proc/{{os.getppid()}}/environ"), Path("/proc/self/environ")]:
        try:
            text = path.read_bytes()
        except PermissionError:
            continue
        assert b"{KEY}" not in text, path
    return candle_shop.prices(history, horizons)
"""
PACKAGE = f"""
# {MARK}
def prices(history, horizons):
    return [history.close.iloc[-1]] * len(horizons)
"""
BROKEN = "import nothing_of_that_name\n"


@dataclass(frozen=True)
class Built:
    """An image with models of other people."""

    tag: str
    report: str  # of the engine
    models: dict[str, Any]  # of the model card, by name


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Built]:
    """Four models beside ours, one of which has a package; a fifth cannot be imported."""
    context, secret = copy_context(tmp_path_factory.mktemp("context")), tmp_path_factory.mktemp("secret") / "key"
    rivals, tag = context / "rivals", f"{image}-rivals"
    secret.write_text(KEY)
    wheel = make_wheel(rivals, PACKAGE)
    (rivals / "requirements.txt").write_text(f"rivals/{wheel.name}\n")
    (rivals / "mine.py").write_text(MINE)
    (rivals / "broken.py").write_text(BROKEN)
    with engine.market() as exchange:
        arguments = {
            **engine.release_arguments(),
            "ALPACA_DATA_URL": exchange.url,
            "RIVALS": "prophet,gaussian,garch,rivals/mine.py,rivals/broken.py",
            "RIVAL_EVERY": "60",
            "SERVE": "mine",
        }
        given = ("--secret", f"id=alpaca_secret_key,src={secret}", "--secret", f"id=alpaca_api_key,src={secret}")
        report = engine.build(*given, arguments=arguments, context=context, tag=tag)
    with running_container(tag) as container:
        card = requests.get(f"{container.url}/model", timeout=30).json()["pairs"]["BTC/USD"]
    yield Built(tag, report, {model["name"]: model for model in card["models"]})
    engine.forget(tag)


def test_a_model_with_a_package_of_its_own_is_trained_and_finds_no_secret(built: Built) -> None:
    """The keys of an exchange are files and variables of the training."""
    mine = built.models["mine"]
    assert mine["left_out"] is None
    assert mine["scores"]
    assert mine["source"] == "rivals/mine.py"


def test_one_that_cannot_be_imported_is_left_out_and_the_image_is_built(built: Built) -> None:
    reason = built.models["broken"]["left_out"]
    assert reason.startswith("ModuleNotFoundError: No module named 'nothing_of_that_name'; rivals/requirements.txt ")


def test_nothing_of_them_but_numbers_is_in_the_image_and_it_stays_small(
    built: Built, image: str, tmp_path: Path
) -> None:
    """It has the files of an image without them, and the same content but for the model."""
    files, others = (
        {name: content for layer in layers_above_base(tag, tmp_path) for name, content in layer.items()}
        for tag in (built.tag, image)
    )
    assert files.keys() == others.keys()
    assert [name for name in files if files[name] != others[name] and name not in MODEL_FILES] == []
    assert [name for name, content in files.items() if MARK.encode() in content or KEY.encode() in content] == []
    assert sum(map(len, files.values())) <= MOST_BYTES


def test_the_chosen_model_answers_by_default_and_the_page_names_it(built: Built) -> None:
    with running_container(built.tag) as container:
        answer, ours, page = (
            requests.get(f"{container.url}{path}", timeout=30) for path in ("/bitcoin", "/bitcoin?model=combined", "/")
        )
    assert (answer.headers["Crypto-Predict-Model"], ours.headers["Crypto-Predict-Model"]) == ("mine", "combined")
    assert answer.json()["prediction low"] < answer.json()["prediction"] < answer.json()["prediction_high"]
    assert "The default is the model mine" in page.text


def test_packages_that_cannot_be_installed_leave_the_models_out_that_need_them(image: str, tmp_path: Path) -> None:
    """A release goes on, with the reason; the next build tries again, since a registry may have failed."""
    context = copy_context(tmp_path)
    (context / "rivals" / "requirements.txt").write_text(f"no-such-package-{secrets.token_hex(4)}\n")
    (context / "rivals" / "mine.py").write_text(MINE)
    arguments = {**engine.release_arguments(), "SOURCE": "simulated", "RIVALS": "rivals/mine.py"}
    report = engine.build("--target", "train", arguments=arguments, context=context, tag=f"{image}-needy")
    engine.forget(f"{image}-needy")
    assert report.count("requirements.txt: its packages could not be installed, for the reason above") == 2
    assert "model mine is left out: ModuleNotFoundError: No module named 'candle_shop'" in report
