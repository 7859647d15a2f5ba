"""Every extra has a leg; the legs themselves are run by `make package`."""

import tomllib

from tests.conftest import ROOT
from tests.package.legs import EXTRAS, LEGS, OTHERS


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


def test_workflows_and_legs_name_the_same_pythons() -> None:
    text = (ROOT / ".github/workflows/checks.yml").read_text(encoding="utf-8")
    assert all(f'"{version}"' in text for version in OTHERS)
