"""What runs can be compared on: one setting a task, each benchmark once, and who lacks what."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from neuneu.curves.curve import Curve
from neuneu.curves.groups import Benchmarks, benchmarks_of, members_in
from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import ACCURACIES
from neuneu.errors import InputError, brief_name, some_of

Setting = tuple[str, str, int | None, str | None]
"""Task, metric, shots and variant."""

MOST_LINES = 5
"""Lines on what is left out of a comparison: with more, its table is out of sight."""

SHOWN = 3
"""So many runs or tasks are named where many lack something."""


@dataclass(frozen=True)
class Shared:
    """What runs are compared on.

    runs: their names; settings: one a task that counts; weights: of the tasks in the mean, adding up to 1;
    lacking: runs that were left out → what they lack, tasks that were left out → why.
    """

    runs: Sequence[str]
    settings: Sequence[Setting]
    weights: Mapping[str, float]
    benchmarks: Benchmarks
    lacking: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_words(self) -> str:
        """What the mean is of, and in which settings, for people."""
        settings = "; ".join(setting_in_words(setting) for setting in self.settings[:SHOWN])
        if len(self.settings) == 1:
            return settings
        more = f" and {len(self.settings) - SHOWN} more" if len(self.settings) > SHOWN else ""
        return f"mean over {self.benchmarks.in_words()}; in {settings}{more}"

    @property
    def left_out_in_words(self) -> list[str]:
        """Which runs and tasks are not in the comparison, why, and how to choose: a line a reason."""
        by_reason: dict[str, list[str]] = {}
        for name, why in self.lacking.items():
            by_reason.setdefault(why, []).append(name)
        lines = []
        for why, names in by_reason.items():
            count = f"{len(names)} ({some_of(names, SHOWN)})" if len(names) > 1 else brief_name(names[0])
            lines.append(f"left out: {count}: {why}")
        if len(lines) > MOST_LINES:
            rest = sum(map(len, list(by_reason.values())[MOST_LINES:]))
            lines = [*lines[:MOST_LINES], f"left out: {rest:,} more; a report lists them all"]
        return [*lines, "`runs` and `tasks` choose what is compared"] if lines else []


def setting_in_words(setting: Setting) -> str:
    """hellaswag len_norm 5-shot rc."""
    task, metric, n_shot, variant = setting
    shots = "" if n_shot is None else f" {n_shot}-shot"
    return f"{task} {metric}{shots}" + (f" {variant}" if variant else "")


def shared_settings(
    held: Mapping[str, Collection[Setting]],
    *,
    named: bool = False,
    members: Mapping[str, Collection[str]] | None = None,
) -> Shared:
    """What all of these runs have: of each task one setting, of each group of tasks the benchmarks once.

    held: run → its settings; members: group of tasks → its members, as result files say them.
    Of the settings of a task that all runs have, the one with the preferred metric (`ACCURACIES`) is taken,
    then with the fewest shots, then the first variant by name. named: whether the runs were chosen one by
    one; if not, and they share nothing, those are compared that give the most curves (`_most_curves`); the
    others are left out, and told.
    Raises InputError where the runs share nothing; it says who lacks what.
    """
    holders: dict[Setting, set[str]] = {}
    for run, settings in held.items():
        for setting in settings:
            holders.setdefault(setting, set()).add(run)
    every = set(held)
    lacking: dict[str, str] = {}
    shared = [setting for setting, runs in holders.items() if runs == every]
    if not shared:
        most = max(holders, key=lambda setting: (len(holders[setting]), str(setting)))
        if named or len(holders[most]) < 2:
            raise InputError(_who_lacks(most, every - holders[most]), field="task", value=most[0])
        kept = _most_curves(holders)
        shared = [setting for setting, runs in holders.items() if runs >= kept]
        lacking = {run: _lacks(shared, held[run]) for run in sorted(every - kept)}
        every = kept
    of_task: dict[str, list[Setting]] = {}
    for setting in sorted(shared, key=_preference):
        of_task.setdefault(setting[0], []).append(setting)
    counted = benchmarks_of(of_task, members)
    lacking |= dict(counted.left_out) | _partly(holders, set(of_task), every)
    taken = [of_task[task][0] for task in counted.tasks]
    return Shared([run for run in held if run in every], taken, counted.weights(), counted, lacking)


def widest_settings(held: Mapping[str, Collection[Setting]]) -> list[Setting]:
    """Of each task the setting that most runs have, then as `shared_settings` prefers, by name of task.

    held: run → its settings.
    """
    holders: dict[Setting, int] = {}
    for settings in held.values():
        for setting in settings:
            holders[setting] = holders.get(setting, 0) + 1
    of_task: dict[str, list[Setting]] = {}
    for setting in sorted(holders, key=_preference):
        of_task.setdefault(setting[0], []).append(setting)
    return [max(settings, key=lambda one: holders[one]) for _, settings in sorted(of_task.items())]


def shared_curves(chosen: CurveTable, *, named: bool) -> tuple[Shared, dict[str, list[Curve]]]:
    """`shared_settings` of the runs of a table, and each run's curves in them, in order.

    Raises InputError where the runs share nothing, or not their clock.
    """
    of_run: dict[str, dict[Setting, Curve]] = {}
    for curve in chosen:
        of_run.setdefault(curve.key.run, {})[curve.key[1:]] = curve
    shared = shared_settings(of_run, named=named, members=members_in(chosen.frame))
    found = {run: [of_run[run][setting] for setting in shared.settings] for run in shared.runs}
    units = {run: curves[0].clock_unit for run, curves in found.items()}
    if len(set(units.values())) > 1:
        rule = "the runs have no clock in common; choose runs of one clock"
        raise InputError(rule, field="run", value=units)
    return shared, found


def _preference(setting: Setting) -> tuple[object, ...]:
    task, metric, n_shot, variant = setting
    rank = list(ACCURACIES).index(metric) if metric in ACCURACIES else len(ACCURACIES)
    return task, rank, metric, -1 if n_shot is None else n_shot, variant or ""


def _who_lacks(setting: Setting, lacking: set[str]) -> str:
    return (
        f"the runs share no task in one metric and setting: {setting_in_words(setting)} is the most widely "
        f"held, and {some_of(sorted(lacking), SHOWN)} {'has' if len(lacking) == 1 else 'have'} not got it; "
        "choose runs or tasks"
    )


def _most_curves(holders: Mapping[Setting, set[str]]) -> set[str]:
    """The runs, two or more, that have the most curves together with the tasks that all of them have.

    Of each task the setting that most runs have is taken. From each of these in turn: then the task that most
    of its runs have, and so on, as long as two runs have all; of all these choices the one with most curves.
    """
    of_task: dict[str, Setting] = {}
    for setting in sorted(holders, key=lambda each: (-len(holders[each]), _preference(each))):
        of_task.setdefault(setting[0], setting)
    some = [holders[setting] for setting in of_task.values()]
    best: tuple[int, set[str]] = (0, set())
    for first in some:
        runs = first
        near = sorted((one & first for one in some), key=len, reverse=True)
        for number, one in enumerate(near, 1):
            runs = runs & one
            if len(runs) < 2:
                break
            best = max(best, (number * len(runs), runs), key=lambda choice: choice[0])
    return best[1]


def _lacks(shared: Collection[Setting], held: Collection[Setting]) -> str:
    gone = sorted((setting for setting in shared if setting not in held), key=_preference)
    return f"no {some_of(map(setting_in_words, gone), SHOWN)}"


def _partly(holders: Mapping[Setting, set[str]], shared: set[str], runs: set[str]) -> dict[str, str]:
    """Tasks that some of the runs have, but not all in one setting."""
    tasks: dict[str, set[str]] = {}
    for setting, held in holders.items():
        if setting[0] not in shared and held & runs:
            tasks.setdefault(setting[0], set()).update(held & runs)
    return {
        task: f"not in one setting of all runs ({len(held)} of {len(runs)} have it)"
        for task, held in sorted(tasks.items())
    }
