"""The probes as forecasters: what a checkpoint's losses alone say about the run's accuracies.

They know nothing of the accuracies seen so far. `probe-average`, `probe-histogram` and `probe-cnn` read the
target checkpoint's own losses, `probe-delta` and `probe-kl-delta` add a predicted change to the last
accuracy: all of them see the future and are labelled so (NeuNeu, sections 4 and 6).
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuneu.curves.curve import Curve, Floats, Integers
from neuneu.errors import InputError
from neuneu.evidence.evidence import Evidence, References
from neuneu.forecasters.base import CONFIG, Forecast, Forecaster, Reads, Refusal, read_folder
from neuneu.forecasters.neuneu.config import Encoder, LossConfig, ModelConfig
from neuneu.forecasters.neuneu.encoders import ConvEncoder
from neuneu.forecasters.neuneu.forecaster import to_levels
from neuneu.forecasters.neuneu.inference import Asked, target_steps
from neuneu.forecasters.neuneu.inputs import EncoderInputs, check_validation_set, prepare_inputs
from neuneu.forecasters.neuneu.network import pinball_loss
from neuneu.forecasters.neuneu.probes import (
    AverageProbe,
    ConvProbe,
    DeltaProbe,
    HistogramProbe,
    KLDeltaProbe,
)
from neuneu.forecasters.neuneu.weights import WEIGHTS, load_tensors, load_weights, save_folder
from neuneu.losses.loss_store import LossStore

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
N_BINS = 64
CNN_WIDTH = 64
BATCH = 128
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-4
MAX_STEPS = 400
MAX_PAIRS = 20_000
SAVED: dict[str, type] = {"tasks": list, "length": int, "fingerprint": str}
"""Attributes in a saved probe's config.json, and their kinds there."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows a probe learns from: inputs of a checkpoint (and of an earlier one), task, accuracy or change.

    current, previous: (n,) checkpoint rows; exclusion, task: (n,); target: (n,).
    """

    current: Integers
    previous: Integers
    exclusion: Integers
    task: Integers
    target: NDArray[np.float32]


class ProbeForecaster(Forecaster):
    """Base of the probes; `change` ones predict the change since the context end."""

    learns: ClassVar[bool] = True
    reads: ClassVar[frozenset[Reads]] = frozenset({"losses"})
    sees_future: ClassVar[bool] = True
    encoder: ClassVar[Encoder] = "diffhist"
    change: ClassVar[bool] = False

    def __init__(self, max_steps: int = MAX_STEPS) -> None:
        self.max_steps = max_steps
        self.probe: nn.Module | None = None
        self.tasks: tuple[str, ...] = ()
        self.length = 0
        self.fingerprint: str | None = None

    @abstractmethod
    def make_probe(self, length: int, n_tasks: int) -> nn.Module:
        """A fresh probe for inputs of this length."""

    def fit(
        self,
        curves: "CurveTable",
        losses: LossStore | None = None,
        *,
        references: References | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn from runs that have losses: a fixed number of AdamW steps, cosine schedule."""
        if losses is None:
            raise InputError(f"{self.name} reads losses; name a loss store", field="losses")
        chosen = [c for c in curves.one_metric() if (c.low, c.high) == (0.0, 1.0)]
        chosen = [c for c in chosen if c.key.run in set(losses.runs)]
        if not chosen:
            raise InputError("the store has losses of none of the runs", field="losses")
        self.tasks = tuple(sorted({c.key.task for c in chosen}))
        self.fingerprint = losses.fingerprint
        inputs = self._inputs(losses, sorted({c.key.run for c in chosen}), self.tasks)
        examples = self._examples(chosen, inputs, seed)
        self.length = inputs.length
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.probe = self.make_probe(inputs.length, len(self.tasks))
        self._train(self.probe, inputs, examples, seed)
        return self

    def forecast_many(
        self, evidences: Sequence[Evidence], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """Read the losses of the checkpoints nearest to the horizons."""
        if self.probe is None:
            raise InputError("has not been fitted", field="forecaster", value=self.name)
        answers: list[Forecast | Refusal] = []
        for evidence, at in zip(evidences, horizons, strict=True):
            asked = Asked(evidence.context, np.asarray(at, dtype=np.float64), evidence.future_losses)
            reason = self._refuse(asked)
            answers.append(self._answer(asked) if reason is None else Refusal(reason))
        return answers

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors."""
        if self.probe is None:
            raise InputError("has no weights to save; call fit first", field="forecaster", value=self.name)
        document = {name: getattr(self, name) for name in SAVED}
        save_folder(folder, self.probe, {"forecaster": self.name, **document})

    def load(self, folder: str | Path) -> Self:
        """Take over what `save` wrote. Raises InputError on files that are not that."""
        document = read_folder(folder, self.name)
        where = Path(folder) / CONFIG
        for name, kind in SAVED.items():
            if not isinstance(document.get(name), kind):
                raise InputError("is missing or of another kind", where=where, field=name)
        tasks, length = tuple(map(str, document["tasks"])), document["length"]
        if length < 1 or not tasks:
            raise InputError("must be at least 1, of at least one task", where=where, field="length")
        probe = self.make_probe(length, len(tasks))
        load_weights(probe, load_tensors(Path(folder) / WEIGHTS)[0], Path(folder) / WEIGHTS)
        self.probe, self.tasks, self.length = probe.eval(), tasks, length
        self.fingerprint = document["fingerprint"]
        return self

    def _refuse(self, asked: Asked) -> str | None:
        context = asked.context
        if asked.losses is None:
            return "no losses of this run"
        if context.key.task not in self.tasks:
            return "the task was not among those that the probe was trained on"
        if (context.low, context.high) != (0.0, 1.0) or context.clock[-1] <= 0:
            return "the metric is not an accuracy, or no checkpoint after step 0"
        if not (asked.losses.steps <= context.steps[-1]).any():
            return "no losses at or before the context end"
        return None

    def _answer(self, asked: Asked) -> Forecast:
        assert asked.losses is not None
        assert self.probe is not None
        view, task = asked.losses, asked.context.key.task
        check_validation_set(view.store, self.fingerprint)
        last = int(view.steps[view.steps <= asked.context.steps[-1]][-1])
        targets = target_steps(asked, view.steps)
        wanted = {view.run: np.unique(np.array([last, *targets], dtype=np.int64))}
        inputs = self._inputs(view.store, [view.run], (task,), wanted)
        current = np.array([inputs.checkpoints[view.run, step] for step in targets])
        previous = np.full(len(current), inputs.checkpoints[view.run, last])
        exclusion = np.full(len(current), inputs.of_task[task])
        with torch.inference_mode():
            output = self._call(self.probe, inputs, current, previous, exclusion)
        values = output[:, self.tasks.index(task)].double().numpy()
        if self.change:
            values = values + asked.context.values[-1]
        return Forecast(asked.horizons, to_levels(values, LEVELS))

    def _inputs(
        self,
        store: LossStore,
        runs: Sequence[str],
        tasks: Sequence[str],
        steps: dict[str, Integers] | None = None,
    ) -> EncoderInputs:
        model = ModelConfig(encoder=self.encoder, n_bins=N_BINS)
        return prepare_inputs(store, runs, tasks, model, LossConfig(), steps=steps, running=False)

    def _call(
        self,
        probe: nn.Module,
        inputs: EncoderInputs,
        current: Integers,
        previous: Integers,
        exclusion: Integers,
    ) -> Tensor:
        if self.encoder == "cnn":
            shown = inputs.gather(current, current, exclusion)
        else:
            shown = torch.from_numpy(inputs.rows[current, exclusion])
        if self.change:
            assert isinstance(probe, DeltaProbe | KLDeltaProbe)
            return probe.pair(shown, torch.from_numpy(inputs.rows[previous, exclusion]))
        output: Tensor = probe(shown)
        return output

    def _examples(self, curves: Sequence[Curve], inputs: EncoderInputs, seed: int) -> Examples:
        rows: list[tuple[int, int, int, int, float]] = []
        for curve in curves:
            task, exclusion = self.tasks.index(curve.key.task), inputs.of_task[curve.key.task]
            points = [
                (inputs.checkpoints[curve.key.run, int(step)], float(value))
                for step, value in zip(curve.steps, curve.values, strict=True)
                if step > 0 and (curve.key.run, int(step)) in inputs.checkpoints
            ]
            if not self.change:
                rows += [(at, at, exclusion, task, value) for at, value in points]
            else:
                rows += [
                    (later, sooner, exclusion, task, value - before)
                    for i, (sooner, before) in enumerate(points)
                    for later, value in points[i + 1 :]
                ]
        if not rows:
            raise InputError("no accuracy stands at a checkpoint that has losses", field="losses")
        table = np.array(rows, dtype=np.float64)
        if len(table) > MAX_PAIRS:
            table = table[np.sort(np.random.default_rng([seed, 5]).permutation(len(table))[:MAX_PAIRS])]
        whole = table[:, :4].astype(np.int64)
        current, previous, exclusions, tasks = whole.T
        return Examples(current, previous, exclusions, tasks, table[:, 4].astype(np.float32))

    def _train(self, probe: nn.Module, inputs: EncoderInputs, examples: Examples, seed: int) -> None:
        optimizer = torch.optim.AdamW(probe.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, self.max_steps, eta_min=LEARNING_RATE * 0.01
        )
        rng = np.random.default_rng([seed, 6])
        levels = torch.tensor(LEVELS)
        for _ in range(self.max_steps):
            part = rng.integers(0, len(examples.target), BATCH)
            output = self._call(
                probe, inputs, examples.current[part], examples.previous[part], examples.exclusion[part]
            )
            mine = output[torch.arange(len(part)), torch.from_numpy(examples.task[part])]
            optimizer.zero_grad(set_to_none=True)
            pinball_loss(mine, torch.from_numpy(examples.target[part]), levels).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        probe.eval()


class CNNProbe(ProbeForecaster):
    """NeuNeu's CNN over the target checkpoint's losses; trained and asked on the same exp(-loss)."""

    name: ClassVar[str] = "probe-cnn"
    encoder: ClassVar[Encoder] = "cnn"

    def make_probe(self, length: int, n_tasks: int) -> nn.Module:
        """CNN and head."""
        return ConvProbe(ConvEncoder(length, CNN_WIDTH), n_tasks, len(LEVELS), hidden=CNN_WIDTH)


class HistogramProbeForecaster(ProbeForecaster):
    """Histogram of the target checkpoint's losses."""

    name: ClassVar[str] = "probe-histogram"

    def make_probe(self, length: int, n_tasks: int) -> nn.Module:
        """Two hidden layers."""
        return HistogramProbe(length, n_tasks, len(LEVELS))


class DeltaProbeForecaster(ProbeForecaster):
    """Change of the histogram since the context end, added to the last accuracy."""

    name: ClassVar[str] = "probe-delta"
    change: ClassVar[bool] = True

    def make_probe(self, length: int, n_tasks: int) -> nn.Module:
        """Two hidden layers."""
        return DeltaProbe(length, n_tasks, len(LEVELS))


class KLDeltaProbeForecaster(ProbeForecaster):
    """Divergence of the histogram since the context end, added to the last accuracy."""

    name: ClassVar[str] = "probe-kl-delta"
    change: ClassVar[bool] = True

    def make_probe(self, length: int, n_tasks: int) -> nn.Module:
        """Two hidden layers."""
        return KLDeltaProbe(length, n_tasks, len(LEVELS))


class AverageProbeForecaster(ProbeForecaster):
    """Mean loss of the target checkpoint."""

    name: ClassVar[str] = "probe-average"
    encoder: ClassVar[Encoder] = "average"

    def make_probe(self, length: int, n_tasks: int) -> nn.Module:
        """Two hidden layers over exp(-mean loss)."""
        return AverageProbe(n_tasks, len(LEVELS))
