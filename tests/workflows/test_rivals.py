"""A release with a model of the fork's owner, which has a package of its own."""

import json
from pathlib import Path

import pytest
import requests

from tests.support import workflows
from tests.support.engine import docker, market
from tests.support.layers import layers_above_base
from tests.support.wheels import make_wheel
from tests.support.workflows import First, after, needs_workflows

first = workflows.first  # a fixture
pytestmark = [needs_workflows, pytest.mark.repeats, pytest.mark.timeout(600)]

MARK = "SOURCE-86f1b2c07d"
PACKAGE = f"# {MARK}\nSHARE = 1.01\n"
MINE = f"""# {MARK}
import candle_shop

def forecast(history, horizons, levels):
    return [candle_shop.SHARE * history.close.iloc[-1]] * len(horizons)
"""


@pytest.mark.long
def test_a_model_of_the_owner_is_released_scored_and_recorded_and_its_code_is_not_in_the_image(
    first: First, tmp_path: Path
) -> None:
    """Three files are committed, one variable of the repository names the model, and another makes it the default."""
    with after(first, tmp_path) as world, market() as exchange:
        rivals = world.clone.folder / "rivals"
        wheel = make_wheel(rivals, PACKAGE)
        (rivals / "requirements.txt").write_text(f"rivals/{wheel.name}\n")
        (rivals / "mine.py").write_text(MINE)
        world.clone.git("add", "--force", "rivals")
        world.push("feat: a model of my own")
        run = world.release("push", exchange.url, RIVALS="garch,rivals/mine.py", RIVAL_EVERY="60", SERVE="mine")
        assert run.returncode == 0, run.stdout[-6000:]

        models = {model["name"]: model for model in world.ask("/model")["pairs"]["BTC/USD"]["models"]}
        assert list(models) == ["combined", "garch", "mine"]
        assert models["mine"]["left_out"] is None
        assert models["mine"]["scores"]
        ours, default = (world.ask(path)["prediction"] for path in ("/bitcoin?model=combined", "/bitcoin"))
        assert default > 1.005 * ours
        assert "The default is the model mine" in requests.get(f"{world.render.site}/", timeout=30).text
        assert "the forecast is that of the model `mine`" in world.recorded("README.md")
        newest = json.loads(world.recorded("ledger.jsonl").splitlines()[-1])
        assert {"combined", "garch", "mine"} <= set(newest["models"])

        docker("pull", "--quiet", f"{world.image}:latest")
        files = [item for layer in layers_above_base(f"{world.image}:latest", tmp_path) for item in layer.items()]
        assert [name for name, content in files if MARK.encode() in content or "candle_shop" in name] == []
