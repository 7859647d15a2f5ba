"""The pruner in Optuna's own studies."""

import pytest

optuna = pytest.importorskip("optuna")

from tests.steady import Steady  # noqa: E402

import neuneu as nn  # noqa: E402
from neuneu.errors import InputError  # noqa: E402

END = 12


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def search(direction, levels, pruner, **more):
    """A study whose trials report these levels at each step."""
    study = optuna.create_study(direction=direction, pruner=pruner, **more)

    def objective(trial):
        level = levels[trial.number]
        for step in range(1, END + 1):
            trial.report(level, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return level

    study.optimize(objective, n_trials=len(levels), catch=())
    return study


@pytest.mark.parametrize(
    ("direction", "metric", "levels"),
    [("maximize", "acc", [0.6, 0.2, 0.7, 0.61]), ("minimize", "loss", [2.0, 3.0, 1.9, 2.0])],
)
def test_it_prunes_what_will_not_come_to_the_best_so_far_and_says_why(direction, metric, levels):
    class Sure(Steady):
        """Narrow, and at home outside [0, 1] too."""

        def _say(self, evidence, horizons):
            said = super()._say(evidence, horizons)
            shift = evidence.context.values[-1] - said.values[:, 3]
            return type(said)(said.horizons, said.values + shift[:, None])

    study = search(direction, levels, nn.ForecastPruner(end=END, metric=metric, forecaster=Sure()))
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED", "COMPLETE", states[3]]
    pruned = study.trials[1]
    assert pruned.last_step == 5
    assert f"likely to reach {levels[0]:g} at clock 12" in pruned.user_attrs["neuneu"]
    assert pruned.user_attrs["neuneu"].startswith("trial 1 is less than 0.1%")
    assert "neuneu" not in study.trials[0].user_attrs


def test_a_target_counts_from_the_first_trial_on_and_survives_a_restart(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    pruner = nn.ForecastPruner(end=END, target=0.9, forecaster=Steady())
    search("maximize", [0.5], pruner, storage=storage, study_name="s")
    kept = optuna.load_study(study_name="s", storage=storage)
    assert kept.trials[0].state.name == "PRUNED"
    assert "reach 0.9" in kept.trials[0].user_attrs["neuneu"]


def test_the_metric_must_go_the_way_of_the_study():
    with pytest.raises(InputError, match="metric = 'acc': is better when higher"):
        search("minimize", [0.5], nn.ForecastPruner(end=END))
    with pytest.raises(InputError, match="end"):
        nn.ForecastPruner(end=-1)
