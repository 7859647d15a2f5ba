"""Notebooks of the site run, and show what they show."""

from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbclient", reason="nbclient is not installed: pip install 'neuneu[dev]'")

from tests.documents.notebooks import differences, notebooks, pictures, run, texts


@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_holds(path: Path, tmp_path: Path) -> None:
    kept = nbformat.read(path, as_version=4)
    assert sum(map(pictures, kept.cells)) > 0
    assert all(cell.execution_count for cell in kept.cells if cell.cell_type == "code")
    assert differences(kept, run(path, tmp_path)) == []


def test_another_number_or_a_picture_less_is_seen() -> None:
    kept = nbformat.read(notebooks()[0], as_version=4)
    other = nbformat.read(notebooks()[0], as_version=4)
    assert differences(kept, other) == []
    drawn = next(cell for cell in other.cells if pictures(cell))
    drawn.outputs = [output for output in drawn.outputs if "image/png" not in output.get("data", {})]
    found = differences(kept, other)
    assert any("pictures" in line for line in found)
    numbers = next(cell for cell in other.cells if "shape" in "".join(texts(cell)))
    for output in numbers.outputs:
        output["data"]["text/plain"] = output["data"]["text/plain"].replace("0", "1")
    assert len(differences(kept, other)) > len(found)
