"""`import pythia` from GitHub: the folders that are asked for, and nothing else."""

import json
from pathlib import Path

import pytest
from tests.hub import Served

from neuneu.curves.readers.pythia import read_pythia
from neuneu.errors import InputError

ADDRESS = "https://github.com/EleutherAI/pythia"


@pytest.fixture
def evals(hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Two models with two steps each, zero-shot and five-shot."""
    for size in ("70m", "1.4b"):
        for number, shots in enumerate(("zero-shot", "five-shot")):
            folder = hub.root / "github/EleutherAI/pythia/evals/pythia-v1" / f"pythia-{size}" / shots
            folder.mkdir(parents=True)
            for step in (1000, 3000):
                document = {
                    "results": {"piqa": {"acc": 0.5 + step / 1e5, "acc_stderr": 0.01}},
                    "versions": {"piqa": 0},
                    "config": {"num_fewshot": 5 * number, "model_args": f"revision=step{step}"},
                }
                (folder / f"{size}_step{step}.json").write_text(json.dumps(document))
            (folder / "notes.txt").write_text("no results")
    hub.use(monkeypatch, tmp_path)
    return hub


def test_only_the_sizes_asked_for_are_fetched(evals: Served) -> None:
    table = read_pythia([f"{ADDRESS}?size=70m"]).table
    assert table.runs == ["pythia-v1/pythia-70m"]
    assert table.frame["step"].to_list() == [1000, 3000]
    assert table.frame["n_shot"].unique().to_list() == [0]
    assert sorted(Path(name).name for name in evals.sent) == ["70m_step1000.json", "70m_step3000.json"]
    sent = dict(evals.sent)
    assert read_pythia([f"{ADDRESS}?size=70m"]).table.frame.equals(table.frame)
    assert evals.sent == sent  # what is there is not fetched again


def test_all_sizes_and_shots_where_none_is_named(evals: Served) -> None:
    table = read_pythia([f"{ADDRESS}?shots=zero,five"]).table
    assert table.runs == ["pythia-v1/pythia-1.4b", "pythia-v1/pythia-70m"]
    assert sorted(table.frame["n_shot"].unique()) == [0, 5]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (f"{ADDRESS}?size=13b", "GitHub does not give it: 404"),
        (f"{ADDRESS}?size=../../x", "must be https://github.com/OWNER/NAME"),
        (f"{ADDRESS}?model=70m", "must be https://github.com/OWNER/NAME"),
        ("https://example.org/EleutherAI/pythia", "must be https://github.com/OWNER/NAME"),
        (f"{ADDRESS}/evals", "must be https://github.com/OWNER/NAME"),
    ],
)
def test_other_addresses_are_refused(evals: Served, address: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pythia([address])
    assert not evals.sent
