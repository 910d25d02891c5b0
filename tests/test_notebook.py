"""The notebook runs anywhere, its sections have a question and a result, and its saved outputs show on any page."""

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
    "4 The models and the combination, compared with persistence",
    "5 What volatility knows",
    "6 Residual diagnostics",
    "7 Calibration",
    "8 The backtest",
    "9 The next minutes",
    "10 The next hours",
    "11 The LSTM's lesson",
    "12 Conclusions",
]
# Long enough for a season of a year; few cutoffs and walks.
QUICK = {
    "SOURCE": "simulated",
    "PAIR": "BTC/USD",
    "DAYS": "760",
    "UNTIL": "2024-03-31",
    "EVERY": "12",
    "WALKS": "2",
    "MINUTE_DAYS": "3",
    "HOUR_DAYS": "70",
}
MOST_BYTES = 2_000_000
ABSOLUTE_PATH = re.compile(r"(?<![\w/:.<])(?:[A-Z]:\\\w|/\w[\w.-]*/\w)")


@pytest.fixture(scope="module")
def saved() -> NotebookNode:
    """The notebook in the repository, with its saved outputs."""
    return load()


@pytest.fixture(scope="module")
def fresh() -> NotebookNode:
    """The notebook after a run on the simulated market; figures as JSON, since static pictures need a browser."""
    return run(load(), {**QUICK, "PLOTLY_RENDERER": "json"})


def code_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def with_figure(notebook: NotebookNode, kind: str) -> list[int]:
    """Return the indices of the cells that show a figure of this kind."""
    return [
        index
        for index, cell in enumerate(notebook.cells)
        if any(kind in output.get("data", {}) for output in cell.get("outputs", []))
    ]


def texts_of(notebook: NotebookNode) -> Iterator[str]:
    """Yield all text: sources and outputs, without the bytes of pictures."""
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield from (text for kind, text in output.get("data", {}).items() if kind.startswith("text/"))


def test_it_runs_from_top_to_bottom_without_warnings(fresh: NotebookNode) -> None:
    assert [cell.execution_count for cell in code_of(fresh)] == list(range(1, len(code_of(fresh)) + 1))
    outputs = [output for cell in code_of(fresh) for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


def test_simulated_prices_are_marked(fresh: NotebookNode) -> None:
    text = "\n".join(texts_of(fresh))
    assert "***  SIMULATED PRICES for BTC/USD" in text
    assert "These prices are simulated: nothing here applies to a real market." in text


@pytest.mark.parametrize("which", ["saved", "fresh"])
def test_every_section_has_a_question_and_a_result(which: str, request: pytest.FixtureRequest) -> None:
    """The numbers of the result are printed from the data, so they cannot be outdated."""
    cells = request.getfixturevalue(which).cells
    titles = [index for index, cell in enumerate(cells) if cell.source.startswith("## ")]
    assert [cells[index].source.splitlines()[0].removeprefix("## ") for index in titles] == SECTIONS
    for start, end in zip(titles, [*titles[1:], len(cells)], strict=True):
        assert "This section shows" in cells[start].source
        assert "**Seen.**" in cells[end - 1].outputs[-1].data["text/markdown"]


def test_it_imports_the_package_and_defines_no_function_or_class(saved: NotebookNode) -> None:
    """Functions belong in the package, where they are tested."""
    nodes = [node for cell in code_of(saved) for node in ast.walk(ast.parse(cell.source))]
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert [ast.unparse(node) for node in nodes if isinstance(node, defined)] == []
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {"crypto_predict.forecasting.evaluation.replay", "crypto_predict.forecasting.evaluation.scoring"} <= modules


def test_the_saved_figures_are_pictures(saved: NotebookNode, fresh: NotebookNode) -> None:
    """Pages without JavaScript, such as GitHub's, show figures only as pictures."""
    assert with_figure(saved, "image/png") == with_figure(fresh, "application/json")
    assert len(with_figure(saved, "image/png")) >= len(SECTIONS)


def test_the_saved_run_is_complete_and_uses_real_prices(saved: NotebookNode) -> None:
    assert [cell.execution_count for cell in code_of(saved)] == list(range(1, len(code_of(saved)) + 1))
    outputs = [output for cell in code_of(saved) for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"display_data", "execute_result"}
    assert "simulated" not in "".join(text for output in outputs for text in output.data.get("text/plain", ""))


def test_the_saved_run_contains_no_path_and_no_time(saved: NotebookNode) -> None:
    """Otherwise every run, and every machine, would change the file."""
    assert [match for text in texts_of(saved) for match in ABSOLUTE_PATH.findall(text)] == []
    assert all(cell.metadata == {} for cell in saved.cells)
    assert set(saved.metadata) == {"kernelspec", "language_info"}
    assert saved.metadata.language_info == {"name": "python"}
    assert NOTEBOOK.stat().st_size < MOST_BYTES
