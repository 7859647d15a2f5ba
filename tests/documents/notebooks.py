"""Notebooks of docs/: run them, and compare or renew what they show.

python -m tests.documents.notebooks docs/tutorials/notebook.ipynb
"""

import copy
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from tests.conftest import ROOT
from tests.documents.compare import difference

TIMEOUT = 300
"""Seconds that a cell may take on a busy machine."""


def notebooks() -> list[Path]:
    """All notebooks of docs/."""
    return sorted((ROOT / "docs").rglob("*.ipynb"))


def run(path: Path, folder: Path) -> Any:
    """A notebook as it is after it was run in a folder."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        copy.deepcopy(notebook),
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": folder}},
    )
    return client.execute()


def texts(cell: Any) -> list[str]:
    """What a cell printed or showed, as text."""
    found = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.get("outputs", [])
    ]
    return ["".join(text) if isinstance(text, list) else text for text in found]


def pictures(cell: Any) -> int:
    """How many pictures a cell shows."""
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def differences(kept: Any, ran: Any) -> list[str]:
    """Where a notebook shows something else than it gives when it is run."""
    found = []
    for number, (old, new) in enumerate(zip(kept.cells, ran.cells, strict=True)):
        shown, made = texts(old), texts(new)
        if len(shown) != len(made):
            found.append(f"cell {number}: {len(shown)} outputs are shown, {len(made)} made")
        pairs = zip(shown, made, strict=False)
        found += [
            f"cell {number}: {said}" for one, two in pairs if (said := difference(one, two)) is not None
        ]
        if pictures(old) != pictures(new):
            found.append(f"cell {number}: {pictures(old)} pictures are shown, {pictures(new)} made")
    return found


def clean(notebook: Any) -> Any:
    """Without what is another at each run: times, ids of processes, versions of the machine."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            for output in cell.outputs:
                output.pop("metadata", None)
                if output.output_type != "stream":
                    output.metadata = {}
    return notebook


if __name__ == "__main__":
    for name in sys.argv[1:]:
        place = Path(name).resolve()
        nbformat.write(clean(run(place, place.parent)), place)
