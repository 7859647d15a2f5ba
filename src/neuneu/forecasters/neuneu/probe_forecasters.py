"""The probes as forecasters: what a checkpoint's losses alone say about the run's accuracies.

They know nothing of the accuracies seen so far. `probe-average`, `probe-histogram` and `probe-cnn` read the
target checkpoint's own losses, `probe-delta` and `probe-kl-delta` add a predicted change to an accuracy of
the context: all of them see the future and are labelled so (NeuNeu, sections 4 and 6).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from neuneu.curves.curve import Floats, Integers
from neuneu.errors import InputError
from neuneu.evidence.evidence import Evidence, LossView
from neuneu.evidence.finished import References
from neuneu.forecasters.base import CONFIG, Forecast, Forecaster, Reads, Refusal, read_folder
from neuneu.forecasters.neuneu.config import (
    LossConfig,
    PairConfig,
    ProbeConfig,
    ProbeRunConfig,
    ProbeTrainingConfig,
    parse_probe,
)
from neuneu.forecasters.neuneu.data import training_curves
from neuneu.forecasters.neuneu.encoders import ConvEncoder
from neuneu.forecasters.neuneu.forecaster import to_levels
from neuneu.forecasters.neuneu.inference import CurveQuestion, target_steps
from neuneu.forecasters.neuneu.inputs import EncoderInputs, check_validation_set, prepare_inputs
from neuneu.forecasters.neuneu.network import median_index
from neuneu.forecasters.neuneu.probe_data import DELTAS, ProbeQuestions, make_probe_data, show
from neuneu.forecasters.neuneu.probes import (
    AverageProbe,
    ConvProbe,
    DeltaProbe,
    HistogramProbe,
    KLDeltaProbe,
)
from neuneu.forecasters.neuneu.training import Trainer
from neuneu.forecasters.neuneu.weights import WEIGHTS, check_size, load_tensors, load_weights, save_folder
from neuneu.losses.devices import find_device
from neuneu.losses.loss_store import LossStore

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable

DELTA_OPTIONS = frozenset({"device", "delta", "anchor"})
CNN_WIDTH = 64
MAX_STEPS = 400
MAX_PAIRS = 20_000
ENDLESS = 1_000_000
"""Epochs of `fit`, which ends after MAX_STEPS."""


class ProbeNetwork(nn.Module):
    """A probe, and which of its (view, task) outputs are read."""

    def __init__(self, probe: nn.Module, n_tasks: int) -> None:
        super().__init__()
        self.probe, self.n_tasks = probe, n_tasks

    def forward(self, questions: ProbeQuestions) -> Tensor:
        """Quantiles of the cells asked, (n_cells, n_levels), or means, (n_cells, 1)."""
        # index_select, not indexing: its backward adds in a fixed order.
        return self.all_tasks(questions).flatten(0, 1).index_select(0, questions.cell)

    def all_tasks(self, questions: ProbeQuestions) -> Tensor:
        """(n_views, n_tasks, n_levels), or one column of means."""
        if questions.before is None:
            output = self.probe(questions.shown)
        else:
            assert isinstance(self.probe, DeltaProbe | KLDeltaProbe)
            output = self.probe.pair(questions.shown, questions.before)
        by_task: Tensor = output.reshape(len(questions.shown), self.n_tasks, -1)
        return by_task


def build_probe(config: ProbeRunConfig, length: int, n_tasks: int) -> ProbeNetwork:
    """A probe with fresh weights of the training seed for inputs of this length."""
    model, hidden, levels = config.model, config.hidden, config.model.n_levels
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed)
        probe: nn.Module
        if config.forecaster == "probe-cnn":
            encoder = ConvEncoder(length, model.features, model.channels, model.kernel, model.stride)
            probe = ConvProbe(encoder, n_tasks, levels, hidden=hidden[0])
        elif config.forecaster == "probe-histogram":
            probe = HistogramProbe(length, n_tasks, levels, hidden, rms_norm=model.rms_norm)
        elif config.forecaster == "probe-average":
            probability = config.losses.transform == "probability"
            probe = AverageProbe(n_tasks, levels, hidden, probability=probability)
        else:
            kinds: dict[str, type[DeltaProbe | KLDeltaProbe]] = {
                "probe-delta": DeltaProbe,
                "probe-kl-delta": KLDeltaProbe,
            }
            probe = kinds[config.forecaster](length, n_tasks, levels, hidden)
    return ProbeNetwork(probe, n_tasks)


def small_probe(name: str) -> ProbeRunConfig:
    """What `fit` trains: the published probe, the CNN's features fewer; a minute or two on one core."""
    narrow = {"features": CNN_WIDTH, "hidden": (CNN_WIDTH,)} if name == "probe-cnn" else {}
    return ProbeRunConfig(
        forecaster=name,  # type: ignore[arg-type]
        model=ProbeConfig(**narrow),  # type: ignore[arg-type]
        losses=LossConfig(missing_runs="skip"),
        samples=PairConfig(validation_share=0.0, max_pairs=MAX_PAIRS),
        training=ProbeTrainingConfig(max_steps=MAX_STEPS, epochs=ENDLESS, schedule="step", device="cpu"),
    )


