"""A callback for transformers' Trainer."""

from typing import Any

from neuneu.errors import MissingExtraError
from neuneu.integrations.flight import RunInFlight, Tasks, told_steps

try:
    from transformers import (
        Trainer,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
    )
except ImportError as error:
    raise MissingExtraError("transformers", "lm") from error


class ForecastCallback(TrainerCallback):  # type: ignore[misc]
    """Forecasts a run of transformers' Trainer at each evaluation, and stops it where that is asked for.

    `Trainer(..., callbacks=[ForecastCallback({"eval_piqa_acc": "piqa"}, target=0.7)])`. tasks: names of
    evaluation metrics → task, or (task, metric); stop: whether to end the training where the verdict is to
    stop; the rest as `RunInFlight` takes it; the planned end is the trainer's last step unless `end` says
    otherwise. The forecast goes into the evaluation's metrics and `state.log_history` (neuneu/chance, at,
    q10, q50, q90), and with `attach(trainer)` to the trackers that it reports to as well. `verdict.reason`
    says why. A training that is resumed knows its earlier evaluations from `state.log_history`.
    """

    def __init__(self, tasks: Tasks, *, stop: bool = True, **asked: Any) -> None:
        self.flight, self.stop = RunInFlight(tasks, **asked), stop
        self._end = self.flight.end
        self._trainer: Trainer | None = None

    @property
    def verdict(self) -> Any:
        """The last verdict: true or false, with `chance` and `reason`; None before the first."""
        return self.flight.verdict

    def attach(self, trainer: Trainer) -> "ForecastCallback":
        """Add the callback to a trainer, so that forecasts are logged as the trainer logs."""
        self._trainer = trainer
        trainer.add_callback(self)
        return self

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Take up what a training that is resumed has logged."""
        self.flight.clear()
        self.flight.end = self._end if self._end is not None else state.max_steps
        told_steps(state.log_history, self.flight)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Ask, log, and stop where that is asked for."""
        if metrics is None or self.flight.end is None:
            return  # an evaluation outside a training
        self.flight.add(state.global_step, metrics)
        verdict = self.flight.ask(state.global_step)
        found = self.flight.log() if verdict is not None else {}
        if found:
            metrics.update(found)
            if self._trainer is not None:
                self._trainer.log(dict(found))
            else:
                state.log_history.append({**found, "epoch": state.epoch, "step": state.global_step})
        if verdict and self.stop:
            self.flight.stopped()
            control.should_training_stop = True
