"""Configuration of NeuNeu: model, samples, training; validated, read from YAML."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from neuneu.errors import InputError
from neuneu.files import check_document, read_yaml

Encoder = Literal["cnn", "average", "diffhist", "levels", "none"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Strict):
    """The network. Defaults are those of the published model (NeuNeu, section 4)."""

    encoder: Encoder = Field(default="cnn", description="what reads the losses")
    input_length: int | None = Field(
        default=None,
        ge=1,
        description="losses read by the CNN, the first ones; null: all of the validation set",
    )
    channels: tuple[int, ...] = Field(default=(8, 16, 32, 64), min_length=1)
    kernel: int = Field(default=64, ge=2)
    stride: int = Field(default=16, ge=1)
    pool: Literal["flatten", "max"] = Field(
        default="flatten",
        description="flatten, as published; max: AdaptiveMaxPool, for any validation-set length",
    )
    n_bins: int = Field(default=64, ge=2, description="bins of the loss histogram")
    width: int = Field(default=512, ge=4)
    n_layers: int = Field(default=6, ge=1)
    n_heads: int = Field(default=8, ge=1)
    feed_forward: int = Field(default=2048, ge=1)
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
        if list(self.levels) != sorted(set(self.levels)) or not 0 < self.levels[0] <= self.levels[-1] < 1:
            raise ValueError("levels must increase and lie in (0, 1)")
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
    exclude_own_items: bool = Field(
        default=True, description="mask the items of the task that is forecast, where positions are labelled"
    )
    missing_runs: Literal["refuse", "skip"] = Field(
        default="refuse", description="what to do about runs of the curve table without losses"
    )


class SampleConfig(_Strict):
    """Which questions the network is trained on (NeuNeu, section 3)."""

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


class TrainingConfig(_Strict):
    """The training loop (NeuNeu, section 5.2)."""

    seed: int = Field(default=0, ge=0)
    batch_size: int = Field(default=256, ge=1)
    checkpoints_per_group: int = Field(
        default=16, ge=1, description="distinct encoder inputs that batches draw from"
    )
    epochs: int = Field(default=3, ge=1)
    max_steps: int | None = Field(default=None, ge=1, description="stop the schedule here, if that is sooner")
    learning_rate: float = Field(default=6e-4, gt=0)
    weight_decay: float = Field(default=0.033, ge=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    clip_norm: float = Field(default=1.0, gt=0)
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    device: str = "auto"
    log_every: int = Field(default=10, ge=1)
    evaluate_every: int = Field(default=500, ge=1)
    save_every: int = Field(default=500, ge=1)
    max_validation: int = Field(default=4096, ge=1, description="validation samples scored, evenly spread")
    tracker: Literal["none", "wandb", "trackio", "tensorboard"] = "none"


class DataConfig(_Strict):
    """Where the data is."""

    curves: tuple[Path, ...] = Field(min_length=1, description="curve tables")
    losses: Path | None = Field(default=None, description="loss store; not needed by encoder: none")
    metric: str | None = Field(default=None, description="metric; null: the preferred accuracy of each curve")
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


def read_config(path: str | Path) -> NeuNeuConfig:
    """Read a YAML configuration; relative paths in it are taken from the working directory.

    Raises InputError where it is not YAML or breaks a rule.
    """
    return parse_config(read_yaml(path), path)
