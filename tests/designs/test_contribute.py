"""A filled-in template becomes rows; whatever is wrong with it is named; nothing in it is run."""

import json
from pathlib import Path

import pytest
import yaml

from neuneu.designs import DesignStore
from neuneu.designs.contribute import harvest, read_contribution, template
from neuneu.errors import InputError

GOOD = """
model: org/new
reference: https://example.org/paper
architecture: {dimension: 512, num_heads: 8, weight_tying: true, activation: silu, released: 2024-05-01}
data: {percentage_web: 80, percentage_code: 20}
training_stages:
  - {name: pretraining, data: my-mix, total_tokens_billions: 300, optimizer: adamw, learning_rate: 3.0e-4}
evaluations:
  - {benchmark: arc_challenge, shots: 25, metric: acc, value: 0.45, stderr: 0.01}
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "new.yaml"
    path.write_text(text)
    return path


def test_a_good_file_becomes_rows_of_all_tables(tmp_path: Path) -> None:
    store = DesignStore.in_memory()
    batch = read_contribution(_write(tmp_path, GOOD))
    assert set(store.diff(batch)["kind"]) == {"added"}
    assert store.table("model").is_empty()
    store.apply(batch)
    assert store.table("model")["released"].item() == "2024-05-01"
    data = store.table("dataset").row(0, named=True)
    assert data["pretraining_summary_total_tokens_billions"] == 300
    assert json.loads(data["metadata"])["training_stages"][0]["optimizer"] == "adamw"
    score = store.table("evaluation").row(0, named=True)
    assert (score["metric"], score["setting"], score["metric_value"]) == ("accuracy", "25-shot", 0.45)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("org/new", "org/name", "must name the model"),
        ("dimension: 512", "dimension: wide", "dimension"),
        ("dimension: 512", "dimension: -7", "dimension"),
        ("dimension: 512", "width: 512", "unknown field"),
        ("percentage_web: 80", "percentage_web: 99", "105"),
        ("percentage_code: 20", "percentage_code: -3.5", "from 0 to 100"),
        ("value: 0.45", "value: 45", "from 0 to 1"),
        ("value: 0.45", "value: .inf", "accuracy must be|finite"),
        ("shots: 25", "shots: many", "shots"),
        ("model: org/new", "model: org/new\nmodel: org/other", "twice"),
        ("model: org/new", "model: !!python/object/apply:os.system ['touch pwned']", "not YAML"),
        ("model: org/new", "model: &a org/new\nreference: *a", "aliases"),
        ("model: org/new", "licence: mine\nmodel: org/new", "unknown section"),
        ("optimizer: adamw", "optimiser: adamw", "unknown"),
    ],
)
def test_problems_are_named_in_one_line(tmp_path: Path, old: str, new: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule) as error:
        read_contribution(_write(tmp_path, GOOD.replace(old, new)))
    assert "new.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_template_is_valid_once_named_and_filled_from_a_checkpoint(tmp_path: Path) -> None:
    assert set(yaml.safe_load(template())) == {
        "model",
        "reference",
        "architecture",
        "data",
        "training_stages",
        "evaluations",
    }
    config = {"model_type": "gpt_neox", "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 256}
    (tmp_path / "config.json").write_text(json.dumps(config))
    batch = read_contribution(_write(tmp_path, harvest(tmp_path, "org/mine")))
    row = batch.tables["model_annotations"].row(0, named=True)
    assert (row["dimension"], row["mlp_ratio"], row["positional_embeddings"]) == (64, 4.0, "rope")
