"""What neuneu-2 has learned: the process's hyperparameters, and trees on the candidates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.forecasters.neuneu2.candidates import CANDIDATES, FACTS, Candidates
from neuneu.forecasters.neuneu2.cooldown import lifted
from neuneu.forecasters.neuneu2.expected import ATLAS_FACTS, FROM_ATLAS
from neuneu.forecasters.neuneu2.forest import Forest, train_forest
from neuneu.forecasters.neuneu2.process import Process
from neuneu.forecasters.neuneu2.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

END_VALUE, CHANCE, PROCESS, BY_RUNS = (
    CANDIDATES.index(name) for name in ("end_value", "chance", "process", "process_by_runs")
)
PROCESS_SHARE, PROCESS_SHARE_BY_ATLAS, PROCESS_SHARE_BY_RUNS = 0.1, 0.25, 0.35
"""What the process itself weighs in the forecast, the trees the rest: on the curve alone, where the atlas
knows the task, with references."""

DECLINE_BELIEVED = 0.3
"""So much of a decline is forecast where no finished run has shown one: most declines end or turn.
Chosen among 0.2, 0.3, 0.4 and 0.5: with less, curves that fall on are forecast worse, with more those that
turn."""

PRIOR_SHARE = 0.25
"""Share of the training weight that synthetic curves have."""

FORESTS = ("alone", "to_level", "to_process")
"""Names of the forests in stored trees, in the order of `CandidateTrees`; the second: to the end value."""
TREE_DECIMALS = 6
"""Features of the trees are rounded to so many decimals."""


@dataclass(frozen=True, eq=False)
class CandidateTrees:
    """Three forests, and whether they look at what the atlas says.

    alone: what to add to the end value where there are no references; to_end_value, to_process: what to add
    to either where there are some.
    """

    alone: Forest
    to_end_value: Forest
    to_process: Forest
    informed: bool

    def point(self, candidates: Candidates, cell: "NDArray[np.intp]") -> Floats:
        """What the trees say, (n_cells,). cell: (n_cells,) question of each."""
        now, process = candidates.values[:, END_VALUE], process_of(candidates)
        some = ~np.isnan(candidates.values[:, BY_RUNS])
        found = now.copy()
        if not some.all():
            own = cell[~some]
            features = tree_features(candidates.part(~some), now[~some], own, self.informed)
            found[~some] += self.alone.predict(features, own)
        if some.any():
            known, own, now, process = candidates.part(some), cell[some], now[some], process[some]
            from_now, from_process = (tree_features(known, a, own, self.informed) for a in (now, process))
            to_now, to_process = (
                self.to_end_value.predict(from_now, own),
                self.to_process.predict(from_process, own),
            )
            found[some] = (now + to_now + process + to_process) / 2
        return found

    def tensors(self, prefix: str) -> "dict[str, NDArray[Any]]":
        """Arrays by name, as they are stored."""
        tensors: dict[str, NDArray[Any]] = {}
        for name, forest in zip(FORESTS, (self.alone, self.to_end_value, self.to_process), strict=True):
            tensors |= forest.tensors(prefix + name)
        return tensors

    @classmethod
    def from_tensors(
        cls, tensors: "dict[str, NDArray[Any]]", prefix: str, *, informed: bool
    ) -> "CandidateTrees":
        """What `tensors` gave. Raises InputError where they are not trees of this version."""
        n_features = len(FACTS) + len(CANDIDATES) + 1
        n_features -= 0 if informed else len(ATLAS_FACTS) + len(FROM_ATLAS)
        alone, to_end_value, to_process = (
            Forest.from_tensors(tensors, prefix + name, n_features) for name in FORESTS
        )
        return cls(alone, to_end_value, to_process, informed)


INFORMED = "atlas."
"""Names in a stored model of what looks at the atlas begin with this."""


@dataclass(frozen=True, eq=False)
class Model:
    """What is learned: the process's hyperparameters, and trees.

    bare: trees of questions whose task the atlas does not know; informed: of those whose task it knows, which
    look at what it says; None where nothing of it was learned.
    """

    process: Process
    bare: CandidateTrees
    informed: CandidateTrees | None = None

    def point(self, candidates: Candidates, cell: "NDArray[np.intp]") -> Floats:
        """Weighted mean of process and trees, (n_cells,). cell: (n_cells,) question of each."""
        return weighed(candidates, cell, said(self.bare, self.informed, candidates, cell))

    def tensors(self) -> "dict[str, NDArray[Any]]":
        """Arrays by name, as they are stored."""
        informed = self.informed.tensors(INFORMED) if self.informed else {}
        return {**self.process.tensors(), **self.bare.tensors(""), **informed}

    @classmethod
    def from_tensors(cls, tensors: "dict[str, NDArray[Any]]") -> "Model":
        """What `tensors` gave. Raises InputError where they are not a model of this version."""
        reads = any(name.startswith(INFORMED) for name in tensors)
        return cls(
            Process.from_tensors(tensors),
            CandidateTrees.from_tensors(tensors, "", informed=False),
            CandidateTrees.from_tensors(tensors, INFORMED, informed=True) if reads else None,
        )


def said(
    bare: CandidateTrees, informed: CandidateTrees | None, candidates: Candidates, cell: "NDArray[np.intp]"
) -> Floats:
    """What trees say, (n_cells,): those that look at the atlas where it knows the task, with references the
    mean of both, else those that do not."""
    known = candidates.known[cell] & (informed is not None)
    asked = ~known | ~np.isnan(candidates.values[:, BY_RUNS])
    found = np.zeros(len(cell))
    for trees, cells in ((bare, asked), (informed, known)):
        if trees is not None and cells.any():
            found[cells] += trees.point(candidates.part(cells), cell[cells])
    return np.where(known & asked, found / 2, found)


def weighed(candidates: Candidates, cell: "NDArray[np.intp]", trees: Floats) -> Floats:
    """Weighted mean of the process and of what the trees say, and what a known decay adds, (n_cells,)."""
    now, process = candidates.values[:, END_VALUE], process_of(candidates)
    some = ~np.isnan(candidates.values[:, BY_RUNS])
    share = np.where(candidates.known[cell], PROCESS_SHARE_BY_ATLAS, PROCESS_SHARE)
    share = np.where(some, PROCESS_SHARE_BY_RUNS, share)
    change = share * process + (1 - share) * trees - now
    declines = (change * candidates.better[cell] < 0) & ~some
    point = now + np.where(declines, DECLINE_BELIEVED, 1.0) * change
    return lifted(point, candidates.values[:, CHANCE], candidates.decay, some)


def process_of(candidates: Candidates) -> Floats:
    """What the process says from all there is; the end value where it was not asked."""
    values = candidates.values
    process = np.where(np.isnan(values[:, BY_RUNS]), values[:, PROCESS], values[:, BY_RUNS])
    return np.where(np.isnan(process), values[:, END_VALUE], process)


def tree_features(candidates: Candidates, anchor: Floats, cell: "NDArray[np.intp]", informed: bool) -> Floats:
    """Facts, and candidates from the anchor on, which is what trees add to, (n_cells, n_features).

    Rounded, so that what differs by floating-point noise alone falls on the same side of a split. What the
    atlas says stands last among facts and candidates, and is left out where trees are not `informed`.
    """
    facts, values = candidates.facts, candidates.values
    if not informed:
        facts, values = facts[:, : -len(ATLAS_FACTS)], values[:, : -len(FROM_ATLAS)]
    away, noise = values - anchor[:, None], candidates.noise[cell]
    return np.round(np.concatenate([facts, away, noise[:, None]], axis=1), TREE_DECIMALS)


@dataclass(frozen=True, eq=False)
class Lessons:
    """Training cells: real and synthetic ones with their references, and the same without."""

    rows: Rows
    extra: Rows
    alone: Rows
    bare: Rows

    def part(self, rows: "NDArray[np.bool_]", alone: "NDArray[np.bool_]") -> "Lessons":
        """These of the real cells, and all synthetic ones."""
        return Lessons(self.rows.part(rows), self.extra, self.alone.part(alone), self.bare)


def train_trees(lessons: Lessons, seed: int, trees: int, *, informed: bool) -> CandidateTrees:
    """Train on real and synthetic cells; the first forest on those without references."""

    def forest(sides: Sequence[Rows], anchor: "Callable[[Candidates], Floats]") -> Forest:
        known = [side for side in sides if len(side.truth)]
        anchors = [anchor(side.candidates) for side in known]
        features = [
            tree_features(side.candidates, own, side.cell, informed)
            for side, own in zip(known, anchors, strict=True)
        ]
        added = [side.truth - own for side, own in zip(known, anchors, strict=True)]
        shares = (1.0, PRIOR_SHARE / (1 - PRIOR_SHARE))
        weights = [
            share * side.weight / side.weight.sum() for share, side in zip(shares, known, strict=False)
        ]
        return train_forest(
            np.concatenate(features), np.concatenate(added), np.concatenate(weights), seed, trees
        )

    def end_value(candidates: Candidates) -> Floats:
        return candidates.values[:, END_VALUE]

    with_references, without = (lessons.rows, lessons.extra), (lessons.alone, lessons.bare)
    return CandidateTrees(
        forest(without, end_value),
        forest(with_references, end_value),
        forest(with_references, process_of),
        informed,
    )
