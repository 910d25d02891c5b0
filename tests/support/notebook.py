"""Run the notebook; as a command (``make notebook``) in place, with static pictures of the figures."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image  # which matplotlib brings

NOTEBOOK = Path(__file__).parents[2] / "train.ipynb"
SECONDS = 1800  # for one cell; the whole backtest of eight years takes one or two minutes
COLOURS = 96  # of a picture; charts have few, and a quarter of the bytes is left


def run(notebook: NotebookNode, environ: Mapping[str, str]) -> NotebookNode:
    """Run the notebook in a new kernel, in the folder of the package, with these variables in addition to our own.

    It is changed and returned, and records nothing about this machine. A cell that raises is a `CellExecutionError`.
    """
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    )
    client.execute(env={**os.environ, **environ})
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def fewer_colours(notebook: NotebookNode) -> None:
    """Reduce every picture in the outputs to `COLOURS`."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if picture := output.get("data", {}).get("image/png"):
                output.data["image/png"] = _reduced(picture)


def _reduced(picture: str) -> str:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def load() -> NotebookNode:
    """Read the notebook in the repository."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook: NotebookNode = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]  # nbformat's omission
    return notebook


def main() -> None:
    """Run the notebook in place."""
    notebook = run(load(), {"PLOTLY_RENDERER": "png"})
    fewer_colours(notebook)
    NOTEBOOK.write_text(f"{nbformat.writes(notebook)}\n", encoding="utf-8")  # type: ignore[no-untyped-call]  # likewise


if __name__ == "__main__":
    main()
