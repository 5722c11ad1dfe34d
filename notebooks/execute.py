"""Executes the notebooks against a service, and writes them with their outputs, and their figures, elsewhere.

python notebooks/execute.py http://127.0.0.1:8080 [FOLDER]
"""

from __future__ import annotations

import os
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
NOTEBOOKS = tuple(sorted(FOLDER.glob("*.ipynb")))
TIMEOUT_S = 120


def execute(path: Path, environ: Mapping[str, str]) -> nbformat.NotebookNode:
    """Execute a notebook in a process with more environment, and a folder of its own; raise what fails."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=TIMEOUT_S, kernel_name="python3")
    with TemporaryDirectory() as folder:
        client.execute(env={**os.environ, **environ}, cwd=folder)
    return notebook


def texts_of(notebook: nbformat.NotebookNode) -> str:
    """Return what it printed."""
    return "".join(output.get("text", "") for output in _outputs(notebook) if output.get("name") == "stdout")


def figures_of(notebook: nbformat.NotebookNode) -> list[bytes]:
    """Return its figures, as PNG."""
    return [
        b64decode(output["data"]["image/png"])
        for output in _outputs(notebook)
        if "image/png" in output.get("data", {})
    ]


def complaints_of(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what it wrote to standard error: warnings."""
    return [output["text"] for output in _outputs(notebook) if output.get("name") == "stderr"]


def _outputs(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


if __name__ == "__main__":
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "var/notebooks")
    folder.mkdir(parents=True, exist_ok=True)
    for path in NOTEBOOKS:
        executed = execute(path, {"SODA_SERVICE": sys.argv[1]})
        nbformat.write(executed, folder / path.name)
        for number, figure in enumerate(figures_of(executed), 1):
            (folder / f"{path.stem}-{number}.png").write_bytes(figure)
        print(folder / path.name)
