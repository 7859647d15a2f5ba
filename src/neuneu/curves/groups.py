"""Which tasks are benchmarks, which are parts of one, and which are groups of several.

Result files hold groups beside their members: mmlu with its areas and subjects, ai2_arc with arc_easy and
arc_challenge, an average of all. A mean that counts every row counts MMLU up to 62 times. `benchmarks_of`
gives each benchmark once.

A group whose members are named after it (mmlu_anatomy, bbh_navigate) is one benchmark in parts: where the
group was scored it counts and its parts do not, else the mean of the parts does. Any other group (ai2_arc,
leaderboard, an average) only collects benchmarks: its members count, it does not, unless none of them is
there. Groups are known from the result files (the column `members`) and, where those do not say, from the
families and collections of `benchmarks.py`.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import polars as pl

from neuneu.curves import benchmarks
from neuneu.curves.tasks import find_task
from neuneu.errors import some_of

SEPARATOR = ","
"""Between the names in the column `members`."""

SHOWN = 5
"""So many names a sentence for people holds."""

_AVERAGE = re.compile(r"(?:(?P<of>.+?)[_:| ]+)?(?:macro_|micro_|weighted_)?(?:avg|average|mean|overall|all)")
"""average, all, mmlu_avg, mmlu:_average, mmlu_overall, macro_avg."""


@dataclass(frozen=True)
class Benchmarks:
    """The benchmarks among some tasks, once each.

    parts: benchmark → the tasks whose unweighted mean is its value, mostly one; left_out: task → why it does
    not count. Every task is in one of the two.
    """

    parts: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def tasks(self) -> list[str]:
        """The tasks that count, by name."""
        return sorted(task for parts in self.parts.values() for task in parts)

    def weights(self) -> dict[str, float]:
        """Task → its weight in the mean over benchmarks; they add up to 1."""
        return {task: 1 / (len(self.parts) * len(parts)) for parts in self.parts.values() for task in parts}

    def in_words(self) -> str:
        """What a mean over them is of, and which tasks it leaves out, in one line for people."""
        names = [name if len(parts) == 1 else f"{name} (the mean of {len(parts)} parts)"
                 for name, parts in self.parts.items()]  # fmt: skip
        text = f"{len(names)} benchmark{'s' * (len(names) != 1)}: {some_of(names, SHOWN)}"
        return "; ".join([text, *(f"without {line}" for line in self.left_out_in_words)])

    @property
    def left_out_in_words(self) -> list[str]:
        """Which tasks do not count and why, a line a reason."""
        by_reason: dict[str, list[str]] = {}
        for task, why in self.left_out.items():
            by_reason.setdefault(why, []).append(task)
        return [f"{some_of(tasks, SHOWN)} ({why})" for why, tasks in by_reason.items()]


def benchmarks_of(tasks: Iterable[str], members: Mapping[str, Collection[str]] | None = None) -> Benchmarks:
    """Each benchmark among these tasks once.

    members: group → its direct members, as result files say them (`members_in` of a table); known families
    and collections are added. Names are those of the table.
    """
    names = sorted(set(tasks))
    told = {group: frozenset(some) for group, some in (members or {}).items() if some}
    below = {
        name: sorted((_below(name, told) | _averaged(name, names)) & set(names) - {name}) for name in names
    }
    wide = {group: _below(group, told) for group in told if _is_one_benchmark(group, told[group])}
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(_family(name, wide) or "", []).append(name)
    alone = sorted(families.pop("", []), key=lambda name: (len(below[name]), name))
    parts: dict[str, list[str]] = {}
    left_out: dict[str, str] = {}
    for family, its in families.items():
        parts[family], why = _count_once(family, its, below)
        left_out |= {name: why for name in its if name not in parts[family]}
    for name in alone:
        covered = [member for member in below[name] if member not in alone or member in {*parts, *left_out}]
        if covered:
            left_out[name] = f"a group of {some_of(below[name], SHOWN)}"
        else:
            parts[name] = [name]
    return Benchmarks({name: tuple(parts[name]) for name in sorted(parts)}, dict(sorted(left_out.items())))


def members_in(frame: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """The groups that a curve table knows: group → its direct members."""
    if "members" not in frame.columns:
        return {}
    known = frame.select("task", "members").drop_nulls().unique().sort("task", "members")
    found: dict[str, set[str]] = {}
    for task, text in known.iter_rows():
        found.setdefault(task, set()).update(filter(None, text.split(SEPARATOR)))
    return {task: tuple(sorted(names)) for task, names in found.items()}


def members_text(group: str, members: Iterable[str]) -> str | None:
    """The column `members` of a group's rows: the canonical names of its members; None where it has none."""
    names = {find_task(member).name for member in members} - {find_task(group).name}
    return SEPARATOR.join(sorted(name for name in names if SEPARATOR not in name)) or None


