"""Configuration of NeuNeu and its probes: model, samples, training; validated, read from YAML."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from neuneu.errors import InputError
from neuneu.files import check_document, read_yaml
from neuneu.forecasters.base import LEVELS

Encoder = Literal["cnn", "average", "diffhist", "levels", "none"]


MAX_WIDTH = 2**16
"""Of any layer: a hundred times the published network's."""

MAX_LAYERS = 256
"""Forty times the published network's."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_levels(levels: tuple[float, ...]) -> None:
    if list(levels) != sorted(set(levels)) or not 0 < levels[0] <= levels[-1] < 1:
        raise ValueError("levels must increase and lie in (0, 1)")


class ModelConfig(_Strict):
    """The network. Defaults are those of the published model (NeuNeu, section 4)."""

    encoder: Encoder = Field(default="cnn", description="what reads the losses")
    input_length: int | None = Field(
        default=None,
        ge=1,
        description="losses read by the CNN, the first ones; null: all of the validation set",
    )
    channels: tuple[PositiveInt, ...] = Field(default=(8, 16, 32, 64), min_length=1, max_length=MAX_LAYERS)
    kernel: int = Field(default=64, ge=2, le=MAX_WIDTH)
    stride: int = Field(default=16, ge=1, le=MAX_WIDTH)
    pool: Literal["flatten", "max"] = Field(
        default="flatten",
        description="flatten, as published; max: AdaptiveMaxPool, for any validation-set length",
    )
    n_bins: int = Field(default=64, ge=2, le=MAX_WIDTH, description="bins of the loss histogram")
    width: int = Field(default=512, ge=4, le=MAX_WIDTH)
    n_layers: int = Field(default=6, ge=1, le=MAX_LAYERS)
    n_heads: int = Field(default=8, ge=1, le=MAX_WIDTH)
    feed_forward: int = Field(default=2048, ge=1, le=MAX_WIDTH)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    levels: tuple[float, ...] = Field(default=(0.1, 0.25, 0.5, 0.75, 0.9), min_length=1)
    objective: Literal["pinball", "mse"] = "pinball"
    residual: bool = Field(
        default=False,
        description="read accuracies as differences from the last one, and predict the change from it",
    )
    tasks: tuple[str, ...] | None = Field(
        default=(), description="tasks that are told apart, the others are one; null: those trained on"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % (2 * self.n_heads):
            raise ValueError("width must be a multiple of twice n_heads")
        _check_levels(self.levels)
        return self

    @property
    def n_outputs(self) -> int:
        """Quantiles, or the mean alone."""
        return len(self.levels) if self.objective == "pinball" else 1


class LossConfig(_Strict):
    """How losses become encoder input (NeuNeu, section 2.5)."""

    transform: Literal["probability", "loss"] = Field(
        default="probability", description="probability: exp(-loss); loss: as it is"
    )
    clip: float = Field(default=20.0, gt=0, description="losses above are set to this")
    bins: tuple[float, float] | None = Field(
        default=None,
        description="range of histogram bins, and of probabilities; null: [0, 1], or [0, clip] of losses",
    )
    exclude_own_items: bool = Field(
        default=True, description="mask the items of the task that is forecast, where positions are labelled"
    )
    missing_runs: Literal["refuse", "skip"] = Field(
        default="refuse", description="what to do about runs of the curve table without losses"
    )

    @model_validator(mode="after")
    def _increases(self) -> Self:
        if self.bins is not None and not self.bins[0] < self.bins[1]:
            raise ValueError("bins must be two numbers, the lower first")
        return self

    @property
    def bin_range(self) -> tuple[float, float]:
        """Ends of the histogram's bins."""
        return self.bins or (0.0, 1.0 if self.transform == "probability" else self.clip)


