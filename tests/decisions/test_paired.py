import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.items import read_items
from neuneu.decisions.paired import OVER, Paired, compare, pair_items
from neuneu.errors import InputError


def write(folder, right, task="piqa", metric="acc", stamp="2026-01-01T00-00-00"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{stamp}.jsonl"
    lines = [
        {"doc_id": i, "doc_hash": f"h{i}", "target": "0", metric: value} for i, value in enumerate(right)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def checkpoints(tmp_path, one, two, **options):
    write(tmp_path / "a", one, **options)
    write(tmp_path / "b", two, **options)
    return read_items(tmp_path / "a"), read_items(tmp_path / "b")


def test_a_rise_on_many_items_is_told_from_noise(tmp_path):
    rng = np.random.default_rng(0)
    one = (rng.random(1000) < 0.5).astype(float)
    better = np.where(rng.random(1000) < 0.15, 1.0, one)
    same = np.where(rng.random(1000) < 0.1, 1 - one, one)
    real = compare(pair_items(*checkpoints(tmp_path / "r", one, better))).row(0, named=True)
    assert real["difference"] == pytest.approx((better - one).mean())
    assert real["low"] > 0
    assert real["p"] < 1e-6
    noise = compare(pair_items(*checkpoints(tmp_path / "n", one, same))).row(0, named=True)
    assert noise["low"] < 0 < noise["high"]
    assert noise["p"] > 0.05


def test_mcnemar_is_the_coin_of_the_items_that_changed():
    pair = Paired("t", "acc", np.array([0, 0, 0, 1, 1.0]), np.array([1, 1, 1, 0, 1.0]), 0)
    assert pair.p_value == pytest.approx(0.625)  # three of four: 2 × (4 + 1) / 16
    assert Paired("t", "acc", np.ones(3), np.ones(3), 0).p_value == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60), st.integers(0, 9))
def test_swapping_the_two_turns_the_sign_and_nothing_else(items, seed):
    one, two = (np.array(side, dtype=np.float64) for side in zip(*items, strict=True))
    there = compare([Paired("t", "acc", one, two, 0)], seed).row(0, named=True)
    back = compare([Paired("t", "acc", two, one, 0)], seed).row(0, named=True)
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["p"] == pytest.approx(back["p"])
    assert there["low"] <= there["difference"] + 1e-9
    assert there["difference"] <= there["high"] + 1e-9


def test_many_tasks_are_corrected_for_and_benchmarks_count_once(tmp_path):
    rng = np.random.default_rng(1)
    for task in ("piqa", "sciq", "mmlu_anatomy", "mmlu_virology"):
        one = (rng.random(400) < 0.5).astype(float)
        checkpoints(tmp_path, one, np.where(rng.random(400) < 0.05, 1.0, one), task=task)
    frame = compare(pair_items(read_items(tmp_path / "a"), read_items(tmp_path / "b")))
    assert frame["task"].to_list()[-1] == OVER
    single, over = frame.head(4), frame.row(4, named=True)
    assert (single["p_fdr"] >= single["p"]).all()
    of = dict(single.select("task", "difference").iter_rows())
    mmlu = (of["mmlu_anatomy"] + of["mmlu_virology"]) / 2
    assert over["difference"] == pytest.approx((of["piqa"] + of["sciq"] + mmlu) / 3)
    assert over["low"] < over["difference"] < over["high"]


def test_only_shared_items_count_and_the_others_are_counted(tmp_path):
    pairs = pair_items(*checkpoints(tmp_path, [1.0, 0.0, 1.0], [1.0, 1.0]))
    assert len(pairs[0].first) == 2
    assert pairs[0].n_apart == 1


def test_what_cannot_be_compared_is_refused(tmp_path):
    first, second = checkpoints(tmp_path, [1.0, 0.0], [1.0, 1.0])
    with pytest.raises(InputError, match="not evaluated here"):
        pair_items(first, second, ["sciq"])
    write(tmp_path / "a", [1.0], stamp="2026-01-02T00-00-00")
    with pytest.raises(InputError, match="is here twice"):
        read_items(tmp_path / "a")
    write(tmp_path / "c", [3.0])
    with pytest.raises(InputError, match=r"in \[0, 1\]"):
        read_items(tmp_path / "c")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="log_samples"):
        read_items(tmp_path / "empty")
    write(tmp_path / "d", [1.0], task="sciq")
    with pytest.raises(InputError, match="shares no task"):
        pair_items(second, read_items(tmp_path / "d"))


def test_the_command_prints_a_row_a_task(tmp_path, neuneu):
    checkpoints(tmp_path, [1.0, 0.0] * 50, [1.0, 1.0] * 50)
    done = neuneu("compare", tmp_path / "a", tmp_path / "b", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["difference"] == 0.5
