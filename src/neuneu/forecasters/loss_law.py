"""The encoder as a law: one moment of the token losses, a few numbers a task, fitted by least squares.

With a the last accuracy of the context, ā the mean of its last three, s its slope in log-clock, m the mean
of exp(−loss) at the last checkpoint over what is none of the task's own items, and x = log(horizon /
context end),

    accuracy(x) = a + θ₀ (ā − a) + θ₁ + θ₂ a + θ₃ m + θ₄ m² + x · (θ₅ + θ₆ a + θ₇ m + θ₈ m² + θ₉ s)

θ of each task, metric and setting is drawn to that of all tasks. It answers what is left of NeuNeu's gain
when network and encoder are written out as a formula (docs/neuneu.md).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.evidence.batch import Batch
from neuneu.evidence.evidence import Evidence, LossView
from neuneu.evidence.features import MEAN_POINTS, context_features
from neuneu.evidence.finished import References
from neuneu.evidence.questions import ask_questions
from neuneu.forecasters.base import Reads
from neuneu.forecasters.calibration import CalibratedForecaster, Calibration, training_rows
from neuneu.forecasters.logistic import Key, law_key
from neuneu.losses.loss_store import LossStore, owns

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable

FOLDS = 4
"""Quantiles come from runs that the law was not fitted to, in so many parts."""
ALL_CURVES = 10**6
"""Questions are asked about every curve: each task has numbers of its own."""
MOST_MISSING = 0.5
"""Largest share of a checkpoint's losses that may be missing."""
RIDGE = 3e-4
"""Pull of a task's θ to that of all tasks, in units of standardised columns; of 1e-4 to 1e-1 on Gemstones."""
SHARED_RIDGE = 1e-5
"""Pull of the θ of all tasks to 0: no division by 0 where a column does not vary."""
SMALLEST = 1e-9
"""Columns of less spread than this are not standardised."""


class MomentLaw(CalibratedForecaster):
    """The law above; needs runs with losses to be fitted, and losses of a checkpoint to forecast."""

    name = "loss-law"
    learns = True
    reads: ClassVar[frozenset[Reads]] = frozenset({"losses"})
    moments: tuple[str, ...] = ("m",)
    """What `read_moments` gives, by name."""
    powers: int = 2
    """Powers of each moment that stand in the law."""

    def __init__(self) -> None:
        self.shared: Floats | None = None
        self.of_task: dict[Key, Floats] = {}

    def fit(
        self,
        curves: "CurveTable",
        losses: LossStore | None = None,
        *,
        references: References | None = None,
        seed: int = 0,
    ) -> Self:
        """Fit θ, and the quantiles on runs left out of θ in turn. Raises InputError without losses."""
        questions = ask_questions(
            curves, losses, whole_evidence=bool(self.reads), curves_per_source=ALL_CURVES, seed=seed
        )
        kept = [i for i, evidence in enumerate(questions.evidences) if self.refuse(evidence) is None]
        if not kept:
            rule = "needs runs with at least 8 checkpoints" + (" and losses of them" if self.reads else "")
            raise InputError(rule, field="forecaster", value=self.name)
        batch, truth, weight = training_rows(questions, kept)
        columns = self._columns(batch)
        runs = sorted({evidence.context.key.run for evidence in batch.evidences})
        fold_of = {run: i % FOLDS for i, run in enumerate(runs)}
        fold = np.array([fold_of[evidence.context.key.run] for evidence in batch.evidences])[batch.cell]
        long_enough = np.array([len(e.context) >= MEAN_POINTS for e in batch.evidences])[batch.cell]
        if not long_enough.any():
            long_enough[:] = True
        point = np.empty(len(truth))
        for part in np.unique(fold):
            train = (fold != part if len(runs) > 1 else fold == part) & long_enough
            self._solve(columns[train], (truth - batch.last[batch.cell])[train], weight[train], batch, train)
            point[fold == part] = self.point(batch)[fold == part]
        self.calibration = Calibration.fit(batch.clip(point), truth, weight, batch)
        rise = truth - batch.last[batch.cell]
        self._solve(columns[long_enough], rise[long_enough], weight[long_enough], batch, long_enough)
        return self

    def point(self, batch: Batch) -> Floats:
        """The law at each horizon, (n_cells,), in units."""
        if self.shared is None:
            self.load_shipped()
        assert self.shared is not None
        if not batch.n:
            return np.empty(0)
        theta = np.array([self.of_task.get(law_key(e.context), self.shared) for e in batch.evidences])
        rise = np.einsum("ij,ij->i", self._columns(batch), theta[batch.cell])
        return np.asarray(batch.last[batch.cell] + rise, dtype=np.float64)

    def refuse(self, evidence: Evidence) -> str | None:
        """No losses up to the context end."""
        if self.reads and (evidence.losses is None or not len(evidence.losses.steps)):
            return "needs token or item losses of a checkpoint of the context"
        return None

    def load_shipped(self) -> Self:
        """Nothing ships: the law is of one set of tasks and one validation text. Raises InputError."""
        rule = "nothing ships of it: fit it on finished runs, or load a folder that save wrote"
        raise InputError(rule, field="forecaster", value=self.name)

    def learned(self) -> dict[str, Any]:
        """θ of all tasks, and of each."""
        assert self.shared is not None
        tasks = [[list(key), theta.tolist()] for key, theta in self.of_task.items()]
        return {"theta": self.shared.tolist(), "tasks": tasks}

    def take_over(self, document: dict[str, Any]) -> None:
        """Read θ."""
        shape = (len(self._names()),)
        shared = np.array(document["theta"], dtype=np.float64)
        of_task: dict[Key, Floats] = {}
        for (task, metric, n_shot, variant), theta in document["tasks"]:
            of_task[task, metric, n_shot, variant] = np.array(theta, dtype=np.float64)
        if any(theta.shape != shape for theta in (shared, *of_task.values())):
            raise ValueError(f"θ must be {shape[0]} numbers")
        self.shared, self.of_task = shared, of_task

    def _names(self) -> list[str]:
        """What each θ multiplies, in their order."""
        powers = [f"{name}^{power}" for name in self.moments for power in range(1, self.powers + 1)]
        return ["a3 - a", "1", "a", *powers, "x", "x a", *(f"x {power}" for power in powers), "x s"]

    def _columns(self, batch: Batch) -> Floats:
        """What θ multiplies at each horizon, (n_cells, n)."""
        features, x = context_features(batch), batch.log_horizon
        read = [self.read_moments(evidence) for evidence in batch.evidences]
        moments = np.array(read, dtype=np.float64).reshape(batch.n, len(self.moments)).T
        powers = [m**power for m in moments for power in range(1, self.powers + 1)]
        level = [np.ones(batch.n), batch.last, *powers]
        at_end = [features.recent_mean - batch.last, *level]
        rising = [*level, features.slope]
        return np.stack(
            [*(column[batch.cell] for column in at_end), *(x * column[batch.cell] for column in rising)],
            axis=1,
        )

    def read_moments(self, evidence: Evidence) -> Sequence[float]:
        """What the last checkpoint's losses say, in the order of `moments`; a law of others overrides it."""
        assert evidence.losses is not None
        return [mean_probability(evidence.losses, evidence.context.key.task)]

    def _solve(
        self, columns: Floats, rise: Floats, weight: Floats, batch: Batch, chosen: "np.ndarray[Any, Any]"
    ) -> None:
        """Weighted ridge regression of the rise, (n,), on columns, (n, n_columns), of these cells."""
        weight = weight / weight.sum()
        scale = np.sqrt(np.einsum("i,ij->j", weight, columns**2))
        scale[scale < SMALLEST] = 1.0
        shared = _ridge(columns / scale, rise, weight, SHARED_RIDGE)
        cells: dict[Key, list[int]] = defaultdict(list)
        keys = [law_key(evidence.context) for evidence in batch.evidences]
        for row, question in enumerate(batch.cell[chosen]):
            cells[keys[question]].append(row)
        self.shared, self.of_task = shared / scale, {}
        for key, rows in cells.items():
            part = columns[rows] / scale
            off = _ridge(part, rise[rows] - part @ shared, weight[rows] / weight[rows].sum(), RIDGE)
            self.of_task[key] = (shared + off) / scale


