"""Runs in flight: what `watch` takes after a new file, its memory over many updates, a callback's call.

python -m benchmarks.watching [--updates 10000] [--curves TABLE --train CURVES…] [--output FILE]

update: 20 runs of 60 tasks and 20 checkpoints, a new file a run; the floor is what cannot be saved: parsing
that file and forecasting that run once from a table in memory. memory: a small folder whose last checkpoint
comes and goes; resident megabytes after a tenth of the updates and at the end. call: a callback's call with a
forecaster that takes no time. alarms: with a curve table of finished runs, at how many of four looks at each
something was told, by kind and patience, by neuneu-2 trained on the tables that it ships from but for the
families of these runs. Seconds of processor are told too, since machines are shared.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from benchmarks.ship import families_seen, fitted_without, shipped_from

from neuneu.app.watch import Watcher, WatchSettings
from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.parsing import Given
from neuneu.curves.table import CurveTable, read_curves
from neuneu.decisions.alerts import Watched, alerts_of
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import DEFAULT_FORECASTER, LEVELS, Forecast, Forecaster
from neuneu.forecasts.forecast import forecast, ready_forecaster
from neuneu.integrations.flight import RunInFlight

RUNS, TASKS, CHECKPOINTS = 20, 60, 20
FACTS = Given(tokens_per_step=1000, planned_tokens=40_000_000)
SECONDS = 1.0
"""What an update may take."""
MEGABYTES = 20.0
"""By how much memory may grow from a tenth of the updates to the end."""
MILLISECONDS = 50.0
"""What a callback's call may take beside the forecast."""
LOOKS = (0.3, 0.5, 0.7, 0.9)
"""Shares of a finished run at which it is looked at as if it were in flight."""

Timed = dict[str, float]


class Free(Forecaster):
    """Says the last value at every quantile, in no time."""

    name = "free"

    def forecast_many(self, evidences: Any, horizons: Any) -> list[Forecast]:
        """One constant a question."""
        return [
            Forecast(np.asarray(h), np.full((len(h), len(LEVELS)), evidence.context.values[-1]))
            for evidence, h in zip(evidences, horizons, strict=True)
        ]


