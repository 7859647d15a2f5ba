"""Records what real tools write, for the tests of readers: `python record.py FOLDER`.

Needs tensorboard, torch, trackio, mlflow-skinny, lighteval, wandb, lm-eval, and every-eval-ever (run from its
wheel where Python is older than it asks for). None of them is needed to run the tests.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

STEPS = (1000, 2000)


def tensorboard(folder: Path) -> None:
    """Scalars as PyTorch writes them, and as TensorFlow 2 does: tensors of one float or double."""
    from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from torch.utils.tensorboard import SummaryWriter

    torch_writer = SummaryWriter(folder / "torch-run")
    for step in STEPS:
        torch_writer.add_scalar("train/loss", 3.0, step)
        torch_writer.add_scalar("eval/piqa_acc", step / 4000, step)
        torch_writer.add_scalar("throughput/total_tokens", 1024.0 * step, step)
    torch_writer.add_text("config", "no number", 0)
    torch_writer.close()
    writer = EventFileWriter(str(folder / "tf2-run"))
    for step in STEPS:
        single = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[step / 4000])
        double = tensor_pb2.TensorProto(dtype=types_pb2.DT_DOUBLE, tensor_content=_double(step / 8000))
        many = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1.0, 2.0])
        values = [
            summary_pb2.Summary.Value(tag=tag, tensor=tensor)
            for tag, tensor in (
                ("eval/piqa/acc", single),
                ("eval/boolq/acc", double),
                ("eval/copa/acc", many),
            )
        ]
        writer.add_event(event_pb2.Event(step=step, summary=summary_pb2.Summary(value=values)))
    writer.close()


def _double(value: float) -> bytes:
    import struct

    return struct.pack("<d", value)


def trackio(folder: Path) -> None:
    """A project with two runs, and its exports."""
    os.environ |= {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1"}
    import trackio as tool
    from trackio.sqlite_storage import SQLiteStorage

    for name, more in (("run-a", 0.0), ("run-b", 0.125)):
        tool.init(project="proj", name=name, config={"lr": 1})
        for step in STEPS:
            tool.log({"train/loss": 2.0, "tokens": 1024 * step}, step=step - 1)
            tool.log({"eval/piqa/acc": step / 4000 + more}, step=step)
        tool.finish()
    SQLiteStorage.export_to_parquet()
    database = folder / "proj.db"
    (folder / "proj.db.gz").write_bytes(gzip.compress(database.read_bytes(), mtime=0))
    for path in folder.iterdir():
        if path.name not in ("proj.db.gz", "proj.parquet"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def mlflow(folder: Path) -> None:
    """A file store with three runs, two of one name, one deleted."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow as tool

    tool.set_tracking_uri(folder.as_uri())
    tool.set_experiment("exp")
    for name, more in (("run-a", 0.0), ("run-b", 0.125), ("run-b", 0.25), ("gone", 0.0)):
        with tool.start_run(run_name=name) as run:
            for step in STEPS:
                tool.log_metric("eval/piqa/acc", step / 4000 + more, step=step)
                tool.log_metric("tokens", 1024.0 * step, step=step)
                tool.log_metric("train/loss", 2.0, step=step)
    tool.delete_run(run.info.run_id)
    for tags in list(folder.rglob("tags")):
        shutil.rmtree(tags)


