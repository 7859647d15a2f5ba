"""Which runs the shipped forecasters were fitted on: a score on those is kinder than on runs of others.

fitted_on.json lists the collections of curves that what ships was made from (`benchmarks/ship.py`), and by
what their runs are known: source, family, or name of the run. Renamed copies are not recognised.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from neuneu.curves.curve import Facts

WEIGHTS, WIDTHS = "shipped weights", "widths of the intervals"


def fitted_in_words(forecasters: Sequence[str], runs: Mapping[str, Facts]) -> str:
    """What of these shipped forecasters was fitted on some of these runs or their family; "" where nothing.

    forecasters: registered names, as they ship; others (folders, own ones) have no list here; runs: name →
    facts.
    """
    groups: dict[tuple[str, tuple[str, ...], int], list[str]] = {}
    for name in forecasters:
        collections, what = _fitted(name)
        of = [found for run, facts in runs.items() if (found := _first(collections, run, facts)) is not None]
        if of:
            groups.setdefault((what, tuple(dict.fromkeys(of)), len(of)), []).append(name)
    sentences = []
    for (what, known, n), names in groups.items():
        which = f"{n} of these {len(runs)} runs" if n < len(runs) else "these runs"
        several = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
        sentences.append(
            f"the {what} of {several} were fitted on {which} or their family ({', '.join(known)})"
        )
    if not sentences:
        return ""
    text = "; ".join(sentences)
    return f"{text[0].upper()}{text[1:]}: errors here are kinder than on runs of others."


def is_fitted_on(forecaster: str, run: str, facts: Facts) -> bool:
    """Whether the weights of a shipped forecaster, not its widths alone, were fitted on this run's family."""
    collections, what = _fitted(forecaster)
    return what == WEIGHTS and _first(collections, run, facts) is not None


def _fitted(forecaster: str) -> tuple[list[str], str]:
    weights, widths = _lists()["weights"], _lists()["widths"]
    if forecaster in weights:
        return weights[forecaster], WEIGHTS
    return (widths["collections"] if forecaster in widths["methods"] else []), WIDTHS


def _first(collections: Sequence[str], run: str, facts: Facts) -> str | None:
    """The first of these collections that a run belongs to."""
    for name in collections:
        signs = _lists()["collections"][name]
        named = re.search(signs["runs"], run, re.IGNORECASE) is not None
        if named or facts.source in signs["sources"] or facts.family in signs["families"]:
            return name
    return None


@cache
def _lists() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        files("neuneu.forecasters").joinpath("fitted_on.json").read_text(encoding="utf-8")
    )
    return found
