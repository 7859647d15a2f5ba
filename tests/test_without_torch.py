"""Without torch everything works that needs no network; without any extra, all that reads and forecasts.

What needs an extra names it.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from neuneu.errors import EXTRA_OF


def blocked(names: Iterable[str]) -> str:
    """A program's beginning after which importing these fails as if they were not installed."""
    return f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(names)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


BLOCK = blocked(["torch"])
BARE = blocked([*EXTRA_OF, "ftfy", "pycld2", "tree_sitter", "submitit", "wandb", "trackio", "tensorboard"])
"""Nothing but what `pip install neuneu` brings."""

PROGRAM = """
import contextlib, io, json
from neuneu.cli.main import main
ended = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["neuneu", *arguments]
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    ended.append([arguments[0], code, errors.getvalue()[-400:]])
print(json.dumps(ended))
"""


@pytest.fixture(scope="module")
def folder(home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curves of four packaged runs on three tasks, and a result file of a harness."""
    made = tmp_path_factory.mktemp("bare")
    curves = home.one_metric()
    curves.filter(run=curves.runs[:4], task=curves.tasks[:3]).write(made / "c.parquet")
    for step in (100, 200):
        result = {
            "results": {"piqa": {"acc,none": 0.5 + step / 1000}},
            "config": {"model_args": "pretrained=m"},
        }
        (made / f"m/step{step}").mkdir(parents=True)
        (made / f"m/step{step}/results.json").write_text(json.dumps(result))
    return made


def ended(commands: list[list[str]], cwd: Path, block: str = BLOCK) -> list[tuple[str, int, str]]:
    """Name, exit code and errors of each command, run in one process without what is blocked."""
    done = subprocess.run(
        [sys.executable, "-c", block + PROGRAM, json.dumps(commands)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(row) for row in json.loads(done.stdout)]


def test_what_needs_no_network_works(folder: Path) -> None:
    commands = [
        ["--help"],
        ["import", "lm-eval", "m", "-o", "i.parquet"],
        ["inspect", "c.parquet"],
        ["forecast", "c.parquet", "--context", "0.5"],
        ["evaluate", "c.parquet", "-f", "neuneu-2", "--no-fit"],
        ["rank", "c.parquet"],
        ["advise", "c.parquet", "--target", "0.9", "--context", "0.5"],
        ["report", "c.parquet", "-o", "r.html"],
        ["plot", "fan", "c.parquet", "-o", "f.png"],
    ]
    for name, code, errors in ended(commands, folder):
        assert code == 0, (name, errors)


def test_what_reads_and_forecasts_needs_no_extra(folder: Path) -> None:
    commands = [
        ["import", "auto", "m", "-o", "b.parquet"], ["inspect", "c.parquet"], ["data", "list"],
        ["forecast", "c.parquet", "--context", "0.5"],
        ["evaluate", "c.parquet", "-f", "neuneu-2", "--no-fit"],
        ["rank", "c.parquet"], ["advise", "c.parquet", "--target", "0.9", "--context", "0.5"],
        ["atlas", "hellaswag", "--params", "1e9", "--tokens", "1e11"],
    ]  # fmt: skip
    for name, code, errors in ended(commands, folder, BARE):
        assert code == 0, (name, errors)
    lacking = {"report": "report", "plot": "report", "serve": "app", "score": "lm", "train": "neural"}
    asked = [
        ["report", "c.parquet", "-o", "b.html"], ["plot", "fan", "c.parquet", "-o", "b.png"], ["serve"],
        ["score", "m", "-c", "x", "-o", "l"], ["train", "t.yaml"],
    ]  # fmt: skip
    for name, code, errors in ended(asked, folder, BARE):
        assert (code, f"neuneu[{lacking[name]}]" in errors) == (2, True), (name, errors)
    program = (
        BARE + "import neuneu\ntry: neuneu.NeuNeuForecaster\nexcept neuneu.MissingExtraError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "neuneu[neural]" in done.stdout


def test_the_page_and_the_demo_need_no_torch() -> None:
    program = BLOCK + (
        "from fastapi.testclient import TestClient; from neuneu.app.server import make_app;"
        "client = TestClient(make_app(), base_url='http://127.0.0.1');"
        "names = [entry['name'] for entry in client.get('/api/forecasters').json()];"
        "assert 'neuneu-2' in names, names; assert client.get('/').status_code == 200;"
        "import neuneu.reports.demo"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_needs_it_names_the_extra(folder: Path) -> None:
    (folder / "t.yaml").write_text("data:\n  curves: [c.parquet]\n")
    for name, code, errors in ended(
        [["forecast", "c.parquet", "-f", "neuneu"], ["forecast", "c.parquet", "-f", "probe-cnn"],
         ["train", "t.yaml"]],
        folder,
    ):  # fmt: skip
        assert code == 2, name
        assert "neuneu[neural]" in errors, errors
