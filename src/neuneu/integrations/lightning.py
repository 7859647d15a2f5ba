"""A callback for Lightning."""

from typing import Any

from neuneu.errors import MissingExtraError
from neuneu.integrations.flight import RunInFlight, Tasks

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.trainer.states import TrainerFn
except ImportError as error:
    raise MissingExtraError("lightning", "lightning") from error


class LightningForecastCallback(Callback):  # type: ignore[misc]
    """Forecasts a run of Lightning's Trainer at each validation, and stops it where that is asked for.

    `Trainer(..., callbacks=[LightningForecastCallback({"val_piqa_acc": "piqa"}, target=0.7)])`. tasks: names
    of `callback_metrics` → task, or (task, metric); stop: whether to end the training where the verdict is to
    stop; the rest as `RunInFlight` takes it; the planned end is the trainer's last step unless `end` says
    otherwise. The forecast goes to the trainer's loggers (neuneu/chance, at, q10, q50, q90); `verdict.reason`
    says why. What was measured is in the trainer's checkpoints, so that a training that is resumed knows it.
    """

    def __init__(self, tasks: Tasks, *, stop: bool = True, **asked: Any) -> None:
        super().__init__()
        self.flight, self.stop = RunInFlight(tasks, **asked), stop
        self._end = self.flight.end

    @property
    def verdict(self) -> Any:
        """The last verdict: true or false, with `chance` and `reason`; None before the first."""
        return self.flight.verdict

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask, log, and stop where that is asked for; not in the check before a training, nor outside one."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        self.flight.end = self._end if self._end is not None else float(trainer.estimated_stepping_batches)
        self.flight.add(trainer.global_step, trainer.callback_metrics)
        verdict = self.flight.ask(trainer.global_step)
        if verdict is None:
            return
        found = self.flight.log()
        for logger in trainer.loggers if found else ():
            logger.log_metrics(found, step=trainer.global_step)
        stop = bool(trainer.strategy.reduce_boolean_decision(bool(verdict) and self.stop, all=False))
        if stop:
            self.flight.stopped()
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """What was measured so far, for the trainer's checkpoint."""
        return {"measured": self.flight.measured()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a training that is resumed has measured."""
        self.flight.clear()
        for step, name, value in state_dict["measured"]:
            self.flight.add(step, {name: value})
