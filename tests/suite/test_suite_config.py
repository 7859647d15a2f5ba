"""The suite's configuration: shipped files load, mistakes are named."""

from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from neuneu.errors import InputError
from neuneu.suite.pretrain import checkpoint_steps
from neuneu.suite.small_models import build_model
from neuneu.suite.suite_config import load_suite

from .tiny import TINY

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "suite").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_loads_and_trains_the_tokens_it_says(path: Path) -> None:
    config = load_suite(path)
    schedule = config.schedule
    assert config.runs
    assert (
        0 <= schedule.steps * schedule.batch * schedule.sequence - schedule.tokens < schedule.tokens_per_step
    )
    assert len(checkpoint_steps(config.checkpoints, schedule)) >= 20
    assert checkpoint_steps(config.checkpoints, schedule)[-1] == schedule.steps


def test_the_published_mixes_have_their_shapes_and_budgets() -> None:
    folder = SHIPPED[0].parent
    code = load_suite(folder / "code-vs-language.yaml")
    assert len(code.runs) == 24
    assert code.schedule.steps == 93_461  # 98e9 tokens in steps of 512 × 2048
    assert {recipe.get("code", 0) for recipe in code.recipes.values()} == {0, 10, 20, 25, 40, 60, 80, 100}
    web = load_suite(folder / "web-vs-other.yaml")
    for share in (30, 50, 90):
        recipe = web.recipes[f"web-{share}"]
        assert sum(recipe.values()) == pytest.approx(100, abs=0.01)
        assert recipe["cc"] + recipe["c4"] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("name", ["code-vs-language", "web-vs-other"])
def test_the_published_shapes_have_their_parameters(name: str) -> None:
    config = load_suite(SHIPPED[0].parent / f"{name}.yaml")
    sizes = {}
    with torch.device("meta"):
        for size, shape in config.sizes.items():
            run = config.runs[0].model_copy(update={"size": size})
            model = build_model(run, shape, config.schedule, 32_000)
            sizes[size] = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    # Embeddings and head included; the models' names count them otherwise.
    assert sizes == {
        "220m": pytest.approx(267, abs=1),
        "460m": pytest.approx(497, abs=1),
        "1b": pytest.approx(1138, abs=1),
    }


def test_the_home_grid_is_three_sizes_six_recipes_two_seeds_and_other_families() -> None:
    runs = load_suite(SHIPPED[0].parent / "home.yaml").runs
    dense = [run for run in runs if run.family == "llama"]
    assert len(dense) == 36
    sizes, recipes = ("50k", "200k", "800k"), ("balanced", "prose", "dictionary", "code", "manuals", "words")
    assert {(run.size, run.recipe, run.seed) for run in dense} == set(product(sizes, recipes, (0, 1)))
    for family in ("gptneox", "mamba", "mixtral"):
        assert sum(run.family == family for run in runs) == 2


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("schedule", "tokens"), -1, "schedule.tokens"),
        (("schedule", "learning_rate"), "fast", "schedule.learning_rate"),
        (("schedule", "speed"), 1, "schedule.speed"),
        (("schedule", "micro_batch"), 3, "schedule"),
        (("sizes", "s", "heads"), 3, "sizes.s"),
        (("sources", "code", 0, "kind"), "pdf", "sources.code.0.kind"),
        (("recipes", "even"), {"poems": 1}, "poems"),
        (("recipes", "even"), {"code": 0}, "recipes.even"),
        (("grids", 0, "sizes"), ["xl"], "xl"),
        (("held_out",), 0.9, "held_out"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, place: tuple[Any, ...], value: Any, named: str) -> None:
    document: Any = deepcopy(TINY)
    part = document
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(InputError, match=named.replace(".", r"\.")) as caught:
        load_suite(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        load_suite(path)


def test_runs_may_be_added_but_nothing_else_changed(tmp_path: Path) -> None:
    def fingerprint(change: dict[str, Any]) -> str:
        path = tmp_path / "suite.yaml"
        path.write_text(yaml.safe_dump({**TINY, **change}), encoding="utf-8")
        return load_suite(path).fingerprint

    more = [{"sizes": ["s"], "recipes": ["code"], "seeds": [3]}]
    assert fingerprint({}) == fingerprint({"grids": more})
    assert fingerprint({}) != fingerprint({"held_out": 0.2})


def test_key_value_heads_divide_the_heads_and_leave_older_suites_as_they_were(tmp_path: Path) -> None:
    from neuneu.files import read_json
    from neuneu.suite.home import CURVES

    made = read_json(CURVES.parent / "provenance.json")["suite"]["fingerprint"]
    assert load_suite(Path(__file__).parents[2] / "configs/suite/home.yaml").fingerprint == made
    sizes = {name: {**size, "kv_heads": 1} for name, size in TINY["sizes"].items()}
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump({**TINY, "sizes": sizes}), encoding="utf-8")
    assert load_suite(path).fingerprint != made
    odd = {name: {**size, "kv_heads": size["heads"] + 1} for name, size in sizes.items()}
    path.write_text(yaml.safe_dump({**TINY, "sizes": odd}), encoding="utf-8")
    with pytest.raises(InputError, match="multiple of kv_heads"):
        load_suite(path)
