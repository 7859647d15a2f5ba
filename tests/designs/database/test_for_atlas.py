"""A design database extends the atlas: its untuned models of known size and tokens become finished runs."""

from pathlib import Path

import pytest

from neuneu.atlas.ask import ask_atlas
from neuneu.curves.table import CurveTable
from neuneu.designs import DesignStore
from neuneu.designs.database.for_atlas import finished_models
from neuneu.errors import InputError


def test_models_of_known_size_and_tokens_become_finished_runs(store: DesignStore) -> None:
    rows = finished_models(store).frame
    arc = rows.filter(task="arc_challenge").row(0, named=True)
    assert (arc["run"], arc["family"], arc["metric"], arc["n_shot"]) == ("org/a", "org", "acc", 25)
    assert (arc["params"], arc["tokens"], arc["value"]) == (100_000_000, 300_500_000_000, 0.31)
    assert set(rows["run"]) == {"org/a", "org/b"}  # `solo` is tuned to instructions
    assert "brier_score" not in set(rows["metric"])


def test_they_extend_the_atlas(store: DesignStore) -> None:
    plain, extended = (
        ask_atlas(["arc_challenge"], 1e8, 3e11, n_shot=25, metric="acc", finished=own)[0]
        for own in (None, finished_models(store))
    )
    assert extended.families == plain.families + 1


def test_a_database_without_such_models_is_refused() -> None:
    with pytest.raises(InputError, match="total_params and tokens are known"):
        finished_models(DesignStore.in_memory())


def test_the_command_writes_a_curve_table(neuneu, export_folder: Path, tmp_path: Path) -> None:
    made = neuneu("designs", "import", "export", export_folder, "--store", tmp_path / "d.duckdb")
    assert made.returncode == 0, made.stderr
    done = neuneu("designs", "finished", "--store", tmp_path / "d.duckdb", "-o", tmp_path / "f.parquet")
    assert done.returncode == 0, done.stderr
    assert CurveTable.read(tmp_path / "f.parquet").runs == ["org/a", "org/b"]
