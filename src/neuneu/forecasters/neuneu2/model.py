"""neuneu-2: a Gaussian process over runs and boosted trees on all evidence, with conformal quantiles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.evidence.batch import FARTHEST, Batch, make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.finished import References
from neuneu.files import atomic_path, refuse_library_errors, write_json
from neuneu.files.arrays import load_tensors
from neuneu.forecasters.base import CONFIG, Forecast, Refusal, read_folder
from neuneu.forecasters.calibration import NOT_STARTED, CalibratedForecaster, Calibration
from neuneu.forecasters.neuneu2.augment import training_questions
from neuneu.forecasters.neuneu2.candidates import (
    CANDIDATES,
    FACTS,
    Candidates,
    make_candidates,
    units_of,
)
from neuneu.forecasters.neuneu2.expected import ATLAS_FACTS, FROM_ATLAS, Laws, laws_for
from neuneu.forecasters.neuneu2.forest import Forest, train_forest
from neuneu.forecasters.neuneu2.past import Past, ask_past
from neuneu.forecasters.neuneu2.process import Process, train_process
from neuneu.forecasters.neuneu2.rows import Rows, folds_of
from neuneu.forecasters.neuneu2.unstarted import forecast_unstarted
from neuneu.losses.loss_store import LossStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuneu.curves.table import CurveTable

END_VALUE, PROCESS, BY_RUNS, BY_ATLAS = (
    CANDIDATES.index(name) for name in ("end_value", "process", "process_by_runs", "atlas_rise")
)
PROCESS_SHARE, PROCESS_SHARE_BY_ATLAS, PROCESS_SHARE_BY_RUNS = 0.1, 0.25, 0.35
"""What the process itself weighs in the forecast, the trees the rest: on the curve alone, where the atlas
knows the task, with references."""

DECLINE_BELIEVED = 0.5
"""So much of a decline is forecast where no finished run has shown one: most declines end or turn."""

PAST_ERROR_ALONE, PAST_ERROR_COMPARED = 1.0, 0.6
"""How much of a run's past error (log) intervals are stretched by: on the curve alone, with references."""

WITHOUT_REFERENCES = 0.35
"""Share of the questions in training whose references are hidden."""

PRIOR_SHARE = 0.25
"""Share of the training weight that synthetic curves have."""

KNOTS = np.array(
    [0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.2, 1.4, 1.6, 1.9, 2.3, 2.8, 3.4, 5.0, 10.0, FARTHEST]
)
"""Logs of horizon over context end that are forecast; between them the forecast is a straight line."""
COOLDOWN = 0.17
"""So much log-clock before the planned end there is one more knot: many schedules cool down from there."""


@dataclass(frozen=True, eq=False)
class Model:
    """What is learned: the process's hyperparameters, and trees.

    alone: what to add to the end value where there are no references; to_end_value, to_process: what to add
    to either where there are some.
    """

    process: Process
    alone: Forest
    to_end_value: Forest
    to_process: Forest

    def point(self, candidates: Candidates, cell: "NDArray[np.intp]") -> Floats:
        """Weighted mean of process and trees, (n_cells,). cell: (n_cells,) question of each."""
        now, process = candidates.values[:, END_VALUE], _process(candidates)
        from_now, from_process = (_tree_features(candidates, a, cell) for a in (now, process))
        some = ~np.isnan(candidates.values[:, BY_RUNS])
        trees = now.copy()
        trees[~some] += self.alone.predict(from_now[~some])
        compared = self.to_end_value.predict(from_now[some]), self.to_process.predict(from_process[some])
        trees[some] = (now[some] + compared[0] + process[some] + compared[1]) / 2
        from_atlas = candidates.values[:, BY_ATLAS:]  # without columns where it is not read
        known = (~np.isnan(from_atlas)).any(axis=1)
        share = np.where(known, PROCESS_SHARE_BY_ATLAS, PROCESS_SHARE)
        share = np.where(some, PROCESS_SHARE_BY_RUNS, share)
        change = share * process + (1 - share) * trees - now
        declines = (change * candidates.better[cell] < 0) & ~some
        return np.asarray(now + np.where(declines, DECLINE_BELIEVED, 1.0) * change)

    def tensors(self) -> "dict[str, NDArray[Any]]":
        """Arrays by name, as they are stored."""
        tensors: dict[str, NDArray[Any]] = dict(self.process.tensors())
        for name, forest in zip(FORESTS, (self.alone, self.to_end_value, self.to_process), strict=True):
            tensors |= forest.tensors(name)
        return tensors

    @classmethod
    def from_tensors(cls, tensors: "dict[str, NDArray[Any]]", *, reads_atlas: bool = False) -> "Model":
        """What `tensors` gave. Raises InputError where they are not a model of this version."""
        n_features = len(FACTS) + len(CANDIDATES) + 1
        n_features -= 0 if reads_atlas else len(ATLAS_FACTS) + len(FROM_ATLAS)
        forests = [Forest.from_tensors(tensors, name, n_features) for name in FORESTS]
        return cls(Process.from_tensors(tensors), *forests)


