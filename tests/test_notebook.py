"""The notebook: it runs anywhere, it says what one learns, and what is kept of it shows on any page."""

import ast
import re
from collections.abc import Iterator

import pytest
from nbformat import NotebookNode

from tests.support.notebook import NOTEBOOK, load, run

SECTIONS = [
    "1 The data",
    "2 Decomposition and memory",
    "3 Prophet's components",
    "4 Candidates beside persistence, and what the combination makes of them",
    "5 Residual diagnostics",
    "6 Calibration",
    "7 The backtest",
    "8 What it amounts to",
]
# Enough cutoffs for the backtest to start processes of its own, from within the kernel.
QUICK = {"SOURCE": "simulated", "PAIR": "BTC/USD", "DAYS": "760", "UNTIL": "2024-03-31", "EVERY": "6"}
MOST_BYTES = 2_000_000
ABSOLUTE_PATH = re.compile(r"(?<![\w/:.<])(?:[A-Z]:\\\w|/\w[\w.-]*/\w)")


@pytest.fixture(scope="module")
def kept() -> NotebookNode:
    """The notebook as it stands, with the outputs that are kept of it."""
    return load()


@pytest.fixture(scope="module")
def fresh() -> NotebookNode:
    """The notebook after a run on an invented market; figures as JSON, since pictures of them want a browser."""
    return run(load(), {**QUICK, "PLOTLY_RENDERER": "json"})


def code_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def with_figure(notebook: NotebookNode, kind: str) -> list[int]:
    """The cells that show a figure of this kind."""
    return [
        index
        for index, cell in enumerate(notebook.cells)
        if any(kind in output.get("data", {}) for output in cell.get("outputs", []))
    ]


def texts_of(notebook: NotebookNode) -> Iterator[str]:
    """Everything there is to read: sources and outputs, without the bytes of pictures."""
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield from (text for kind, text in output.get("data", {}).items() if kind.startswith("text/"))


def test_it_runs_from_top_to_bottom_without_a_complaint(fresh: NotebookNode) -> None:
    """Whatever a library warns of would stand between the reader and the experiment."""
    assert [cell.execution_count for cell in code_of(fresh)] == list(range(1, len(code_of(fresh)) + 1))
    outputs = [output for cell in code_of(fresh) for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


def test_invented_prices_cannot_be_overlooked(fresh: NotebookNode) -> None:
    text = "\n".join(texts_of(fresh))
    assert "***  SIMULATED PRICES for BTC/USD" in text
    assert "These prices are invented: nothing here says anything about a real market." in text


@pytest.mark.parametrize("which", ["kept", "fresh"])
def test_every_section_says_what_one_learns_and_what_was_seen(which: str, request: pytest.FixtureRequest) -> None:
    """The numbers in the closing words are printed from the data, so they cannot go stale."""
    cells = request.getfixturevalue(which).cells
    titles = [index for index, cell in enumerate(cells) if cell.source.startswith("## ")]
    assert [cells[index].source.splitlines()[0].removeprefix("## ") for index in titles] == SECTIONS
    for start, end in zip(titles, [*titles[1:], len(cells)], strict=True):
        assert "One learns" in cells[start].source
        assert "**Seen.**" in cells[end - 1].outputs[-1].data["text/markdown"]


def test_it_imports_the_package_and_defines_nothing(kept: NotebookNode) -> None:
    """What is worth a name is worth a test, and has its place in the package."""
    nodes = [node for cell in code_of(kept) for node in ast.walk(ast.parse(cell.source))]
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert [ast.unparse(node) for node in nodes if isinstance(node, defined)] == []
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {"crypto_predict.forecasting.evaluation.replay", "crypto_predict.forecasting.evaluation.scoring"} <= modules


def test_the_kept_figures_are_pictures(kept: NotebookNode, fresh: NotebookNode) -> None:
    """A page that runs no JavaScript, as GitHub's, shows nothing of a figure but a picture."""
    assert with_figure(kept, "image/png") == with_figure(fresh, "application/json")
    assert len(with_figure(kept, "image/png")) >= len(SECTIONS)


def test_the_kept_run_is_whole_and_of_real_prices(kept: NotebookNode) -> None:
    assert [cell.execution_count for cell in code_of(kept)] == list(range(1, len(code_of(kept)) + 1))
    outputs = [output for cell in code_of(kept) for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"display_data", "execute_result"}
    assert "invented" not in "".join(text for output in outputs for text in output.data.get("text/plain", ""))


def test_what_is_kept_names_no_place_and_no_time(kept: NotebookNode) -> None:
    """Neither folders of whoever ran it, nor when and with what that was: every run would change the file."""
    assert [match for text in texts_of(kept) for match in ABSOLUTE_PATH.findall(text)] == []
    assert all(cell.metadata == {} for cell in kept.cells)
    assert set(kept.metadata) == {"kernelspec", "language_info"}
    assert kept.metadata.language_info == {"name": "python"}
    assert NOTEBOOK.stat().st_size < MOST_BYTES


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/home/someone/prices.csv", 1),
        ("in /usr/lib", 1),
        (r"C:\prices", 1),
        ("https://a.b/c/d", 0),
        ("a/b/c </td>", 0),
    ],
)
def test_a_path_is_recognised(text: str, found: int) -> None:
    """The check above is worth what it catches."""
    assert len(ABSOLUTE_PATH.findall(text)) == found
