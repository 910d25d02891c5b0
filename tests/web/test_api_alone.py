"""Serving needs only `requirements-api.txt`: the image contains neither Prophet nor pandas."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from crypto_predict.baked import store
from tests.support.models import make_model
from tests.support.serving import ROOT, serving, start

REQUIREMENTS = ROOT / "requirements-api.txt"
TRAINING_ONLY = ["prophet", "pandas", "numpy", "alpaca", "cmdstanpy", "matplotlib", "pytest"]
WEB = ["crypto_predict.web.app", "crypto_predict.http_server.server", "flask_swagger_ui", "api"]


@pytest.fixture(scope="module")
def python() -> str:
    """An interpreter with these requirements only; it is built once for each content of the file."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = ROOT / ".venv-api"
    interpreter, stamp = home / "bin" / "python", home / key
    if not stamp.exists():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([str(interpreter), *install, "-r", str(REQUIREMENTS)], check=True)
        stamp.touch()
    return str(interpreter)


IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        print(name)
"""


def missing(python: str, names: list[str]) -> list[str]:
    """Return the modules that this interpreter cannot import."""
    command = [python, "-c", IMPORT, *names]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def test_every_part_of_the_server_can_be_imported_without_libraries_for_training(python: str) -> None:
    """Some modules are imported late, when a request needs them."""
    assert missing(python, TRAINING_ONLY + WEB) == TRAINING_ONLY


def test_the_server_answers(python: str, tmp_path: Path) -> None:
    """Some of these routes import libraries at their first request."""
    store.save(make_model(), tmp_path / "model.pkl")
    with serving(tmp_path / "model.pkl", python=python) as served:
        for path in ("/bitcoin?date=2024-06-01", "/model", "/metrics", "/openapi.json", "/docs/swagger-ui.css"):
            assert requests.get(served.url + path, timeout=30).status_code == 200


def test_collecting_without_the_packages_for_it_ends_with_one_line(python: str, tmp_path: Path) -> None:
    """Nobody would notice a warning in place of what was asked for."""
    store.save(make_model(), tmp_path / "model.pkl")
    address = ["--host", "127.0.0.1", "--port", "0"]
    process = start(["--model", str(tmp_path / "model.pkl"), *address, "--collect"], {}, python)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    (line,) = errors.splitlines()
    fault = r"api.py: error: --collect: the package \w+ is not installed; install requirements-live.*"
    assert re.fullmatch(fault, line)


def test_a_database_that_is_set_is_reported_in_one_line_and_the_server_goes_on(python: str, tmp_path: Path) -> None:
    """The image without a database has no packages for it."""
    store.save(make_model(), tmp_path / "model.pkl")
    url = "postgresql://market:hunter2@db/market"
    with serving(tmp_path / "model.pkl", python=python, DATABASE_URL=url) as served:
        assert requests.get(f"{served.url}/bitcoin?date=2024-06-01", timeout=30).status_code == 200
        answer = requests.get(f"{served.url}/candles/BTC-USD", timeout=30)
        (line,) = [json.loads(line) for line in served.lines if "DATABASE_URL" in line]
    assert (answer.status_code, "this service has no database" in answer.json()["detail"]) == (404, True)
    assert (line["level"], line["event"]) == ("warning", "serving without a database: DATABASE_URL is set")
    assert "is not installed" in line["reason"]
    assert "hunter2" not in "".join(served.lines)