class SampleConfig(_Strict):
    """Which questions the network is trained on (NeuNeu, section 3)."""

    target: Literal["accuracy", "loss"] = Field(
        default="accuracy",
        description="loss: curves of a loss-like metric, divided by the largest value of the context",
    )
    min_context: int = Field(default=1, ge=1)
    max_gap: int | None = Field(
        default=10, ge=1, description="farthest target in checkpoints; null: whole curve"
    )
    drop: float = Field(default=0.4, ge=0, lt=1, description="share of context points dropped at random")
    round_values: bool = Field(default=True, description="round accuracies to 3 decimals, as published")
    gaps: Literal["index", "log"] = Field(
        default="index",
        description="gaps in checkpoints, as published, or in log-clock (one unit = a factor e)",
    )
    common_steps: bool = Field(
        default=False, description="keep only the steps that all tasks of a run have, as published"
    )
    validation_share: float = Field(
        default=0.1, ge=0, lt=1, description="share of the runs kept for validation"
    )
    split: Literal["run", "sample"] = Field(
        default="run", description="run; sample: as published, which validates on the curves it trains on"
    )
    split_seed: int | None = Field(
        default=None, ge=0, description="which runs are kept for validation; null: training.seed"
    )


class TrainingConfig(_Strict):
    """The training loop (NeuNeu, section 5.2)."""

    seed: int = Field(default=0, ge=0)
    batch_size: int = Field(default=256, ge=1)
    accumulate: int = Field(default=1, ge=1, description="batches whose mean gradient makes one step")
    checkpoints_per_group: int = Field(
        default=16, ge=1, description="distinct encoder inputs that batches draw from"
    )
    epochs: int = Field(default=3, ge=1)
    max_steps: int | None = Field(default=None, ge=1, description="stop the schedule here, if that is sooner")
    learning_rate: float = Field(default=6e-4, gt=0)
    weight_decay: float = Field(default=0.033, ge=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["step", "epoch"] = Field(
        default="step", description="how often the learning rate changes; epoch: as published for the probes"
    )
    clip_norm: float = Field(default=1.0, gt=0)
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    device: str = "auto"
    threads: int = Field(
        default=2, ge=1, description="of the processor; another number gives other last bits"
    )
    log_every: int = Field(default=10, ge=1)
    evaluate_every: int | None = Field(default=500, ge=1, description="steps; null: once an epoch")
    save_every: int | None = Field(default=500, ge=1, description="steps; null: once an epoch")
    max_validation: int = Field(default=4096, ge=1, description="validation samples scored, evenly spread")
    tracker: Literal["none", "wandb", "trackio", "tensorboard"] = "none"
    tracker_project: str = Field(default="neuneu", min_length=1)
    tracker_run: str | None = Field(
        default=None, min_length=1, description="name there; null: the output folder's"
    )


class DataConfig(_Strict):
    """Where the data is."""

    curves: tuple[Path, ...] = Field(min_length=1, description="curve tables")
    losses: Path | None = Field(default=None, description="loss store; not needed by encoder: none")
    metric: str | None = Field(default=None, description="metric; null: the preferred one of each curve")
    tasks: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="tasks to include (the published target_list); null: all"
    )
    exclude_tasks: tuple[str, ...] = Field(default=(), description="tasks held out")
    exclude_runs: tuple[str, ...] = Field(default=(), description="runs held out")


class NeuNeuConfig(_Strict):
    """A training run of NeuNeu: what `neuneu train CONFIG.yaml` reads."""

    forecaster: Literal[
        "neuneu", "neuneu-average", "neuneu-diffhist", "neuneu-noloss", "neuneu-levels", "neuneu-residual"
    ] = "neuneu"
    output: Path = Path("neuneu-model")
    calibrate: bool = Field(default=True, description="conformalise quantiles on the validation runs")
    data: DataConfig | None = None
    model: ModelConfig = ModelConfig()
    losses: LossConfig = LossConfig()
    samples: SampleConfig = SampleConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        wanted = ENCODER_OF[self.forecaster]
        if self.model.encoder != wanted:
            raise ValueError(f"model.encoder must be {wanted} for forecaster {self.forecaster}")
        if self.model.residual and self.samples.target == "loss":
            raise ValueError(
                "model.residual, whose scale is that of accuracies, needs samples.target accuracy"
            )
        return self


ENCODER_OF: dict[str, Encoder] = {
    "neuneu": "cnn",
    "neuneu-average": "average",
    "neuneu-diffhist": "diffhist",
    "neuneu-noloss": "none",
    "neuneu-levels": "levels",
    "neuneu-residual": "none",
}
"""Forecaster → what reads the losses."""


