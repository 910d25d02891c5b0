"""The architecture: imports run downwards only, and each part imports only the libraries of its row."""

import ast
import functools
import re
import sys
import tomllib
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "crypto_predict"


def part(floor: int, *libraries: str, parts: set[str] | None = None) -> tuple[int, set[str], set[str] | None]:
    """Return a row of the table: a module or a folder of the package, or a command.

    The libraries are in addition to the standard library. The parts are those that it may import, None for those of
    its floor and of all floors below.
    """
    return floor, set(libraries), parts


BASE = {"errors", "locks", "market", "outages", "prerequisites", "threads", "version", "wording"}
SERVING = BASE | {"baked", "command_line", "logs", "settings"}
MINUTES = {"forecasting.distribution", "forecasting.minutes"}  # of forecasting, what a collector uses
PARTS = {
    "errors": part(0),
    "http_server": part(0, "waitress", parts={"errors", "logs"}),
    "locks": part(0),
    "logs": part(0),
    "market": part(0),
    "outages": part(0),
    "prerequisites": part(0),
    "threads": part(0),
    "version": part(0),
    "wording": part(0),
    "baked": part(1),
    "dataset": part(2, "pyarrow", parts=BASE | {"baked"}),
    "command_line": part(1, "click"),
    "settings": part(1),
    "history": part(2, "numpy"),
    "sources": part(2, "alpaca", "binance", "msgpack", "pandas", "requests", "urllib3", "websockets"),
    "store": part(2, "alembic", "psycopg", "sqlalchemy", parts=BASE | {"logs", "settings"}),
    "forecasting": part(3, "arch", "cmdstanpy", "numpy", "pandas", "prophet", "scipy", "statsmodels", "threadpoolctl"),
    "release": part(4, parts=BASE | {"baked", "dataset.layout", "dataset.manifest"}),
    "launch": part(4, parts=set()),
    "collecting": part(
        *(4, "numpy", "prometheus_client", "pyarrow", "threadpoolctl", "tqdm"),
        parts=SERVING | {"dataset", "sources", "history"} | MINUTES,
    ),
    "training": part(
        *(4, "matplotlib", "numpy", "pandas", "threadpoolctl", "tqdm"),
        parts=SERVING | {"sources", "history", "forecasting"},
    ),
    "web": part(
        *(4, "flask", "flask_cors", "flask_swagger_ui", "jinja2", "prometheus_client", "werkzeug"),
        parts=SERVING | {"http_server"},
    ),
    "api": part(5, "click", parts=SERVING | {"http_server", "web", "store", "collecting"}),
    "collect": part(5, "click", parts=SERVING | {"sources", "history", "store", "collecting"}),
    "train": part(5, "click", parts=SERVING | {"sources", "history", "store", "forecasting", "training"}),
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in [*(ROOT / PACKAGE).rglob("*.py"), *(ROOT / f"{name}.py" for name in ("api", "collect", "train"))]
}


def imports_of(source: str) -> set[str]:
    """Return the modules that a source imports, also in functions and for type checks.

    ``from package import module`` imports ``package.module`` if that is a module of this project.
    """
    result = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            result |= {name if name in MODULES else str(node.module) for name in names}
    return result


@functools.cache
def all_imports() -> dict[str, set[str]]:
    """Return the imports of every module; not while tests are collected, which each test process does."""
    return {name: imports_of(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def part_of(module: str) -> str:
    """Return the name of the table row of a module."""
    return module.split(".")[1] if module.startswith(f"{PACKAGE}.") else module


def forbidden(module: str, imported: set[str]) -> list[str]:
    """Return the imports of a module that its row does not allow."""
    floor, libraries, parts = PARTS[part_of(module)]
    below = {name for name, (other, *_) in PARTS.items() if other <= floor}
    allowed = (below if parts is None else parts) | libraries | sys.stdlib_module_names | {part_of(module)}
    return sorted(name for name in imported if not _names(name) & allowed)


def _names(name: str) -> set[str]:
    """Return the names by which a row can allow an import: its part, or a folder of that part."""
    if not name.startswith(PACKAGE):
        return {name.partition(".")[0]}
    _, *path = name.split(".")
    return {".".join(path[:depth]) for depth in (1, 2)}


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {PACKAGE}))
def test_a_module_imports_only_what_its_row_allows(module: str) -> None:
    assert forbidden(module, all_imports()[module]) == []


