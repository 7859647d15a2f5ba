"""Tables of the documents are those of the committed results."""

import re
from pathlib import Path

import pytest
from benchmarks import tables
from tests.conftest import ROOT


def test_documents_say_what_the_results_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert tables.main() == 0, capsys.readouterr().out
    told = {
        name for path in tables.DOCUMENTS for _, name, *_ in tables.BLOCK.findall((ROOT / path).read_text())
    }
    assert told == set(tables.FIGURES)


def test_a_number_that_differs_is_seen_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text()
    wrong = re.sub(r"(?<=\| \*\*neuneu-2\*\* \| )\*\*[\d.]+\*\*", "**99.99**", text)
    assert wrong != text
    (tmp_path / "README.md").write_text(wrong)
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    assert tables.main() == 1
    assert tables.main(["--write"]) == 0
    assert (tmp_path / "README.md").read_text() == text


def test_the_readme_quotes_pairs_as_they_were_measured() -> None:
    over_benchmarks = (ROOT / "docs/decisions.md").read_text().partition("Mean over benchmarks")[2]
    row = next(line for line in over_benchmarks.splitlines() if line.startswith("| open_sci_ref | 0.2"))
    _, _, _, pairs, last, *_, ours = (cell.strip(" *") for cell in row.strip("|").split("|"))
    text = (ROOT / "README.md").read_text()
    assert f"Brier score of {ours}, where the last value has {last} (open-sci-ref, {pairs} pairs" in text
