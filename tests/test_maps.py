"""The maps: the docstring of a folder of the package lists its modules and folders, each in a line of its list.

Modules of endpoints, which define an operation, are left out: the OpenAPI document lists them all. So are the folders
of exchanges, which `sources.catalog` lists.
"""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "crypto_predict"
ENDPOINT = re.compile(r"^\w+ = [\w.]*operation\(", re.MULTILINE | re.IGNORECASE)
EXCHANGE = re.compile(r"^EXCHANGE = ", re.MULTILINE)
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("*/__init__.py") if path.parent.name != "versions")


def contents(folder: Path) -> set[str]:
    """Return the names of the modules and folders of a folder."""
    modules = [path for path in folder.glob("*.py") if not ENDPOINT.search(path.read_text("utf-8"))]
    folders = [path for path in folder.glob("*/__init__.py") if not EXCHANGE.search(path.read_text("utf-8"))]
    names = {path.stem for path in modules} | {path.parent.name for path in folders}
    return names - {"__init__", "__main__"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: ".".join(folder.relative_to(PACKAGE.parent).parts))
def test_the_docstring_of_a_folder_lists_its_modules(folder: Path) -> None:
    """A newcomer finds a module by the map, so a module that it omits, or one that has gone, misleads."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    lines = [line for line in text.splitlines() if re.match(r"[*-] |``", line)]
    assert {name for line in lines for name in re.findall(r"`(\w+)`", line)} == contents(folder)
