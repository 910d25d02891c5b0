"""The architecture as a test: imports run downwards only, and each part knows only the libraries it may."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "crypto_predict"


@dataclass(frozen=True)
class Part:
    """One part of the package: a module, or a package with all its modules."""

    floor: int
    libraries: frozenset[str] = frozenset()  # beyond the standard library


def part(floor: int, *libraries: str) -> Part:
    """A part on this floor that may import these libraries."""
    return Part(floor, frozenset(libraries))


# Parts on the highest floor do not import one another.
PARTS = {
    "errors": part(0),
    "market": part(0),
    "version": part(0),
    "wording": part(0),
    "prerequisites": part(0),
    "settings": part(1),
    "command_line": part(1, "click"),
    "logs": part(1),
    "baked": part(1),
    "sources": part(2, "alpaca", "requests", "stamina", "urllib3", "pandas"),
    "history": part(2, "numpy"),
    "forecasting": part(3, "prophet", "cmdstanpy", "statsmodels", "scipy", "threadpoolctl", "numpy", "pandas"),
    "training": part(4, "tqdm", "matplotlib", "numpy", "pandas"),
    "release": part(4),
    "web": part(4, "flask", "flask_cors", "flask_swagger_ui", "prometheus_client", "waitress", "werkzeug"),
}
HIGHEST = 4
BELOW_WEB = {name for name, part in PARTS.items() if part.floor <= 1}
TYPE_STUBS = "_typeshed"  # exists for type checkers only, and stands for the standard library there


def modules_of(folder: Path) -> dict[str, Path]:
    """Every module below the folder by its dotted name; a package goes by its own name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules_of(ROOT / PACKAGE)


def imports_of(source: str, name: str, *, is_package: bool = False) -> set[str]:
    """The dotted names that the module called `name` imports, wherever in it: in functions and for type checks too.

    ``from package import module`` counts as importing ``package.module`` where that is a module of ours.
    """
    return {target for node in ast.walk(ast.parse(source)) for target in _targets(node, name, is_package=is_package)}


