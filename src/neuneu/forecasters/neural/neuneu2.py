"""neuneu-2: candidate forecasts from all evidence, weighed by a small network, with conformal quantiles."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.files import atomic_path, read_json, write_json
from neuneu.forecasters.batch import Batch, make_batch
from neuneu.forecasters.calibration import CalibratedForecaster, Calibration
from neuneu.forecasters.evidence import References
from neuneu.forecasters.neural.augment import training_questions
from neuneu.forecasters.neural.candidates import CANDIDATES, FACTS, Candidates, make_candidates
from neuneu.forecasters.neural.forest import Forest, train_forest
from neuneu.forecasters.neural.mixture import Mixture, TrainingSettings, train_mixture
from neuneu.forecasters.questions import Questions
from neuneu.losses.store import LossStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuneu.curves.table import CurveTable

ALIGNED = ("_by_clock", "_by_plan")
LEVEL = CANDIDATES.index("level")
REFERENCE_FACTS = [i for i, name in enumerate(FACTS) if name.endswith(ALIGNED)]
REFERENCE_CANDIDATES = [i for i, name in enumerate(CANDIDATES) if name.endswith(ALIGNED)]
WITHOUT_REFERENCES = 0.35
"""Share of the trees' training rows whose references are hidden."""


@dataclass(frozen=True, eq=False)
class Model:
    """What is learned: networks that weigh candidates, trees that say what to add to the level."""

    mixture: Mixture
    forest: Forest

    def point(self, candidates: Candidates, size: Floats) -> Floats:
        """Mean of both, (n_cells,). size: (n_cells,) noise around the curve."""
        level = candidates.values[:, LEVEL]
        added = self.forest.predict(_tree_features(candidates, size))
        return 0.5 * (self.mixture.point(candidates, level, size) + level + added)

    def tensors(self) -> "dict[str, NDArray[Any]]":
        """Arrays by name, as they are stored."""
        return self.mixture.tensors() | self.forest.tensors()

    @classmethod
    def from_tensors(cls, tensors: "dict[str, NDArray[Any]]") -> "Model":
        """What `tensors` gave. Raises InputError where they are not a model of this version."""
        trees = {name: array for name, array in tensors.items() if name.startswith("trees.")}
        rest = {name: array for name, array in tensors.items() if name not in trees}
        n_features = len(FACTS) + len(CANDIDATES) + 1
        return cls(Mixture.from_tensors(rest), Forest.from_tensors(trees, n_features))


def _tree_features(candidates: Candidates, size: Floats) -> Floats:
    """Rounded, so that what differs by floating-point noise alone falls on the same side of a split."""
    away = candidates.values - candidates.values[:, [LEVEL]]
    return np.round(np.concatenate([candidates.facts, away, size[:, None]], axis=1), 6)


