"""The lock of the page's packages: `npm ci` installs the same files everywhere, and from any registry."""

import json
import re
from typing import Any

import pytest

from tests.support.page import SOURCES
from tests.support.serving import ROOT

EXACT = re.compile(r"\d+\.\d+\.\d+")
RANGE = re.compile(r"[\d^~<>=*x|. -]+(\w[\w.-]*)?")  # of versions, not a tag that a registry may move
KINDS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


def read(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((SOURCES / name).read_text(encoding="utf-8"))
    return result


@pytest.fixture(scope="module")
def packages() -> dict[str, dict[str, Any]]:
    """The locked packages by folder."""
    locked: dict[str, dict[str, Any]] = read("package-lock.json")["packages"]
    return {folder: package for folder, package in locked.items() if folder}


def test_it_names_no_registry(packages: dict[str, dict[str, Any]]) -> None:
    """A lock that does only works where that registry can be reached, or tells everybody where it was made."""
    assert len(packages) > 100
    assert [folder for folder, package in packages.items() if "resolved" in package] == []
    assert "omit-lockfile-registry-resolved=true" in (SOURCES / ".npmrc").read_text(encoding="utf-8").splitlines()


def test_it_pins_every_package_with_a_hash(packages: dict[str, dict[str, Any]]) -> None:
    """A registry cannot replace a file."""
    assert [folder for folder, package in packages.items() if not EXACT.match(package["version"])] == []
    assert [folder for folder, package in packages.items() if not package["integrity"].startswith("sha512-")] == []


def test_it_agrees_with_the_list_of_packages(packages: dict[str, dict[str, Any]]) -> None:
    """`npm ci` refuses another one. An exact version in the list is the one that is installed."""
    listed, root = read("package.json"), read("package-lock.json")["packages"][""]
    for kind in ("dependencies", "devDependencies"):
        assert root[kind] == listed[kind]
        for name, version in listed[kind].items():
            assert EXACT.fullmatch(version), name
            assert packages[f"node_modules/{name}"]["version"] == version


def test_no_package_depends_on_a_tag(packages: dict[str, dict[str, Any]]) -> None:
    """Lighthouse wants the `latest` of two packages. After their next release, `npm ci` would fail."""
    fixed = read("package.json")["overrides"]
    asked = [
        (name, wanted)
        for package in packages.values()
        for kind in KINDS
        for name, wanted in package.get(kind, {}).items()
    ]
    tags = {name for name, wanted in asked if not RANGE.fullmatch(wanted)}
    assert tags <= fixed.keys()
    assert {name: packages[f"node_modules/{name}"]["version"] for name in fixed} == fixed


def test_an_installation_runs_no_code_of_a_package() -> None:
    """Also if somebody types `npm ci` without the option."""
    assert "ignore-scripts=true" in (SOURCES / ".npmrc").read_text(encoding="utf-8").splitlines()
    for path in ("Makefile", "Dockerfile"):
        commands = re.findall(r"(?m)^.*\bci --.*$", (ROOT / path).read_text(encoding="utf-8"))
        commands += re.findall(r"(?m)^.*\bnpm ci\b(?! empties|`).*$", (ROOT / path).read_text(encoding="utf-8"))
        assert commands
        assert [command for command in commands if "--ignore-scripts" not in command] == []