class ProbeForecaster(Forecaster):
    """Base of the probes; those of DELTAS predict the change since an accuracy of the context."""

    learns: ClassVar[bool] = True
    reads: ClassVar[frozenset[Reads]] = frozenset({"losses"})
    sees_future: ClassVar[bool] = True
    options: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(self, config: ProbeRunConfig | None = None) -> None:
        self.config = config or small_probe(self.name)
        self.network: ProbeNetwork | None = None
        self.tasks: tuple[str, ...] = ()
        self.length = 0
        self.fingerprint: str | None = None
        self.folder: Path | None = None
        self.device: str | None = None

    def with_options(self, **options: Any) -> Self:
        """Set the device of training in `fit` and of forecasts; of delta probes, `delta` and `anchor`."""
        super().with_options(**options)
        if options.get("device") is not None:
            self.device = str(find_device(options["device"], "device"))
        asked = {n: v for n, v in options.items() if n in ("delta", "anchor") and v is not None}
        if asked:
            model = {**self.config.model.model_dump(), **asked}
            document = {**self.config.model_dump(mode="json"), "model": model}
            self.config = parse_probe(document, self.name)
        return self

    def fit(
        self,
        curves: "CurveTable",
        losses: LossStore | None = None,
        *,
        references: References | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn from runs that have losses: a fixed number of AdamW steps, cosine schedule."""
        placed = {} if self.device is None else {"device": self.device}
        training = self.config.training.model_copy(update={"seed": seed, **placed})
        config = self.config.model_copy(update={"training": training})
        train, validation = make_probe_data(training_curves(curves, config), losses, config)
        assert losses is not None
        network = build_probe(config, train.inputs.length, len(train.tasks))
        Trainer(network, config, train, validation).run()
        self.adopt(network, config, train.tasks, train.inputs.length, losses.fingerprint)
        return self

    def adopt(
        self,
        network: ProbeNetwork,
        config: ProbeRunConfig,
        tasks: Sequence[str],
        length: int,
        fingerprint: str | None,
    ) -> None:
        """Take a trained network for one's own.

        tasks: what its outputs are, in order; length: what it reads; fingerprint: of the validation set that
        it was trained on, None where that is not known.
        """
        self.network, self.config, self.tasks = network.eval(), config, tuple(tasks)
        self.length, self.fingerprint, self.folder = length, fingerprint, None

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors."""
        if self.network is None:
            raise InputError("has no weights to save; call fit first", field="forecaster", value=self.name)
        document = self.config.model_dump(mode="json", include={"forecaster", "model", "losses", "samples"})
        document |= {"tasks": list(self.tasks), "input_length": self.length, "fingerprint": self.fingerprint}
        save_folder(folder, self.network.probe, document)

    def load(self, folder: str | Path) -> Self:
        """Read what `save`, `neuneu train` or `neuneu convert` wrote. Raises InputError on a bad file."""
        where = Path(folder) / CONFIG
        document = read_folder(folder, self.name)
        known = {name: document[name] for name in document.keys() & ProbeRunConfig.model_fields.keys()}
        config = parse_probe(known, where)
        tasks, length = document.get("tasks"), document.get("input_length")
        if not isinstance(tasks, list) or not tasks or not all(isinstance(task, str) for task in tasks):
            raise InputError("must be a list of names", where=where, field="tasks", value=tasks)
        if not isinstance(length, int) or length < 1:
            raise InputError(
                "must be a whole number above 0", where=where, field="input_length", value=length
            )
        weights = load_tensors(Path(folder) / WEIGHTS)[0]
        check_size(lambda: build_probe(config, length, len(tasks)).probe, weights, where)
        network = build_probe(config, length, len(tasks))
        load_weights(network.probe, weights, Path(folder) / WEIGHTS)
        self.adopt(network, config, tasks, length, document.get("fingerprint"))
        self.folder = Path(folder)
        return self

    def forecast_many(
        self, evidences: Sequence[Evidence], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """Read the losses of the checkpoints nearest to the horizons."""
        if self.network is None:
            raise InputError("has not been fitted", field="forecaster", value=self.name)
        self.network.to(self.device or "cpu")
        answers: list[Forecast | Refusal] = []
        for evidence, at in zip(evidences, horizons, strict=True):
            asked = CurveQuestion(evidence.context, np.asarray(at, dtype=np.float64), evidence.future_losses)
            reason = self._refuse(asked)
            answers.append(self._answer(asked) if reason is None else Refusal(reason))
        return answers

    @property
    def _change(self) -> bool:
        return self.config.forecaster in DELTAS

    def _refuse(self, asked: CurveQuestion) -> str | None:
        context = asked.context
        if asked.losses is None:
            return "no losses of this run"
        if context.key.task not in self.tasks:
            return "the task was not among those that the probe was trained on"
        if (context.low, context.high) != (0.0, 1.0) or context.clock[-1] <= 0:
            return "the metric is not an accuracy, or no checkpoint after step 0"
        if not (asked.losses.steps <= context.steps[-1]).any():
            return "no losses at or before the context end"
        return self._refuse_anchor(asked, asked.losses) if self._change else None

    def _refuse_anchor(self, asked: CurveQuestion, losses: LossView) -> str | None:
        anchor, n_known = self.config.model.anchor, int((asked.context.steps > 0).sum())
        if anchor is not None and anchor >= n_known:
            return f"the context has {n_known} checkpoints after step 0; the anchor is number {anchor + 1}"
        seen = (losses.steps <= self._anchor(asked)[0]).any()
        return None if seen else "no losses at or before the anchor"

    def _anchor(self, asked: CurveQuestion) -> tuple[int, float]:
        """Step and accuracy that changes are added to."""
        context, anchor = asked.context, self.config.model.anchor
        at = -1 if anchor is None else int(np.flatnonzero(context.steps > 0)[anchor])
        return int(context.steps[at]), float(context.values[at])

    def _answer(self, asked: CurveQuestion) -> Forecast:
        assert asked.losses is not None
        known = asked.losses.steps
        targets = target_steps(asked, known)
        if not self._change:
            values = self._read(asked, targets, targets)
        else:
            step, accuracy = self._anchor(asked)
            anchor = int(known[known <= step][-1])
            cumulative = self.config.model.delta == "cumulative"
            changes = self._walk if cumulative else self._jump
            values = accuracy + changes(asked, anchor, targets)
        model = self.config.model
        levels = model.levels if model.objective == "pinball" else (0.5,)
        return Forecast(asked.horizons, to_levels(values, levels))

    def _jump(self, asked: CurveQuestion, anchor: int, targets: Sequence[int]) -> Floats:
        """Changes from the anchor to each target at once, (n_targets, n_levels)."""
        return self._read(asked, targets, [anchor] * len(targets))

    def _walk(self, asked: CurveQuestion, anchor: int, targets: Sequence[int]) -> Floats:
        """Medians of the changes from checkpoint to checkpoint added up, and the last change's quantiles."""
        assert asked.losses is not None
        known = asked.losses.steps
        chain: list[int] = known[(known >= anchor) & (known <= max(targets))].tolist()
        model = self.config.model
        width = model.n_levels or 1
        if len(chain) < 2:
            return np.zeros((len(targets), width))
        steps = self._read(asked, chain[1:], chain[:-1])
        median = steps[:, median_index(model.levels) if model.objective == "pinball" else 0]
        before = np.concatenate([[0.0], np.cumsum(median)[:-1]])
        # A target at or before the anchor stands where the anchor does.
        walked = np.concatenate([np.zeros((1, width)), before[:, None] + steps])
        place = np.maximum(np.searchsorted(chain, targets, side="right") - 1, 0)
        return np.asarray(walked[place], dtype=np.float64)

    def _read(self, asked: CurveQuestion, current: Sequence[int], previous: Sequence[int]) -> Floats:
        """The network's outputs for the task at these checkpoints (steps), (n, n_levels)."""
        assert asked.losses is not None
        assert self.network is not None
        view, task = asked.losses, asked.context.key.task
        check_validation_set(view.store, self.fingerprint, self.folder)
        wanted = {view.run: np.unique(np.array([*current, *previous], dtype=np.int64))}
        inputs = prepare_inputs(
            view.store,
            [view.run],
            (task,),
            self.config.inputs,
            self.config.losses,
            steps=wanted,
            running=False,
        )
        now, before = (_rows_of(inputs, view.run, steps) for steps in (current, previous))
        exclusion = np.full(len(current), inputs.of_task[task])
        questions = show(inputs, now, before, exclusion, pairs=self._change)
        column = self.tasks.index(task)
        cell = torch.arange(len(current)) * len(self.tasks) + column
        with torch.inference_mode():
            output = self.network(replace(questions, cell=cell).to(self.device or "cpu"))
        return np.asarray(output.double().cpu().numpy(), dtype=np.float64)


def _rows_of(inputs: EncoderInputs, run: str, steps: Sequence[int]) -> Integers:
    return np.array([inputs.checkpoints[run, int(step)] for step in steps], dtype=np.int64)


class CNNProbe(ProbeForecaster):
    """NeuNeu's CNN over the target checkpoint's losses; trained and asked on the same exp(-loss)."""

    name: ClassVar[str] = "probe-cnn"


class HistogramProbeForecaster(ProbeForecaster):
    """Histogram of the target checkpoint's losses."""

    name: ClassVar[str] = "probe-histogram"


class DeltaProbeForecaster(ProbeForecaster):
    """Change of the histogram since the context end, added to the last accuracy."""

    name: ClassVar[str] = "probe-delta"
    options: ClassVar[frozenset[str]] = DELTA_OPTIONS


class KLDeltaProbeForecaster(ProbeForecaster):
    """Divergence of the histogram since the context end, added to the last accuracy."""

    name: ClassVar[str] = "probe-kl-delta"
    options: ClassVar[frozenset[str]] = DELTA_OPTIONS


class AverageProbeForecaster(ProbeForecaster):
    """Mean loss of the target checkpoint."""

    name: ClassVar[str] = "probe-average"
