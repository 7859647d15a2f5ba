"""The readers, each with inputs that it reads: what `make fuzz` spoils."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.readers.formats import formats, read_format
from neuneu.curves.readers.learning_rates import read_schedule
from neuneu.curves.readers.parsing import read_batches
from neuneu.curves.table import CurveTable

TESTS = Path(__file__).parents[1]
CASES = TESTS / "cases"


@dataclass(frozen=True)
class Target:
    """A reader: its name, the folder of its inputs, which of them to spoil, and what reads them.

    `read` is given the folder and the file in it that was spoilt.
    """

    name: str
    folder: Path
    files: list[Path]
    read: Callable[[Path, Path], object]


def make_targets(home: Path) -> Iterator[Target]:
    """Every reader, its inputs written below `home`."""
    yield from _curves(home)
    yield from _losses(home)
    yield from _configurations(home)
    yield from _models(home)
    yield from _designs(home)
    yield from _results(home)


def _target(home: Path, name: str, files: dict[str, Any], read: Callable[[Path, Path], object]) -> Target:
    """A target of files given as text, bytes, or a function that writes to a path."""
    folder = home / name.replace(" ", "-")
    paths = []
    for relative, content in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        paths.append(path.relative_to(folder))
    return Target(name, folder, paths, read)


ROWS = pl.DataFrame(
    [
        {
            "run": run, "task": task, "metric": "acc", "step": step, "value": 0.3 + step / 1000, "tokens": step * 10,
            "n_shot": 0, "stderr": 0.01, "recipe": "web", "params": 10**8,
        }
        for run in ("a", "b") for task in ("piqa", "arc_easy") for step in (10, 20, 30)
    ]
)  # fmt: skip


def _curves(home: Path) -> Iterator[Target]:
    for ending, write in (
        ("parquet", ROWS.write_parquet), ("csv", ROWS.write_csv), ("json", ROWS.write_json),
        ("tsv", partial(ROWS.write_csv, separator="\t")),
    ):  # fmt: skip
        yield _target(
            home,
            f"table {ending}",
            {f"curves.{ending}": write},
            lambda folder, file: CurveTable.read(folder / file),
        )
    rates = {"rates.csv": "step,learning_rate\n0,0.0\n10,0.001\n80,0.001\n90,0.0005\n100,0.0\n"}
    yield _target(home, "learning rates", rates, lambda folder, file: read_schedule(str(folder / file)))
    sizes = {"sizes.csv": "step,tokens_per_step\n0,1000\n50,2000\n"}
    yield _target(home, "batch schedule", sizes, lambda folder, file: read_batches(folder / file))
    for name in formats():
        yield _format(home, name)


def _format(home: Path, name: str) -> Target:
    """A format, with what the cases and recordings hold of it, or else inputs made here."""
    files: dict[str, Any] = {}
    for source in (CASES / "reading", TESTS / "curves" / "readers" / "recorded"):
        for case in sorted(path for path in source.iterdir() if path.is_dir()):
            if _reads(name, case):
                for path in sorted(case.rglob("*")):
                    if path.is_file() and path.name != "expect.md" and path.stat().st_size < 200_000:
                        files[f"{case.name}/{path.relative_to(case)}"] = path.read_bytes()
    files = MADE.get(name, files)

    def read(folder: Path, file: Path) -> object:
        return read_format(name, [folder / ("" if name in MADE else file.parts[0])], **OPTIONS.get(name, {}))

    return _target(home, f"format {name}", files, read)


def _reads(name: str, folder: Path) -> bool:
    try:
        read_format(name, [folder])
    except Exception:
        return False
    return True


HARNESS = {
    "results": {"piqa": {"acc": 0.6, "acc_stderr": 0.01}, "arc_easy": {"acc": 0.4}},
    "versions": {"piqa": 0},
    "config": {"model_args": "pretrained=m,revision=step1000", "num_fewshot": 0},
}


def _npy(*rows: list[float]) -> Callable[[Path], None]:
    return lambda path: np.save(path, np.array(rows))


LADDER = "_step,throughput/total_tokens,eval/downstream/piqa_val_rc_5shot_acc\n5,50,0.25\n10,100,0.3\n"


def _zip(name: str, text: str) -> bytes:
    import io
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return stream.getvalue()


SCI = "open-sci-ref_model-0.4b_data-c4_tokenizer-X_samples-300B_global_bs-1000_context-4096_schedule-WSD"
SCI_TABLE = f"""model_name,model_path,benchmark,metric,value,n_few_shot
{SCI},/c/{SCI}/hf/iter_0002000,arc_easy,acc,0.5,10.0
{SCI},/c/{SCI}/hf/iter_0004000,arc_easy,acc,0.6,10.0
"""
PLOT = [{"name": "1.3B-Mamba2Canon-Nemo-1.0T-lr0.002", "x": [10, 20, 40], "y": [0.25, None, 0.5]}]
PAGE = (
    f'<html>Plotly.newPlot( "id", {json.dumps(PLOT)}, '
    '{"title": {"text": "Task: social_iqa (acc)"}}, {} )</html>'
)
OLMES = {
    "task_name": "arc_easy", "metrics": {"acc_raw": 0.5, "acc_per_char": 0.6}, "num_instances": 2376,
    "task_config": {"num_shots": 5, "primary_metric": "acc_per_char", "metadata": {"alias": "arc_easy:rc::olmes"}},
    "model_config": {"model": "org/lm", "revision": "step1000-tokens4B", "max_length": 2048},
}  # fmt: skip
DATADECIDE = {
    "params": "150M", "data": "c4", "seed": "default", "step": [1, 2], "tokens": [10, 20], "compute": [1e9, 2e9],
    "task": "arc_easy", "metrics": "{'acc_raw': 0.5, 'primary_metric': 0.5}",
}  # fmt: skip
GEMSTONES = {
    "__index_level_0__": ["Gemstone-256x23-step_1000", "Gemstone-256x23-step_2000"],
    "lighteval|arc:easy|0|0": [0.5, 0.6],
}
SHOTS = "results/Finnish/new_5shot_checkpoints/10B/copa_fi/p1/model/results_1.json"
EVALS = "evals/pythia-v1/pythia-70m/zero-shot"
MADE: dict[str, dict[str, Any]] = {
    "pythia": {f"{EVALS}/70m_step{step}.json": json.dumps(HARNESS) for step in (1000, 2000)},
    "neuneu-npy": {"DataDecide-c4-150M/arc_easy.npy": _npy([1.0, 2.0, 5.0], [0.25, 0.5, 0.6])},
    "datadecide": {"d.parquet": pl.DataFrame(DATADECIDE).write_parquet},
    "gemstones": {"light_eval_df.parquet": pl.DataFrame(GEMSTONES).write_parquet},
    "olmo-ladder": {"ladder/190M-1xC.csv": LADDER},
    "open-sci-ref": {"results-01-07.csv.zip": _zip("results-01-07.csv", SCI_TABLE)},
    "physicslm4": {
        "canon_linear_results/training-curves-interactive-linear.html": PAGE,
        "canon_linear_recipes/Mamba2Canon-1B-Nemo-1T-lr0.002.yaml": "steps: 1000",
    },
    "multisynt": {SHOTS: json.dumps({"results": {"copa_fi_p1": {"acc,none": 0.5}}, "date": 10.0})},
    "olmes": {
        "task-000-arc_easy-metrics.json": json.dumps(OLMES), "metrics-all.jsonl": json.dumps(OLMES) + "\n"
    },
    "table": {"paper.csv": "step,piqa,arc_easy\n1000,0.5,0.25\n2000,0.6,0.3\n"},
}  # fmt: skip
OPTIONS = {"table": {"values_are": "acc"}}
"""What a format must be told to be read."""


def _losses(home: Path) -> Iterator[Target]:
    from neuneu.losses.open import open_losses
    from neuneu.losses.text_files import find_files, read_documents

    def read_losses(folder: Path, file: Path) -> None:
        losses = open_losses(folder)
        for run in losses.runs:
            for step in losses.steps(run)[:2].tolist():
                losses.read(run, step)
        del file

    values = [0.5, 1.5, np.nan, 3.0]
    published = {f"run/step{n}/word_losses_shard_0.npy": _float32(values) for n in (1, 2)}
    yield _target(home, "losses published", published, read_losses)
    items = {
        "steps": np.array([10, 20]), "arcc": np.ones((2, 3), np.float16), "mmlu": np.ones((2, 3), np.float16),
        "mmlu_subjects": np.array(["anatomy", "virology"]), "mmlu_subject_lengths": np.array([1, 2]),
    }  # fmt: skip
    yield _target(home, "losses items", {"one.npz": lambda path: np.savez(path, **items)}, read_losses)
    yield _store(home, read_losses)
    text = "".join(json.dumps({"text": f"document {n}", "id": n}) + "\n" for n in range(5))
    files = {
        "a.jsonl": text, "a.jsonl.gz": _gzip(text), "a.jsonl.zst": _zstd(text), "a.txt": text, "a.txt.zst": _zstd(text),
        "a.parquet": pl.DataFrame({"text": ["x", "yy"]}).write_parquet,
    }  # fmt: skip
    yield _target(
        home, "documents", files, lambda folder, file: list(read_documents(find_files([folder / file])))
    )
    yield _corpus(home)


def _float32(values: list[float]) -> Callable[[Path], None]:
    return lambda path: np.save(path, np.array(values, dtype=np.float32))


def _gzip(text: str) -> bytes:
    import gzip

    return gzip.compress(text.encode())


def _zstd(text: str) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(text.encode())


def _inside(home: Path, name: str, read: Callable[[Path, Path], object]) -> Target:
    """A target of all files that are in its folder already."""
    folder = home / name.replace(" ", "-")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return Target(name, folder, files, read)


def _store(home: Path, read: Callable[[Path, Path], object]) -> Target:
    from neuneu.losses.zarr_store import ZarrLossStore

    store = ZarrLossStore.create(
        home / "losses-store", fingerprint="f", n_positions=4, groups=["a", "a", "b", "b"], dtype="float32"
    )
    for step in (1, 2):
        store.write("run", step, np.array([0.5, 1.5, np.nan, 3.0]))
    return _inside(home, "losses store", read)


def _corpus(home: Path) -> Target:
    from tests.stand_ins import make_tokenizer

    from neuneu.losses.corpus import read_corpus, tokenize_corpus

    tokenizer = make_tokenizer(home / "tokenizer")
    (home / "text.txt").write_text("one two three\nfour five\n")
    tokenize_corpus([home / "text.txt"], home / "corpus", str(tokenizer), split="line")
    return _inside(home, "corpus", lambda folder, _: read_corpus(folder))


def _configurations(home: Path) -> Iterator[Target]:
    import yaml
    from tests.forecasters.neuneu.small import make_config
    from tests.suite.tiny import TINY

    from neuneu.evaluation.splits import read_manifest
    from neuneu.forecasters.neuneu.config import read_config
    from neuneu.suite.suite_config import load_suite

    training = yaml.safe_dump(make_config().model_dump(mode="json"))
    yield _target(home, "configuration train", {"t.yaml": training}, lambda f, file: read_config(f / file))
    suite = yaml.safe_dump(TINY)
    yield _target(home, "configuration suite", {"s.yaml": suite}, lambda f, file: load_suite(f / file))
    split = {"train": {"run": ["a"]}, "test": {"run": ["b"], "task": ["piqa"]}}
    manifests = {"m.json": json.dumps(split), "m.yaml": yaml.safe_dump(split)}
    yield _target(home, "configuration split", manifests, lambda f, file: read_manifest(f / file))


def _models(home: Path) -> Iterator[Target]:
    import torch
    from tests.forecasters.neuneu.test_convert import published

    from neuneu.forecasters.base import make_forecaster
    from neuneu.forecasters.neuneu.convert import convert

    checkpoint = published("cnn")[0]
    torch.save(checkpoint, home / "best_model.pt")
    convert(home / "best_model.pt", home / "model-neuneu")
    yield _inside(home, "model neuneu", lambda folder, _: make_forecaster("neuneu").load(folder))
    make_forecaster("neuneu-2").load_shipped().save(home / "model-neuneu-2")
    yield _inside(home, "model neuneu-2", lambda folder, _: make_forecaster("neuneu-2").load(folder))
    yield _target(
        home,
        "model published",
        {"best_model.pt": (home / "best_model.pt").read_bytes()},
        lambda folder, file: convert(folder / file, folder.parent / "converted"),
    )
    yield _language_model(home)


def _language_model(home: Path) -> Target:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from neuneu.losses.models import load_model

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(home / "model-language")
    return _inside(home, "model language", lambda folder, _: load_model(folder))


CSV = {
    "scores.csv": "id,arc_challenge_25-shot_acc,arc_challenge_25-shot_acc_stderr\norg/a,0.5,0.01\norg/b,0.25,\n",
    "features.csv": "id,lm_mean,lm_std\norg/a,1.5,0.5\norg/b,2.5,0.25\n",
}


def _designs(home: Path) -> Iterator[Target]:
    from tests.designs.conftest import DATASETS, EVALUATIONS, MODELS
    from tests.designs.database.test_contribute import GOOD

    from neuneu.designs.database import readers
    from neuneu.designs.database.contribute import read_contribution
    from neuneu.designs.database.store import DesignStore

    export = {
        "model_annotations.csv": MODELS, "dataset_info.csv": DATASETS, "evaluation_results.csv": EVALUATIONS
    }  # fmt: skip
    yield _target(home, "designs export", export, lambda folder, _: readers.read_export(folder))
    yield _target(
        home, "designs template", {"new.yaml": GOOD}, lambda folder, file: read_contribution(folder / file)
    )
    results = {
        "results": {"arc": {"acc,none": 0.5, "acc_stderr,none": 0.1}},
        "model_name": "m",
        "n-shot": {"arc": 5},
    }
    yield _target(
        home,
        "designs lm-eval",
        {"r.json": json.dumps(results)},
        lambda f, file: readers.read_lm_eval(f / file),
    )
    for name, read in (("scores", readers.read_scores_csv), ("features", readers.read_features_csv)):
        yield _target(
            home,
            f"designs {name}",
            {f"{name}.csv": CSV[f"{name}.csv"]},
            lambda f, file, read=read: read(f / file),
        )
    with DesignStore.create(home / "designs-store" / "d.duckdb") as store:
        store.apply(readers.read_export(home / "designs-export"))

    def open_store(folder: Path, file: Path) -> None:
        with DesignStore(folder / file) as opened:
            opened.stats()

    yield _inside(home, "designs store", open_store)


def _results(home: Path) -> Iterator[Target]:
    from neuneu.forecasts.cells import read_cells
    from neuneu.forecasts.forecast import forecast

    cells = forecast(CurveTable.from_frame(ROWS), ["last-value"], context=0.5).cells
    yield _target(
        home, "results cells", {"cells.parquet": cells.write_parquet}, lambda f, file: read_cells(f / file)
    )
    from neuneu.decisions.ledger import enter, read_ledger

    enter(forecast(CurveTable.from_frame(ROWS), ["last-value"], context=0.5), home / "ledger.jsonl")
    ledger = {"ledger.jsonl": (home / "ledger.jsonl").read_bytes()}
    yield _target(home, "results ledger", ledger, lambda folder, file: read_ledger(folder / file))
    sample = {
        "doc_id": 0, "doc_hash": "a", "target": "1", "filter": "none", "metrics": ["acc"], "acc": 1.0,
        "resps": [[["-1.5", "True"]]],
    }  # fmt: skip
    samples = "".join(json.dumps({**sample, "doc_id": n, "doc_hash": f"h{n}"}) + "\n" for n in range(4))
    from neuneu.curves.items import read_items

    yield _target(
        home,
        "results samples",
        {"samples_piqa_2026.jsonl": samples},
        lambda folder, file: read_items(folder / file),
    )