class RiseLaw(MomentLaw):
    """The same law without losses: what they are worth is told by the two."""

    name = "rise-law"
    reads: ClassVar[frozenset[Reads]] = frozenset()
    moments = ()

    def read_moments(self, evidence: Evidence) -> Sequence[float]:
        """None."""
        return []


def _ridge(columns: Floats, target: Floats, weight: Floats, ridge: float) -> Floats:
    """θ of least Σ weight (target − columns θ)² + ridge |θ|², (n_columns,)."""
    # einsum without BLAS, whose sums depend on the number of threads.
    square = np.einsum("i,ij,ik->jk", weight, columns, columns) + ridge * np.eye(columns.shape[1])
    return np.asarray(np.linalg.solve(square, np.einsum("i,ij,i->j", weight, columns, target)))


def mean_probability(losses: LossView, task: str) -> float:
    """Mean of exp(−loss) at the last checkpoint that may be seen, without the task's own items.

    Raises InputError where more than half of the losses are missing, or all are of the task's own items.
    """
    if losses.store not in _SUMS:  # setdefault would sort the labels each time
        _SUMS[losses.store] = GroupSums(losses.store)
    return _SUMS[losses.store].mean(losses, int(losses.steps[-1]), task)


class GroupSums:
    """Sums of exp(−loss) by group of positions: each checkpoint is read once for all tasks."""

    def __init__(self, store: LossStore) -> None:
        groups = store.groups if store.groups is not None else [""] * store.n_positions
        labels, self._codes = np.unique(groups, return_inverse=True)
        self._labels = [str(label) for label in labels]
        self._known: dict[tuple[str, int], tuple[Floats, Floats]] = {}

    def mean(self, losses: LossView, step: int, task: str) -> float:
        """Of all groups that are not the task's own."""
        where = losses.run, step
        if where not in self._known:
            self._known[where] = self._read(losses, step)
        sums, counts = self._known[where]
        others = np.array([not owns(task, label) for label in self._labels])
        if not counts[others].sum():
            raise InputError("all losses are on this task's own items", field="task", value=task)
        return float(sums[others].sum() / counts[others].sum())

    def _read(self, losses: LossView, step: int) -> tuple[Floats, Floats]:
        values = losses.read(step)
        seen = np.isfinite(values)
        if seen.mean() < 1 - MOST_MISSING:
            rule = f"more than {MOST_MISSING:.0%} of the losses are missing"
            raise InputError(rule, where=f"{losses.run} step {step}", field="losses")
        codes, size = self._codes[seen], len(self._labels)
        sums = np.bincount(codes, weights=np.exp(-np.maximum(values[seen], 0.0)), minlength=size)
        counts = np.bincount(codes, minlength=size)
        return np.asarray(sums, dtype=np.float64), counts.astype(np.float64)


_SUMS: "WeakKeyDictionary[LossStore, GroupSums]" = WeakKeyDictionary()
"""What was read of a store; forgotten with it."""
