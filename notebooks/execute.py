"""Executes the notebooks against a service, and keeps what is small of their outputs.

python notebooks/execute.py http://127.0.0.1:8080
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
TIMEOUT_S = 120
#: A notebook is read as text too: pictures in it are small ones.
MOST_BYTES = 160_000


def execute(path: Path, environ: Mapping[str, str]) -> nbformat.NotebookNode:
    """Execute a notebook in a process with more environment; what fails in it is raised."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=TIMEOUT_S, kernel_name="python3")
    client.execute(env={**os.environ, **environ})
    return notebook


def strip(notebook: nbformat.NotebookNode) -> None:
    """Take out what changes at each execution, or is large."""
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("text/html", None)
            if len(output.get("data", {}).get("image/png", "")) > MOST_BYTES:
                del output.data["image/png"]
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}


if __name__ == "__main__":
    for path in FOLDER.glob("*.ipynb"):
        executed = execute(path, {"SODA_SERVICE": sys.argv[1]})
        strip(executed)
        nbformat.write(executed, path)