FORESTS = ("alone", "to_level", "to_process")
"""Names of the forests in a stored model, in the order of `Model`; the second is the one to the end value."""
WIDTHS = ("past", "alone", "compared")
"""Names of the calibrations in a stored model, those of `Widths`."""
TREE_DECIMALS = 6
"""Features of the trees are rounded to so many decimals."""
CONTEXTS_IN_PLAN = 5.0
"""A typical context is a fifth of the plan: widths depend on how much longer or shorter it is."""
LEAST_SHARE, MOST_SHARE = -3.0, 1.7
"""Logs of the share of the plan over that are cut at these: 1 % and all of the plan."""


def _process(candidates: Candidates) -> Floats:
    """What the process says from all there is; the end value where it was not asked."""
    values = candidates.values
    process = np.where(np.isnan(values[:, BY_RUNS]), values[:, PROCESS], values[:, BY_RUNS])
    return np.where(np.isnan(process), values[:, END_VALUE], process)


def _tree_features(candidates: Candidates, anchor: Floats, cell: "NDArray[np.intp]") -> Floats:
    """Facts, and candidates from the anchor on, which is what trees add to, (n_cells, n_features).

    Rounded, so that what differs by floating-point noise alone falls on the same side of a split.
    """
    away, noise = candidates.values - anchor[:, None], candidates.noise[cell]
    return np.round(np.concatenate([candidates.facts, away, noise[:, None]], axis=1), TREE_DECIMALS)


@dataclass(frozen=True)
class Widths:
    """Calibrations: of questions about the past; of forecasts without references; of those with some."""

    past: Calibration
    alone: Calibration
    compared: Calibration

    def quantile_values(
        self, point: Floats, batch: Batch, candidates: Candidates, past_error: Floats
    ) -> Floats:
        """Quantiles at each horizon, (n_cells, n_levels), in the metric's own numbers.

        point: (n_cells,) in units; past_error: (n,) `Past.log_error`.
        """
        alone, compared = _more(batch, candidates)
        values = self.alone.quantile_values(point, batch, alone, np.exp(PAST_ERROR_ALONE * past_error))
        some = (candidates.trust[:, 0] > 0)[batch.cell]
        if some.any():
            stretch = np.exp(PAST_ERROR_COMPARED * past_error)
            values[some] = self.compared.quantile_values(point, batch, compared, stretch)[some]
        return values


def _more(batch: Batch, candidates: Candidates) -> tuple[Floats, Floats]:
    """What widths depend on beside the context, of forecasts alone and of those with references, (n, …)."""
    alone = np.concatenate([_plan(batch), candidates.knowledge], axis=1)
    return alone, np.concatenate([candidates.trust[:, 1:], alone], axis=1)


def _plan(batch: Batch) -> Floats:
    """How far the plan has been followed: log of the share over a fifth, and its size, (n, 2); 0 where there
    is no plan."""
    ends = [(evidence.end, evidence.planned_end) for evidence in batch.evidences]
    shares = [CONTEXTS_IN_PLAN * end / planned if planned and end > 0 else 1.0 for end, planned in ends]
    away = np.clip(np.log(np.array(shares, dtype=np.float64)), LEAST_SHARE, MOST_SHARE)
    return np.stack([away, np.abs(away)], axis=1)


