"""Published layouts are read as they are, and what is no array is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from neuneu.errors import InputError
from neuneu.losses.open import open_losses
from neuneu.losses.published_layouts import PublishedLosses


def publish(
    folder: Path, run: str, step: str, losses: list[float], shard: str = "0001", kind: str = "word"
) -> Path:
    path = folder / run / step
    path.mkdir(parents=True, exist_ok=True)
    np.save(path / f"{kind}_losses_shard_{shard}.npy", np.array(losses, dtype=np.float32))
    (path / f"{kind}_losses_shard_{shard}.json").write_text(json.dumps({"word_boundaries": [0, len(losses)]}))
    return path


def test_runs_steps_and_shards(tmp_path: Path) -> None:
    for run in ("DataDecide-c4-90M", "EleutherAI--pythia-70m"):
        for step in (0, 1250, 10):
            publish(tmp_path, run, f"step{step}-seed-default", [step, 1, 2])
            publish(tmp_path, run, f"step{step}-seed-default", [3, np.nan], shard="0000")
    (tmp_path / "EleutherAI--pythia-70m/main").mkdir()
    np.save(tmp_path / "EleutherAI--pythia-70m/arc_easy.npy", np.zeros((2, 3)))
    store = open_losses(tmp_path)
    assert store.runs == ["DataDecide-c4-90M", "EleutherAI--pythia-70m"]
    assert store.steps("DataDecide-c4-90M").tolist() == [0, 10, 1250]
    np.testing.assert_array_equal(store.read("DataDecide-c4-90M", 1250), [3, np.nan, 1250, 1, 2])
    assert store.n_positions == 5
    assert open_losses(tmp_path / "DataDecide-c4-90M").runs == ["DataDecide-c4-90M"]
    assert open_losses(tmp_path / "DataDecide-c4-90M").fingerprint == store.fingerprint
    publish(tmp_path, "other", "step1", [1.0])
    assert PublishedLosses(tmp_path / "other").fingerprint != store.fingerprint


def test_token_losses_are_another_unit(tmp_path: Path) -> None:
    publish(tmp_path, "run", "step1", [1, 2, 3], kind="eval")
    publish(tmp_path, "run", "step1", [3, 4])
    assert PublishedLosses(tmp_path, "token").read("run", 1).tolist() == [1, 2, 3]
    assert PublishedLosses(tmp_path, "word").read("run", 1).tolist() == [3, 4]


def test_a_git_lfs_pointer_is_refused_with_the_hint(tmp_path: Path) -> None:
    path = publish(tmp_path, "run", "step1", [1, 2])
    file = path / "word_losses_shard_0001.npy"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:05be3a84\nsize 20566176\n")
    with pytest.raises(InputError, match="git lfs pull"):
        open_losses(tmp_path)
    file.write_bytes(b"no array")
    with pytest.raises(InputError, match=r"not a \.npy array"):
        open_losses(tmp_path)
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="must be an array of floats"):
        open_losses(tmp_path)


def test_seeds_that_collide_and_lengths_that_differ_are_refused(tmp_path: Path) -> None:
    publish(tmp_path, "run", "step1", [1, 2])
    publish(tmp_path, "run", "step2", [1, 2, 3])
    store = open_losses(tmp_path)
    with pytest.raises(InputError, match="length = 3: must have 2 losses"):
        store.read("run", 2)
    with pytest.raises(InputError, match="no losses of this checkpoint"):
        store.read("run", 3)
    publish(tmp_path, "run", "step3", [1, 2], shard="0002")
    with pytest.raises(InputError, match="must have the shards"):
        open_losses(tmp_path).read("run", 3)
    publish(tmp_path, "run", "step1-seed-large-aux-2", [1, 2])
    with pytest.raises(InputError, match="two folders of one step"):
        open_losses(tmp_path)


def test_item_losses(tmp_path: Path) -> None:
    arrays = {
        "steps": np.array([10, 20]),
        "tokens": np.array([1, 2]),
        "arcc": np.array([[1, 2], [3, 4]], dtype=np.float16),
        "mmlu": np.array([[5, 6, 7], [8, 9, 10]], dtype=np.float16),
        "mmlu_subjects": np.array(["anatomy", "virology"]),
        "mmlu_subject_lengths": np.array([1, 2]),
    }
    np.savez(tmp_path / "one.npz", **arrays)
    store = open_losses(tmp_path)
    assert store.runs == ["one"]
    assert store.groups == ["arc_challenge"] * 2 + ["mmlu_anatomy", "mmlu_virology", "mmlu_virology"]
    assert store.read("one", 20).tolist() == [3, 4, 8, 9, 10]
    np.savez(tmp_path / "two.npz", steps=arrays["steps"], arcc=arrays["arcc"])
    with pytest.raises(InputError, match="same tasks and items"):
        open_losses(tmp_path)
    (tmp_path / "two.npz").write_bytes(b"x")
    with pytest.raises(InputError, match=r"two\.npz: cannot be read as a \.npz archive"):
        open_losses(tmp_path)


def test_runs_match_curves_but_for_case_and_separators(tmp_path: Path) -> None:
    for number, name in enumerate(["Gemstone-1280x15", "other_run"]):
        np.savez(tmp_path / f"{name}.npz", steps=np.array([10]), arcc=np.array([[number, number]]))
    store = open_losses(tmp_path, ["gemstone/1280x15", "gemstone/1280x1", "other_run", "absent"])
    assert store.runs == ["gemstone/1280x15", "other_run"]
    assert store.steps("gemstone/1280x15").tolist() == [10]
    assert store.read("gemstone/1280x15", 10).tolist() == [0, 0]
    assert store.read("other_run", 10).tolist() == [1, 1]
    assert store.steps("gemstone/1280x1").tolist() == []
    with pytest.raises(InputError, match="no losses of this run"):
        store.read("Gemstone-1280x15", 10)
    assert open_losses(tmp_path).runs == ["Gemstone-1280x15", "other_run"]


def test_runs_that_match_one_curve_twice_are_refused(tmp_path: Path) -> None:
    for name in ("a-1", "A_1"):
        np.savez(tmp_path / f"{name}.npz", steps=np.array([10]), arcc=np.array([[1, 2]]))
    with pytest.raises(InputError, match="two runs"):
        open_losses(tmp_path, ["a/1"])
    assert open_losses(tmp_path, ["a-1"]).runs == ["A_1", "a-1"]


def test_real_item_losses(shared: Path) -> None:
    store = open_losses(shared / "data/item_losses")
    assert len(store.runs) == 16
    assert store.n_positions == 34412
    assert store.groups is not None
    assert len(set(store.groups)) == 57 + 8
    assert store.groups.count("csqa") == 1221
    means = store.mean("Gemstone-1792x7")
    assert means.shape == (35,)
    assert means[-1] < means[0]
