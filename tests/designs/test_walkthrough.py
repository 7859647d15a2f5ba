"""docs/reproduce-designs.md, run command by command on stand-ins of the true layouts."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.hub import serve
from tests.walking import run

from neuneu.designs.prediction.targets import PUBLISHED_TASKS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reproduce-designs.md"
MODELS = 30
WORDS = "the quick brown fox jumps over a lazy dog while seven wizards watch from distant hills".split()  # noqa: SIM905
ELSEWHERE = {"neuneu suite harness": "tests/suite/test_harness.py runs it on a local task"}
"""Commands that are not run here → why."""


def commands() -> list[str]:
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.startswith("neuneu ")]


class Endpoint(BaseHTTPRequestHandler):
    """Says "web" where that is among the answers, else the first."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = "web" if "web" in asked["messages"][0]["content"].split() else "no"
        body = json.dumps({"choices": [{"message": {"content": answer}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with everything that the page begins with, and the current one; the hub and the endpoint."""
    make_clone(tmp_path / "clone")
    make_hub(tmp_path / "hub")
    make_checkpoint(tmp_path / "checkpoint")
    for name in ("tests", "texts-for-examples"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": " ".join(WORDS)}) + "\n")
    labels = "".join(f"{i},web\n" for i in range(6))
    (tmp_path / "labelled.csv").write_text(f"id,label\n{labels}")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    results = tmp_path / "results" / "web-300M" / "step10.json"
    results.parent.mkdir(parents=True)
    scores = {"results": {"mathqa": {"acc,none": 0.25, "brier_score,none": 0.8}}, "n-shot": {"mathqa": 0}}
    results.write_text(json.dumps({"asked": {}, "items": {}, **scores}))
    monkeypatch.chdir(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    with serve(tmp_path / "hub") as served:
        served.use(monkeypatch, tmp_path / "home")
        yield tmp_path
    server.shutdown()
    server.server_close()


def make_clone(folder: Path) -> None:
    """An export and a feature table of the published layout, with made numbers."""
    rng = np.random.default_rng(0)
    ids = [f"org{i % 7}/m-{i}b" for i in range(MODELS)]
    params, tokens = 10 ** rng.uniform(8, 11, MODELS), 10 ** rng.uniform(2, 4, MODELS)
    mix = rng.dirichlet(np.ones(5), MODELS) * 100
    export = folder / "metadata" / "duckdb" / "2025_03_03.duckdb"
    export.mkdir(parents=True)
    shapes = {"dimension": (params**0.5 / 20).astype(int) + 1, "biases": rng.choice(["none", "some"], MODELS)}
    models = pl.DataFrame({"id": ids, **shapes, "total_params": params.astype(int)})
    models.write_csv(export / "model_annotations.csv")
    parts = ("web", "code", "books", "reference", "academic")
    shares = {f"pretraining_summary_percentage_{part}": mix[:, k] for k, part in enumerate(parts)}
    shares |= {"pretraining_summary_percentage_english": rng.uniform(50, 100, MODELS)}
    data = {"id": ids, "pretraining_summary_total_tokens_billions": tokens, **shares}
    pl.DataFrame(data).write_csv(export / "dataset_info.csv")
    rows = []
    for task in PUBLISHED_TASKS:
        name = task.pattern.split("|")[0].replace("_.*", "_one").replace("[12]", "1")
        y = 0.1 + 0.05 * np.log(params / 1e8) + 0.002 * mix[:, 1] + rng.normal(0, 0.01, MODELS)
        rows += [
            (m, name, task.setting, task.metric, v, 0.01) for m, v in zip(ids, np.clip(y, 0, 1), strict=True)
        ]
    names = ("id", "benchmark", "setting", "metric", "metric_value", "metric_stderr")
    pl.DataFrame(rows, schema=names, orient="row").write_csv(export / "evaluation_results.csv")
    written = {f"domain_{p}_pct_mean": mix[:, k] + rng.normal(0, 1, MODELS) for k, p in enumerate(parts)}
    written |= {"entropy_mean": rng.normal(2, 0.2, MODELS), "char_len_mean": rng.normal(900, 90, MODELS)}
    (folder / "performance_prediction").mkdir()
    table = folder / "performance_prediction" / "all_models_feature_stats_3_03_with_ratios.csv"
    pl.DataFrame({"id": ids, **written}).write_csv(table)


def make_hub(root: Path) -> None:
    """A model, its leaderboard results and a data set."""
    for path, content in (
        ("models/org/tiny/main/config.json", {"model_type": "llama", "hidden_size": 512}),
        ("pages/org/tiny.json", {"createdAt": "2023-02-13T14:54:51.000Z", "tags": ["license:mit"]}),
        (
            "datasets/open-llm-leaderboard-old/results/main/org/tiny/results_2023-07-19.json",
            {"results": {"harness|arc:challenge|25": {"acc": 0.2, "acc_stderr": 0.01}}},
        ),
        (
            "datasets/org/data/main/train/0.jsonl",
            {"text": " ".join(WORDS * 4), "url": "https://bbc.com/news"},
        ),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content) + "\n")


def make_checkpoint(folder: Path) -> None:
    """A tiny Llama of random weights, with a tokenizer of a few words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<end>", "<unk>", *dict.fromkeys(WORDS)])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=64, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", unk_token="<unk>").save_pretrained(
        folder
    )


@pytest.mark.slow
def test_every_command_of_the_page_runs(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = commands()
    assert len(lines) > 50
    for line in lines:
        if not any(line.startswith(start) for start in ELSEWHERE):
            run(line, capsys, tasks=("mmlu", "anli"))
    for name in (
        "table.csv",
        "code.png",
        "tree.png",
        "truth.png",
        "realism.png",
        "lm.json",
        "tuned/models.csv",
    ):
        assert (place / name).stat().st_size > 0, name
    selected = pl.read_csv(place / "selected.csv")
    assert selected["task"].to_list() == ["mmlu", "mmlu", "anli"]