class Neuneu2(CalibratedForecaster):
    """The forecaster to use: looks at the curve, at finished reference runs, at the run's other tasks and at
    other metrics, whatever there is.

    Each piece of evidence gives candidate forecasts (`neural.candidates`). A small network, trained across
    real runs and synthetic families, weighs them: what it says lies between the candidates, so it cannot run
    off on data unlike those of training. Boosted trees, trained on the same, say what to add to the level;
    the forecast is the mean of both. Quantiles are conformal, from sources left out in turn.
    """

    name = "neuneu-2"
    learns = True
    needs_run = True
    model: Model | None = None
    settings = TrainingSettings()

    def fit(
        self,
        curves: "CurveTable",
        losses: LossStore | None = None,
        *,
        references: References | None = None,
        seed: int = 0,
    ) -> Self:
        """Train the network, and calibrate on sources that were left out in turn."""
        real, prior = training_questions(curves, references, seed, self.settings.families)
        if not len(real):
            raise InputError("needs runs with at least 8 checkpoints to learn from", field="curves")
        rows = _Rows.of(real)
        extra = _Rows.of(prior)
        point = np.empty(len(rows.truth))
        fold = _folds(real)[rows.batch.cell]
        for held_out in np.unique(fold):
            train, test = rows.part(fold != held_out), rows.part(fold == held_out)
            if not len(train.truth):
                train = test
            point[fold == held_out] = _train(train, extra, seed, self.settings).point(
                test.candidates, test.size
            )
        self.calibration = Calibration.fit(rows.batch.clip(point), rows.truth, rows.weight, rows.batch)
        self.model = _train(rows, extra, seed, self.settings)
        return self

    def point(self, batch: Batch) -> Floats:
        """Weighted candidates, (n_cells,), in units."""
        if self.model is None:
            self.load_shipped()
        assert self.model is not None
        if not len(batch.cell):
            return np.empty(0)
        candidates = make_candidates(batch)
        return self.model.point(candidates, candidates.size[batch.cell])

    def load_shipped(self) -> Self:
        """Use the weights that ship with the package."""
        return self.load(Path(str(files("neuneu.forecasters.neural").joinpath("shipped", "neuneu-2"))))

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors."""
        from safetensors.numpy import save_file

        if self.model is None or self.calibration is None:
            raise InputError("has not been fitted; call fit first", field="forecaster", value=self.name)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "model.safetensors") as temporary:
            save_file(self.model.tensors(), temporary)
        document = {
            "forecaster": self.name,
            "candidates": CANDIDATES,
            "calibration": self.calibration.to_document(),
        }
        write_json(folder / "config.json", document)

    def load(self, folder: str | Path) -> Self:
        """Read what `save` wrote. Raises InputError on files that are not that."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(folder)
        config = read_json(folder / "config.json")
        try:
            self.model = Model.from_tensors(load_file(folder / "model.safetensors"))
            self.calibration = Calibration.from_document(config["calibration"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a neuneu-2 model: {error}", where=folder) from error
        return self


class _Rows:
    """Training cells: a batch with candidates, answers and weights."""

    def __init__(
        self, batch: Batch, candidates: Candidates, size: Floats, truth: Floats, weight: Floats
    ) -> None:
        self.batch, self.candidates, self.size, self.truth, self.weight = (
            batch,
            candidates,
            size,
            truth,
            weight,
        )
        self.level = candidates.values[:, LEVEL]

    @classmethod
    def of(cls, questions: Questions) -> "_Rows":
        batch = make_batch(questions.evidences, questions.horizons)
        candidates = make_candidates(batch)
        truth = np.concatenate([np.empty(0), *questions.truths]) / batch.unit[batch.cell]
        sizes = np.bincount(batch.cell, minlength=batch.n)
        weight = questions.weights[batch.cell] / sizes[batch.cell]
        return cls(batch, candidates, candidates.size[batch.cell], truth, weight)

    def part(self, mask: "NDArray[np.bool_]") -> "_Rows":
        kept = Candidates(self.candidates.values[mask], self.candidates.facts[mask], self.candidates.size)
        return _Rows(self.batch, kept, self.size[mask], self.truth[mask], self.weight[mask])


def _train(rows: _Rows, extra: _Rows, seed: int, settings: TrainingSettings) -> Model:
    """Train on real and synthetic cells, whose weights add up to `PRIOR_SHARE` of all."""
    sides = [side for side in (rows, extra) if len(side.truth)]
    shares = (1.0, PRIOR_SHARE / (1 - PRIOR_SHARE))
    joined = Candidates(
        np.concatenate([side.candidates.values for side in sides]),
        np.concatenate([side.candidates.facts for side in sides]),
        rows.candidates.size,
    )
    weight = np.concatenate(
        [share * s.weight / s.weight.sum() for share, s in zip(shares, sides, strict=False)]
    )
    level, size, truth = (
        np.concatenate([getattr(side, name) for side in sides]) for name in ("level", "size", "truth")
    )
    features = _tree_features(joined, size)
    hidden = np.flatnonzero(np.random.default_rng([seed, 40]).random(len(truth)) < WITHOUT_REFERENCES)
    columns = np.array(REFERENCE_FACTS + [len(FACTS) + i for i in REFERENCE_CANDIDATES])
    features[np.ix_(hidden, columns)] = np.nan
    return Model(
        train_mixture(joined, level, size, truth, weight, seed, settings),
        train_forest(features, truth - level, weight, seed),
    )


PRIOR_SHARE = 0.25
"""Share of the training weight that synthetic curves have."""


def _folds(questions: Questions) -> "NDArray[np.intp]":
    """Fold of each question, of `FOLDS`: by source; where there is one source, by run."""
    names: Sequence[str] = questions.sources
    if len(set(names)) < 2:
        names = [evidence.context.key.run for evidence in questions.evidences]
    sizes = Counter(names)
    order = {name: i % FOLDS for i, name in enumerate(sorted(sizes, key=lambda name: (-sizes[name], name)))}
    return np.array([order[name] for name in names], dtype=np.intp)


FOLDS = 3
