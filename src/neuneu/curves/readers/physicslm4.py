"""PhysicsLM4's training curves (facebookresearch): Plotly pages, canon_*_results/training-curves-*.html.

Every Plotly.newPlot(id, data, layout) is one task, titled "Task: NAME (METRIC)"; every trace is a run, x its
tokens, y its values. The steps are those of its recipe in canon_*_recipes/*.yaml beside the page's folder:
the last x is its last step.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader
from neuneu.curves.table import columns_of
from neuneu.curves.tasks import find_task
from neuneu.errors import InputError
from neuneu.files import parse_json, read_text, read_yaml

PLOT = re.compile(r"Plotly\.newPlot\(\s*\"[^\"]*\"\s*,\s*")
N_SHOT = 0
CORPUS = "nemo"
"""Stands in every name: all were trained on Nemotron-CC."""

SEED = "777"
"""The seed in every recipe."""

_TITLE = re.compile(r"Task: (?P<task>.+) \((?P<metric>[^()]+)\)")
_SIZE, _TOKENS, _RATE = (
    re.compile(text) for text in (r"(\d+(?:\.\d+)?)B", r"(\d+(?:\.\d+)?)T", r"lr(\d+(?:\.\d+)?(?:e-?\d+)?)")
)


def _recognise(look: Look) -> Fit:
    named = look.path.name.startswith("training-curves") and look.path.suffix == ".html"
    return Fit.MARK if named and PLOT.search(look.text) else Fit.NO


@reader(
    "physicslm4",
    "PhysicsLM4's interactive training curves (HTML)",
    names=["training-curves*.html"],
    recognise=_recognise,
)
def read_physicslm4(files: Sequence[Path], given: Given, report: ReadReport) -> pl.DataFrame:
    """Read the pages; runs are physicslm4/<trace>. A run without a recipe is skipped, since its steps are."""
    rows: list[dict[str, Any]] = []
    for path in files:
        last_steps: dict[str, int | None] = {}
        recipes = read_recipes(path)
        before = len(rows)
        for task, metric, trace in _traces(path, report):
            name = trace["name"]
            if name not in last_steps:
                last_steps[name] = _last_step(name, recipes)
            steps = last_steps[name]
            if steps is None:
                report.skip(f"{path}: {name}", "no recipe says its steps", len(trace["y"]))
                continue
            facts = {**_facts_of(name), "task": task, "metric": metric, "n_shot": N_SHOT}
            for point in _points(trace, steps, path):
                flops = 6.0 * facts["params"] * point["tokens"] if "params" in facts else None
                rows.append(facts | point | {"flops": flops})
        report.read[str(path)] += len(rows) - before
    return columns_of(rows)


def read_recipes(page: Path) -> dict[tuple[str, float, float, str], int]:
    """Architecture, size, tokens and learning rate (`parse_name`) → steps of the recipes beside the page."""
    folder = page.absolute().parent
    recipes = folder.with_name(folder.name.replace("_results", "_recipes"))
    steps = {}
    for path in sorted(recipes.glob("*.yaml")):
        document = read_yaml(path)
        known = parse_name(path.stem)
        count = document.get("steps") if isinstance(document, dict) else None
        if known is not None and isinstance(count, int) and count > 0:
            steps[known] = count
    return steps


def parse_name(name: str) -> tuple[str, float, float, str] | None:
    """Architecture, size in billions without its fraction, trillions of tokens and learning rate of a name.

    LlamaCanon-1.3B-Nemo-1.0T-lr0.003 and the recipe LlamaCanon-1B-Nemo-1T-lr0.003 are one.
    """
    size, tokens, rate = _SIZE.search(name), _TOKENS.search(name), _RATE.search(name)
    if size is None or tokens is None or rate is None:
        return None
    rest = name
    for found in (size, tokens, rate):
        rest = rest.replace(found[0], " ", 1)
    words = re.findall(r"[a-z0-9]+", rest.casefold())
    architecture = "".join(word for word in words if word != CORPUS)
    return architecture, int(float(size[1])), float(tokens[1]), rate[1]


def _last_step(name: str, recipes: dict[tuple[str, float, float, str], int]) -> int | None:
    """Steps of the run's recipe, else of all recipes of its size and tokens where they agree."""
    known = parse_name(name)
    if known is None:
        return None
    of_size = {steps for (_, size, tokens, _), steps in recipes.items() if (size, tokens) == known[1:3]}
    return recipes.get(known) or (of_size.pop() if len(of_size) == 1 else None)


def _traces(path: Path, report: ReadReport) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(task, metric, trace) of each trace of each plot of a page."""
    text = read_text(path)
    decoder, found = json.JSONDecoder(), False
    for plot in PLOT.finditer(text):
        try:
            _, end = decoder.raw_decode(text, plot.end())
            data = parse_json(text[plot.end() : end], path)
            start = end + len(re.match(r"\s*,\s*", text[end:])[0])  # type: ignore[index]
            _, end = decoder.raw_decode(text, start)
            layout = parse_json(text[start:end], path)
        except (json.JSONDecodeError, TypeError, RecursionError) as error:
            raise InputError("a plot's data are no JSON", where=path, field=plot[0][:60]) from error
        found = True
        title = layout.get("title") if isinstance(layout, dict) else None
        named = _TITLE.fullmatch(str(title.get("text") if isinstance(title, dict) else title))
        if named is None:
            report.skip(path, "a plot whose title is not Task: NAME (METRIC)")
            continue
        for trace in data if isinstance(data, list) else []:
            if not isinstance(trace, dict) or not isinstance(trace.get("name"), str):
                raise InputError("must be a trace with a name", where=path, field=named[0])
            yield find_task(named["task"]).name, named["metric"], trace
    if not found:
        raise InputError("no Plotly plot in it", where=path)


def _points(trace: dict[str, Any], last_step: int, path: Path) -> Iterator[dict[str, Any]]:
    xs, ys = trace.get("x"), trace.get("y")
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys) or not xs:
        raise InputError("x and y must be lists of one length", where=path, field=trace["name"])
    for number in [*xs, *(y for y in ys if y is not None)]:
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise InputError("must be a number", where=path, field=trace["name"], value=number)
    end = max(xs)
    for tokens, value in zip(xs, ys, strict=True):
        if value is not None:
            yield {"step": round(tokens / end * last_step), "tokens": round(tokens), "value": float(value)}


def _facts_of(name: str) -> dict[str, Any]:
    known = parse_name(name)
    size, tokens, rate = _SIZE.search(name), _TOKENS.search(name), _RATE.search(name)
    if known is None or size is None or tokens is None or rate is None:
        return {"run": f"physicslm4/{name}", "source": "physicslm4"}
    architecture = re.split("canon|conv", known[0])[0]
    return {
        "run": f"physicslm4/{name}",
        "source": "physicslm4",
        "family": f"physicslm4-{architecture}",
        "params": round(float(size[1]) * 10**9),
        "recipe": f"nemotron-cc-hq {tokens[0]} lr{rate[1]}",
        "seed": SEED,
    }
