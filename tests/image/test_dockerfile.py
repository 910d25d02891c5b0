"""The Dockerfile, and the build context that is sent to the engine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import engine
from tests.support.serving import ROOT
from tests.test_floors import PACKAGE

SENT = [
    *("LICENSE", "api.py", "collect.py", "train.py"),
    *(f"requirements-{name}.txt" for name in ("api", "live", "page", "train", "uv")),
    *(f"page/{name}" for name in (".npmrc", "build.js", "package-lock.json", "package.json", "scripts/main.js")),
]


@pytest.mark.engine
def test_the_build_context_contains_only_what_the_build_needs(tmp_path: Path) -> None:
    """A checkout may also contain a git history, an environment, old models, secrets and gigabytes of candles."""
    context, sent = tmp_path / "context", tmp_path / "sent"
    stray = [".env", ".git/config", ".venv/bin/python", "model.pkl", "tests/test_image.py", "champion/notes.txt"]
    stray += ["rivals/.venv/bin/python", "rivals/__pycache__/mine.cpython-313.pyc"]
    stray += ["data/market.db", "data/market.db-wal", "data/market.db-shm"]
    stray += ["page/node_modules/esbuild/package.json", f"{PACKAGE}/web/page/built/main-AAAAAAAA.js"]
    needed = [
        *SENT,
        "data/SOL.csv",
        "rivals/mine.py",
        "rivals/requirements.txt",
        "champion/model.pkl",
        "champion/model.ledger.jsonl",
        f"{PACKAGE}/errors.py",
    ]
    for name in [*needed, *stray, f"{PACKAGE}/__pycache__/errors.cpython-313.pyc"]:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).touch()
    shutil.copy(ROOT / ".dockerignore", context)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    done = engine.try_build("--output", f"type=local,dest={sent}", arguments={}, context=context)
    assert done.returncode == 0, done.stderr
    assert sorted(str(path.relative_to(sent)) for path in sent.rglob("*") if path.is_file()) == sorted(needed)


def test_the_dockerfile_needs_neither_a_new_engine_nor_emulation() -> None:
    """It has no heredoc, no `--link` and no other frontend; the stages that run elsewhere execute nothing."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"<<|--link|(?i:^\s*#\s*syntax\s*=)", text, re.MULTILINE)
    shipped = text.partition("AS runtime\n")[2]
    assert re.findall(r"(?m)^FROM .* AS (\w+)$", shipped) == ["live", "api"]  # the last one is built by default
    assert not re.search(r"(?m)^RUN\b", shipped)


def test_the_folders_for_histories_and_models_exist_and_git_ignores_their_content() -> None:
    """They are part of the build context. Prices and models must not be committed by accident."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    ours = ["data/.gitkeep", "rivals/example.py", "rivals/published.csv"]
    theirs = [
        "data/SOL.csv",
        "data/BTC-USD.csv.gz",
        "rivals/mine.py",
        "rivals/requirements.txt",
        "rivals/.venv/bin/python",
    ]
    ignored = ["git", "-C", str(ROOT), "check-ignore", *ours, *theirs]
    done = subprocess.run(ignored, capture_output=True, text=True, check=False)
    assert done.stdout.split() == theirs
    assert (ROOT / "data" / ".gitkeep").exists()


def test_hadolint_reports_nothing() -> None:
    program = shutil.which("hadolint") or str(Path(sys.executable).with_name("hadolint"))
    if not Path(program).exists():
        pytest.skip("hadolint is not installed")
    done = subprocess.run([program, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