@dataclass(frozen=True)
class TrainingSettings:
    """How much is trained: at most so many curves of a source, at so many horizons a context, synthetic
    families beside them, steps of the process, trees."""

    curves: int = 1500
    horizons: int = 6
    families: int = 80
    process_steps: int = 240
    trees: int = 500


class Neuneu2(CalibratedForecaster):
    """The forecaster to use: looks at the curve, at finished reference runs, at the run's other tasks and at
    other metrics, whatever there is.

    A Gaussian process sees the curve and the reference runs as one surface of size, clock, recipe and share
    of the plan (`process`). It and other simple readings of each piece of evidence are candidate
    forecasts (`candidates`), from which boosted trees, trained across real runs and synthetic
    families, say what to add to the end value and to the process. Quantiles are conformal, from sources that
    the trees were not trained on in turn, and the wider the more forecasts of the run have erred so far
    (`past`).
    """

    name = "neuneu-2"
    asks_atlas: ClassVar[bool] = False
    """Whether tasks that the atlas of benchmarks knows are forecast by a model of their own that reads it."""
    reads_atlas: ClassVar[bool] = False
    learns = True
    reads = frozenset({"run", "references"})
    model: Model | None = None
    widths: Widths | None = None
    settings = TrainingSettings()
    informed: "Informed | None" = None
    without: frozenset[str] = frozenset()
    """Families and sources that the atlas is not asked about, besides a run's own: for leaving them out."""

    def fit(
        self,
        curves: "CurveTable",
        losses: LossStore | None = None,
        *,
        references: References | None = None,
        seed: int = 0,
    ) -> Self:
        """Train process and trees, and calibrate on sources that were left out of the trees in turn.

        What it learns does not depend on which references forecasts may look at. Where it asks the atlas, and
        that knows tasks of the curves, a second model is trained that reads it.
        """
        self.learn_from(curves, seed)
        self.informed = None
        if self.asks_atlas and any(
            laws_for([Evidence(curve) for curve in curves.one_metric().curves], self.without)
        ):
            self.informed = Informed(self.without)
            if self.settings != TrainingSettings():
                self.informed.settings = self.settings
            self.informed.learn_from(curves, seed)
        return self

    def learn_from(self, curves: "CurveTable", seed: int) -> None:
        """Train one model: process, trees and widths."""
        settings = self.settings
        real, prior = training_questions(curves, seed, settings.families, settings.curves, settings.horizons)
        if not len(real):
            raise InputError("needs runs with at least 8 checkpoints to learn from", field="curves")
        laws = self._laws([*real.evidences, *prior.evidences])
        process = train_process(
            real,
            prior,
            [units_of(make_batch(q.evidences, q.horizons)) for q in (real, prior)],
            laws,
            settings.process_steps,
            seed,
        )
        rng = np.random.default_rng([seed, 40])
        parts = [(q, self._laws(q.evidences)) for q in (real, prior)]
        rows, extra = (
            Rows.of(q, process, rng.random(len(q)) < WITHOUT_REFERENCES, known) for q, known in parts
        )
        alone, bare = (Rows.of(q, process, np.ones(len(q), dtype=np.bool_), known) for q, known in parts)
        past = ask_past(real.evidences)
        again = make_candidates(past.batch, process, self._laws(past.batch.evidences))
        folds = folds_of(real)
        of_group = np.zeros(int(past.group_of.max()) + 1, dtype=np.intp)
        of_group[past.group_of] = folds
        points = [np.empty(len(part)) for part in (rows.truth, alone.truth, past.truth)]
        cells = [rows.cell, alone.cell, past.batch.cell]
        in_fold = [folds[cells[0]], folds[cells[1]], of_group[past.group][cells[2]]]
        for held_out in np.unique(folds):
            tests = [fold == held_out for fold in in_fold]
            trains = [~test if (~test).any() else test for test in tests[:2]]
            model = _train(
                process, rows.part(trains[0]), extra, alone.part(trains[1]), bare, seed, settings.trees
            )
            for point, candidates, cell, test in zip(
                points, (rows.candidates, alone.candidates, again), cells, tests, strict=True
            ):
                point[test] = model.point(candidates.part(test), cell[test])
        self.widths = _calibrate(rows, alone, past, points)
        self.model = _train(process, rows, extra, alone, bare, seed, settings.trees)

    def forecast_many(
        self, evidences: Sequence[Evidence], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """Forecasts of all at once: of tasks that the atlas knows with what was trained with it, of runs that
        have not started from the atlas and references alone."""
        if self.model is None:
            self.load_shipped()
        answers: list[Forecast | Refusal] = [Refusal(NOT_STARTED)] * len(evidences)
        laws = laws_for(evidences, self.without) if self.informed else [None] * len(evidences)
        known: list[int] = []
        unknown: list[int] = []
        for i, (evidence, law) in enumerate(zip(evidences, laws, strict=True)):
            if not len(evidence.context):
                asked = np.asarray(horizons[i], dtype=np.float64)
                answers[i] = forecast_unstarted(evidence, asked, self.without)
            else:
                (unknown if law is None else known).append(i)
        if unknown:
            found = super().forecast_many([evidences[i] for i in unknown], [horizons[i] for i in unknown])
            for i, answer in zip(unknown, found, strict=True):
                answers[i] = answer
        if known and self.informed:
            self.informed.without = self.without
            found = self.informed.forecast_many([evidences[i] for i in known], [horizons[i] for i in known])
            for i, answer in zip(known, found, strict=True):
                answers[i] = answer
        return answers

    def _laws(self, evidences: Sequence[Evidence]) -> Laws | None:
        """What the atlas knows of each question's task; None where it is not read."""
        return None

    def point(self, batch: Batch) -> Floats:
        """Forecast at each horizon, (n_cells,), in units."""
        return self._point_and_candidates(batch)[0]

    def quantile_values(self, batch: Batch) -> Floats:
        """Quantiles at each horizon, (n_cells, n_levels), in the metric's own numbers."""
        point, candidates = self._point_and_candidates(batch)
        assert self.model is not None
        assert self.widths is not None
        past = ask_past(batch.evidences)
        asked_again = make_candidates(past.batch, self.model.process, self._laws(past.batch.evidences))
        again = self.model.point(asked_again, past.batch.cell)
        past_error = past.log_error(past.batch.clip(again), self.widths.past.scale_of(past.batch))
        return self.widths.quantile_values(batch.clip(point), batch, candidates, past_error)

    def _point_and_candidates(self, batch: Batch) -> tuple[Floats, Candidates]:
        """Forecast at each horizon, (n_cells,), in units, and the candidates that it is made from."""
        if self.model is None:
            self.load_shipped()
        assert self.model is not None
        knots = _knots(batch)
        asked = replace(
            batch,
            log_horizon=np.concatenate([np.empty(0), *knots]),
            cell=np.repeat(np.arange(batch.n), [len(own) for own in knots]),
        )
        candidates = make_candidates(asked, self.model.process, self._laws(batch.evidences))
        at_knots = self.model.point(candidates, asked.cell)
        bounds = np.searchsorted(asked.cell, np.arange(batch.n + 1))
        cells = np.searchsorted(batch.cell, np.arange(batch.n + 1))
        point = np.empty(len(batch.cell))
        for i, own in enumerate(knots):
            part = slice(cells[i], cells[i + 1])
            point[part] = np.interp(batch.log_horizon[part], own, at_knots[bounds[i] : bounds[i + 1]])
        return point, candidates

    def load_shipped(self) -> Self:
        """Use the weights that ship with the package."""
        return self.load(Path(str(files("neuneu.forecasters.neuneu2").joinpath("shipped"))))

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors."""
        from safetensors.numpy import save_file

        if self.model is None or self.widths is None:
            raise InputError("has not been fitted; call fit first", field="forecaster", value=self.name)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "model.safetensors") as temporary:
            save_file(self.model.tensors(), temporary)
        document = {
            "forecaster": self.name,
            "candidates": CANDIDATES[: len(CANDIDATES) - (0 if self.reads_atlas else len(FROM_ATLAS))],
            "calibration": {name: getattr(self.widths, name).to_document() for name in WIDTHS},
        }
        write_json(folder / CONFIG, document)
        if self.informed is not None:
            self.informed.save(folder / ATLAS_FOLDER)

    def load(self, folder: str | Path) -> Self:
        """Read what `save` wrote. Raises InputError on files that are not that."""
        folder = Path(folder)
        config = read_folder(folder, Neuneu2.name, self.name)
        weights = folder / "model.safetensors"
        with refuse_library_errors(weights, "a neuneu-2 model"):
            self.model = Model.from_tensors(load_tensors(weights), reads_atlas=self.reads_atlas)
        with refuse_library_errors(folder / CONFIG, "a neuneu-2 model"):
            self.widths = Widths(*(Calibration.from_document(config["calibration"][name]) for name in WIDTHS))
        if self.asks_atlas:
            inner = folder / ATLAS_FOLDER
            self.informed = Informed(self.without).load(inner) if inner.is_dir() else None
        return self


class Neuneu2Atlas(Neuneu2):
    """neuneu-2 that reads the atlas of benchmarks where that knows the task (docs/atlas.md)."""

    name = "neuneu-2-atlas"
    asks_atlas = True


class Informed(Neuneu2):
    """neuneu-2 of questions whose task the atlas knows: trained with what it says."""

    reads_atlas = True
    settings = TrainingSettings(curves=450, horizons=5, families=60, process_steps=160, trees=350)

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        """without: as in `Neuneu2`."""
        self.without = without

    def forecast_many(
        self, evidences: Sequence[Evidence], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """Forecasts of all at once."""
        return CalibratedForecaster.forecast_many(self, evidences, horizons)

    def _laws(self, evidences: Sequence[Evidence]) -> Laws | None:
        return laws_for(evidences, self.without)


ATLAS_FOLDER = "atlas"
"""Within the folder of a stored model, that of the one that reads the atlas."""


def _knots(batch: Batch) -> list[Floats]:
    """Logs of horizon over context end that are forecast for each question: as far as it asks."""
    farthest = np.zeros(batch.n)
    np.maximum.at(farthest, batch.cell, batch.log_horizon)
    knots = []
    for evidence, far in zip(batch.evidences, farthest, strict=True):
        own = KNOTS
        if evidence.planned_end and evidence.end > 0:
            plan = np.log(evidence.planned_end / evidence.end)
            own = np.union1d(own, [p for p in (plan - COOLDOWN, plan) if 0 < p < FARTHEST])
        knots.append(own[: np.searchsorted(own, far) + 1])
    return knots


def _calibrate(rows: Rows, alone: Rows, past: Past, points: Sequence[Floats]) -> Widths:
    """Widths from what was forecast for sources that were left out: of rows, alone and past."""
    compared, single, again = points
    single = alone.batch.clip(single)
    # Those upside down are there for the trees; without their run's other curves, these are they.
    upright = np.array([bool(evidence.run_curves) for evidence in alone.batch.evidences])
    weight = np.where(upright[alone.cell], alone.weight, 0.0) if upright.any() else alone.weight
    of_past = Calibration.fit(single, alone.truth, weight, alone.batch)
    past_error = past.log_error(past.batch.clip(again), of_past.scale_of(past.batch))
    some = (rows.candidates.trust[:, 0] > 0)[rows.cell]
    return Widths(
        of_past,
        Calibration.fit(
            single,
            alone.truth,
            weight,
            alone.batch,
            _more(alone.batch, alone.candidates)[0],
            np.exp(PAST_ERROR_ALONE * past_error),
        ),
        Calibration.fit(
            rows.batch.clip(compared),
            rows.truth,
            np.where(some, rows.weight, 0.0) if some.any() else rows.weight,
            rows.batch,
            _more(rows.batch, rows.candidates)[1],
            np.exp(PAST_ERROR_COMPARED * past_error),
        ),
    )


def _train(
    process: Process, rows: Rows, extra: Rows, alone: Rows, bare: Rows, seed: int, trees: int
) -> Model:
    """Train on real and synthetic cells (rows, extra), and on the same without references (alone, bare)."""

    def forest(sides: tuple[Rows, Rows], anchor: Callable[[Candidates], Floats]) -> Forest:
        known = [side for side in sides if len(side.truth)]
        anchors = [anchor(side.candidates) for side in known]
        features = [
            _tree_features(side.candidates, own, side.cell) for side, own in zip(known, anchors, strict=True)
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

    both = rows, extra
    return Model(process, forest((alone, bare), end_value), forest(both, end_value), forest(both, _process))
