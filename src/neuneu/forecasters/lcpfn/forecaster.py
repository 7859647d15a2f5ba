"""`lc-pfn`: the network that ships, or the published one, as a forecaster."""

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.evidence.batch import Batch, make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.files import atomic_path, together, write_json
from neuneu.files.arrays import load_tensors
from neuneu.forecasters.base import CONFIG, LEVELS, Forecast, Forecaster, Refusal, read_folder
from neuneu.forecasters.lcpfn.inference import Array, PriorFitted, bar_quantiles
from neuneu.forecasters.lcpfn.layout import clock_features, lay_out

WEIGHTS = "model.safetensors"
CHUNK = 256
"""Questions in one forward pass: bounds memory."""

EPOCHS = 100.0
"""The published network reads a curve of so many steps, numbered from 1."""

UNIFORM = np.sqrt(1 / 12)
"""Standard deviation of the uniform distribution, by which the published network normalises."""


class LCPFN(Forecaster):
    """Prior-fitted network: a transformer that read made-up curves goes on with this one (no fitting).

    Ours ships: values around the context's last ones, log-clock, quantiles. A folder made from the published
    weights (Adriaensen et al. 2023) is asked as published: shares of the planned end as a hundred steps,
    values as they are, quantiles of its bars.
    """

    name: ClassVar[str] = "lc-pfn"

    def __init__(self) -> None:
        self.network: PriorFitted | None = None
        self.borders: Floats | None = None

    def load_shipped(self) -> Self:
        """Take the network that ships with the package."""
        with as_file(files("neuneu.forecasters.lcpfn").joinpath("shipped")) as folder:
            return self.load(folder)

    def load(self, folder: str | Path) -> Self:
        """Read what `save`, `neuneu train` or `neuneu convert` wrote. Raises InputError on a bad file."""
        config = read_folder(folder, self.name)
        weights = {
            name: np.asarray(array, dtype=np.float32)
            for name, array in load_tensors(Path(folder) / WEIGHTS).items()
        }
        borders = weights.pop("borders", None)
        n_heads = config.get("n_heads")
        width = len(weights["encoder.bias"]) if "encoder.bias" in weights else 0
        if not isinstance(n_heads, int) or n_heads < 1 or not width or width % n_heads:
            raise InputError(
                f"must divide the width, {width}", where=Path(folder) / CONFIG, field="n_heads", value=n_heads
            )
        self.network = PriorFitted(weights, n_heads)
        self.borders = None if borders is None else borders.astype(np.float64)
        self._check(Path(folder) / WEIGHTS)
        return self

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors: what was loaded, else what ships."""
        if self.network is None:
            self.load_shipped()
        assert self.network is not None
        from safetensors.numpy import save_file

        weights = dict(self.network.weights)
        if self.borders is not None:
            weights["borders"] = self.borders.astype(np.float32)
        with together(folder):
            with atomic_path(Path(folder) / WEIGHTS) as temporary:
                save_file({name: np.ascontiguousarray(weights[name]) for name in sorted(weights)}, temporary)
            write_json(Path(folder) / CONFIG, {"forecaster": self.name, "n_heads": self.network.n_heads})

    def adopt(self, weights: dict[str, Array], n_heads: int, borders: Floats | None = None) -> Self:
        """Take weights, named as in `network.PFN`; borders: (n_bars + 1,), where it gives bars."""
        self.network, self.borders = PriorFitted(weights, n_heads), borders
        self._check("weights")
        return self

    def forecast_many(
        self, evidences: Sequence[Evidence], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """All questions at once; each network call reads many contexts."""
        if self.network is None:
            self.load_shipped()
        answers: list[Forecast | Refusal] = []
        for start in range(0, len(evidences), CHUNK):
            part = evidences[start : start + CHUNK]
            asked = [np.asarray(h, dtype=np.float64) for h in horizons[start : start + CHUNK]]
            batch = make_batch(part, asked)
            values = self._published(batch, asked) if self.borders is not None else self._own(batch)
            values = np.clip(values, batch.low[batch.cell, None], batch.high[batch.cell, None])
            values = np.maximum.accumulate(values * batch.unit[batch.cell, None], axis=1)
            parts = np.split(values, np.cumsum([len(h) for h in asked])[:-1])
            answers += [Forecast(h, own) for h, own in zip(asked, parts, strict=True)]
        return answers

    def _own(self, batch: Batch) -> Floats:
        laid = lay_out(batch)
        clock = clock_features(laid.clock)
        raw = self._ask(batch, clock, laid.values, laid.there, clock_features(batch.log_horizon))
        scale, centre = laid.scale[batch.cell, None], laid.centre[batch.cell, None]
        return centre + scale * np.sort(raw, axis=1)

    def _published(self, batch: Batch, asked: Sequence[Floats]) -> Floats:
        """Steps of a hundred up to the planned end (or the last horizon), values as they are."""
        assert self.borders is not None
        points = batch.points.thinned(int(EPOCHS))
        ends = np.array([e.end for e in batch.evidences])
        planned = [e.planned_end or e.end for e in batch.evidences]
        final = np.array([max(end, *h.tolist()) for end, h in zip(planned, asked, strict=True)])
        column = np.arange(len(points.x)) - points.start[points.owner]
        shape = (batch.n, int(points.count.max(initial=1)))
        x, y, there = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.bool_)
        x[points.owner, column] = np.exp(points.x) * (ends / final)[points.owner]
        y[points.owner, column], there[points.owner, column] = points.y, True
        empty = points.count == 0
        x[empty, 0], y[empty, 0], there[empty, 0] = (ends / final)[empty], batch.last[empty], True
        at = np.exp(batch.log_horizon) * (ends / final)[batch.cell]
        logits = self._ask(batch, _steps(x), (y - 0.5) / UNIFORM, there, _steps(at))
        return bar_quantiles(logits, self.borders, np.array(LEVELS))

    def _ask(self, batch: Batch, x: Floats, y: Floats, there: Any, asked: Floats) -> Floats:
        """Outputs of each cell, (n_cells, n_out); asked: (n_cells, n_features)."""
        assert self.network is not None
        counts = np.bincount(batch.cell, minlength=batch.n)
        column = np.arange(len(batch.cell)) - (np.cumsum(counts) - counts)[batch.cell]
        padded = np.zeros((batch.n, int(counts.max(initial=1)), asked.shape[-1]))
        padded[batch.cell, column] = asked
        return self.network(x, y, there, padded)[batch.cell, column]

    def _check(self, where: str | Path) -> None:
        """Ask one question: weights that do not fit together, or are not finite, say so now."""
        assert self.network is not None
        n_features, n_out = (1, None) if self.borders is not None else (2, len(LEVELS))
        one = np.zeros((1, 1, n_features))
        try:
            out = self.network(one, np.zeros((1, 1)), np.ones((1, 1), dtype=np.bool_), one)
        except (KeyError, ValueError) as error:
            raise InputError(f"not the weights of a prior-fitted network: {error}", where=where) from error
        wanted = n_out or (len(self.borders) - 1 if self.borders is not None else 0)
        if out.shape[-1] != wanted or not np.isfinite(out).all():
            raise InputError(f"must give {wanted} finite outputs", where=where, value=out.shape[-1])


def _steps(share: Floats) -> Floats:
    """Shares of the whole curve, in (0, 1], as the published network reads steps, (…, 1)."""
    return np.asarray(((share * EPOCHS / (EPOCHS + 1) - 0.5) / UNIFORM)[..., None], dtype=np.float64)
