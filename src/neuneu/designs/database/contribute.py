"""One file describes one model: the template, its validation, and the rows it becomes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.designs.database.harvest import harvest_hub, harvest_local
from neuneu.designs.database.metadata import rows_from_facts
from neuneu.designs.database.metric_names import METRIC_ALIASES
from neuneu.designs.database.records import NewRows, check_rows, source_row
from neuneu.designs.database.schema import DATASETS, EVALUATIONS, MODELS
from neuneu.errors import InputError, offered
from neuneu.files import read_document

SECTIONS = ("model", "reference", "architecture", "data", "training_stages", "evaluations")
_PREFIX = "pretraining_summary_"
_TOKENS = f"{_PREFIX}total_tokens_billions"
_STAGE = {"name": str, "data": str, "total_tokens_billions": float, "optimizer": str, "learning_rate": float}
_EVALUATION = ("benchmark", "shots", "metric", "value", "stderr")
_MIXED = tuple(f"{_PREFIX}percentage_{part}" for part in ("web", "code", "books", "reference", "academic"))


def template(facts: Mapping[str, Any] | None = None, model: str = "org/name") -> str:
    """A YAML file to fill in: every field with its meaning, those in `facts` (of the architecture) filled."""
    facts = facts or {}
    lines = [
        "# One model. Leave out, or leave empty, what you do not know; nothing is guessed.",
        f"model: {json.dumps(model)}  # {MODELS.columns[0].meaning}",
        "reference:  # where this can be checked: a paper or model card",
        "architecture:",
        *(f"  {c.name}: {_scalar(facts.get(c.name))}  # {c.meaning}" for c in MODELS.values),
        "data:",
        *(
            f"  {c.name.removeprefix(_PREFIX)}:   # {c.meaning}"
            for c in DATASETS.values
            if c.name != "metadata"
        ),
        "training_stages:",
        "  - name: pretraining",
        "    data:   # name of the data set",
        "    total_tokens_billions:   # 10⁹ tokens seen in this stage",
        "    optimizer:   # adam, adamw, …",
        "    learning_rate:   # peak",
        "evaluations: []",
        "#  - {benchmark: arc_challenge, shots: 25, metric: accuracy, value: 0.45, stderr: 0.0145}",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def harvest(checkpoint: str | Path, model: str | None = None, *, hub: bool = False) -> str:
    """The template with what a checkpoint's config.json and weights say (`neuneu.designs.database.harvest`).

    checkpoint: a folder, or with `hub` a repository, whose name then is the model's unless `model` is given.
    """
    if Path(checkpoint).exists():
        return template(harvest_local(checkpoint), model or "org/name")
    if not hub:
        rule = "no such folder (a hub repository needs `hub`)"
        raise InputError(rule, field="checkpoint", value=str(checkpoint))
    return template(harvest_hub(str(checkpoint)), model or str(checkpoint))


def read_contribution(path: str | Path) -> NewRows:
    """A filled-in template (.yaml or .json) → rows. Every rule that it breaks is named with its field."""
    path = Path(path)
    document = read_document(path)
    if not isinstance(document, dict):
        raise InputError("must be a mapping with the key model", where=path)
    for name in document:
        if name not in SECTIONS:
            rule = "unknown" + offered(name, SECTIONS)
            raise InputError(rule, where=path, field=str(name))
    model = document.get("model")
    if not isinstance(model, str) or model == "org/name":
        raise InputError("must name the model", where=path, field="model", value=model)
    source = source_row(path, "contribution", revision=_optional_text(document, "reference", path))
    name = source["source"][0]
    architecture = _section(document, "architecture", path)
    data = {_data_name(key): value for key, value in _section(document, "data", path).items()}
    stages, total_tokens = _stages(document, path), data.get(_TOKENS)
    if stages:
        data["metadata"] = json.dumps({"training_stages": stages}, sort_keys=True)
        tokens = next(
            (s.get("total_tokens_billions") for s in stages if s.get("name") == "pretraining"), None
        )
        if tokens is not None:
            data.setdefault(_TOKENS, tokens)
    total = sum(float(data[part]) for part in _MIXED if isinstance(data.get(part), int | float))
    if total > 105:
        raise InputError(
            "percentages of the data must not sum to more than 105", where=path, field="data", value=total
        )
    tables = {
        MODELS.name: rows_from_facts(MODELS, {"id": model, **architecture}, path, name),
        DATASETS.name: rows_from_facts(DATASETS, {"id": model, **data}, path, name),
    }
    _check_tokens(stages, total_tokens, path)
    evaluations = _evaluations(document, model, path, name)
    if len(evaluations):
        tables[EVALUATIONS.name] = evaluations
    return NewRows(tables, source)


def _section(document: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    section = document.get(name) or {}
    if not isinstance(section, dict):
        raise InputError("must be a mapping", where=path, field=name)
    return {key: value for key, value in section.items() if value is not None}


def _data_name(key: str) -> str:
    return key if key == "metadata" else f"{_PREFIX}{key}"


def _stages(document: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    stages = document.get("training_stages") or []
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise InputError("must be a list of mappings", where=path, field="training_stages")
    found = []
    for stage in stages:
        for key, value in stage.items():
            if key not in _STAGE:
                rule = "unknown" + offered(key, _STAGE)
                raise InputError(rule, where=path, field=f"training_stages.{key}")
            kind = _STAGE[key]
            good = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
            if value is not None and not (good and (kind is str or abs(value) < 1e300)):
                rule = "must be a finite number" if kind is float else "must be text"
                raise InputError(rule, where=path, field=f"training_stages.{key}", value=value)
        known = {key: value for key, value in stage.items() if value is not None}
        if set(known) - {"name"}:
            found.append(known)
    return found


def _check_tokens(stages: Sequence[Mapping[str, Any]], total: float | None, path: Path) -> None:
    """InputError where the stages contradict the total tokens by more than 1 %.

    Stages of other names may count or not, as after pretraining; nothing is checked where one says no tokens.
    """
    tokens = [stage.get("total_tokens_billions") or 0 for stage in stages]
    if total is None or total <= 0 or not tokens or min(tokens) <= 0:
        return
    named = [
        number for stage, number in zip(stages, tokens, strict=True) if stage.get("name") == "pretraining"
    ]
    low, high = sum(named or tokens), sum(tokens)
    if not low / 1.01 <= total <= high * 1.01:
        sums = f"{high:g}" if low == high else f"{low:g} to {high:g}"
        rule = f"must be within 1 % of the tokens of training_stages, {sums}"
        raise InputError(rule, where=path, field="data.total_tokens_billions", value=total)


def _evaluations(document: Mapping[str, Any], model: str, path: Path, source: str) -> pl.DataFrame:
    entries = document.get("evaluations") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError("must be a list of mappings", where=path, field="evaluations")
    rows = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}, evaluation {number}"
        for key in entry:
            if key not in _EVALUATION:
                rule = "unknown" + offered(key, _EVALUATION)
                raise InputError(rule, where=where, field=str(key))
        for key, kind in (("benchmark", str), ("shots", int), ("metric", str), ("value", (int, float))):
            if not isinstance(entry.get(key), kind) or isinstance(entry.get(key), bool):
                raise InputError(
                    "must be given, and of its type", where=where, field=key, value=entry.get(key)
                )
        stderr = entry.get("stderr")
        if stderr is not None and (isinstance(stderr, bool) or not isinstance(stderr, int | float)):
            raise InputError("must be a number", where=where, field="stderr", value=stderr)
        for key in ("value", "stderr"):
            if entry.get(key) is not None and not abs(entry[key]) < 1e300:
                raise InputError("must be a finite number", where=where, field=key, value=entry[key])
        metric = METRIC_ALIASES.get(entry["metric"], entry["metric"])
        value = float(entry["value"])
        rows.append(
            (model, entry["benchmark"], f"{entry['shots']}-shot", metric, value, stderr, source, number)
        )
    return check_rows(EVALUATIONS, pl.DataFrame(rows, schema=EVALUATIONS.polars_schema, orient="row"), path)


def _optional_text(document: Mapping[str, Any], name: str, path: Path) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise InputError("must be text", where=path, field=name, value=value)
    return value


def _scalar(value: Any) -> str:
    return "" if value is None else json.dumps(value)