def lighteval(folder: Path) -> None:
    """Results of two checkpoints, as the tracker saves them, and the table it prints."""
    from lighteval.logging.evaluation_tracker import EvaluationTracker
    from lighteval.models.dummy.dummy_model import DummyModelConfig
    from lighteval.utils.utils import make_results_table

    class Task:
        def aggregation(self) -> dict[str, Any]:
            import numpy as np

            return {"acc": np.mean, "acc_norm": np.mean}

    names = ["hellaswag|10", "mmlu:anatomy|5", "mmlu:virology|5"]
    for step in STEPS:
        tracker = EvaluationTracker(output_dir=str(folder), save_details=False)
        tracker.general_config_logger.log_args_info(1, 1000, "")
        tracker.general_config_logger.log_model_info(DummyModelConfig(model_name=f"org/tiny-step{step}"))
        for place, name in enumerate(names):
            for item in range(8):
                right = float(item < place + step // 1000 + 1)
                tracker.metrics_logger.log(name, {"acc": right, "acc_norm": right})
        tracker.metrics_logger.aggregate({name: Task() for name in names}, bootstrap_iters=10)
        tracker.details_logger.compiled_details_over_all_tasks = _empty(tracker)
        tracker.save()
    (folder / "lighteval-step2000.log").write_text("INFO done\n" + make_results_table(tracker.results))


def _empty(tracker: Any) -> Any:
    return tracker.details_logger.CompiledDetailOverAllTasks()


def lm_eval(folder: Path) -> None:
    """The table that the harness prints, and what its wandb logger logs."""
    os.environ["WANDB_MODE"] = "offline"
    import wandb
    from lm_eval.loggers import WandbLogger
    from lm_eval.utils import make_table

    results = {
        "results": {
            "mmlu": {"acc,none": 0.25, "acc_stderr,none": 0.01, "alias": "mmlu"},
            "mmlu_humanities": {"acc,none": 0.375, "acc_stderr,none": 0.02, "alias": " - humanities"},
            "mmlu_philosophy": {"acc,none": 0.5, "acc_stderr,none": 0.03, "alias": "  - philosophy"},
            "hellaswag": {"acc,none": 0.3, "acc_stderr,none": 0.02, "acc_norm,none": 0.4,
                          "acc_norm_stderr,none": 0.03, "alias": "hellaswag"},
            "gsm8k": {"exact_match,strict-match": 0.125, "exact_match_stderr,strict-match": 0.01,
                      "exact_match,flexible-extract": 0.25, "exact_match_stderr,flexible-extract": "N/A",
                      "alias": "gsm8k"},
        },
        "groups": {"mmlu": {"acc,none": 0.25, "acc_stderr,none": 0.01, "alias": "mmlu"}},
        "versions": {"mmlu": 2, "mmlu_humanities": 2, "mmlu_philosophy": 1, "hellaswag": 1, "gsm8k": 3},
        "n-shot": {"mmlu_philosophy": 5, "hellaswag": 0, "gsm8k": 5},
        "higher_is_better": {},
        "configs": {}, "config": {},
    }  # fmt: skip
    lines = []
    for step in STEPS:
        lines.append(
            f"hf (pretrained=org/lm,revision=step{step}), gen_kwargs: (None), limit: None, "
            "num_fewshot: None, batch_size: 8"
        )
        lines += [make_table(results), make_table(results, "groups"), "done"]
        for metrics in results["results"].values():
            metrics |= {key: value / 2 for key, value in metrics.items() if key == "acc,none"}
        results["groups"]["mmlu"]["acc,none"] = results["results"]["mmlu"]["acc,none"]
    (folder / "harness.log").write_text("\n".join(lines))
    logged: list[dict[str, Any]] = []
    logger = WandbLogger({"project": "p", "mode": "offline", "dir": tempfile.mkdtemp(), "step": 1000})
    logger.post_init(results)
    _, values = logger._sanitize_results_dict()
    logged.append({"_step": 1000, **values})
    wandb.finish()
    (folder / "lm-eval-wandb.jsonl").write_text("\n".join(map(json.dumps, logged)) + "\n")


def every_eval_ever(folder: Path) -> None:
    """The logs that its converter makes of two results files of lm-evaluation-harness."""
    with tempfile.TemporaryDirectory() as place:
        for step in STEPS:
            document = {
                "results": {"piqa": {"acc,none": step / 4000, "acc_stderr,none": 0.01, "alias": "piqa"},
                            "gsm8k": {"exact_match,strict-match": 0.125,
                                      "exact_match_stderr,strict-match": 0.01, "alias": "gsm8k"}},
                "configs": {"piqa": {"task": "piqa", "dataset_path": "piqa", "num_fewshot": 0},
                            "gsm8k": {"task": "gsm8k", "dataset_path": "gsm8k", "num_fewshot": 5,
                                      "generation_kwargs": {"do_sample": False}}},
                "n-samples": {"piqa": {"original": 1838, "effective": 1838}},
                "higher_is_better": {}, "versions": {"piqa": 1, "gsm8k": 3}, "lm_eval_version": "0.4.9",
                "config": {"model": "hf", "model_args": {"pretrained": "org/lm", "revision": f"step{step}"},
                           "model_revision": f"step{step}", "model_num_parameters": 1000},
                "date": 1_700_000_000.0 + step, "model_name": "org/lm",
            }  # fmt: skip
            (Path(place) / f"results_2026-01-01T00-00-{step // 1000:02}.json").write_text(
                json.dumps(document)
            )
        command = [sys.executable, "-m", "every_eval_ever.converters.lm_eval", "--log_path", place,
                   "--output_dir", str(folder), "--source_organization_name", "none"]  # fmt: skip
        subprocess.run(command, check=True)


def main() -> None:
    """Record every tool, each into a folder of its name."""
    root = Path(sys.argv[1]).absolute()
    for tool in (tensorboard, trackio, mlflow, lighteval, lm_eval, every_eval_ever):
        if len(sys.argv) > 2 and tool.__name__ not in sys.argv[2:]:
            continue
        folder = root / tool.__name__
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tool(folder)


if __name__ == "__main__":
    main()