PROBE_ENCODER: dict[str, Encoder] = {
    "probe-cnn": "cnn",
    "probe-histogram": "diffhist",
    "probe-delta": "diffhist",
    "probe-kl-delta": "diffhist",
    "probe-average": "average",
}
"""Probe → what it reads: all losses, a histogram, or their mean."""

PROBE_HIDDEN: dict[str, tuple[int, ...]] = {
    "probe-cnn": (256,),
    "probe-histogram": (64, 32),
    "probe-delta": (128, 128),
    "probe-kl-delta": (64, 32),
    "probe-average": (128, 128),
}
"""Hidden layers of each probe in the published recipes (NeuNeu, sections 4.2 and 5.3)."""


class ProbeConfig(_Strict):
    """A probe's network (NeuNeu, sections 4.2 and 5.4)."""

    input_length: int | None = Field(
        default=None, ge=1, description="losses read by the CNN, the first ones; null: all of them"
    )
    channels: tuple[PositiveInt, ...] = Field(default=(8, 16, 32, 64), min_length=1)
    kernel: int = Field(default=64, ge=2)
    stride: int = Field(default=16, ge=1)
    features: int = Field(default=512, ge=1, description="what the CNN makes of the losses")
    n_bins: int = Field(default=64, ge=2, description="bins of the loss histogram")
    hidden: tuple[PositiveInt, ...] | None = Field(
        default=None, description="widths of the hidden layers; null: as published for this probe"
    )
    rms_norm: bool = Field(
        default=False, description="probe-histogram: divide by the root mean square and show that too"
    )
    anchor: int | None = Field(
        default=None,
        ge=0,
        description="delta probes: checkpoint after step 0 whose accuracy is added to, 0 as published; null: "
        "the context's last",
    )
    delta: Literal["anchor", "cumulative"] = Field(
        default="anchor",
        description="delta probes: one change from the anchor, or a sum from checkpoint to next",
    )
    levels: tuple[float, ...] = Field(default=(0.1, 0.25, 0.5, 0.75, 0.9), min_length=1)
    objective: Literal["pinball", "mse"] = "pinball"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_levels(self.levels)
        return self

    @property
    def n_levels(self) -> int | None:
        """Quantiles of each task; None where the mean alone is predicted."""
        return len(self.levels) if self.objective == "pinball" else None


class PairConfig(_Strict):
    """Which checkpoints, and which pairs of them, a probe learns from (NeuNeu, section 3.3)."""

    min_gap: int = Field(default=1, ge=1, description="delta probes: nearest pairs, in checkpoints")
    max_gap: int | None = Field(default=None, ge=1, description="delta probes: farthest pairs; null: all")
    max_pairs: int | None = Field(default=None, ge=1, description="drawn by the seed where there are more")
    common_steps: bool = Field(
        default=False, description="keep only the steps that all tasks of a run have, as published"
    )
    validation_share: float = Field(default=0.1, ge=0, lt=1, description="share of the runs for validation")
    split: Literal["run", "sample"] = Field(
        default="run", description="run; sample: as published, checkpoints of the runs that it trains on"
    )
    split_seed: int | None = Field(
        default=None, ge=0, description="which runs are kept for validation; null: training.seed"
    )


