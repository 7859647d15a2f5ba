"""The published protocol gives the published numbers."""

from pathlib import Path

import numpy as np
import pytest

from neuneu.designs import DesignStore
from neuneu.designs.prediction.folds import organisation
from neuneu.designs.prediction.published_protocol import (
    SCALE,
    TaskRows,
    build_rows,
    compare,
    outer_folds,
    read_selected,
    seed_errors,
)
from neuneu.errors import InputError

Selected = dict[tuple[str, str], tuple[list[str], float, float]]


@pytest.fixture(scope="session")
def tables(published_store: DesignStore) -> dict[tuple[str, str], TaskRows]:
    return {(rows.task.name, rows.task.setting): rows for rows in build_rows(published_store)}


@pytest.fixture(scope="session")
def selected(published: Path) -> Selected:
    name = "forward_generation_results_303.csv"
    return read_selected(published / "performance_prediction" / "selected_feats" / name)


def test_tasks_have_the_published_number_of_models(tables: dict[tuple[str, str], TaskRows]) -> None:
    counts = {name: len(rows.y) for (name, setting), rows in tables.items()}
    few = {"humaneval": 91, "truthfulqa": 69, "anli": 82, "logiqa2": 82, "mathqa": 82, "xnli": 82}
    assert counts == {name: few.get(name, 92) for name in counts}
    assert len(tables) == 13


def test_all_26_numbers_over_ten_seeds(tables: dict[tuple[str, str], TaskRows], selected: Selected) -> None:
    off = {}
    for key, rows in tables.items():
        features, scaling, final = selected[key]
        for names, expected in ((SCALE, scaling), (features, final)):
            found = float(np.mean([seed_errors(rows, names, seed).model for seed in range(10)]))
            off[(*key, len(names))] = abs(found - expected)
    assert len(off) == 26
    assert max(off.values()) < 1e-6, {key: value for key, value in off.items() if value >= 1e-6}


@pytest.mark.parametrize(
    ("task", "setting", "scale", "scale_within", "chosen", "chosen_within"),
    [
        ("truthfulqa", "0-shot", 0.0275, 0.0008, 0.0229, 0.0006),
        ("mathqa", "0-shot", 0.0283, 0.0006, 0.0275, 0.0007),
    ],
)
def test_two_rows_of_the_table_over_fifty_seeds(
    tables: dict[tuple[str, str], TaskRows],
    selected: Selected,
    task: str,
    setting: str,
    scale: float,
    scale_within: float,
    chosen: float,
    chosen_within: float,
) -> None:
    key = (task, setting)
    row = compare(tables[key], selected[key][0], range(50), workers=2)
    assert abs(float(row["scaling_laws"]) - scale) < scale_within
    assert abs(float(row["selected"]) - chosen) < chosen_within
    assert float(row["scaling_laws_ci"]) == pytest.approx(scale_within, abs=6e-5)
    assert float(row["selected_ci"]) == pytest.approx(chosen_within, abs=6e-5)


@pytest.mark.parametrize("seed", [0, 8])
def test_the_fast_engine_is_xgboost(
    tables: dict[tuple[str, str], TaskRows], selected: Selected, seed: int
) -> None:
    rows, key = tables["winogrande", "5-shot"], ("winogrande", "5-shot")
    fast = seed_errors(rows, selected[key][0], seed)
    slow = seed_errors(rows, selected[key][0], seed, engine="xgboost")
    assert fast.model == pytest.approx(slow.model, abs=1e-9)


def test_humaneval_needs_its_lost_feature_back(published: Path, selected: Selected) -> None:
    path = published / "performance_prediction" / "selected_feats" / "forward_generation_results_303.csv"
    assert "biases" in selected["humaneval", "0-shot"][0]
    assert "biases" not in read_selected(path, repair=False)["humaneval", "0-shot"][0]


def test_code_in_a_selection_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "selected.csv"
    path.write_text(
        "selected_features,improvement_scores,final_mae,task,setting\n"
        f"\"__import__('pathlib').Path('{tmp_path}/x').touch()\",{{}},0.1,arc_challenge,25-shot\n"
    )
    with pytest.raises(InputError, match="literals"):
        read_selected(path)
    assert not (tmp_path / "x").exists()


def test_organisations_stay_whole(tables: dict[tuple[str, str], TaskRows]) -> None:
    rows = tables["arc_challenge", "25-shot"]
    groups = [organisation(name) for name in rows.ids]
    for train, test in outer_folds(len(groups), 3, groups):
        assert not {groups[i] for i in train} & {groups[i] for i in test}


def test_the_published_test_is_kinder_than_the_corrected_one(
    tables: dict[tuple[str, str], TaskRows], selected: Selected
) -> None:
    key = ("lambada", "0-shot")
    row = compare(tables[key], selected[key][0], range(6))
    assert float(row["p"]) < float(row["p_corrected_resampling"])
    assert row["models"] == 92
