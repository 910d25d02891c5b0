"""What other people's models need is installed for them alone, and again only if it has changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from crypto_predict.errors import CryptoPredictError
from crypto_predict.forecasting.models.rival import Rival
from crypto_predict.launch.rivals import ENVIRONMENT
from tests.support.processes import Finished, run_measured
from tests.support.serving import ROOT
from tests.support.wheels import make_wheel

NEEDY = (
    "import candle_shop\n\ndef forecast(history, horizons, levels):\n    return [candle_shop.PRICE] * len(horizons)\n"
)


@pytest.fixture
def rivals(tmp_path: Path) -> Path:
    """A folder with a model, and with requirements of which our environment has one only."""
    folder = tmp_path / "rivals"
    make_wheel(folder, "PRICE = 20_000.0\n")
    (folder / "requirements.txt").write_text("# what mine.py needs\ncandle-shop\nnumpy\n")
    (folder / "mine.py").write_text(NEEDY)
    return folder


def install(rivals: Path, links: Path | None = None) -> Finished:
    """Execute the program; pip finds packages in a folder alone."""
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links or rivals), "PIP_CONFIG_FILE": os.devnull}
    program = str(ROOT / "crypto_predict" / "launch" / "rivals.py")
    return run_measured([sys.executable, program, str(rivals)], {**pip, "PATH": os.environ["PATH"]})


def test_a_model_gets_its_own_packages_beside_ours_and_the_training_does_not(rivals: Path) -> None:
    """Otherwise an older NumPy of theirs would change our forecast, and break what is locked."""
    done = install(rivals)
    assert done.code == 0, done.errors
    with Rival(rivals / "mine.py", 60) as rival:
        assert rival.name == "mine"
    python = rivals / ENVIRONMENT / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import numpy; print(numpy.__file__)"], capture_output=True, text=True, check=True
    ).stdout
    assert where.startswith(sys.prefix)  # not downloaded again
    ours = subprocess.run([sys.executable, "-c", "import candle_shop"], capture_output=True, check=False)
    assert ours.returncode == 1


def test_nothing_is_installed_again_until_the_requirements_change(rivals: Path) -> None:
    """`make run` asks each time."""
    install(rivals)
    before = (rivals / ENVIRONMENT / "installed.txt").stat().st_mtime_ns
    again = install(rivals, links=Path(os.devnull))
    assert (again.code, again.output, again.errors) == (0, "", "")
    assert (rivals / ENVIRONMENT / "installed.txt").stat().st_mtime_ns == before
    (rivals / "requirements.txt").write_text("numpy\n")
    assert install(rivals).code == 0
    assert not list((rivals / ENVIRONMENT).glob("lib/*/site-packages/candle_shop*"))


def test_without_requirements_there_is_no_environment(rivals: Path) -> None:
    install(rivals)
    (rivals / "requirements.txt").unlink()
    assert install(rivals).code == 0
    assert not (rivals / ENVIRONMENT).exists()


@pytest.mark.parametrize("line", ["no-such-package", "numpy ==", "-r elsewhere.txt"])
def test_requirements_that_cannot_be_installed_are_named_after_the_reason(rivals: Path, line: str) -> None:
    """The model is then left out with its own reason, since it finds nothing half installed."""
    (rivals / "requirements.txt").write_text(f"candle-shop\n{line}\n")
    done = install(rivals)
    assert done.code != 0
    assert "ERROR: " in done.errors
    assert f"{rivals}/requirements.txt: its packages could not be installed, for the reason above" in done.errors
    assert not (rivals / ENVIRONMENT).exists()
    with pytest.raises(CryptoPredictError, match=r"No module named 'candle_shop'; rivals/requirements.txt lists what"):
        Rival(rivals / "mine.py", 60)


def test_make_stops_before_a_training_without_what_is_needed(rivals: Path) -> None:
    """Somebody is there to read it."""
    (rivals / "requirements.txt").write_text("no-such-package\n")
    for name in ("Makefile", "crypto_predict"):
        (rivals.parent / name).symlink_to(ROOT / name)
    (rivals.parent / ".venv").symlink_to(sys.prefix)
    environ = {"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    make = [str(shutil.which("make")), "rivals", "INSTALLED="]
    done = subprocess.run(make, cwd=rivals.parent, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "rivals/requirements.txt: its packages could not be installed, for the reason above" in done.stderr
