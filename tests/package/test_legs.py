"""Every extra has a leg; the legs themselves are run by `make package`."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from tests.conftest import ROOT
from tests.package.legs import EXTRAS, LEGS, OTHERS, UV, Place, UnreachedError, _run

import neuneu


def test_every_extra_has_a_leg() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) - {"dev"} == set(
        EXTRAS
    )  # dev is what oldest and newest install
    assert {
        "bare",
        "sdist",
        "download",
        "oldest",
        "newest",
        *(f"python-{version}" for version in OTHERS),
    } < set(LEGS)


def test_version_and_licence_are_told_alike() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == neuneu.__version__
    assert cited["license"] == project["license"] == "Apache-2.0"
    assert all(person["family-names"] for paper in cited["references"] for person in paper["authors"])


def test_workflows_and_legs_name_the_same_pythons() -> None:
    text = (ROOT / ".github/workflows/checks.yml").read_text(encoding="utf-8")
    assert all(f'"{version}"' in text for version in OTHERS)


NOWHERE = "http://127.0.0.1:9/simple"
"""Nobody listens there."""


@pytest.mark.medium
def test_without_an_index_no_leg_is_run_and_it_is_said() -> None:
    pytest.importorskip("uv", reason="uv is not installed: pip install 'neuneu[dev]'")
    variables = os.environ | {"UV_DEFAULT_INDEX": NOWHERE, "UV_NO_CACHE": "1", "UV_HTTP_RETRIES": "0"}
    command = [sys.executable, "-m", "tests.package.legs", "bare"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("build: not run, no package index in reach (")
    assert NOWHERE in done.stdout
    assert "passed" not in done.stdout


@pytest.mark.medium
def test_a_leg_that_fails_for_another_reason_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(SystemExit, match="ended with"):
        _run(*UV, "pip", "install", "--offline", "--python", sys.executable, "neuneu-has-no-such-package")
    with pytest.raises(SystemExit, match="ended with 1"):
        _run(sys.executable, "-c", "raise SystemExit('NewConnectionError')")
    with pytest.raises(UnreachedError, match="sending"):
        Place(tmp_path).environment("x", "neuneu-has-no-such", options=("--no-cache", "--index-url", NOWHERE))