STREAMS = {name for name in MODULES if re.fullmatch(r"crypto_predict\.sources\..+\.stream", name)}


@pytest.mark.parametrize(
    ("extras", "parts", "absent"),
    [
        ({"api"}, SERVING | {"http_server", "web"}, set()),
        (
            {"api", "live"},
            SERVING | {"http_server", "web", "dataset", "sources", "history", "store", "collecting"},
            set(),
        ),
        ({"train"}, SERVING | {"sources", "history", "forecasting", "training"}, STREAMS),
    ],
)
def test_every_library_is_declared_where_it_is_imported(extras: set[str], parts: set[str], absent: set[str]) -> None:
    """One that only comes with another library may leave with it. Training does not import the streams."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^\w-]", line)[0] for extra in extras for line in project["optional-dependencies"][extra]}
    names = {name for module in MODULES.keys() - absent if part_of(module) in parts for name in all_imports()[module]}
    libraries = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {PACKAGE}
    installed = packages_distributions()
    distributions = {name: {each.lower().replace("_", "-") for each in installed[name]} for name in libraries}
    assert [name for name in sorted(libraries) if not declared & distributions[name]] == []


def reachable(part: str) -> set[str]:
    """Return the modules that a part imports, directly or not, with the folders that they are in."""
    result: set[str] = set()
    waiting = {module for module in MODULES if part_of(module) == part}
    while waiting:
        module = waiting.pop()
        result.add(module)
        above = {module.rpartition(".")[0]} & MODULES.keys()
        waiting |= ((all_imports()[module] | above) & MODULES.keys()) - result
    return result


def test_a_collector_needs_numpy_alone_for_its_forecasts() -> None:
    """Its image does not have the libraries of training."""
    forecasting = {module for module in reachable("collecting") if part_of(module) == "forecasting"}
    assert f"{PACKAGE}.forecasting.minutes.model" in forecasting
    assert {".".join(module.split(".")[1:3]) for module in forecasting} == {"forecasting"} | MINUTES
    libraries = {name.partition(".")[0] for module in forecasting for name in all_imports()[module]}
    assert libraries - sys.stdlib_module_names - {PACKAGE} == {"numpy"}


def test_the_package_itself_imports_nothing() -> None:
    """Every module would import it as well."""
    assert all_imports()[PACKAGE] == set()


def cycles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Return cycles of imports between modules, or between the entries of a folder."""
    edges: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for module, targets in imports.items():
        for target in targets & imports.keys():
            above, own, other = _siblings(module, target)
            edges[above][own].add(other)
    result = []
    for graph in [*edges.values(), {module: targets - {module} for module, targets in imports.items()}]:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            result.append(error.args[1])
    return result


def _siblings(module: str, target: str) -> tuple[str, str, str]:
    """Return the deepest folder that contains both, and their names in it; the folder's own module has no name."""
    own, other = f"{module}.".split("."), f"{target}.".split(".")
    depth = next((n for n, pair in enumerate(zip(own, other, strict=False)) if pair[0] != pair[1]), len(own) - 1)
    return ".".join(own[:depth]), own[depth], other[depth]


def test_imports_have_no_cycle() -> None:
    assert cycles(all_imports()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("market.candle", "import numpy"),
        ("baked.store", "def later():\n    from crypto_predict import history"),
        ("sources.alpaca", "try:\n    import prophet.serialize\nexcept ImportError:\n    pass"),
        ("collecting.live.forecasting.state", "from crypto_predict.forecasting.daily import forecast_pair"),
        ("collecting.live.forecasting.state", "from crypto_predict import forecasting"),
        ("web.app", "if TYPE_CHECKING:\n    from crypto_predict.history import History"),
        ("errors", "from crypto_predict import nowhere"),
        ("errors", "import train"),
    ],
)
def test_a_forbidden_import_is_found_at_any_place(module: str, source: str) -> None:
    assert len(forbidden(f"{PACKAGE}.{module}", imports_of(source))) == 1
