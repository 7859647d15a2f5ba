"""The published search and grids: what is chosen, kept and read again."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuneu.designs import DesignStore
from neuneu.designs.prediction.grids import Keeper, find_grid, load_trees, tune
from neuneu.designs.prediction.published_protocol import (
    SCALE,
    TaskRows,
    build_rows,
    compare,
    read_selected,
    seed_errors,
)
from neuneu.designs.prediction.published_search import agreement, as_published, candidates, search
from neuneu.designs.prediction.targets import DesignTask, find_tasks
from neuneu.errors import InputError


def made(n: int = 40) -> TaskRows:
    """Scores of parameters and code; `nothing` has nothing to do with them."""
    rng = np.random.default_rng(0)
    features = {SCALE[0]: rng.uniform(18, 25, n), SCALE[1]: rng.uniform(4, 9, n)}
    code = "pretraining_summary_percentage_code"
    features |= {
        code: rng.uniform(0, 60, n),
        "nothing": rng.normal(0, 1, n),
        "num_layers": rng.uniform(1, 9, n),
    }
    y = 0.03 * (features[SCALE[0]] - 18) + 0.006 * features[code]
    return TaskRows(
        DesignTask("made", "0-shot", "accuracy", "made"), tuple(f"m{i}" for i in range(n)), features, y
    )


def test_the_search_adds_what_helps_and_its_file_is_read_again(tmp_path: Path) -> None:
    rows = made()
    assert candidates(rows) == ["pretraining_summary_percentage_code", "nothing"]
    found = search(rows, seeds=2, workers=2)
    assert found.features[:3] == (*SCALE, "pretraining_summary_percentage_code")
    assert all(a - b > 1e-4 for a, b in zip(found.errors, found.errors[1:], strict=False))
    mean = np.mean([seed_errors(rows, found.features, seed).model for seed in range(2)])
    assert found.errors[-1] == pytest.approx(mean, abs=1e-12)
    path = tmp_path / "selected.csv"
    pl.DataFrame([as_published(rows, found)]).write_csv(path)
    features, scale, final = read_selected(path)["made", "0-shot"]
    assert tuple(features) == found.features
    assert (scale, final) == pytest.approx((found.errors[0], found.errors[-1]))
    with pytest.raises(InputError, match="known"):
        search(rows, seeds=1, names=["moon"])


def test_two_searches_are_compared_by_task() -> None:
    first = pl.DataFrame({"task": ["a"], "setting": ["0-shot"], "features": [["x", "y"]], "mae": [0.1]})
    second = pl.DataFrame({"task": ["a"], "setting": ["0-shot"], "features": [["y", "z"]], "mae": [0.2]})
    row = agreement(first, second).row(0, named=True)
    assert (row["shared"], row["only_first"], row["only_second"]) == (["y"], ["x"], ["z"])


@pytest.mark.slow
def test_the_search_on_the_published_export_begins_as_published(
    published_store: DesignStore, published: Path
) -> None:
    (rows,) = build_rows(published_store, find_tasks(["humaneval"]))
    path = published / "performance_prediction" / "selected_feats" / "forward_generation_results_303.csv"
    history = read_selected(path)["humaneval", "0-shot"][0][2:]
    found = search(rows, names=["dimension", "entropy_mean", *history[:2]])
    assert found.features[2:4] == tuple(history[:2])
    assert found.errors[1] == pytest.approx(0.08212534579442979 - 0.010910157187492234, abs=1e-7)


@pytest.mark.parametrize("engine", ["fast", "xgboost", "lgbm", "rf"])
def test_every_grid_tunes_and_keeps_its_choice(engine: str) -> None:
    rows = made(30)
    X = rows.matrix(list(rows.features))
    X[0, 2] = np.nan
    found = tune(X, rows.y, 0, engine)
    assert found.trees in find_grid(engine).trees
    assert found.settings in find_grid(engine).settings
    assert np.abs(found.predict(X) - rows.y).mean() < np.abs(np.median(rows.y) - rows.y).mean()
    with pytest.raises(InputError, match="known: fast"):
        find_grid("svr")


def test_tuned_trees_predict_the_same_when_read_again(tmp_path: Path) -> None:
    rows, keeper = made(30), Keeper()
    compare(rows, [*SCALE, "pretraining_summary_percentage_code"], range(2), keeper=keeper)
    folder = tmp_path / "models"
    assert keeper.write(folder) == 2 * 2 * 3
    table = pl.read_csv(folder / "models.csv")
    assert set(table["method"]) == {"scale", "selected"}
    assert table["inner_mae"].min() > 0
    names = list(rows.features)
    tuned = tune(rows.matrix(names), rows.y, 0, "fast")
    alone = Keeper()
    alone.add(tuned, tuple(names), task="made", seed=0)
    alone.write(tmp_path / "one")
    again = load_trees(tmp_path / "one" / "made-0.npz").predict(
        rows.matrix(names).astype(np.float32), tuned.trees
    )
    assert np.array_equal(again.astype(np.float64), tuned.predict(rows.matrix(names)))
    with pytest.raises(InputError, match="new or empty"):
        keeper.write(folder)
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(InputError, match=r"bad\.npz"):
        load_trees(tmp_path / "bad.npz")
