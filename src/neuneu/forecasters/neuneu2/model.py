"""neuneu-2: a Gaussian process over runs and boosted trees on all evidence, with conformal quantiles."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.evidence.batch import FARTHEST, Batch, join_batches, make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.features import context_features
from neuneu.evidence.finished import References
from neuneu.evidence.questions import Questions
from neuneu.files import atomic_path, refuse_library_errors, together, write_json
from neuneu.files.arrays import load_tensors
from neuneu.forecasters.base import CONFIG, LEVELS, Forecast, Refusal, read_folder
from neuneu.forecasters.calibration import (
    NOT_STARTED,
    CalibratedForecaster,
    Calibration,
    scale_features,
)
from neuneu.forecasters.neuneu2.augment import training_questions
from neuneu.forecasters.neuneu2.candidates import CANDIDATES, Candidates, make_candidates, units_of
from neuneu.forecasters.neuneu2.cooldown import log_start
from neuneu.forecasters.neuneu2.expected import Laws, laws_for
from neuneu.forecasters.neuneu2.learned import (
    INFORMED,
    CandidateTrees,
    Lessons,
    Model,
    said,
    train_trees,
    weighed,
)
from neuneu.forecasters.neuneu2.past import Past, ask_past
from neuneu.forecasters.neuneu2.process import Process, train_process
from neuneu.forecasters.neuneu2.rows import Rows, folds_of
from neuneu.forecasters.neuneu2.unstarted import forecast_unstarted
from neuneu.forecasters.neuneu2.widths import Widths, fit_widths, upright_weight
from neuneu.losses.loss_store import LossStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuneu.curves.table import CurveTable

WITHOUT_REFERENCES = 0.35
"""Share of the questions in training whose references are hidden."""

KNOTS = np.array([0.0, 0.1, 0.25, 0.45, 0.7, 1.0, 1.35, 1.8, 2.4, 3.4, 5.0, 10.0, FARTHEST])
"""Logs of horizon over context end that are forecast; between them the forecast is a straight line."""
COOLDOWN = 0.17
"""So much log-clock before the planned end there is one more knot: many schedules cool down from there. Where
the start of the decay is known, it is there."""


CALIBRATIONS = ("alone", "compared")
"""Names of the calibrations in a stored model, those of `Widths`; after `INFORMED` those of known tasks."""


@dataclass(frozen=True)
class TrainingSettings:
    """How much is trained: at most so many curves of a source, at so many horizons a context, synthetic
    families beside them, steps of the process, trees."""

    curves: int = 450
    horizons: int = 6
    families: int = 80
    process_steps: int = 240
    trees: int = 350


class Neuneu2(CalibratedForecaster):
    """The forecaster to use: looks at the curve, at finished reference runs, at the run's other tasks and at
    other metrics, and at what the atlas of benchmarks knows of the task, whatever there is.

    A Gaussian process sees the curve and the reference runs as one surface of size, clock, recipe and share
    of the plan (`process`). It and other simple readings of each piece of evidence are candidate
    forecasts (`candidates`), from which boosted trees, trained across real runs and synthetic
    families, say what to add to the end value and to the process. Tasks that the atlas knows have trees of
    their own, which look at what it says; the others those that never did. Quantiles are conformal, from
    sources that the trees were not trained on in turn, and the wider the more forecasts of the run have erred
    so far (`past`).
    """

    name = "neuneu-2"
    learns = True
    reads = frozenset({"run", "references"})
    model: Model | None = None
    past_scale: Calibration | None = None
    """What errors of past forecasts are measured in."""
    widths: Widths | None = None
    informed_widths: Widths | None = None
    settings = TrainingSettings()
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

        What it learns does not depend on which references forecasts may look at. Where the atlas knows tasks
        of the curves, trees that look at it are trained beside those that do not.
        """
        settings = self.settings
        real, prior = training_questions(curves, seed, settings.families, settings.curves, settings.horizons)
        if not len(real):
            raise InputError("needs runs with at least 8 checkpoints to learn from", field="curves")
        return self._learn(real, prior, seed)

    def _learn(self, real: Questions, prior: Questions, seed: int) -> Self:
        """Train on questions about real and synthetic runs."""
        n_trees = self.settings.trees
        units = [units_of(make_batch(q.evidences, q.horizons)) for q in (real, prior)]
        process = train_process(real, prior, units, self.settings.process_steps, seed)
        rng = np.random.default_rng([seed, 40])
        hidden = [rng.random(len(q)) < WITHOUT_REFERENCES for q in (real, prior)]
        folds = folds_of(real)
        bare = _lessons((real, prior), process, hidden, (None, None))
        trees, points = _left_out(bare, folds, seed, n_trees)
        past = ask_past(real.evidences)
        again = _again(past, trees, process, folds)
        single, weight = bare.alone.batch.clip(points[1]), upright_weight(bare.alone)
        self.past_scale = Calibration.fit(single, bare.alone.truth, weight, bare.alone.batch)
        past_error = past.log_error(past.batch.clip(again), self.past_scale.scale_of(past.batch))
        self.widths = fit_widths(bare.rows, bare.alone, points, past_error, informed=False)
        self.model = Model(process, train_trees(bare, seed, n_trees, informed=False))
        self.informed_widths = None
        laws = [laws_for(q.evidences, self.without) for q in (real, prior)]
        if any(laws[0]):
            told = _lessons((real, prior), process, hidden, laws)
            _, points = _left_out(told, folds, seed, n_trees, beside=trees)
            self.informed_widths = fit_widths(told.rows, told.alone, points, past_error, informed=True)
            self.model = replace(self.model, informed=train_trees(told, seed, n_trees, informed=True))
        return self

    def forecast_many(
        self, evidences: Sequence[Evidence], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """Forecasts of all at once; of runs that have not started from the atlas and references alone."""
        answers: list[Forecast | Refusal] = [Refusal(NOT_STARTED)] * len(evidences)
        started = [i for i, evidence in enumerate(evidences) if len(evidence.context)]
        found = super().forecast_many([evidences[i] for i in started], [horizons[i] for i in started])
        for i, answer in zip(started, found, strict=True):
            answers[i] = answer
        for i, evidence in enumerate(evidences):
            if not len(evidence.context):
                asked = np.asarray(horizons[i], dtype=np.float64)
                answers[i] = forecast_unstarted(evidence, asked, self.without)
        return answers

    def point(self, batch: Batch) -> Floats:
        """Forecast at each horizon, (n_cells,), in units."""
        return self._forecast(batch)[0]

    def quantile_values(self, batch: Batch) -> Floats:
        """Quantiles at each horizon, (n_cells, n_levels), in the metric's own numbers."""
        point, candidates, past_error = self._forecast(batch)
        assert self.widths is not None
        point, known = batch.clip(point), candidates.known[batch.cell]
        values = np.empty((len(point), len(LEVELS)))
        context = scale_features(context_features(batch))
        for widths, cells in ((self.widths, ~known), (self.informed_widths, known)):
            if widths is not None and cells.any():
                informed = widths is self.informed_widths
                found = widths.quantile_values(
                    point, batch, context, candidates, past_error, informed=informed
                )
                values[cells] = found[cells]
        return values

    def _forecast(self, batch: Batch) -> tuple[Floats, Candidates, Floats]:
        """Forecast at each horizon, (n_cells,), in units; the candidates that it is made from; and how much
        forecasts of each question's run have erred so far, (n,)."""
        if self.model is None:
            self.load_shipped()
        assert self.model is not None
        assert self.past_scale is not None
        knots = _knots(batch)
        asked = replace(
            batch,
            log_horizon=np.concatenate([np.empty(0), *knots]),
            cell=np.repeat(np.arange(batch.n), [len(own) for own in knots]),
        )
        past = ask_past(batch.evidences)
        both = join_batches(asked, past.batch)
        laws = [None] * batch.n if self.model.informed is None else laws_for(batch.evidences, self.without)
        candidates = make_candidates(both, self.model.process, [*laws, *[None] * past.batch.n])
        at_knots = self.model.point(candidates, both.cell)
        now = len(asked.cell)
        past_error = past.log_error(past.batch.clip(at_knots[now:]), self.past_scale.scale_of(past.batch))
        bounds = np.searchsorted(asked.cell, np.arange(batch.n + 1))
        cells = np.searchsorted(batch.cell, np.arange(batch.n + 1))
        point = np.empty(len(batch.cell))
        for i, own in enumerate(knots):
            part = slice(cells[i], cells[i + 1])
            point[part] = np.interp(batch.log_horizon[part], own, at_knots[bounds[i] : bounds[i + 1]])
        return point, candidates.first(batch.n), past_error

    def load_shipped(self) -> Self:
        """Use the weights that ship with the package."""
        return self.load(Path(str(files("neuneu.forecasters.neuneu2").joinpath("shipped"))))

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors."""
        from safetensors.numpy import save_file

        if self.model is None or self.widths is None or self.past_scale is None:
            raise InputError("has not been fitted; call fit first", field="forecaster", value=self.name)
        folder = Path(folder)
        calibration = {"past": self.past_scale.to_document()}
        for prefix, widths in (("", self.widths), (INFORMED, self.informed_widths)):
            if widths is not None:
                calibration |= {prefix + name: getattr(widths, name).to_document() for name in CALIBRATIONS}
        document = {"forecaster": self.name, "candidates": CANDIDATES, "calibration": calibration}
        with together(folder):
            with atomic_path(folder / "model.safetensors") as temporary:
                save_file(self.model.tensors(), temporary)
            write_json(folder / CONFIG, document)

    def load(self, folder: str | Path) -> Self:
        """Read what `save` wrote. Raises InputError on files that are not that."""
        folder = Path(folder)
        config = read_folder(folder, self.name)
        weights = folder / "model.safetensors"
        with refuse_library_errors(weights, "a neuneu-2 model"):
            self.model = Model.from_tensors(load_tensors(weights))
        with refuse_library_errors(folder / CONFIG, "a neuneu-2 model"):
            stored = {
                name: Calibration.from_document(document) for name, document in config["calibration"].items()
            }
            self.past_scale = stored["past"]
            self.widths = Widths(*(stored[name] for name in CALIBRATIONS))
            self.informed_widths = None
            if self.model.informed is not None:
                self.informed_widths = Widths(*(stored[INFORMED + name] for name in CALIBRATIONS))
        return self


def _lessons(
    questions: Sequence[Questions],
    process: Process,
    hidden: "Sequence[NDArray[np.bool_]]",
    laws: Sequence[Laws | None],
) -> Lessons:
    """Cells of real and synthetic questions, and the same without references."""
    shown = [Rows.of(*one) for one in zip(questions, [process] * 2, hidden, laws, strict=True)]
    alone = [
        Rows.of(q, process, np.ones(len(q), dtype=np.bool_), known)
        for q, known in zip(questions, laws, strict=True)
    ]
    return Lessons(*shown, *alone)


def _again(
    past: Past, trees: Sequence[CandidateTrees], process: Process, folds: "NDArray[np.intp]"
) -> Floats:
    """What trees that were trained without each fold say of the past of its questions, (n_cells,)."""
    candidates = make_candidates(past.batch, process)
    of_group = np.zeros(int(past.group_of.max()) + 1, dtype=np.intp)
    of_group[past.group_of] = folds
    fold = of_group[past.group][past.batch.cell]
    found = np.empty(len(past.truth))
    for number, own in enumerate(trees):
        cells = fold == number
        part, cell = candidates.part(cells), past.batch.cell[cells]
        found[cells] = weighed(part, cell, own.point(part, cell))
    return found


def _left_out(
    lessons: Lessons,
    folds: "NDArray[np.intp]",
    seed: int,
    n_trees: int,
    beside: Sequence[CandidateTrees] = (),
) -> tuple[list[CandidateTrees], tuple[Floats, Floats]]:
    """Trees trained without each fold of the real questions, and what is forecast in its cells, with
    references and without. beside: of each fold the trees that do not look at the atlas; then these do."""
    found = []
    points = np.empty(len(lessons.rows.truth)), np.empty(len(lessons.alone.truth))
    sides = lessons.rows, lessons.alone
    for held_out in range(int(folds.max()) + 1):
        tests = [folds[side.cell] == held_out for side in sides]
        trains = [~test if (~test).any() else test for test in tests]
        own = train_trees(lessons.part(trains[0], trains[1]), seed, n_trees, informed=bool(beside))
        bare, informed = (beside[held_out], own) if beside else (own, None)
        for point, side, test in zip(points, sides, tests, strict=True):
            part, cell = side.candidates.part(test), side.cell[test]
            point[test] = weighed(part, cell, said(bare, informed, part, cell))
        found.append(own)
    return found, points


def _knots(batch: Batch) -> list[Floats]:
    """Logs of horizon over context end that are forecast for each question: as far as it asks."""
    farthest = np.zeros(batch.n)
    np.maximum.at(farthest, batch.cell, batch.log_horizon)
    known: dict[tuple[object, ...], Floats] = {}
    knots = []
    for evidence, far in zip(batch.evidences, farthest.tolist(), strict=True):
        asked = evidence.planned_end, evidence.end, evidence.context.facts.schedule, far
        if asked not in known:
            own = KNOTS
            if evidence.planned_end and evidence.end > 0:
                plan = np.log(evidence.planned_end / evidence.end)
                start = log_start(evidence)
                turns = plan - COOLDOWN if start is None else start, plan
                own = np.union1d(own, [turn for turn in turns if 0 < turn < FARTHEST])
            known[asked] = own[: np.searchsorted(own, far) + 1]
        knots.append(known[asked])
    return knots
