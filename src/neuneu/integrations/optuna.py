"""A pruner for Optuna."""

from typing import TYPE_CHECKING, Any

from neuneu.errors import MissingExtraError
from neuneu.integrations.flight import METRIC
from neuneu.integrations.objective import Objective

try:
    from optuna.pruners import BasePruner
    from optuna.study import StudyDirection
    from optuna.trial import TrialState
except ImportError as error:
    raise MissingExtraError("optuna", "optuna") from error

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

REASON = "neuneu"
"""The user attribute of a pruned trial that says why."""


class ForecastPruner(BasePruner):  # type: ignore[misc]
    """Prunes a trial of Optuna that is unlikely to come to the best value so far, or to a target.

    `optuna.create_study(direction="maximize", pruner=ForecastPruner(end=100))`, with `trial.report(value,
    step)` in the objective. end: the step at which each trial ends; metric: what is reported (acc by
    default), whose direction must be the study's; target: a value to reach in place of the best so far;
    threshold, patience, forecaster and the rest as in `should_stop`. A pruned trial says why in its user
    attribute `neuneu`.
    """

    def __init__(
        self, *, end: float, metric: str = METRIC, target: float | None = None, **asked: Any
    ) -> None:
        self.objective = Objective(metric, end, target, asked)

    def prune(self, study: "Study", trial: "FrozenTrial") -> bool:
        """Whether to prune the trial. Raises InputError where the metric's direction is not the study's."""
        step = trial.last_step
        if step is None:
            return False
        higher = study.direction == StudyDirection.MAXIMIZE
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [each.value for each in done if each.value is not None]
        verdict = self.objective.ask(
            f"trial {trial.number}", trial.intermediate_values, values, higher=higher
        )
        if not verdict:
            return False
        study._storage.set_trial_user_attr(trial._trial_id, REASON, verdict.reason)
        return True
