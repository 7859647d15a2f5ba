"""Without torch everything works that needs no network; what needs it names the extra."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Block())
"""
"""Importing torch fails as if it were not installed."""

PROGRAM = (
    BLOCK
    + """
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
)


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


def ended(commands: list[list[str]], cwd: Path) -> list[tuple[str, int, str]]:
    """Name, exit code and errors of each command, run without torch in one process."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
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