def _targets(node: ast.AST, name: str, *, is_package: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        origin = node.module or ""
        if node.level:
            above = name.split(".")[: None if is_package and node.level == 1 else -node.level + is_package]
            origin = ".".join([*above, *([origin] if origin else [])])
        for alias in node.names:
            full = f"{origin}.{alias.name}"
            yield full if full in MODULES else origin


def faults_of(source: str, name: str, *, is_package: bool = False) -> list[str]:
    """Every import of the module that its floor forbids."""
    own = name.split(".")[1]
    forbidden = []
    for target in sorted(imports_of(source, name, is_package=is_package)):
        top, _, rest = target.partition(".")
        if top == PACKAGE:
            allowed = _may_know(own, rest.partition(".")[0])
        else:
            allowed = top in sys.stdlib_module_names or top == TYPE_STUBS or top in PARTS[own].libraries
        if not allowed:
            forbidden.append(target)
    return forbidden


def _may_know(own: str, other: str) -> bool:
    """Whether one part may import another."""
    if other == own:
        return True
    if other not in PARTS:
        return False
    if own == "web":
        return other in BELOW_WEB
    return PARTS[other].floor <= PARTS[own].floor and PARTS[other].floor < HIGHEST


def imports_within(name: str) -> set[str]:
    """The modules of ours that a module of ours imports."""
    path = MODULES[name]
    targets = imports_of(path.read_text(encoding="utf-8"), name, is_package=path.name == "__init__.py")
    return {target for target in targets if target.partition(".")[0] == PACKAGE}


def test_every_module_stands_on_a_floor() -> None:
    homeless = [name for name in MODULES if name != PACKAGE and name.split(".")[1] not in PARTS]
    assert homeless == []
    assert {"crypto_predict.market", "crypto_predict.baked.store", "crypto_predict.sources.catalog"} <= set(MODULES)


@pytest.mark.parametrize("name", [name for name in MODULES if name != PACKAGE])
def test_imports_run_downwards_and_libraries_stay_on_their_floors(name: str) -> None:
    path = MODULES[name]
    assert faults_of(path.read_text(encoding="utf-8"), name, is_package=path.name == "__init__.py") == []


def test_the_package_itself_imports_nothing() -> None:
    """Whatever it imported, every module would."""
    assert imports_of(MODULES[PACKAGE].read_text(encoding="utf-8"), PACKAGE, is_package=True) == set()


def test_no_import_leads_back_to_where_it_came_from() -> None:
    TopologicalSorter({name: imports_within(name) for name in MODULES}).prepare()


def test_every_import_of_ours_names_a_module_that_is_there() -> None:
    """A name that the map does not hold would escape every other test here."""
    assert {target for name in MODULES for target in imports_within(name)} <= set(MODULES)


def test_all_that_the_server_reaches_is_free_of_training() -> None:
    """The serving image carries neither Prophet nor pandas nor an exchange's SDK."""
    reached: set[str] = set()
    fresh = imports_of((ROOT / "api.py").read_text(encoding="utf-8"), "api")
    libraries = {target.partition(".")[0] for target in fresh} - {PACKAGE} - sys.stdlib_module_names
    while fresh := {target for target in fresh if target in MODULES} - reached:
        reached |= fresh
        fresh = {target for name in fresh for target in imports_within(name)}
    assert {name.split(".")[1] for name in reached} <= BELOW_WEB | {"web"}
    assert libraries <= PARTS["web"].libraries
    assert "crypto_predict.web.app" in reached


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("market", "import numpy"),
        ("market", "from crypto_predict.settings import day"),
        ("baked.store", "from crypto_predict import history"),
        ("baked.store", "import crypto_predict.sources.port"),
        ("baked.store", "import pandas as pd"),
        ("history", "from crypto_predict.forecasting.forecast import forecast_pair"),
        ("sources.alpaca", "import prophet.serialize"),
        ("sources.alpaca", "import flask"),
        ("forecasting.distribution.bands", "from tqdm import tqdm"),
        ("training.card", "from crypto_predict.web.app import create_app"),
        ("web.app", "from crypto_predict.history import History"),
        ("web.app", "from crypto_predict.forecasting import forecast"),
        ("web.app", "from crypto_predict.sources.port import Source"),
        ("web.app", "from ..training import pipeline"),
        ("web.app", "import alpaca.data"),
        ("web.app", "import numpy"),
        ("release", "import requests"),
        ("errors", "from crypto_predict import nowhere"),
        ("errors", "import train"),
    ],
)
def test_a_forbidden_import_is_found_wherever_it_stands(module: str, line: str) -> None:
    """These rules are worth what they catch."""
    hidden = [
        line,
        f"def later():\n    {line}",
        f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {line}",
        f"try:\n    {line}\nexcept ImportError:\n    pass",
    ]
    for source in hidden:
        assert len(faults_of(source, f"{PACKAGE}.{module}")) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("market", "import crypto_predict.errors"),
        ("baked.store", "from crypto_predict.baked import plain, schema"),
        ("baked.store", "from . import plain"),
        ("baked.store", "from ..errors import UnusableModel"),
        ("baked.store", "import os.path, json"),
        ("sources.alpaca", "import alpaca.data"),
        ("training.pipeline", "from crypto_predict.forecasting import forecast"),
        ("web.app", "from flask import Flask"),
    ],
)
def test_an_import_from_below_is_allowed(module: str, line: str) -> None:
    assert faults_of(line, f"{PACKAGE}.{module}") == []


def test_a_relative_import_counts_as_what_it_names() -> None:
    assert imports_of("from . import plain", "crypto_predict.baked.store") == {"crypto_predict.baked.plain"}
    assert imports_of("from .plain import encode", "crypto_predict.baked.store") == {"crypto_predict.baked.plain"}
    assert imports_of("from . import plain", "crypto_predict.baked", is_package=True) == {"crypto_predict.baked.plain"}
    assert imports_of("from .. import market", "crypto_predict.baked", is_package=True) == {"crypto_predict.market"}
    assert imports_of("from .. import market", "crypto_predict.baked.store") == {"crypto_predict.market"}


def test_a_circle_of_imports_is_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).prepare()