def is_group(task: str, members: Mapping[str, Collection[str]] | None = None) -> bool:
    """Whether a task is a group: told so, the whole of a known family, a known collection, or an average."""
    plain = _plain(task)
    told = bool((members or {}).get(task))
    known = plain in benchmarks.COLLECTIONS or plain in _families()
    areas = any(plain in areas for areas in benchmarks.AREAS.values())
    return told or known or areas or _AVERAGE.fullmatch(plain) is not None


def _count_once(family: str, its: list[str], below: Mapping[str, list[str]]) -> tuple[list[str], str]:
    """Of the tasks of one family those whose mean is its value, and why the others do not count."""
    whole = [name for name in its if _is_whole(name, family)]
    if whole:
        first = min(whole, key=lambda name: (_plain(name) != family, name))
        return [first], f"part of {first}, which counts as a whole"
    known = benchmarks.AREAS.get(family, ())
    areas = [name for name in its if _plain(name) in known]
    subjects = [name for name in its if _plain(name) not in known and not set(below[name]) & set(its)]
    if areas and (len(areas) == len(known) or not subjects):
        return areas, f"part of the areas of {family}, which count"
    return subjects or its, f"a group of other parts of {family}, which count"


def _below(group: str, told: Mapping[str, frozenset[str]]) -> set[str]:
    """All members of a group, members' members too, as told and as known."""
    found: set[str] = set()
    new = {group}
    while new:
        name = new.pop()
        direct = set(told.get(name, ())) | set(benchmarks.COLLECTIONS.get(_plain(name), ()))
        new |= direct - found
        found |= direct
    return found


def _averaged(name: str, names: Collection[str]) -> set[str]:
    """What an average is of, by its name: all tasks, or those named after what stands before the word."""
    found = _AVERAGE.fullmatch(_plain(name))
    if found is None:
        return set()
    start = f"{found['of']}_" if found["of"] else ""
    return {
        other for other in names if _plain(other).startswith(start) and not _AVERAGE.fullmatch(_plain(other))
    }


def _family(name: str, wide: Mapping[str, set[str]]) -> str | None:
    """The benchmark in parts that a task is the whole or a part of; None where it stands for itself.

    wide: told groups that are one benchmark → all their members. Of known families the closest (mmlu_pro,
    not mmlu), of told groups the widest.
    """
    plain = _plain(name)
    known = [family for family in _families() if plain == family or plain.startswith(f"{family}_")]
    if known:
        return max(known, key=len)
    found = _AVERAGE.fullmatch(plain)
    if found is not None and found["of"] in _families():
        return str(found["of"])
    containing = [group for group, some in wide.items() if name == group or name in some]
    return max(containing, key=lambda group: (len(wide[group]), group)) if containing else None


@cache
def _families() -> frozenset[str]:
    return frozenset(benchmarks.FAMILIES.split())


def _is_one_benchmark(group: str, members: Collection[str]) -> bool:
    """Whether the members of a group are named after it."""
    plain = _plain(group)
    return plain not in benchmarks.COLLECTIONS and all(_plain(m).startswith(f"{plain}_") for m in members)


def _is_whole(name: str, family: str) -> bool:
    """Whether a task of a family is the family as a whole."""
    found = _AVERAGE.fullmatch(_plain(name))
    return _plain(name) == _plain(family) or (found is not None and found["of"] == _plain(family))


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_")
