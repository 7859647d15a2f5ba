"""DataDecide's models: branches of a seed, and the run as its results name it."""

import shutil
from pathlib import Path

import pytest
from tests.hub import Served

from neuneu.curves.readers.datadecide_models import (
    RECIPES,
    SIZES,
    find_model,
    published_names,
    run_name,
    seed_branch,
)
from neuneu.errors import InputError
from neuneu.losses.checkpoints import find_checkpoints
from neuneu.losses.tokenizer import load_tokenizer, vocabulary_digest

GOLDEN = Path(__file__).parent.parent / "goldens/hf_olmo/datadecide"


@pytest.mark.parametrize(
    ("seed", "size", "branch", "number"),
    [
        ("default", "300M", "seed-default", 0), ("seed-default", "1B", "seed-default", 0),
        ("2", "90M", "seed-small-aux-2", 1), ("3", "750M", "seed-small-aux-3", 2),
        ("2", "1B", "seed-large-aux-2", 3), ("3", "1B", "seed-large-aux-3", 4),
        ("small aux 2", "20M", "seed-small-aux-2", 1), ("seed-large-aux-2", "1B", "seed-large-aux-2", 3),
    ],
)  # fmt: skip
def test_the_size_decides_what_a_seed_is_called(seed: str, size: str, branch: str, number: int) -> None:
    repository = f"allenai/DataDecide-dclm-baseline-qc-7p-fw2-{size}"
    assert seed_branch(seed, repository) == branch
    assert run_name(repository, branch) == f"datadecide/DCLM-Baseline (QC 7%, FW2)-{size}-seed{number}"


def test_seeds_that_are_none_are_refused() -> None:
    for seed, repository in [("7", "allenai/DataDecide-c4-300M"), ("x", "a/b"), ("2", "allenai/OLMo-1B")]:
        with pytest.raises(InputError, match="seed = "):
            seed_branch(seed, repository)


def test_recipes_are_told_apart_by_their_whole_name() -> None:
    for recipe, data in RECIPES.items():
        for size in SIZES:
            assert find_model(f"allenai/DataDecide-{recipe}-{size}") == (recipe, size)
            assert (
                run_name(f"DataDecide-{recipe}-{size}", "seed-default") == f"datadecide/{data}-{size}-seed0"
            )
    assert len(set(RECIPES.values())) == 25
    assert find_model("allenai/DataDecide-c5-300M") is find_model("allenai/DataDecide-c4-7B") is None


def test_published_names_of_runs() -> None:
    qc = "datadecide/DCLM-Baseline (QC 7%, FW2)-1B-seed0"
    runs = [
        qc,
        "pythia-v1/pythia-1.4b",
        "own",
        "datadecide/x-1B-seed0",
    ]
    assert list(published_names(runs).items()) == [
        (qc, "DataDecide-dclm-baseline-qc-7p-fw2-1B"),
        ("datadecide/x-1B-seed0", "datadecide/x-1B-seed0"),
        ("own", "own"),
        ("pythia-v1/pythia-1.4b", "EleutherAI--pythia-1.4b"),
    ]
    with pytest.raises(InputError, match="one seed a folder"):
        published_names(["datadecide/C4-1B-seed0", "datadecide/C4-1B-seed3"])


def test_the_results_name_the_same_runs(shared: Path) -> None:
    import json

    constants = json.loads((shared / "data/raw/datadecide/datadecide_constants.json").read_text())
    published = {data for family in constants["DATA_RECIPE_FAMILIES"].values() for data in family}
    assert published == set(RECIPES.values())
    assert constants["ALL_MODEL_SIZE_STRS"] == list(SIZES)


def test_branches_and_folders_of_one_seed(
    hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches = [f"step{step}-seed-{seed}" for step in (0, 1250) for seed in ("default", "small-aux-2")]
    for branch in branches:
        shutil.copytree(GOLDEN, hub.root / "models/allenai/DataDecide-c4-300M" / branch)
    hub.use(monkeypatch, tmp_path)
    remote = find_checkpoints(["allenai/DataDecide-c4-300M"], hub=True, seed="2")
    assert [(one.run, one.step, one.revision) for one in remote] == [
        ("datadecide/C4-300M-seed1", step, f"step{step}-seed-small-aux-2") for step in (0, 1250)
    ]
    local = find_checkpoints([hub.root / "models/allenai/DataDecide-c4-300M"], seed="default")
    assert [(one.run, one.step) for one in local] == [("datadecide/C4-300M-seed0", s) for s in (0, 1250)]
    assert (remote[0].fetch() / "model.safetensors").is_file()
    with pytest.raises(InputError, match="no step folder ends in -seed-small-aux-3"):
        find_checkpoints([hub.root / "models/allenai/DataDecide-c4-300M"], seed="3")
    with pytest.raises(InputError, match="no branch or tag of a step matches"):
        find_checkpoints(["allenai/DataDecide-c4-300M"], hub=True, seed="3")
    with pytest.raises(InputError, match="two checkpoints of one run and step"):
        find_checkpoints(["allenai/DataDecide-c4-300M"], hub=True)


def test_the_alias_of_the_tokenizer(
    hub: Served, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tokenizer, hub.root / "models/allenai/OLMo-1B/main")
    hub.use(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=r"tokenizer of allenai/OLMo-1B: `hub` fetches it"):
        load_tokenizer("datadecide")
    expected = vocabulary_digest(load_tokenizer(str(tokenizer)))
    assert vocabulary_digest(load_tokenizer("datadecide", hub=True)) == expected
    assert vocabulary_digest(load_tokenizer("allenai/OLMo-1B", hub=True)) == expected
