"""The examples of models in `rivals/`: each is tested, scored and baked by a training."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.baked.models import ModelReport
from crypto_predict.baked.schema import HORIZON_DAYS, Model
from crypto_predict.market import Pair
from crypto_predict.market.forecast import LEVELS
from tests.support.serving import ROOT
from tests.support.training import TRAINED_AT, in_process

BTC = Pair("BTC", "USD")
# Git ignores all other files there, which may be slow.
EXAMPLES = [ROOT / name for name in re.findall(r"(?m)^!(rivals/.+)$", (ROOT / ".gitignore").read_text())]
# A short history with the days of the published forecasts.
SHORT = (
    "--hours",
    "0",
    "--source",
    "simulated",
    "--until",
    "2025-06-30",
    "--days",
    "300",
    "--every",
    "60",
    "--rival-every",
    "180",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that was trained beside all examples."""
    output = tmp_path_factory.mktemp("model") / "model.pkl"
    rivals = ",".join(str(path) for path in EXAMPLES)
    assert in_process(*SHORT, "--rivals", rivals, "--output", str(output), environ=TRAINED_AT) == 0
    return store.load(output)


def report_of(model: Model, path: Path) -> ModelReport:
    (report,) = (report for report in model.card.pairs[BTC].models if report.source == str(path))
    return report


def test_the_examples_are_those_of_the_guide() -> None:
    guide = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    table = guide.partition("\n## The examples\n")[2].partition("\n###")[0]
    assert [path for path in EXAMPLES if f"| [rivals/{path.name}](" not in table] == []
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_scored_out_of_sample_and_named_with_its_file(model: Model, path: Path) -> None:
    report = report_of(model, path)
    assert report.left_out is None
    assert report.name == path.stem
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert 7 in [score.horizon_days for score in report.scores]
    assert all(score.forecasts and score.relative_crps is not None for score in report.scores)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_served_a_year_ahead_and_published_forecasts_as_far_as_they_reach(
    model: Model, path: Path
) -> None:
    """Those of the file end long before the newest day."""
    models = model.forecasts[BTC].models
    if path.suffix == ".csv":
        assert path.stem not in models
    else:
        assert [len(models[path.stem]), len(models[path.stem][0])] == [HORIZON_DAYS, len(LEVELS)]


def test_requirements_are_published_without_options_and_addresses(tmp_path: Path) -> None:
    """They may contain a password, and a model file is public."""
    shutil.copy(ROOT / "rivals" / "example.py", tmp_path / "mine.py")
    (tmp_path / "requirements.txt").write_text(
        "# mine\n--extra-index-url https://me:secret@example.com/simple\nscikit-learn>=1.7  # boosting\n"
        "torch @ https://me:secret@example.com/torch.whl\nhttps://me:secret@example.com/other.whl\n"
        "git+https://secret@example.com/another\n"
    )
    output = tmp_path / "model.pkl"
    arguments = (*SHORT, "--rivals", str(tmp_path / "mine.py"), "--output", str(output))
    assert in_process(*arguments, environ=TRAINED_AT) == 0
    assert report_of(store.load(output), tmp_path / "mine.py").requirements == ("scikit-learn>=1.7", "torch")
    assert b"secret" not in output.read_bytes()
