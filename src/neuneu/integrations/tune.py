"""A scheduler for Ray Tune."""

from typing import TYPE_CHECKING, Any

from neuneu.errors import InputError, MissingExtraError
from neuneu.integrations.flight import LOGGER, METRIC
from neuneu.integrations.objective import Objective

try:
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler
except ImportError as error:
    raise MissingExtraError("ray", "tune") from error

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

STEP = "training_iteration"
"""What Ray counts by itself: the reports of a trial."""


class ForecastScheduler(FIFOScheduler):  # type: ignore[misc]
    """Stops a trial of Ray Tune that is unlikely to come to the best value so far, or to a target.

    `tune.TuneConfig(metric="score", mode="max", scheduler=ForecastScheduler(end=100))`. end: the value of
    `step` at which each trial ends; step: what counts steps in a report (training_iteration by default); of:
    what the search's metric is in the field's words (acc by default), whose direction must be the mode's;
    target: a value to reach in place of the best so far; the rest as in `should_stop`. `reasons` says why a
    trial was stopped, by its id. A search that is restored starts from what its trials report then.
    """

    def __init__(
        self,
        *,
        end: float,
        step: str = STEP,
        of: str = METRIC,
        target: float | None = None,
        metric: str | None = None,
        mode: str | None = None,
        **asked: Any,
    ) -> None:
        super().__init__()
        self.objective, self.step = Objective(of, end, target, asked), step
        self._metric, self._mode = metric, mode
        self._values: dict[str, dict[int, float]] = {}
        self._done: dict[str, float] = {}
        self.reasons: dict[str, str] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take metric and mode of the search, unless both say them."""
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._metric, self._mode = metric or self._metric, mode or self._mode
        return True

    def on_trial_add(self, tune_controller: "TuneController", trial: "Trial") -> None:
        """Refuse a search without metric and mode, or that goes the other way."""
        if not self._metric or self._mode not in ("min", "max"):
            rule = "and `mode` (min or max) are needed, here or in tune.TuneConfig"
            raise InputError(rule, field="metric", value=self._metric)
        self.objective.check_direction(higher=self._mode == "max")

    def on_trial_result(
        self, tune_controller: "TuneController", trial: "Trial", result: dict[str, Any]
    ) -> str:
        """Whether the trial goes on."""
        if self.step not in result or self._metric not in result:
            return str(TrialScheduler.CONTINUE)
        values = self._values.setdefault(trial.trial_id, {})
        values[int(result[self.step])] = float(result[self._metric])
        done = [value for name, value in self._done.items() if name != trial.trial_id]
        verdict = self.objective.ask(f"trial {trial.trial_id}", values, done, higher=self._mode == "max")
        if not verdict:
            return str(TrialScheduler.CONTINUE)
        self.reasons[trial.trial_id] = verdict.reason
        LOGGER.warning("stopping: %s", verdict.reason)
        return str(TrialScheduler.STOP)

    def on_trial_complete(
        self, tune_controller: "TuneController", trial: "Trial", result: dict[str, Any]
    ) -> None:
        """Keep what a trial that was let run came to, and forget its course."""
        values = self._values.pop(trial.trial_id, {})
        if self._metric in result:
            values[int(result.get(self.step, 0))] = float(result[self._metric])
        if values and trial.trial_id not in self.reasons:
            self._done[trial.trial_id] = values[max(values)]

    def on_trial_error(self, tune_controller: "TuneController", trial: "Trial") -> None:
        """Forget a trial that has failed."""
        self._values.pop(trial.trial_id, None)

    def debug_string(self) -> str:
        """How many trials were stopped, and why the last was."""
        last = f"; the last: {list(self.reasons.values())[-1]}" if self.reasons else ""
        return f"Using forecasts: {len(self.reasons)} trials stopped{last}"
