"""The package in environments that hold nothing else: `make package`, or `python -m tests.package.legs LEG…`.

Wheel and sdist are built; each leg makes an environment, installs into it, and runs what that promises. `uv`
makes them, from one cache. Where pip is told of a folder with the processor's torch, that one is taken and no
other. Where no package index is in reach, a leg is not run, and says so.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.conftest import ROOT

UV = (sys.executable, "-m", "uv")
TORCH = "2.13.0"
"""As in the Makefile."""
MAX_MEGABYTES = 150.0
"""What `pip install neuneu` may download, the package included."""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
UNREACHED = re.compile(
    r"error sending request for url|operation timed out"  # uv
    r"|NewConnectionError|ConnectTimeoutError|Max retries exceeded"  # pip
)
"""What is said where an index does not answer; where it lacks a package, something else is."""
OTHERS = ("3.12", "3.13")
"""Other interpreters that the package promises; their legs run where there is one, without torch."""

FORECAST = (
    "import neuneu as nn\n"
    "home = nn.read_home_curves()\n"
    "found = nn.forecast(home, context=0.5, runs=home.runs[-1], tasks='text_prose').to_frame()\n"
    "assert found.height > 3 and found['q50'].is_between(0, 1).all()\n"
    "import sys; assert 'torch' not in sys.modules\n"
)
REPORT = (
    FORECAST
    + "import pathlib; nn.report(home, 'r.html', context=0.5, runs=home.runs[-1], tasks='text_prose')\n"
)
EXTRAS = {
    "neural": "import torch; from neuneu import make_forecaster; make_forecaster('neuneu-levels')",
    "frames": FORECAST
    + "assert len(nn.rank(home, runs=home.runs[:2], tasks='text_prose', library='pandas')) == 2",
    "trees": "import lightgbm; from neuneu import load_forecaster; load_forecaster('lightgbm')",
    "lm": "import transformers, tokenizers, datasets, zarr, lm_eval; import neuneu.losses.scoring",
    "designs": "import sys; sys.argv = ['neuneu', 'designs', 'stats', '--store', 'home'];"
    "from neuneu.cli.main import main; main()",
    "taggers": "import ftfy, pycld2, tree_sitter, tree_sitter_python, tree_sitter_kotlin",
    "stanza": "import stanza",
    "report": REPORT,
    "app": "from neuneu.app.server import make_app; make_app()",
    "cluster": "import ray, submitit",
    "bench": "import statsforecast; from neuneu import make_forecaster; make_forecaster('damped-holt')",
    "lightning": "import neuneu; neuneu.LightningForecastCallback; import lightning",
    "optuna": "import neuneu; neuneu.ForecastPruner(end=20, metric='acc')",
    "tune": "import neuneu; neuneu.ForecastScheduler(end=20, of='acc')",
    "track": "import wandb, trackio, tensorboard",
    "docs": "import mkdocs, material, mkdocstrings, nbconvert",
}
"""Extra → what works once it is there."""


class UnreachedError(Exception):
    """No package index is in reach."""


class Place:
    """Where everything is built, and how uv is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheel = self.sdist = Path()
        told = _output(sys.executable, "-m", "pip", "config", "get", "global.find-links", check=False).split()
        local = [
            Path(path)
            for path in told
            if list(Path(path).glob(f"torch-{TORCH}+cpu*{PYTHON.replace('.', '')}*"))
        ]
        self.source = (
            [
                "--find-links",
                str(local[0]),
                "--overrides",
                str(self._write("torch.txt", f"torch=={TORCH}+cpu\n")),
            ]
            if local
            else ["--torch-backend", "cpu", "--overrides", str(self._write("torch.txt", f"torch=={TORCH}\n"))]
        )

    def _write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    def build(self) -> None:
        """Wheel and sdist of the working tree; the wheel that is made of the sdist holds the same files."""
        _run(*UV, "build", "--quiet", ROOT, "--out-dir", self.folder / "dist")
        (self.wheel,), (self.sdist,) = (
            list((self.folder / "dist").glob(end)) for end in ("*.whl", "*.tar.gz")
        )

    def environment(self, name: str, what: str, *, python: str = PYTHON, options: Sequence[str] = ()) -> Path:
        """A fresh environment with this in it; its interpreter."""
        folder = self.folder / name
        _run(*UV, "venv", "--quiet", "--python", python, folder)
        interpreter = folder / "bin" / "python"
        _run(*UV, "pip", "install", "--quiet", "--python", interpreter, *self.source, *options, what)
        return interpreter


def bare(place: Place) -> None:
    """Without extras, from the wheel: it forecasts, without torch, and what it lacks it names."""
    python = place.environment("bare", str(place.wheel))
    assert _output(python.with_name("neuneu"), "--version").startswith("neuneu ")
    check(python, FORECAST, place.folder)
    missing = _output(python, "-c", "import neuneu; neuneu.NeuNeuForecaster", check=False)
    assert "neuneu[neural]" in missing, missing


def sdist(place: Place) -> None:
    """From the sdist, which is built once more."""
    check(place.environment("sdist", str(place.sdist)), FORECAST, place.folder)


