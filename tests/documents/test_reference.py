"""The reference names everything that is public."""

import re

from tests.conftest import ROOT

import neuneu

ITS_ROOM = {"atlas": "ask_atlas"}
"""Names that stand there by the function that does it."""


def test_every_public_name_is_in_the_reference() -> None:
    text = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^::: [\w.]+\.(\w+)$", text, re.MULTILINE))
    assert {ITS_ROOM.get(name, name) for name in neuneu.__all__} <= told
