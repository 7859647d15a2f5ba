"""Checkpoints are found, scored once, and written whole, whatever interrupts the work."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.hearing import Ear
from tests.hub import Served
from tests.watching import paths_now

from neuneu.errors import InputError
from neuneu.losses.checkpoints import Checkpoint, find_checkpoints, parse_step
from neuneu.losses.corpus import read_corpus, tokenize_corpus
from neuneu.losses.forward import token_losses
from neuneu.losses.models import load_model
from neuneu.losses.open import open_losses
from neuneu.losses.scorer import Scoring
from neuneu.losses.scoring import score_checkpoints
from neuneu.losses.windows import plan_windows
from neuneu.progress import listening

SCORING = Scoring(window=32, stride=16)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, runs: Path, corpus: Path) -> Path:
    """The store of an uninterrupted run over all checkpoints."""
    path = tmp_path_factory.mktemp("whole") / "store"
    score_checkpoints([runs], corpus, path, SCORING)
    return path


def test_stored_losses_are_the_model_s(whole: Path, runs: Path, corpus: Path) -> None:
    store, text = open_losses(whole), read_corpus(corpus)
    assert store.runs == ["alpha", "beta"]
    assert store.steps("beta").tolist() == [0, 5, 20]
    assert store.fingerprint == text.fingerprint
    windows = plan_windows(text.bounds, 32, 16)
    expected = token_losses(load_model(runs / "beta/step20"), text.tokens, windows)
    np.testing.assert_allclose(store.read("beta", 20), expected, atol=0.01)
    assert np.isnan(store.read("beta", 20)).sum() == (text.bounds[:, 1] > text.bounds[:, 0]).sum()
    assert np.nanmax(abs(store.read("beta", 20) - store.read("beta", 5))) > 1


def test_shards_and_reruns_end_in_the_same_bytes(
    whole: Path, runs: Path, corpus: Path, tmp_path: Path
) -> None:
    ear = Ear()
    with listening(ear):
        for number in (2, 1, 3, 1):
            score_checkpoints([runs], corpus, tmp_path / "s", SCORING, shard=(number, 3))
    assert len([name for _, name in ear.told("checkpoints") if name]) == 6  # none twice, none left out
    assert ear.totals()["tokens"] == len(read_corpus(corpus).tokens)
    assert contents(tmp_path / "s") == contents(whole)


def test_statistics_lie_in_stores_beside_the_losses(
    whole: Path, runs: Path, corpus: Path, tmp_path: Path
) -> None:
    asked = Scoring(window=32, stride=16, statistics=("rank", "entropy"))
    store = tmp_path / "losses.zarr"
    shutil.copytree(whole, store)  # losses without statistics: what lacks is scored again
    score_checkpoints([runs], corpus, store, asked)
    assert contents(store) == contents(whole)
    ranks, entropies = (open_losses(tmp_path / f"losses.{name}.zarr") for name in ("rank", "entropy"))
    losses = open_losses(store)
    assert ranks.runs == losses.runs
    rank, entropy, loss = (kept.read("beta", 20) for kept in (ranks, entropies, losses))
    np.testing.assert_array_equal(np.isnan(rank), np.isnan(loss))
    seen = ~np.isnan(loss)
    assert (rank[seen] >= 1).all()
    assert (rank[seen] % 1 == 0).all()
    assert np.corrcoef(np.log(rank[seen]), loss[seen])[0, 1] > 0.5
    assert (entropy[seen] >= 0).all()
    with pytest.raises(InputError, match="published"):
        score_checkpoints([runs], corpus, tmp_path / "p.zarr", Scoring(published=True, statistics=("rank",)))
    assert not (tmp_path / "p.zarr").exists()
    with pytest.raises(InputError, match="rank, entropy, top1, top10"):
        score_checkpoints([runs], corpus, tmp_path / "p.zarr", Scoring(statistics=("median",)))
    assert not (tmp_path / "p.zarr").exists()


def test_killed_at_random_moments_no_checkpoint_is_lost_or_scored_twice(
    whole: Path, runs: Path, corpus: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from neuneu.losses.scoring import *; from neuneu.losses.scorer import ScoreStores\n"
        "write = ScoreStores.write\n"
        "def logged(*given):\n"
        "    write(*given)\n"
        "    open(sys.argv[4], 'a').write(f'{given[1]} step {given[2]}\\n')\n"
        "ScoreStores.write = logged\n"
        "score_checkpoints([sys.argv[1]], sys.argv[2], sys.argv[3], Scoring(window=32, stride=16))"
    )
    store, log = tmp_path / "s", tmp_path / "log"
    command = [sys.executable, "-c", code, str(runs), str(corpus), str(store), str(log)]
    rng = random.Random(1)
    for kill in range(2):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(paths_now(store, "*/step*")) <= kill:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert contents(store) == contents(whole)
    scored = log.read_text().splitlines()
    assert len(scored) == len(set(scored))


def test_the_window_comes_from_the_store_or_the_model(runs: Path, corpus: Path, tmp_path: Path) -> None:
    first = score_checkpoints([runs / "alpha/step0"], corpus, tmp_path / "a")
    assert (first.settings["window"], first.settings["stride"]) == (64, 32)  # as the model was trained
    score_checkpoints([runs / "alpha/step0"], corpus, tmp_path / "b", SCORING)
    again = score_checkpoints([runs / "alpha/step5"], corpus, tmp_path / "b")
    assert again.settings["window"] == 32
    assert again.steps("alpha").tolist() == [0, 5]
    for scoring in (Scoring(window=48), Scoring(window=32, stride=8), Scoring(window=32, bos=True)):
        with pytest.raises(InputError, match="another store"):
            score_checkpoints([runs], corpus, tmp_path / "b", scoring)
    with pytest.raises(InputError, match="window = 65: the model reads at most 64"):
        score_checkpoints([runs], corpus, tmp_path / "c", Scoring(window=65))
    with pytest.raises(InputError, match="shard = '3/2'"):
        score_checkpoints([runs], corpus, tmp_path / "c", shard=(3, 2))


def test_a_device_that_is_not_here_is_refused_before_anything_is_written(
    whole: Path, runs: Path, corpus: Path, tmp_path: Path
) -> None:
    asked = Scoring(window=32, stride=16, device="cuda:99")
    for store in (tmp_path / "s", whole):  # where nothing and where everything is scored already
        with pytest.raises(InputError, match="device = 'cuda:99': no such device here"):
            score_checkpoints([runs], corpus, store, asked)
    assert not (tmp_path / "s").exists()


def test_bos_gives_first_tokens_a_loss(runs: Path, corpus: Path, tmp_path: Path) -> None:
    scoring = Scoring(window=32, bos=True)
    store = score_checkpoints([runs / "alpha/step0"], corpus, tmp_path / "a", scoring)
    assert not np.isnan(store.read("alpha", 0)).any()
    assert store.facts("alpha", 0)["bos_id"] == 0


def test_another_text_or_tokenizer_is_refused(
    whole: Path, runs: Path, text_file: Path, tokenizer: Path, tmp_path: Path
) -> None:
    tokenize_corpus([text_file], tmp_path / "other", str(tokenizer), max_documents=4)
    with pytest.raises(InputError, match="fingerprint"):
        score_checkpoints([runs], tmp_path / "other", whole, SCORING)
    checkpoint = tmp_path / "run/step1"
    shutil.copytree(runs / "alpha/step0", checkpoint)
    form = json.loads((tokenizer / "tokenizer.json").read_text())
    form["added_tokens"].append({**form["added_tokens"][0], "id": 400, "content": "<|new|>"})
    (checkpoint / "tokenizer.json").write_text(json.dumps(form))
    with pytest.raises(InputError, match="another vocabulary"):
        score_checkpoints([checkpoint], tmp_path / "other", tmp_path / "s", SCORING)
    shutil.copy(tokenizer / "tokenizer.json", checkpoint)
    assert score_checkpoints([checkpoint], tmp_path / "other", tmp_path / "s", SCORING).runs == ["run"]


def test_other_weights_under_a_run_s_name_are_refused(runs: Path, corpus: Path, tmp_path: Path) -> None:
    for name in ("alpha", "beta"):
        shutil.copytree(runs / name, tmp_path / name / "weights")
    store, asked = tmp_path / "s", Scoring(window=32, stride=16, statistics=("rank",))
    score_checkpoints([tmp_path / "alpha/weights"], corpus, store, SCORING)
    before = contents(tmp_path)
    for scoring in (SCORING, asked):
        with pytest.raises(InputError) as refused:
            score_checkpoints([tmp_path / "beta/weights"], corpus, store, scoring)
        assert contents(tmp_path) == before
    told = refused.value.with_options({"run": "--run"})
    assert "run = 'weights': its step 0 was scored from other weights than" in told
    assert "beta/weights/step0: name the run with `--run`" in told
    named = find_checkpoints([tmp_path / "beta/weights"], run="beta")
    assert score_checkpoints(named, corpus, store, SCORING).runs == ["beta", "weights"]


def test_a_moved_run_is_gone_on_with(runs: Path, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "alpha", tmp_path / "here/alpha")
    score_checkpoints([tmp_path / "here/alpha/step0"], corpus, tmp_path / "s", SCORING)
    (tmp_path / "here").rename(tmp_path / "there")
    assert score_checkpoints([tmp_path / "there/alpha"], corpus, tmp_path / "s", SCORING).runs == ["alpha"]
    for file in (tmp_path / "there/alpha").glob("step*/*.safetensors"):
        file.unlink()  # kept losses need no weights
    store = score_checkpoints([tmp_path / "there/alpha"], corpus, tmp_path / "s", SCORING)
    assert store.steps("alpha").tolist() == [0, 5, 20]


def test_a_store_of_before_that_does_not_name_weights_is_gone_on_with(
    runs: Path, corpus: Path, tmp_path: Path
) -> None:
    store = score_checkpoints([runs / "alpha/step0"], corpus, tmp_path / "s", SCORING)
    file = store.path / "alpha/step0/zarr.json"
    document = json.loads(file.read_text())
    assert document["attributes"].pop("weights")
    file.write_text(json.dumps(document))
    assert score_checkpoints([runs / "alpha"], corpus, tmp_path / "s", SCORING).steps("alpha").tolist() == [
        0, 5, 20,
    ]  # fmt: skip


def test_statistics_are_those_of_the_losses_weights(runs: Path, corpus: Path, tmp_path: Path) -> None:
    """Also where a store of before names no weights, and where the losses alone were removed."""
    asked, store = Scoring(window=32, stride=16, statistics=("rank",)), tmp_path / "s.zarr"
    own, other = (find_checkpoints([runs / name / "step0"], run="run") for name in ("alpha", "beta"))
    file = score_checkpoints(own, corpus, store, SCORING).path / "run/step0/zarr.json"
    document = json.loads(file.read_text())
    document["attributes"].pop("weights")
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"run = 'run': its step 0 .* other weights: losses differ by"):
        score_checkpoints(other, corpus, store, asked)
    assert not open_losses(tmp_path / "s.rank.zarr").runs
    score_checkpoints(own, corpus, store, asked)
    shutil.rmtree(store)
    with pytest.raises(InputError, match=r"s\.rank\.zarr: run = 'run': its step 0 .* other weights than"):
        score_checkpoints(other, corpus, store, asked)
    assert not store.exists()


def test_steps_are_read_from_names() -> None:
    names = {
        "step1000": 1000, "step1000-seed-default": 1000, "step3-unsharded": 3, "checkpoint-500": 500,
        "step_7": 7, "global_step12": 12, "step1000-tokens4B": 1000,
        "main": None, "step": None, "mystep5": None, "step5x": None,
    }  # fmt: skip
    assert {name: parse_step(name) for name in names} == names


def test_local_checkpoints_are_found(runs: Path, tmp_path: Path) -> None:
    found = find_checkpoints([runs])
    assert [(c.run, c.step) for c in found] == [(r, s) for r in ("alpha", "beta") for s in (0, 5, 20)]
    assert find_checkpoints([runs / "alpha"], run="x")[1].run == "x"
    assert find_checkpoints([runs / "alpha/step5"]) == [Checkpoint("alpha", 5, str(runs / "alpha/step5"))]
    shutil.copytree(runs / "alpha/step5", tmp_path / "final")
    assert find_checkpoints([tmp_path / "final"], run="x", step=9)[0].step == 9
    shutil.copytree(runs / "alpha", tmp_path / "two")
    shutil.copytree(runs / "alpha/step5", tmp_path / "two/step5-seed-2")
    (tmp_path / "torn/step1").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    shutil.copytree(runs / "alpha", tmp_path / "suite/a/weights")
    for source, message in [
        (tmp_path / "final", "give `step`"),
        (tmp_path / "two", "two checkpoints of one run and step"),
        (tmp_path / "torn", r"config\.json is missing"),
        (tmp_path / "empty", "empty': none was found: looked for .* step1000, there and in its folders$"),
        (
            tmp_path / "suite",
            f"its folders; there are some in {tmp_path}/suite/a/weights: name it, with `run` a$",
        ),
        ("EleutherAI/pythia-70m", "needs `hub`"),
    ]:
        with pytest.raises(InputError, match=message):
            find_checkpoints([source])


def test_only_safetensors_and_only_whole_models(runs: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "step1"
    shutil.copytree(runs / "alpha/step0", folder)
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    missing = dict(weights)
    missing.pop("model.norm.weight")
    save_file(missing, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="weights are missing"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="`allow_bin`"):
        load_model(folder)
    assert load_model(folder, allow_bin=True).config.vocab_size == 400
    config = json.loads((folder / "config.json").read_text())
    config.update(
        model_type="own", auto_map={"AutoModelForCausalLM": "code.Model", "AutoConfig": "code.Config"}
    )
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(folder, allow_bin=True)
    assert not (tmp_path / "ran").exists()


def test_hub_revisions_are_scored_as_local_folders_are(
    hub: Served, runs: Path, whole: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuneu.losses.zarr_store import ZarrLossStore

    branches = {f"step{s}-seed-default": runs / f"alpha/step{s}" for s in (0, 5, 20)}
    branches |= {"step5-seed-small-aux-2": runs / "beta/step5", "main": runs / "alpha/step20"}
    for name, folder in branches.items():
        shutil.copytree(folder, hub.root / "models/org/model" / name)
    hub.use(monkeypatch, tmp_path)
    found = find_checkpoints(["org/model"], hub=True, revision="step*-seed-default", run="alpha")
    store = score_checkpoints(found, corpus, tmp_path / "s", SCORING)
    expected = ZarrLossStore(whole)
    assert store.steps("alpha").tolist() == [0, 5, 20]
    for step in (0, 5, 20):
        np.testing.assert_array_equal(store.read("alpha", step), expected.read("alpha", step))
    assert store.facts("alpha", 5)["revision"] == "step5-seed-default"
    other = find_checkpoints(["org/model"], hub=True, revision="step5-seed-small-aux-2", run="alpha")
    with pytest.raises(
        InputError, match=r"other weights than org/model step5-seed-small-aux-2: name the run"
    ):
        score_checkpoints(other, corpus, tmp_path / "s", SCORING)
    score_checkpoints([runs / "alpha"], corpus, tmp_path / "s", SCORING)  # the same, from a folder
    beta = find_checkpoints([runs / "beta"], run="alpha")
    with pytest.raises(InputError, match="other weights"):
        score_checkpoints(beta, corpus, tmp_path / "s", SCORING)
    assert find_checkpoints(["org/model"], hub=True, revision="main", step=20)[0].run == "org/model"
    for name, revision, message in [
        ("org/model", "step5-*", "two checkpoints of one run and step"),
        ("org/model", "step9*", "no branch or tag of a step matches"),
        ("org/none", "step*", "the hub does not give it"),
    ]:
        with pytest.raises(InputError, match=message):
            find_checkpoints([name], hub=True, revision=revision)
