"""Gradient-boosted trees over context features, fitted across runs (LightGBM)."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import InputError, MissingExtraError
from neuneu.evidence.batch import Batch
from neuneu.evidence.features import context_features, mean_of_last
from neuneu.evidence.finished import References
from neuneu.evidence.questions import Questions, ask_questions
from neuneu.files import read_text, refuse_library_errors, write_text
from neuneu.forecasters.baselines import LogLinear, reference_rise
from neuneu.forecasters.calibration import CalibratedForecaster, Calibration, training_rows
from neuneu.forecasters.laws import BrokenPowerLaw, PowerLaw
from neuneu.losses.loss_store import LossStore

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable

PARAMETERS: dict[str, Any] = {
    "objective": "quantile",
    "alpha": 0.5,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "max_bin": 63,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
MODEL = "model.txt"
"""The trees of a saved forecaster, beside its config.json."""
ROUNDS = 60
"""Trees."""
FOLDS = 3
"""Sources are left out of the trees in so many turns, for the widths."""
CURVES_PER_SOURCE = 200
"""Training asks about at most so many curves of a source, drawn by the seed."""
EARLY = 0.5
"""The early part of a context is what lies before this share of its span, counted from its end."""
WITHOUT_REFERENCES = 0.25
"""Share of training questions whose references are hidden: the trees must do without them too."""
FEATURES = (
    "log_horizon", "planned", "n_points", "span", "noise", "slope", "recent_mean", "spread", "item_error",
    "above_chance", "last", "earlier", "log_linear", "power_law", "broken_power_law", "references",
)  # fmt: skip


class BoostedTrees(CalibratedForecaster):
    """What to add to the mean of the power law and the broken one, by trees over context and references.

    One model for all runs, tasks and horizons (quantile loss at the median); every run of a source weighs the
    same, and every source. Quantiles come from residuals on sources that were left out in turn (on runs where
    there is one source), so they hold for a run from elsewhere.
    """

    name = "lightgbm"
    learns = True
    reads = frozenset({"references"})
    booster: Any = None

    def fit(
        self,
        curves: "CurveTable",
        losses: LossStore | None = None,
        *,
        references: References | None = None,
        seed: int = 0,
    ) -> Self:
        """Fit the trees, and the quantiles on folds of whole sources (of runs where there is one source)."""
        questions = ask_questions(
            curves,
            None,
            references,
            whole_evidence=references is not None,
            curves_per_source=CURVES_PER_SOURCE,
            seed=seed,
        )
        if not len(questions):
            raise InputError("needs runs with at least 8 checkpoints to learn from", field="curves")
        batch, truth, weight = training_rows(questions, range(len(questions)))
        weight = weight / weight.mean()
        features = cell_features(batch)
        hidden = np.random.default_rng(seed).random(batch.n) < WITHOUT_REFERENCES
        features[hidden[batch.cell], FEATURES.index("references")] = np.nan
        base = law_base(features, batch)
        fold = _folds(questions)[batch.cell]
        point = np.empty(len(truth))
        for held_out in np.unique(fold):
            train, test = fold != held_out, fold == held_out
            if not train.any():
                train = test
            booster = _train(features[train], (truth - base)[train], weight[train], seed)
            point[test] = booster.predict(features[test], num_threads=1)
        self.calibration = Calibration.fit(batch.clip(base + point), truth, weight, batch)
        self.booster = _train(features, truth - base, weight, seed)
        return self

    def point(self, batch: Batch) -> Floats:
        """The laws' mean plus what the trees add to it, (n_cells,)."""
        if self.booster is None:
            self.load_shipped()
        if not len(batch.cell):
            return np.empty(0)
        features = cell_features(batch)
        added = self.booster.predict(features, num_threads=1)
        return np.asarray(law_base(features, batch) + added, dtype=np.float64)

    def load_shipped(self) -> Self:
        """Use the trees and the calibration that ship with the package."""
        super().load_shipped()
        text = files("neuneu.forecasters").joinpath("trees.txt").read_text(encoding="utf-8")
        self.booster = _lightgbm().Booster(model_str=text)
        return self

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.txt, the trees in LightGBM's own text."""
        super().save(folder)
        write_text(Path(folder) / MODEL, self.booster.model_to_string())

    def load(self, folder: str | Path) -> Self:
        """Take over what `save` wrote. Raises InputError on files that are not that."""
        library, path = _lightgbm(), Path(folder) / MODEL
        with refuse_library_errors(path, "trees that LightGBM wrote"):
            booster = library.Booster(model_str=read_text(path))
        if booster.feature_name() != list(FEATURES):
            raise InputError(f"must look at {', '.join(FEATURES)}", where=path, field="features")
        super().load(folder)
        self.booster = booster
        return self


