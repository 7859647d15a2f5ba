"""Tasks by YAML, and what is predicted where none is named."""

from pathlib import Path

import numpy as np
import pytest

from neuneu.designs import DesignStore
from neuneu.designs.database.home import open_store
from neuneu.designs.prediction.design_table import build_table
from neuneu.designs.prediction.sources import load_table
from neuneu.designs.prediction.targets import PUBLISHED_TASKS, DesignTask
from neuneu.designs.prediction.task_files import HOME_TASKS, read_tasks, tasks_of
from neuneu.errors import InputError

CONFIGS = Path(__file__).parents[3] / "configs" / "designs" / "tasks"


def test_the_shipped_files_are_what_is_predicted_by_default() -> None:
    plain = [(t.name, t.setting, t.metric, t.pattern) for t in PUBLISHED_TASKS]
    assert [(t.name, t.setting, t.metric, t.pattern) for t in read_tasks(CONFIGS / "published.yaml")] == plain
    assert read_tasks(CONFIGS / "home.yaml") == HOME_TASKS
    for path in CONFIGS.glob("*.yaml"):
        assert read_tasks(path)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("tasks: []", "list of tasks"),
        ("- {name: a, setting: 5, metric: acc}", "task 1: setting = 5: must be text"),
        ("- {name: a, setting: many, metric: acc}", "5-shot"),
        ("- {name: a, setting: 5-shot}", "metric: must be given"),
        ("- {name: a, setting: 5-shot, metric: acc, pattern: '('}", "no regular expression"),
        ("- {name: a, setting: 5-shot, metric: acc, colour: red}", "unknown"),
        ("- {name: a, setting: 5-shot, metric: acc}\n- {name: a, setting: 5-shot, metric: f1}", "twice"),
    ],
)
def test_a_bad_file_is_refused_by_task_and_field(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "tasks.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rule) as error:
        read_tasks(path)
    assert str(path) in str(error.value)


def test_names_choose_among_the_files_or_what_the_database_has(tmp_path: Path) -> None:
    path = tmp_path / "tasks.yaml"
    path.write_text("- {name: sentences, setting: 0-shot, metric: acc, pattern: 'word_order_(prose|code)'}\n")
    own = DesignTask("sentences", "0-shot", "accuracy", "word_order_(prose|code)")
    with open_store("home") as store:
        assert tasks_of(store, [str(path)]) == (own,)
        assert tasks_of(store, ["sciq"]) == (HOME_TASKS[5],)
        assert tasks_of(store, []) == HOME_TASKS
        with pytest.raises(InputError, match="known: sentences"):
            tasks_of(store, [str(path), "sciq"])
    table = load_table("home", None, tasks=[str(path)])
    assert table.y.shape == (42, 1)


def test_perplexities_are_predicted_as_logarithms(export_folder: Path) -> None:
    rows = [f"org/m{i},lambada,0-shot,perplexity,{10.0**i},{10.0**i / 100}" for i in range(30)]
    header = "id,benchmark,setting,metric,metric_value,metric_stderr\n"
    (export_folder / "evaluation_results.csv").write_text(header + "\n".join(rows) + "\n")
    models = "\n".join(f"org/m{i},{10**8 + i}" for i in range(30))
    (export_folder / "model_annotations.csv").write_text(f"id,total_params\n{models}\n")
    data = "\n".join(f"org/m{i},100" for i in range(30))
    (export_folder / "dataset_info.csv").write_text(f"id,pretraining_summary_total_tokens_billions\n{data}\n")
    with DesignStore.from_export(export_folder) as store:
        (task,) = tasks_of(store, [])
        assert task.metric == "perplexity"
        table = build_table(store, [task])
    assert np.allclose(table.y[:, 0], np.log(10) * np.array([int(name[5:]) for name in table.ids]))
    assert np.allclose(table.stderr, 0.01)
    assert task.range == (0.0, np.inf)