def result(folder: Path, run: int, k: int, tasks: int, rng: np.random.Generator) -> Path:
    """A result file of lm-evaluation-harness."""
    path = folder / f"run{run}" / f"step{1000 * k}" / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = 0.7 - 0.4 * k**-0.5 + rng.normal(0, 0.003, tasks)
    scores = {f"task_{i}": {"acc,none": float(value)} for i, value in enumerate(values)}
    config = {"model_args": f"pretrained=/checkpoints/run{run}/step{1000 * k}"}
    path.write_text(json.dumps({"results": scores, "config": config}))
    return path


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Seconds and seconds of processor."""
    began, used = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - began, time.process_time() - used


def resident() -> float:
    """Resident megabytes of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def measure_update() -> Timed:
    """Median over runs, of the update that follows a new file, and of the floor."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "results"
        for run in range(RUNS):
            for k in range(1, CHECKPOINTS + 1):
                result(folder, run, k, TASKS, rng)
        settings = WatchSettings(folder, Path(name) / "status.json", "lm-eval", target=0.65, facts=FACTS)
        watcher = Watcher(settings)
        first = timed(watcher.update)
        updates, floors = [], []
        for run in range(RUNS):
            path = result(folder, run, CHECKPOINTS + 1, TASKS, rng)
            updates.append(timed(watcher.update))
            table = watcher.table
            assert table is not None
            own = CurveTable(table.frame.filter(run=f"run{run}"))
            forecaster = ready_forecaster(DEFAULT_FORECASTER)
            parsing = timed(lambda path=path: read_format("lm-eval", [path], given=FACTS))
            asking = timed(lambda own=own, ready=forecaster: forecast(own, [ready]))
            floors.append((parsing[0] + asking[0], parsing[1] + asking[1]))
    seconds, processor = (median(values) for values in zip(*updates, strict=True))
    floor, floor_processor = (median(values) for values in zip(*floors, strict=True))
    return {
        "first": first[0], "first_processor": first[1], "seconds": seconds, "processor": processor,
        "floor": floor, "floor_processor": floor_processor, "times_floor": processor / floor_processor,
    }  # fmt: skip


def measure_memory(updates: int) -> Timed:
    """Resident megabytes after a tenth of the updates, and at the end."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "results"
        for run in range(2):
            for k in range(1, 7):
                result(folder, run, k, 2, rng)
        settings = WatchSettings(
            folder, Path(name) / "status.json", "lm-eval", facts=FACTS, forecaster="last-value"
        )
        watcher = Watcher(settings)
        watcher.update()
        early = began = resident()
        for number in range(updates // 2):
            path = result(folder, number % 2, 7, 2, rng)
            assert watcher.update() is not None
            path.unlink()
            assert watcher.update() is not None
            if number == updates // 20:
                early = resident()
        assert len(watcher.followed.memory) == 12
    return {"updates": updates, "began": began, "early": early, "end": resident()}


def measure_call(tasks: int, target: float) -> float:
    """Milliseconds of processor of a call, the median over six checkpoints."""
    rng, names, took = np.random.default_rng(0), [f"task_{i}" for i in range(tasks)], []
    flight = RunInFlight({n: n for n in names}, target=target, end=1000, forecaster=Free())
    for step in range(1, 106):
        values = dict(zip(names, 0.5 + rng.normal(0, 0.01, tasks), strict=True))
        used = time.process_time()
        flight.add(step, values)
        if step >= 100:
            flight.ask(step)
            took.append(time.process_time() - used)
    return 1000 * median(took)


def measure_alarms(path: Path, train: Sequence[Path], most: int = 25) -> dict[str, int]:
    """Looks with an alert, by patience and kind, among all looks at some finished runs."""
    table, shipped_of = read_curves(path).one_metric(), shipped_from(train)
    forecaster = fitted_without(shipped_of, families_seen(shipped_of, table))
    runs = np.random.default_rng(0).permutation(table.runs)[:most]
    found: Counter[str] = Counter()
    for run in runs:
        frame = table.frame.filter(run=str(run))
        steps = frame["step"].unique().sort()
        for size in (int(len(steps) * share) for share in LOOKS):
            if size < 8:
                continue
            known = CurveTable(frame.filter(pl.col("step") <= steps[size - 1]))
            found["looks"] += 1
            for patience in (1, 2, 3):
                watched = Watched(patience=patience, selection=Selection(), forecaster=forecaster)
                kinds = {alert.kind for alert in alerts_of(known, str(run), watched)}
                found.update(f"patience {patience}: {kind}" for kind in kinds)
    return dict(sorted(found.items()))


def main() -> None:
    """The measurement, printed and written as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=10_000)
    parser.add_argument("--curves", type=Path)
    parser.add_argument("--train", type=Path, nargs="+", default=[])
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.curves is not None and not given.train:
        parser.error("--curves needs --train: the tables that neuneu-2 ships from")
    found: dict[str, Any] = {"call": {}}
    for tasks, target in ((5, 0.3), (60, 0.3), (60, 0.9)):
        took = measure_call(tasks, target)
        found["call"][f"{tasks} tasks, target {target}"] = took
        print(f"call: {tasks} tasks, target {target}: {took:.1f} ms of {MILLISECONDS:g}", flush=True)
    update = found["update"] = measure_update()
    print(
        f"update: {update['seconds']:.2f} s of {SECONDS:g} ({update['processor']:.2f} CPU), "
        f"{update['times_floor']:.1f} times the floor of {update['floor']:.2f} s "
        f"({update['floor_processor']:.2f} CPU); the first {update['first']:.1f} s "
        f"({update['first_processor']:.1f} CPU)",
        flush=True,
    )
    if given.curves is not None:
        found["alarms"] = measure_alarms(given.curves, given.train)
        print(f"alarms: {found['alarms']}", flush=True)
    memory = found["memory"] = measure_memory(given.updates)
    early, end = memory["early"], memory["end"]
    print(f"memory: {early:.1f} MB after a tenth of {given.updates:,} updates, {end:.1f} MB at the end")
    print(f"memory may grow by {MEGABYTES:g} MB", flush=True)
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