def law_base(features: Floats, batch: Batch) -> Floats:
    """Mean of the power law and the broken power law at each horizon, (n_cells,)."""
    rise = features[:, [FEATURES.index("power_law"), FEATURES.index("broken_power_law")]].mean(axis=1)
    return np.asarray(mean_of_last(batch, 3)[batch.cell] + rise, dtype=np.float64)


def cell_features(batch: Batch) -> Floats:
    """What the trees look at, (n_cells, n_features) in the order of FEATURES; NaN where unknown.

    Everything is relative: log ratios of clocks, values in units, forecasts as rises from the recent mean.
    """
    context = context_features(batch)
    cell, now = batch.cell, context.recent_mean
    points = batch.points
    early = points.keep(points.x < -EARLY * context.span[points.owner])
    earlier = np.where(early.total > 0, early.sum(early.y) / np.maximum(early.total, 1.0) - now, np.nan)
    planned = np.array(
        [
            np.log(evidence.planned_end / evidence.end)
            if evidence.planned_end and evidence.end > 0
            else np.nan
            for evidence in batch.evidences
        ]
    )
    per_context = (
        context.n_points, context.span, context.noise, context.slope, now, context.spread,
        context.item_error, context.above_chance, batch.last - now, earlier,
    )  # fmt: skip
    laws = [batch.clip(law.point(batch)) - now[cell] for law in (LogLinear(), PowerLaw(), BrokenPowerLaw())]
    columns = [
        batch.log_horizon,
        (planned[cell] - batch.log_horizon),
        *(feature[cell] for feature in per_context),
        *laws,
        _reference_rises(batch),
    ]
    return np.stack(columns, axis=1)


def _reference_rises(batch: Batch) -> Floats:
    rises = np.full(len(batch.cell), np.nan)
    bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
    for i, evidence in enumerate(batch.evidences):
        if any(len(reference) >= 2 for reference in evidence.references):
            part = slice(bounds[i], bounds[i + 1])
            rises[part] = reference_rise(evidence, batch.log_horizon[part]) / batch.unit[i]
    return rises


def _folds(questions: Questions) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Fold of each question: sources dealt out in turn, or runs where there is one source."""
    names: Sequence[str] = questions.sources
    if len(set(names)) == 1:
        names = [evidence.context.key.run for evidence in questions.evidences]
    fold = {name: i % max(FOLDS, 2) for i, name in enumerate(sorted(set(names)))}
    return np.array([fold[name] for name in names])


def _train(features: Floats, target: Floats, weight: Floats, seed: int) -> Any:
    library = _lightgbm()
    smallest = min(PARAMETERS["min_data_in_leaf"], max(1, len(target) // 20))
    parameters = PARAMETERS | {"seed": seed, "min_data_in_leaf": smallest}
    data = library.Dataset(features, target, weight=weight, feature_name=list(FEATURES), free_raw_data=True)
    return library.train(parameters, data, num_boost_round=ROUNDS)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError("lightgbm", "trees") from error
    return lightgbm
