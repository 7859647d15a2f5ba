"""Training on made-up curves: what `neuneu train configs/lc-pfn.yaml` does."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuneu.curves.curve import Floats, Integers
from neuneu.evidence.batch import make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.lcpfn.forecaster import LCPFN
from neuneu.forecasters.lcpfn.layout import POINTS, Laid, clock_features, lay_out
from neuneu.forecasters.lcpfn.network import PFN, ContextBatch
from neuneu.forecasters.neuneu.config import PFNRunConfig, PriorConfig
from neuneu.forecasters.neuneu.training import SILENT, Report, Trainer, Workers
from neuneu.forecasters.neuneu2.prior import synthetic_curves

FEWEST = 6
"""Curves with fewer checkpoints are not asked."""


@dataclass(frozen=True, eq=False)
class PriorData:
    """Questions about made-up curves.

    clock, values, there: (n, POINTS) as in `layout.Laid`; at: (n, n_horizons) log of horizon over context
    end; asked: (n, n_horizons) False on padding; target: (n, n_horizons) normalised; family: (n,).
    """

    clock: NDArray[np.float32]
    values: NDArray[np.float32]
    there: NDArray[np.bool_]
    at: NDArray[np.float32]
    asked: NDArray[np.bool_]
    target: NDArray[np.float32]
    family: Integers

    def __len__(self) -> int:
        return len(self.family)

    def groups(self) -> Integers:
        """One group: nothing is shared."""
        return np.zeros(len(self), dtype=np.int64)

    def batch(
        self, index: Integers, drop_with: np.random.Generator | None = None
    ) -> tuple[ContextBatch, Tensor]:
        """Questions by index, and the targets of their horizons, (n_cells,)."""
        asked = self.asked[index]
        questions = ContextBatch(
            torch.from_numpy(clock_features(self.clock[index].astype(np.float64))).float(),
            torch.from_numpy(self.values[index]),
            torch.from_numpy(self.there[index]),
            torch.from_numpy(clock_features(self.at[index].astype(np.float64))).float(),
            torch.from_numpy(np.flatnonzero(asked)),
        )
        return questions, torch.from_numpy(self.target[index][asked])


def make_prior_data(config: PriorConfig, seed: int) -> tuple[PriorData, PriorData]:
    """Questions about families of made-up curves, and about other families, kept for validation.

    Context ends are drawn even in log-clock between the second checkpoint and the last but one, horizons
    among the later checkpoints; half the curves begin later, at a drawn checkpoint.
    """
    table = synthetic_curves(seed, config.families).one_metric()
    rng = np.random.default_rng([seed, 21])
    evidences, horizons, targets, names = [], [], [], []
    for curve in table:
        if len(curve) < FEWEST:
            continue
        for _ in range(config.contexts):
            reach = np.exp(rng.uniform(np.log(curve.clock[1]), np.log(curve.clock[-2])))
            size = int(np.clip(np.searchsorted(curve.clock, reach, side="right"), 2, len(curve) - 1))
            first = int(rng.integers(0, size - 1)) if rng.random() < 0.5 else 0
            later = np.arange(size, len(curve))
            drawn = np.sort(rng.permutation(later)[: config.horizons])
            context = curve.until(float(curve.clock[size - 1]))
            context = context.after(float(curve.clock[first - 1])) if first else context
            evidences.append(Evidence(context))
            horizons.append(curve.clock[drawn])
            targets.append(curve.values[drawn])
            names.append(curve.facts.family or "")
    batch = make_batch(evidences, horizons)
    laid = lay_out(batch)
    counts = np.array([len(h) for h in horizons])
    asked = np.arange(config.horizons) < counts[:, None]
    at, target = np.zeros((2, *asked.shape))
    at[asked] = batch.log_horizon
    target[asked] = np.concatenate(targets) / batch.unit[batch.cell]
    target = (target - laid.centre[:, None]) / laid.scale[:, None]
    _, family = np.unique(names, return_inverse=True)
    data = PriorData(
        _wide(laid.clock), _wide(laid.values), _wide_mask(laid), at.astype(np.float32), asked,
        target.astype(np.float32), family.astype(np.int64),
    )  # fmt: skip
    held = family >= family.max() + 1 - round(config.validation_share * (family.max() + 1))
    return _part(data, ~held), _part(data, held)


def train_pfn(config: PFNRunConfig, report: Report = SILENT) -> tuple[LCPFN, Trainer]:
    """Train or resume in `config.output`; the forecaster, written there, and what trained it."""
    seed = config.training.seed if config.samples.split_seed is None else config.samples.split_seed
    train, validation = make_prior_data(config.samples, seed)
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed)
        network = PFN(config.model)
    workers = Workers.from_environment()
    trainer = Trainer(network, config, train, validation, config.output, report, workers)
    trainer.run()
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    forecaster = LCPFN().adopt(weights, config.model.n_heads)
    if workers.rank == 0:
        forecaster.save(Path(config.output))
    return forecaster, trainer


def _part(data: PriorData, keep: NDArray[np.bool_]) -> PriorData:
    parts = ("clock", "values", "there", "at", "asked", "target", "family")
    return replace(data, **{name: getattr(data, name)[keep] for name in parts})


def _wide(rows: Floats) -> NDArray[np.float32]:
    wide = np.zeros((len(rows), POINTS), dtype=np.float32)
    wide[:, : rows.shape[1]] = rows
    return wide


def _wide_mask(laid: Laid) -> NDArray[np.bool_]:
    wide = np.zeros((len(laid.there), POINTS), dtype=np.bool_)
    wide[:, : laid.there.shape[1]] = laid.there
    return wide
