"""lm-evaluation-harness as the engine, on a task of a local YAML over a local JSONL."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from neuneu.curves.table import CurveTable

QUESTIONS = [
    {"question": f"Who follows {n}?", "choices": ["Ann", "Bob the cat"], "gold": n % 2} for n in range(7)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of a tiny run, the tokenizer, the task and its questions."""
    root = tmp_path_factory.mktemp("harness")
    (root / "tasks").mkdir()
    (root / "who.jsonl").write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    task = {
        "task": "who_follows",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(root / "who.jsonl")}},
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        "metadata": {"version": 1.0},
    }
    (root / "tasks" / "who.yaml").write_text(yaml.safe_dump(task))
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    made.train_from_iterator([json.dumps(QUESTIONS)], trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")
    for step in (0, 10):
        torch.manual_seed(step)
        config = transformers.LlamaConfig(
            vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
            max_position_embeddings=128,
        )  # fmt: skip
        model = transformers.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            model.get_output_embeddings().weight.mul_(12)
        model.save_pretrained(root / f"tiny/step{step}")
        fast.save_pretrained(root / f"tiny/step{step}")
    return root


def loglikelihood(folder: Path, context: str, continuation: str) -> float:
    """The definition: the sum of the continuation's log-probabilities after the context."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    first, whole = reader.encode(context), reader.encode(context + continuation)
    with torch.no_grad():
        log = torch.log_softmax(model(torch.tensor([whole])).logits[0].double(), -1)
    return sum(log[i - 1, whole[i]].item() for i in range(len(first), len(whole)))


@pytest.mark.slow
def test_results_items_and_curves(
    place: Path, tmp_path: Path, neuneu: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    command = ["suite", "harness", place / "tiny/step0", place / "tiny/step10", "--task", "who_follows"]
    command += ["--include", place / "tasks"]
    done = neuneu(*command, "-o", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    table = CurveTable.read(tmp_path / "results/curves.parquet").frame
    assert table["step"].unique().sort().to_list() == [0, 10]
    assert set(table["metric"]) == {"acc", "acc_norm"}
    assert set(table["n_items"]) == {7}
    file = tmp_path / "results/tiny/step10.json"
    items = json.loads(file.read_text())["items"]["who_follows"]
    first = items[0]
    for (given, _), choice in zip(first["given"], QUESTIONS[0]["choices"], strict=True):
        context = "Question: Who follows 0?\nAnswer:"
        assert given == pytest.approx(loglikelihood(place / "tiny/step10", context, f" {choice}"), abs=1e-3)
    accuracies = np.array([item["acc"] for item in items])
    row = table.filter(step=10, metric="acc").row(0, named=True)
    assert row["value"] == pytest.approx(accuracies.mean())
    assert row["stderr"] == pytest.approx(accuracies.std(ddof=1) / math.sqrt(7))
    assert "Who follows" not in file.read_text()
    before = file.stat().st_mtime_ns
    left = file.with_name(".step20.json.k1ll3d.partial")  # as a writer that was killed leaves it
    left.mkdir()
    (left / ".lock").touch()
    (left / "step20.json").write_text("half of it")
    assert neuneu(*command, "-o", tmp_path / "results").returncode == 0
    assert file.stat().st_mtime_ns == before
    assert not left.exists()
    other = neuneu(*command, "--limit", 3, "-o", tmp_path / "results")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "other settings" in other.stderr


@pytest.mark.slow
def test_results_of_other_tasks_tokenizers_or_models_are_not_taken_for_those_asked_for(
    place: Path, tmp_path: Path, neuneu: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    here, results = tmp_path / "here", tmp_path / "here/tasks/results"  # results below what is included
    shutil.copytree(place, here)

    def ask(*more: object) -> Any:
        named = ("--task", "who_follows", "--include", here / "tasks", "-o", results)
        return neuneu("suite", "harness", *more, *named)

    def refused(words: str, *more: object) -> None:
        before = {path: path.read_bytes() for path in results.rglob("*.*")}
        done = ask(*more)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert words in done.stderr
        assert {path: path.read_bytes() for path in results.rglob("*.*")} == before

    for step in (0, 10):
        done = ask(here / f"tiny/step{step}")
        assert done.returncode == 0, done.stderr
    assert CurveTable.read(results / "curves.parquet").frame["step"].unique().sort().to_list() == [0, 10]
    refused("with another tokenizer", here / "tiny/step0", "--tokenizer", here / "tiny/step0/tokenizer.json")
    refused("from another checkpoint", f"tiny={here}/tiny/step10@0")
    task = here / "tasks" / "who.yaml"
    task.write_text(task.read_text().replace("Answer", "Reply"))
    refused("with other files under `--include`", here / "tiny/step0")
    task.write_text(task.read_text().replace("Reply", "Answer"))
    file = results / "tiny/step10.json"
    old = json.loads(file.read_text())
    file.write_text(json.dumps(old | {"asked": old["asked"] | {"version": 1}}))
    refused("by another version of neuneu", here / "tiny/step0")


def test_an_unknown_task_is_refused(place: Path, tmp_path: Path, neuneu: Callable[..., Any]) -> None:
    done = neuneu("suite", "harness", place / "tiny/step0", "--task", "nothing", "-o", tmp_path / "results")
    assert done.returncode == 2
    assert "unknown to the harness" in done.stderr
    assert not (tmp_path / "results").exists()


def test_the_published_task_groups_hold_tasks_that_the_harness_knows() -> None:
    from lm_eval.tasks import TaskManager

    folder = Path(__file__).parents[2] / "configs" / "harness"
    manager = TaskManager(include_path=str(folder))
    files = sorted(folder.glob("*.yaml"))
    assert [file.stem for file in files] == [
        "lm-leaderboard-evals", "reasoning-gen", "reasoning-mcq", "reasoning-ppl",
    ]  # fmt: skip
    for file in files:
        group = yaml.safe_load(file.read_text())
        assert group["group"] == file.stem
        assert file.stem in manager.all_tasks
        members = [entry["task"] if isinstance(entry, dict) else entry for entry in group["task"]]
        assert set(members) <= set(manager.all_tasks)
