"""NeuNeu as a forecaster: fit on other runs, calibrate, forecast, save and load."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.errors import InputError
from neuneu.evidence.evidence import Evidence, LossView
from neuneu.evidence.finished import References
from neuneu.files import refuse_library_errors
from neuneu.forecasters.base import (
    CONFIG,
    LEVELS,
    Forecast,
    Forecaster,
    Reads,
    Refusal,
    read_folder,
)
from neuneu.forecasters.neuneu.config import (
    ENCODER_OF,
    LossConfig,
    ModelConfig,
    NeuNeuConfig,
    SampleConfig,
    TrainingConfig,
    parse_config,
)
from neuneu.forecasters.neuneu.conformal import Conformal
from neuneu.forecasters.neuneu.data import (
    TrainingData,
    is_target,
    make_data,
    table_of,
    training_curves,
    with_known_runs,
    with_tasks,
)
from neuneu.forecasters.neuneu.encoders import LEVEL_QUANTILES, LevelEncoder
from neuneu.forecasters.neuneu.inference import CurveQuestion, Predictor
from neuneu.forecasters.neuneu.network import NeuNeu
from neuneu.forecasters.neuneu.samples import split_runs
from neuneu.forecasters.neuneu.training import Trainer
from neuneu.forecasters.neuneu.weights import (
    WEIGHTS,
    check_size,
    load_tensors,
    load_weights,
    save_folder,
)
from neuneu.losses.devices import find_device
from neuneu.losses.loss_store import LossStore

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable

CALIBRATION_SHARE = 0.2
MIN_RUNS_TO_CALIBRATE = 5
CALIBRATION_CURVES = 100
"""Calibration asks about at most so many curves of a source."""

TOKENS_PER_STEP, SMALLEST_BATCH = 6144, 32
"""Batches of `fit` get smaller where contexts are long, so that its cost is bounded."""


REPAIRED = ("neuneu-levels", "neuneu-residual")
"""Forecasters with differences from the last accuracy, log gaps and the whole curve (docs/neuneu.md)."""


def small_config(forecaster: str) -> NeuNeuConfig:
    """What `fit` trains: the published architecture, small enough for a minute or two on one core."""
    repaired = forecaster in REPAIRED
    return NeuNeuConfig(
        forecaster=forecaster,  # type: ignore[arg-type]
        model=ModelConfig(
            encoder=ENCODER_OF[forecaster],
            width=64,
            n_layers=2,
            n_heads=4,
            feed_forward=256,
            residual=repaired,
            tasks=None if repaired else (),
        ),
        losses=LossConfig(missing_runs="skip"),
        samples=SampleConfig(validation_share=0.0, gaps="log", max_gap=None, round_values=False)
        if repaired
        else SampleConfig(validation_share=0.0),
        training=TrainingConfig(
            learning_rate=2e-3, max_steps=300, epochs=1000, checkpoints_per_group=16, device="cpu"
        ),
    )


class NeuNeuForecaster(Forecaster):
    """NeuNeu with a CNN over the token losses of the last checkpoint in the context.

    Gaps are in checkpoints, as published: a horizon's distance is divided by the spacing of the context's
    last checkpoints. calibrated: whether quantiles are conformalised on runs kept apart (False gives the
    published behaviour, sorted and cut to the metric's range).
    """

    name: ClassVar[str] = "neuneu"
    learns: ClassVar[bool] = True
    reads: ClassVar[frozenset[Reads]] = frozenset({"losses"})
    options: ClassVar[frozenset[str]] = frozenset({"device"})
    trained_as: ClassVar[str | None] = None
    """Forecaster whose weights it uses, where that is another one."""

    def __init__(self, config: NeuNeuConfig | None = None, *, calibrated: bool = True) -> None:
        self.config = config or small_config(self.name)
        self._bounded = config is None
        self.calibrated = calibrated
        self.predictor: Predictor | None = None
        self.conformal: Conformal | None = None
        self.device: str | None = None

    @property
    def reads_losses(self) -> bool:
        """Whether it needs the losses of checkpoints."""
        return self.config.model.encoder != "none"

    def with_options(self, **options: Any) -> Self:
        """Set the device of training in `fit` and of forecasts."""
        super().with_options(**options)
        if options.get("device") is not None:
            self.device = str(find_device(options["device"], "device"))
            if self.predictor is not None:
                self.predictor.move(self.device)
        return self

    def fit(
        self,
        curves: "CurveTable",
        losses: LossStore | None = None,
        *,
        references: References | None = None,
        seed: int = 0,
    ) -> Self:
        """Train on finished runs' accuracies and losses; a fifth of the runs calibrates the quantiles."""
        placed = {} if self.device is None else {"device": self.device}
        training = self.config.training.model_copy(update={"seed": seed, **placed})
        config = self.config.model_copy(update={"training": training})
        chosen = training_curves(curves, config)
        if self.reads_losses and losses is None:
            raise InputError(f"{self.name} reads losses; name a loss store", field="losses")
        if self.reads_losses and losses is not None:
            chosen = with_known_runs(chosen, losses)
        config = with_tasks(config, chosen)
        runs = sorted({curve.key.run for curve in chosen})
        share = CALIBRATION_SHARE if self.calibrated and len(runs) >= MIN_RUNS_TO_CALIBRATE else 0.0
        to_train, to_calibrate = split_runs(runs, share, seed)
        train, validation = make_data([c for c in chosen if c.key.run in set(to_train)], losses, config)
        if self._bounded:
            config = _bounded(config, train)
        model = build_model(config, losses, train)
        Trainer(model, config, train, validation).run()
        fingerprint = losses.fingerprint if losses is not None and self.reads_losses else None
        self.adopt(model, config, fingerprint)
        if to_calibrate:
            self.calibrate(curves.filter(run=to_calibrate), chosen, losses)
        return self

    def forecast_many(
        self, evidences: Sequence[Evidence], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """Forecast for all at once: each checkpoint is encoded once, all horizons are one batch."""
        if self.predictor is None:
            raise InputError(
                "has no weights; fit it, or load a folder that `neuneu train` made",
                field="forecaster",
                value=self.name,
            )
        asked = [
            CurveQuestion(evidence.context, np.asarray(at, dtype=np.float64), self._losses(evidence))
            for evidence, at in zip(evidences, horizons, strict=True)
        ]
        refusals = [self._refuse(question) for question in asked]
        kept = [question for question, reason in zip(asked, refusals, strict=True) if reason is None]
        raw = iter(self.predictor.quantiles(kept))
        return [
            self._forecast(question, next(raw)) if reason is None else Refusal(reason)
            for question, reason in zip(asked, refusals, strict=True)
        ]

    def save(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors."""
        if self.predictor is None:
            raise InputError("has no weights to save; call fit first", field="forecaster", value=self.name)
        document = self.config.model_dump(mode="json", include={"forecaster", "model", "losses", "samples"})
        document["forecaster"] = self.name
        document["input_length"] = self.predictor.model.length
        document["fingerprint"] = self.predictor.fingerprint
        document["calibration"] = None if self.conformal is None else self.conformal.to_document()
        save_folder(folder, self.predictor.model, document)

    def load(self, folder: str | Path) -> Self:
        """Read what `save`, `neuneu train` or `neuneu convert` wrote. Raises InputError on a bad file."""
        where = Path(folder) / CONFIG
        document = read_folder(folder)
        known = {name: document[name] for name in document.keys() & NeuNeuConfig.model_fields.keys()}
        if self.trained_as and known.get("forecaster") == self.name:
            known["forecaster"] = self.trained_as
        config = parse_config(known, where)
        length = document.get("input_length")
        if not isinstance(length, int) or length < 1:
            raise InputError(
                "must be a whole number above 0", where=where, field="input_length", value=length
            )
        tensors = load_tensors(Path(folder) / WEIGHTS)[0]
        check_size(lambda: NeuNeu(config.model, length), tensors, where)
        model = NeuNeu(config.model, length)
        load_weights(model, tensors, Path(folder) / WEIGHTS)
        self.adopt(model, config, document.get("fingerprint"), Path(folder))
        calibration = document.get("calibration")
        with refuse_library_errors(where, "what this forecaster saves"):
            self.conformal = None if calibration is None else Conformal.from_document(calibration)
        return self

    def adopt(
        self, model: NeuNeu, config: NeuNeuConfig, fingerprint: str | None, folder: Path | None = None
    ) -> None:
        """Take a trained network for one's own.

        fingerprint: of the validation set that it was trained on, None where that is not known; folder: where
        it was loaded from.
        """
        self.config = config
        self.predictor = Predictor(
            model, config.losses, config.samples, fingerprint, device=self.device or "cpu", folder=folder
        )

    def _losses(self, evidence: Evidence) -> LossView | None:
        return evidence.future_losses if self.sees_future else evidence.losses

    def _refuse(self, question: CurveQuestion) -> str | None:
        context = question.context
        loss = self.config.samples.target == "loss"
        if not is_target(context, loss=loss):
            return (
                "the metric is not a loss, which it was trained on"
                if loss
                else "the metric is not an accuracy"
            )
        if not ((context.steps > 0) & (context.clock > 0)).any():
            return "no checkpoint after step 0"
        if not self.reads_losses:
            return None
        if question.losses is None:
            return "no losses of this run"
        if not (question.losses.steps <= context.steps[-1]).any():
            return "no losses at or before the context end"
        return None

    def _forecast(self, question: CurveQuestion, raw: Floats) -> Forecast:
        values = raw
        if self.conformal is not None and self.calibrated:
            values = self.conformal.apply(raw, _log_ratio(question))
        context = question.context
        return Forecast(question.horizons, to_levels(values, self._model_levels(), context.low, context.high))

    def _model_levels(self) -> tuple[float, ...]:
        model = self.config.model
        return model.levels if model.objective == "pinball" else (0.5,)

    def calibrate(self, table: "CurveTable", curves: Sequence[Curve], losses: LossStore | None) -> None:
        """Learn offsets on questions about runs kept apart, asked as evaluation asks them.

        curves: what was trained on; of losses, these alone are asked.
        """
        from neuneu.evidence.questions import ask_questions

        assert self.predictor is not None
        if self.config.samples.target == "loss":
            table = table_of(table, curves)
        questions = ask_questions(
            table,
            losses,
            whole_evidence=self.reads_losses,
            sees_future=self.sees_future,
            curves_per_source=CALIBRATION_CURVES,
        )
        asked = [
            CurveQuestion(evidence.context, at, self._losses(evidence))
            for evidence, at in zip(questions.evidences, questions.horizons, strict=True)
        ]
        kept = [i for i, question in enumerate(asked) if self._refuse(question) is None]
        if not kept:
            self.conformal = Conformal((0.0,), ((0.0,) * len(self._model_levels()),))
            return
        raw = self.predictor.quantiles([asked[i] for i in kept])
        weight = np.concatenate(
            [np.full(len(asked[i].horizons), questions.weights[i] / len(asked[i].horizons)) for i in kept]
        )
        self.conformal = Conformal.fit(
            np.concatenate(raw),
            np.concatenate([questions.truths[i] for i in kept]),
            np.concatenate([_log_ratio(asked[i]) for i in kept]),
            weight,
            self._model_levels(),
        )


def _bounded(config: NeuNeuConfig, train: TrainingData) -> NeuNeuConfig:
    """The same training with as many samples a step as the token budget allows."""
    length = float(train.samples.end.mean()) + 1
    size = min(config.training.batch_size, max(int(TOKENS_PER_STEP / length), SMALLEST_BATCH))
    return config.model_copy(update={"training": config.training.model_copy(update={"batch_size": size})})


class NeuNeuSequential(NeuNeuForecaster):
    """NeuNeu that reads the losses of the last point it was given, even after the context end.

    In the sequential protocol that is the published "sequential" mode: it sees future losses.
    """

    name: ClassVar[str] = "neuneu-sequential"
    sees_future: ClassVar[bool] = True
    trained_as: ClassVar[str | None] = "neuneu"

    def __init__(self, config: NeuNeuConfig | None = None, *, calibrated: bool = True) -> None:
        super().__init__(config or small_config(NeuNeuForecaster.name), calibrated=calibrated)
        self._bounded = config is None


class NeuNeuAverage(NeuNeuForecaster):
    """NeuNeu with the mean loss of the context's checkpoints in place of the CNN."""

    name: ClassVar[str] = "neuneu-average"


class NeuNeuDiffHist(NeuNeuForecaster):
    """NeuNeu with the change of the loss histogram from context end to target: it sees the future."""

    name: ClassVar[str] = "neuneu-diffhist"
    sees_future: ClassVar[bool] = True


class NeuNeuNoLoss(NeuNeuForecaster):
    """NeuNeu on accuracies alone."""

    name: ClassVar[str] = "neuneu-noloss"
    reads: ClassVar[frozenset[Reads]] = frozenset()


class NeuNeuLevels(NeuNeuForecaster):
    """NeuNeu repaired: differences from the last accuracy, log gaps, mean and quantiles of the losses."""

    name: ClassVar[str] = "neuneu-levels"


class NeuNeuResidual(NeuNeuForecaster):
    """`neuneu-levels` without losses: its ablation."""

    name: ClassVar[str] = "neuneu-residual"
    reads: ClassVar[frozenset[Reads]] = frozenset()


def build_model(config: NeuNeuConfig, losses: LossStore | None, train: TrainingData) -> NeuNeu:
    """A network with fresh weights of the training seed, sized and scaled for the data."""
    import torch

    from neuneu.forecasters.neuneu.inputs import loss_length

    length = 1
    if config.model.encoder == "diffhist":
        length = config.model.n_bins
    elif config.model.encoder == "levels":
        length = 1 + len(LEVEL_QUANTILES)
    elif config.model.encoder == "cnn":
        if losses is None:
            raise InputError(f"{config.forecaster} reads losses; name a loss store", field="losses")
        length = loss_length(losses, config.model)
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed)
        model = NeuNeu(config.model, length)
    if isinstance(model.encoder, LevelEncoder) and train.inputs is not None:
        rows = train.inputs.rows[np.unique(train.checkpoints())]
        model.encoder.standardise_by(torch.from_numpy(rows.reshape(-1, length)))
    return model


def to_levels(values: Floats, levels: Sequence[float], low: float = 0.0, high: float = 1.0) -> Floats:
    """Quantiles at the model's levels → at LEVELS, sorted and cut to [low, high], the metric's range.

    Between levels linear; beyond the outermost, the tail of the normal distribution that fits the median and
    that level. A point forecast gives the same value at all levels.
    """
    from scipy.stats import norm

    ordered = np.sort(values, axis=1)
    given = np.asarray(norm.ppf(np.asarray(levels)))
    wanted = np.asarray(norm.ppf(np.asarray(LEVELS)))
    out = np.stack([np.interp(wanted, given, row) for row in ordered])
    if len(levels) > 1:
        centre = np.array([np.interp(0.0, given, row) for row in ordered])
        for beyond, edge in ((wanted < given[0], 0), (wanted > given[-1], -1)):
            if beyond.any() and given[edge] != 0:
                slope = (ordered[:, edge] - centre) / given[edge]
                out[:, beyond] = centre[:, None] + np.maximum(slope, 0)[:, None] * wanted[beyond]
    return np.asarray(np.maximum.accumulate(np.clip(out, low, high), axis=1), dtype=np.float64)


def _log_ratio(question: CurveQuestion) -> Floats:
    ratio = np.asarray(question.horizons) / question.context.clock[-1]
    return np.asarray(np.log(np.maximum(ratio, 1.0)), dtype=np.float64)