class ProbeTrainingConfig(TrainingConfig):
    """The training loop with the published probe recipe's values."""

    batch_size: int = Field(default=128, ge=1)
    epochs: int = Field(default=5, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup: float = Field(default=0.0, ge=0, lt=1)
    schedule: Literal["step", "epoch"] = "epoch"
    evaluate_every: int | None = Field(default=None, ge=1, description="steps; null: once an epoch")
    save_every: int | None = Field(default=None, ge=1, description="steps; null: once an epoch")


class ProbeRunConfig(_Strict):
    """A training run of a probe: what `neuneu train CONFIG.yaml` reads where the forecaster is one."""

    forecaster: Literal["probe-cnn", "probe-histogram", "probe-delta", "probe-kl-delta", "probe-average"]
    output: Path = Path("probe-model")
    data: DataConfig | None = None
    model: ProbeConfig = ProbeConfig()
    losses: LossConfig = LossConfig()
    samples: PairConfig = PairConfig()
    training: ProbeTrainingConfig = ProbeTrainingConfig()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        deltas = self.forecaster in ("probe-delta", "probe-kl-delta")
        if not deltas and (self.model.anchor is not None or self.model.delta != "anchor"):
            raise ValueError("model.anchor and model.delta are for probe-delta and probe-kl-delta")
        if self.model.rms_norm and self.forecaster != "probe-histogram":
            raise ValueError("model.rms_norm is for probe-histogram")
        if self.forecaster == "probe-cnn" and len(self.model.hidden or (1,)) != 1:
            raise ValueError("model.hidden must be one width for probe-cnn")
        return self

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return PROBE_HIDDEN[self.forecaster] if self.model.hidden is None else self.model.hidden

    @property
    def inputs(self) -> ModelConfig:
        """What is read of the losses, as a network's configuration says it."""
        return ModelConfig(
            encoder=PROBE_ENCODER[self.forecaster],
            n_bins=self.model.n_bins,
            input_length=self.model.input_length,
        )


class PFNConfig(_Strict):
    """The network of lc-pfn (Adriaensen et al. 2023, far smaller)."""

    width: int = Field(default=64, ge=4)
    n_layers: int = Field(default=3, ge=1)
    n_heads: int = Field(default=4, ge=1)
    feed_forward: int = Field(default=128, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.n_heads:
            raise ValueError("width must be a multiple of n_heads")
        return self

    @property
    def levels(self) -> tuple[float, ...]:
        """Those of every forecast."""
        return LEVELS

    @property
    def objective(self) -> str:
        """Quantiles."""
        return "pinball"


class PriorConfig(_Strict):
    """Which made-up curves lc-pfn learns from (`neuneu2/prior.py`)."""

    families: int = Field(default=500, ge=2, description="made-up families of runs")
    contexts: int = Field(default=2, ge=1, description="contexts drawn of each curve")
    horizons: int = Field(default=12, ge=1, description="later checkpoints asked of each context")
    validation_share: float = Field(default=0.05, ge=0, lt=1, description="share of the families")
    split_seed: int | None = Field(
        default=None, ge=0, description="seed of the made-up curves; null: training.seed"
    )


class PFNRunConfig(_Strict):
    """A training run of lc-pfn, which needs no data."""

    forecaster: Literal["lc-pfn"]
    output: Path = Path("lc-pfn")
    model: PFNConfig = PFNConfig()
    samples: PriorConfig = PriorConfig()
    training: TrainingConfig = TrainingConfig()


RunConfig = NeuNeuConfig | ProbeRunConfig | PFNRunConfig
"""What a training configuration can be."""


def parse_run(document: Any, where: str | Path) -> RunConfig:
    """A configuration of NeuNeu, a probe or lc-pfn, by its `forecaster`. Raises as `parse_config`."""
    if isinstance(document, dict) and str(document.get("forecaster", "")).startswith("probe-"):
        return parse_probe(document, where)
    if isinstance(document, dict) and document.get("forecaster") == "lc-pfn":
        return check_document(PFNRunConfig, document, where)
    return parse_config(document, where)


def parse_probe(document: Any, where: str | Path) -> ProbeRunConfig:
    """A probe's configuration from parsed YAML or JSON. Raises as `parse_config`."""
    return check_document(ProbeRunConfig, document, where)


def parse_config(document: Any, where: str | Path) -> NeuNeuConfig:
    """A configuration from parsed YAML or JSON. Raises InputError naming field, value and rule."""
    if not isinstance(document, dict):
        raise InputError("must be a mapping of settings", where=where)
    if isinstance(document.get("model"), dict) and "encoder" not in document["model"]:
        encoder = ENCODER_OF.get(str(document.get("forecaster", "neuneu")), "cnn")
        document = {**document, "model": {"encoder": encoder, **document["model"]}}
    elif "model" not in document:
        encoder = ENCODER_OF.get(str(document.get("forecaster", "neuneu")), "cnn")
        document = {**document, "model": {"encoder": encoder}}
    return check_document(NeuNeuConfig, document, where)


def read_config(path: str | Path) -> RunConfig:
    """Read a YAML configuration; relative paths in it are taken from the working directory.

    Raises InputError where it is not YAML or breaks a rule.
    """
    return parse_run(read_yaml(path), path)