def download(place: Place) -> None:
    """How much `pip install` fetches where nothing is there."""
    folder = place.folder / "download"
    _run(sys.executable, "-m", "pip", "download", "--no-cache-dir", "--dest", folder, place.wheel)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    sys.stdout.write(f"  {size:.0f} MB in {len(list(folder.iterdir()))} files\n")
    assert size < MAX_MEGABYTES, size


def with_extra(extra: str) -> Callable[[Place], None]:
    """A leg with one extra: what it brings works, and torch, if it came, is the one for processors."""

    def leg(place: Place) -> None:
        python = place.environment(f"extra-{extra}", f"{place.wheel}[{extra}]")
        check(python, EXTRAS[extra], place.folder)
        torch = _output(*UV, "pip", "list", "--python", python).lower().split("\ntorch ")
        assert len(torch) == 1 or torch[1].split()[0].startswith(TORCH), torch[1][:40]

    return leg


def other_python(version: str) -> Callable[[Place], None]:
    """A leg without extras on another Python."""

    def leg(place: Place) -> None:
        name, interpreter = f"python-{version}", find_python(version)
        assert interpreter is not None
        python = place.environment(name, f"{place.wheel}[report,trees]", python=interpreter)
        check(python, REPORT, place.folder)

    return leg


def oldest(place: Place) -> None:
    """The oldest versions that pyproject.toml allows, torch but: the quick tests pass."""
    options = ["--resolution", "lowest-direct"]
    python = place.environment("oldest", f"{place.wheel}[dev]", options=options)
    quick_tests(python)


def newest(place: Place) -> None:
    """The newest versions that there are: the quick tests pass."""
    quick_tests(place.environment("newest", f"{place.wheel}[dev]", options=["--upgrade"]))


def quick_tests(python: Path) -> None:
    """`make quick` against what is installed, not against the source."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    options = ["-q", "--tb=short", "-m", "not slow and not medium", "-p", "no:cacheprovider"]
    sys.stdout.flush()
    done = subprocess.run([python, "-m", "pytest", *options], cwd=ROOT, env=variables, check=False)
    if done.returncode:
        raise SystemExit(f"pytest ended with {done.returncode}")


LEGS: dict[str, Callable[[Place], None]] = {
    "bare": bare,
    "sdist": sdist,
    "download": download,
    **{f"extra-{extra}": with_extra(extra) for extra in EXTRAS},
    **{f"python-{version}": other_python(version) for version in OTHERS},
    "oldest": oldest,
    "newest": newest,
}


def check(python: Path, program: str, folder: Path) -> None:
    """Run a program by the environment's interpreter, away from the source."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    _run(python, "-c", program, cwd=folder, env=variables)


def find_python(version: str) -> str | None:
    """An interpreter of this version that is here: one that uv finds, or of pyenv. None is fetched."""
    command = [*UV, "python", "find", "--no-python-downloads", version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout.strip()
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(found[-1]) if found else None


def _run(*command: object, **options: object) -> None:
    words = [str(part) for part in command]
    kept = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done: subprocess.CompletedProcess[str] = subprocess.run(words, check=False, **kept, **options)  # type: ignore[call-overload]
    if done.returncode:
        said = [line.strip() for line in done.stdout.splitlines() if UNREACHED.search(line)]
        if said and not {"-c", "pytest"} & set(words):  # what fetches, not what is tested
            raise UnreachedError(said[0])
        sys.stdout.write(done.stdout[-6000:])
        raise SystemExit(f"{' '.join(map(str, command))[:300]}: ended with {done.returncode}")


def _output(*command: object, check: bool = True) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=check)
    return done.stdout + done.stderr


def main(argv: Sequence[str]) -> None:
    """Run legs, those named or all; a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("legs", nargs="*", metavar="LEG")
    asked = parser.parse_args(argv).legs or list(LEGS)
    unknown = [name for name in asked if name not in LEGS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(LEGS)}")
    with tempfile.TemporaryDirectory(prefix="neuneu-package-") as made:
        place = Place(Path(made))
        place.folder.chmod(0o755)  # tests that run as somebody else find their Python here
        timed("build", place.build)
        if not place.wheel.name:
            return
        sys.stdout.write(f"  {place.wheel.name}, {place.wheel.stat().st_size / 1e6:.0f} MB\n")
        for name in asked:
            version = name.removeprefix("python-")
            if version in OTHERS and find_python(version) is None:
                sys.stdout.write(f"{name}: not run, no interpreter\n")
                continue
            timed(name, lambda leg=LEGS[name]: leg(place))
            for folder in place.folder.iterdir():
                if folder.is_dir() and folder.name != "dist":
                    shutil.rmtree(folder)


def timed(name: str, work: Callable[[], None]) -> None:
    """Do it and say how long it took, or that no index was in reach for it."""
    start = time.monotonic()
    try:
        work()
        sys.stdout.write(f"{name}: passed in {time.monotonic() - start:.0f} s\n")
    except UnreachedError as error:
        sys.stdout.write(f"{name}: not run, no package index in reach ({error})\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
