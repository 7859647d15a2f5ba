"""NeuNeu's own result files: <model>_results.json and <model>_predictions.json (NeuNeu, section 6.5).

The first holds errors by task, the second whole trajectories with the forecasts of what was asked.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, Floats, Integers
from neuneu.curves.table import KEY
from neuneu.curves.tasks import find_task
from neuneu.errors import InputError
from neuneu.evaluation.correlation import pearson
from neuneu.files import read_json, write_json
from neuneu.losses.loss_store import LossStore

RESULTS, PREDICTIONS = "_results.json", "_predictions.json"
QUANTILES = {"q10": "q10", "q25": "q25", "median": "q50", "q75": "q75", "q90": "q90"}
"""Published names of quantiles → columns of cells."""

MODEL_TYPES = (
    (r"neuneu-noloss", "baseline_anchored"),
    (r"neuneu(?!-2).*", "neural_anchored"),
    (r"probe-(kl-)?delta.*", "delta_probe"),
    (r"probe-.*", "probe"),
    (r"logistic.*", "logistic"),
)
"""Forecasters → the published model_type; another forecaster goes by its own name."""


def write_published(
    cells: pl.DataFrame,
    curves: Iterable[Curve],
    folder: str | Path,
    *,
    losses: LossStore | None = None,
    context_ratio: float | None = None,
    seed: int | None = None,
) -> list[Path]:
    """Write both files of each forecaster and run as <folder>/<forecaster>/<run>…; the files written.

    cells: of one context a curve; curves: what was evaluated, whose trajectories are written but for step 0;
    losses: whose means stand beside the accuracies, null where there is none. / in names becomes --. Raises
    InputError where a task of a run was asked in two settings or contexts, which the layout cannot tell
    apart; then nothing has been written.
    """
    known = {tuple(curve.key): curve for curve in curves}
    files: dict[Path, Any] = {}
    for (forecaster, run), rows in cells.group_by(["forecaster", "run"], maintain_order=True):
        base = Path(folder, _plain(str(forecaster)))
        about = {"model_name": str(run), "model_type": _model_type(str(forecaster))}
        tasks: dict[str, Any] = {}
        results: list[dict[str, Any]] = []
        for (task, *_), part in rows.group_by([*KEY[1:], "context_step"], maintain_order=True):
            if task in tasks:
                rule = "was asked in two settings or contexts, which are one entry there; choose one"
                raise InputError(rule, where=base, field="task", value=f"{run}, {task}")
            curve = known.get(part.select(KEY).row(0))
            if curve is None:
                raise InputError(
                    "is not in the curves that were given", field="curves", value=f"{run}, {task}"
                )
            tasks[str(task)] = _trajectory(curve, part.sort("clock"), losses)
            results.append({"task": str(task), **_errors(part)})
        facts = {"context_ratio": context_ratio, "seed": seed}
        facts = {name: value for name, value in facts.items() if value is not None}
        files[base / (_plain(str(run)) + RESULTS)] = {
            **about, "tasks": list(tasks), "results": results, **facts,
        }  # fmt: skip
        files[base / (_plain(str(run)) + PREDICTIONS)] = {**about, "tasks": tasks}
    for path, document in files.items():
        write_json(path, document)
    return list(files)


def _errors(rows: pl.DataFrame) -> dict[str, Any]:
    truth, median = rows["value"].to_numpy(), rows["q50"].to_numpy()
    error = truth - median
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "num_samples": len(rows),
        "correlation": pearson(median, truth),
    }


def _trajectory(curve: Curve, rows: pl.DataFrame, losses: LossStore | None) -> dict[str, Any]:
    kept = curve.steps > 0
    steps = curve.steps[kept]
    asked = rows["step"].to_numpy()
    first = int(np.searchsorted(steps, asked[0]))
    if not np.array_equal(steps[first:], asked):
        rule = "must have been asked at every checkpoint after the context, none more"
        raise InputError(rule, field="cells", value=f"{curve.key.run}, {curve.key.task}")
    table = rows.select(**{name: pl.col(column) for name, column in QUANTILES.items()})
    errors = (rows["value"] - rows["q50"]).abs()
    whole = {} if not first else {"context_end_idx": first - 1}
    return {
        "steps": steps.tolist(),
        "accuracies": curve.values[kept].tolist(),
        "losses": _mean_losses(curve.key.run, steps, losses),
        "predictions": table.to_dicts(),
        **whole,
        "errors_per_step": errors.to_list(),
    }


def _mean_losses(run: str, steps: Integers, losses: LossStore | None) -> list[float | None]:
    if losses is None or run not in losses.runs:
        return [None] * len(steps)
    means = dict(zip(losses.steps(run).tolist(), losses.mean(run).tolist(), strict=True))
    return [means.get(step) for step in steps.tolist()]


def is_published(path: str | Path) -> bool:
    """Whether a file, or a folder with its seed folders, holds published predictions."""
    path = Path(path)
    return any(_files(path)) if path.is_dir() else path.name.endswith(PREDICTIONS)


def read_published(
    path: str | Path, *, forecaster: str | None = None, metric: str = "primary_metric"
) -> pl.DataFrame:
    """The cells of published predictions: one file, or a folder of them (directly or in seed*/ folders).

    forecaster: what to call it, else its model type, with the seed's folder where there are seeds; metric:
    which the files do not say. The clock is steps; trajectories without a context have their first checkpoint
    as the context end. Raises InputError where a file is not of that layout.
    """
    path = Path(path)
    files = list(_files(path)) if path.is_dir() else [path]
    if not files:
        raise InputError(f"holds no file that ends in {PREDICTIONS}", where=path)
    rows: list[dict[str, Any]] = []
    for file in files:
        document = read_json(file)
        tasks = document.get("tasks") if isinstance(document, dict) else None
        if not isinstance(tasks, dict):
            raise InputError("must be an object of trajectories by task", where=file, field="tasks")
        name = forecaster or str(document.get("model_type", "neural"))
        if re.fullmatch(r"seed\d+", file.parent.name) and file.parent != path:
            name = f"{name}/{file.parent.name}"
        run = str(document.get("model_name") or file.name.removesuffix(PREDICTIONS))
        for task, trajectory in tasks.items():
            key = {"run": run, "task": find_task(task).name, "metric": metric, "forecaster": name}
            rows += [{**key, **row} for row in _rows(trajectory, f"{file}: {task}")]
    schema: dict[str, Any] = {"step": pl.Int64, "context_step": pl.Int64}
    levels = ("q05", "q10", "q25", "q50", "q75", "q90", "q95")
    floats = dict.fromkeys(("context_clock", "clock", "value", *levels), pl.Float64)
    texts = dict.fromkeys(("source", "run", "task", "metric", "variant", "forecaster"), pl.String)
    frame = pl.DataFrame(
        rows, schema={**texts, "n_shot": pl.Int64, **schema, **floats}, infer_schema_length=None
    )
    return frame.with_columns(source=pl.lit("published"), refused=pl.lit(value=False))


def _rows(trajectory: Any, where: str) -> Iterator[dict[str, Any]]:
    """The asked checkpoints of one trajectory. Raises InputError where its parts do not fit together."""
    if not isinstance(trajectory, dict):
        raise InputError("must be an object", where=where)
    steps, values = (_numbers(trajectory, name, where) for name in ("steps", "accuracies"))
    predictions = trajectory.get("predictions")
    if len(steps) != len(values) or not len(steps):
        raise InputError("must be one a step", where=where, field="accuracies", value=len(values))
    end = trajectory.get("context_end_idx")
    first = 0 if end is None else int(end) + 1
    if not isinstance(predictions, list) or len(predictions) != len(steps) - first:
        count = len(predictions) if isinstance(predictions, list) else predictions
        rule = f"must be {len(steps) - first}, one a step after the context"
        raise InputError(rule, where=where, field="predictions", value=count)
    context = float(steps[max(first - 1, 0)])
    for place, prediction in enumerate(predictions, start=first):
        yield {
            "context_step": int(context), "context_clock": context,
            "step": int(steps[place]), "clock": float(steps[place]), "value": float(values[place]),
            **_quantiles(prediction, where),
        }  # fmt: skip


def _quantiles(prediction: Any, where: str) -> dict[str, float]:
    given = prediction if isinstance(prediction, dict) else {"median": prediction}
    found = {column: given[name] for name, column in QUANTILES.items() if given.get(name) is not None}
    if "q50" not in found or not all(
        isinstance(value, int | float) and np.isfinite(value) for value in found.values()
    ):
        raise InputError("must have a finite median", where=where, field="predictions", value=prediction)
    return {column: float(value) for column, value in found.items()}


def _numbers(trajectory: dict[str, Any], name: str, where: str) -> Floats:
    try:
        found = np.asarray(trajectory[name], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("must be a list of numbers", where=where, field=name) from error
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InputError("must be finite numbers", where=where, field=name)
    return found


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob(f"*{PREDICTIONS}"))
    yield from sorted(folder.glob(f"seed*/*{PREDICTIONS}"))


def _model_type(forecaster: str) -> str:
    return next((kind for form, kind in MODEL_TYPES if re.fullmatch(form, forecaster)), forecaster)


def _plain(name: str) -> str:
    return name.replace("/", "--").replace("\\", "--")
