"""A filled-in template becomes rows; whatever is wrong with it is named; nothing in it is run."""

import json
import os
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml

from neuneu.designs import DesignStore
from neuneu.designs.database.contribute import harvest, read_contribution, template
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
        ("model: org/new", "model: !!python/object/apply:os.system ['touch pwned']", "YAML tags"),
        ("model: org/new", "model: &a org/new\nreference: *a", "aliases"),
        ("model: org/new", "licence: mine\nmodel: org/new", "licence: unknown; known: model"),
        ("optimizer: adamw", "optimiser: adamw", "unknown"),
        ("tokens_billions: 300", "tokens_billions: true", "finite number"),
        ("tokens_billions: 300", "tokens_billions: .inf", "finite number"),
        (
            "percentage_web: 80",
            "total_tokens_billions: 310, percentage_web: 80",
            "data.total_tokens_billions = 310: must be within 1 % of the tokens of training_stages, 300",
        ),
    ],
)
def test_problems_are_named_in_one_line(tmp_path: Path, old: str, new: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule) as error:
        read_contribution(_write(tmp_path, GOOD.replace(old, new)))
    assert "new.yaml" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("total", "stages", "good"),
    [
        (302, "{name: pretraining, total_tokens_billions: 300}", True),
        (290, "{name: pretraining, total_tokens_billions: 300}", False),
        (320, "{name: a, total_tokens_billions: 300}, {name: b, total_tokens_billions: 20}", True),
        (300, "{name: a, total_tokens_billions: 300}, {name: b, total_tokens_billions: 20}", False),
        (300, "{name: pretraining, total_tokens_billions: 300}, {total_tokens_billions: 20}", True),
        (320, "{name: pretraining, total_tokens_billions: 300}, {total_tokens_billions: 20}", True),
        (340, "{name: pretraining, total_tokens_billions: 300}, {total_tokens_billions: 20}", False),
        (900, "{name: pretraining, total_tokens_billions: 300}, {data: unknown}", True),
        (900, "{name: pretraining, total_tokens_billions: -1}", True),
        (
            "",
            "{name: pretraining, total_tokens_billions: 3}, {name: pretraining, total_tokens_billions: 4}",
            True,
        ),
        (-1, "{name: pretraining, total_tokens_billions: 300}", True),
    ],
)
def test_stages_agree_with_the_total(tmp_path: Path, total: object, stages: str, good: bool) -> None:
    text = f"model: org/new\ndata: {{total_tokens_billions: {total}}}\ntraining_stages: [{stages}]\n"
    path = _write(tmp_path, text)
    if good:
        read_contribution(path)
    else:
        with pytest.raises(InputError, match=r"must be within 1 % .* (300|320)"):
            read_contribution(path)


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


CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 256,
    "attention_bias": False,
    "mlp_bias": False,
}


def test_parameters_are_counted_from_the_headers_of_weights(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for part in (1, 2):
        arrays = {"a": np.zeros((3, part), np.float16), "b": np.zeros((), np.float32)}
        save_file(arrays, tmp_path / f"model-{part}.safetensors", metadata={"format": "pt"})
    text = harvest(tmp_path)
    filled = yaml.safe_load(text)["architecture"]
    assert filled["total_params"] == 3 + 6 + 2
    assert (filled["attention_variant"], filled["layer_norm_type"], filled["biases"]) == (
        "gqa",
        "rmsnorm",
        "none",
    )
    for hostile in (
        b"",
        b"\xff" * 8 + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        b"\x05" + b"\0" * 7 + b"\xff",
    ):
        (tmp_path / "model-1.safetensors").write_bytes(hostile)
        with pytest.raises(InputError, match=r"model-1\.safetensors"):
            harvest(tmp_path)
    with pytest.raises(InputError, match="`hub`"):
        harvest("org/name")


class _Hub(BaseHTTPRequestHandler):
    """Answers what the client asks for one repository, org/model."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/org/model"):
            weights = {"parameters": {"F32": 1000}, "total": 1000}
            document = {"id": "org/model", "sha": "a" * 40, "safetensors": weights}
            document |= {"createdAt": "2024-05-01T00:00:00.000Z"}
        elif path == f"/org/model/resolve/{'a' * 40}/config.json":
            document = CONFIG
        else:
            self.send_error(404)
            return
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("ETag", '"x"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


def test_a_repository_of_the_hub_fills_the_template(
    tmp_path: Path, neuneu: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    environment.pop("HF_HUB_OFFLINE", None)
    try:
        done = neuneu("designs", "template", "--checkpoint", "org/model", "--hub", env=environment)
        assert done.returncode == 0, done.stderr
        row = read_contribution(_write(tmp_path, done.stdout)).tables["model_annotations"].row(0, named=True)
        assert (row["id"], row["dimension"], row["total_params"]) == ("org/model", 64, 1000)
        assert (row["released"], row["num_kv_heads"]) == ("2024-05-01", 2)
        missing = neuneu("designs", "template", "--checkpoint", "org/none", "--hub", env=environment)
        assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
        assert "org/none" in missing.stderr
    finally:
        server.shutdown()
        server.server_close()
