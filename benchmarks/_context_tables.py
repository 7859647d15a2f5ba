"""Tables of results/contexts.json for the documents; `benchmarks.tables` puts them there."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from neuneu.files import read_json

RESULTS = Path(__file__).parent / "results" / "contexts.json"
RULES = {"none": "curve alone", "smaller": "smaller finished runs", "finished": "all finished runs"}
RIVALS = {
    "last-value": "last value", "power-law": "power law", "gaussian-process": "Gaussian process",
    "lightgbm": "LightGBM", "reference-shift": "reference shift",
}  # fmt: skip
BARE, OURS = "without the atlas", "neuneu-2"
SOURCES = {
    "gemstones": "Gemstones", "multisynt": "multisynt", "olmo_ladder_final_new": "OLMo ladder, final-new",
    "olmo_ladder_moreeval": "OLMo ladder, more-eval",
    "olmo_ladder_moreeval_const": "OLMo ladder, constant rate", "open_sci_ref": "open-sci-ref",
    "physicslm4": "PhysicsLM4", "polypythia_blimp": "PolyPythia, BLiMP", "pythia_v1": "Pythia",
}  # fmt: skip
MAIN = ("neuneu-2", "rivals", "before training")
"""Arms of the main table."""
BRANCHES = "olmo_ladder_moreeval_decay"
ASKED = ((0.05, "5 %"), (0.1, "10 %"), (0.2, "20 %"), (0.5, "50 %"))

EVERY_CONTEXT = [context for context, _ in ASKED]

Place = tuple[str, float, str, str]
"""References, context, source and method."""


@cache
def measured(*arms: str) -> dict[Place, list[dict[str, Any]]]:
    """Rows of all seeds by place. arms: of `benchmarks.contexts`, by default those of the main table."""
    found: dict[Place, list[dict[str, Any]]] = {}
    for key, rows in read_json(RESULTS).items():
        arm = key.split(", ")[1]
        for row in rows if arm in (arms or MAIN) else ():
            if row.get("curves"):
                place = row["references"], row["context"], row["source"], row["forecaster"]
                found.setdefault(place, []).append(row)
    return found


def value(
    rule: str, context: float, method: str, key: str, sources: Sequence[str], arm: str | None = None
) -> float:
    """Mean over sources of the mean over seeds; NaN where a source was not measured."""
    known = measured(*filter(None, [arm]))
    rows = [known.get((rule, context, source, method), []) for source in sources]
    if not all(rows):
        return float("nan")
    return float(np.mean([np.mean([row[key] for row in own]) for own in rows]))


def asked_of(rule: str, context: float) -> list[str]:
    """Sources that were asked so."""
    return [source for source in SOURCES if (rule, context, source, OURS) in measured()]


def means() -> Iterator[str]:
    """A row a context and kind of references: errors, coverage, pinball loss."""
    heads = [*RIVALS.values(), BARE, "**neuneu-2**", "pinball, without and with"]
    yield f"| references | context | sources, curves | {' | '.join(heads)} |"
    yield f"|---|---|---|{'---|' * len(heads)}"
    for rule, words in RULES.items():
        for context, share in ((0.0, "none"), *ASKED):
            sources = asked_of(rule, context)
            if not sources:
                continue
            curves = sum(measured()[rule, context, source, OURS][0]["curves"] for source in sources)
            cells = []
            for method in (*RIVALS, BARE, OURS):
                error, covered = (value(rule, context, method, key, sources) for key in ("mae", "coverage80"))
                text = f"**{error:.2f}**" if method == OURS else f"{error:.2f}"
                cells.append("" if np.isnan(error) else f"{text} ({covered:.0f} %)")
            losses = [value(rule, context, method, "pinball", sources) for method in (BARE, OURS)]
            cells.append(" ".join("" if np.isnan(loss) else f"{loss:.2f}" for loss in losses).strip())
            yield f"| {words} | {share} | {len(sources)}, {curves:,} | {' | '.join(cells)} |"


HEADLINE = (("none", 0.05), ("none", 0.2), ("smaller", 0.2), ("finished", 0.2))
"""References and context of the columns of the README's table."""


def headline() -> Iterator[str]:
    """The README's table: every method at 5 and 20 % of the run; and how often the interval held."""
    heads = ("5 % of the run", "20 % of the run", "20 %, finished smaller runs", "20 %, all finished runs")
    yield f"| | {' | '.join(heads)} |"
    yield "|---|---|---|---|---|"
    for method in (*RIVALS, OURS):
        cells = []
        for rule, context in HEADLINE:
            error = value(rule, context, method, "mae", asked_of(rule, context))
            text = "" if np.isnan(error) else f"{error:.2f}"
            cells.append(f"**{text}**" if method == OURS else text)
        name = f"**{OURS}**" if method == OURS else RIVALS[method]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    held = [value(rule, context, OURS, "coverage80", asked_of(rule, context)) for rule, context in HEADLINE]
    first, *middle, last = (f"{share:.0f}" for share in held)
    yield f"Its 80 % intervals held the truth {first}, {', '.join(middle)} and {last} % of the time."


CLASSICAL = ("last-value", "power-law", "gaussian-process")
"""Methods of the curve alone that learn from no other run."""


def gains(context: float = 0.2) -> Iterator[str]:
    """A row a kind of finished runs: errors beside the curve-only methods', over the sources that have such.

    Sources without any are asked without in the other tables; whether one has some is told by whether
    reference shift, which needs them, answered.
    """
    heads = ("best classical method on the curve alone", "LightGBM on it", "reference shift", "**neuneu-2**")
    yield f"| at a fifth of the run beside | sources | {' | '.join(heads)} |"
    yield f"|---|---|{'---|' * len(heads)}"
    for rule, words in (("smaller", RULES["smaller"]), ("finished", RULES["finished"])):
        sources = [name for name in SOURCES if (rule, context, name, "reference-shift") in measured()]
        ours = value(rule, context, OURS, "mae", sources)
        alone = {name: value("none", context, name, "mae", sources) for name in (*CLASSICAL, "lightgbm")}
        best = min(CLASSICAL, key=lambda name: alone[name])
        shift = value(rule, context, "reference-shift", "mae", sources)
        rivals = [(f"{RIVALS[best]} ", alone[best]), ("", alone["lightgbm"]), ("", shift)]
        cells = [f"{name}{error:.2f} (−{1 - ours / error:.1%})".replace("%", " %") for name, error in rivals]
        yield f"| {words} | {len(sources)} | {' | '.join(cells)} | **{ours:.2f}** |"


def by_source() -> Iterator[str]:
    """A row a source: best rival, without the atlas and with it, at 5 and 20 % of the run."""
    heads = [f"{words}, {share}" for words in RULES.values() for share in ("5 %", "20 %")]
    yield f"| source | {' | '.join(heads)} |"
    yield f"|---|{'---|' * len(heads)}"
    for source, title in SOURCES.items():
        cells = []
        for rule in RULES:
            for context in (0.05, 0.2):
                if source not in asked_of(rule, context):
                    cells.append("")
                    continue
                rivals = [value(rule, context, rival, "mae", [source]) for rival in RIVALS]
                best = np.nanmin(rivals) if not np.isnan(rivals).all() else np.nan
                bare, ours = (value(rule, context, method, "mae", [source]) for method in (BARE, OURS))
                covered = value(rule, context, OURS, "coverage80", [source])
                rival = "–" if np.isnan(best) else f"{best:.2f}"
                cells.append(f"{rival}, {bare:.2f}, **{ours:.2f}** ({covered:.0f} %)")
        yield f"| {title} | {' | '.join(cells)} |"


def near_chance() -> Iterator[str]:
    """A row a context, and one for all: of all sources' curves within three points of chance."""
    yield "| references | context | curves | without the atlas | neuneu-2 | of those that took off, inside |"
    yield "|---|---|---|---|---|---|"
    for rule, words in RULES.items():
        for contexts, share in [([context], share) for context, share in ASKED] + [(EVERY_CONTEXT, "all")]:
            told = []
            for method in (BARE, OURS):
                places = [(context, source) for context in contexts for source in asked_of(rule, context)]
                rows = [_near(rule, context, source, method) for context, source in places]
                counts = np.array([row["curves"] for row in rows])
                error, covered = (
                    np.average([row[key] for row in rows], weights=counts) for key in ("mae", "coverage80")
                )
                off, inside = (sum(row[key] for row in rows) for key in ("take_off", "take_off_inside"))
                told.append((error, covered, counts.sum(), inside, off))
            cells = [f"{error:.2f} ({covered:.0f} %)" for error, covered, *_ in told]
            took = f"{told[0][3]:.0f} and {told[1][3]:.0f} of {told[1][4]:.0f}"
            yield f"| {words} | {share} | {told[1][2]:,.0f} | {cells[0]} | {cells[1]} | {took} |"


def coverage() -> Iterator[str]:
    """A row a kind of references: coverage at every context, with its standard error over sources."""
    contexts = ((0.0, "none"), *ASKED)
    yield f"| references | {' | '.join(share for _, share in contexts)} |"
    yield f"|---|{'---|' * len(contexts)}"
    for rule, words in RULES.items():
        cells = []
        for context, _ in contexts:
            held = [value(rule, context, OURS, "coverage80", [source]) for source in asked_of(rule, context)]
            error = float(np.std(held, ddof=1) / np.sqrt(len(held)))
            cells.append(f"{np.mean(held):.1f} ± {error:.1f} ({min(held):.0f} to {max(held):.0f})")
        yield f"| {words} | {' | '.join(cells)} |"


def schedule() -> Iterator[str]:
    """A row a source and kind of references: error without the schedule and with it, at every context."""
    yield f"| source | references | {' | '.join(share for _, share in ASKED)} |"
    yield f"|---|---|{'---|' * len(ASKED)}"
    for source, title in (("open_sci_ref", SOURCES["open_sci_ref"]), (BRANCHES, "OLMo ladder, decays")):
        for rule, words in RULES.items():
            cells = []
            for context, _ in ASKED:
                told = [
                    [value(rule, context, method, key, [source], "schedule") for key in ("mae", "coverage80")]
                    for method in (OURS, "schedule told")
                ]
                cells.append(" → ".join(f"{error:.2f} ({covered:.0f} %)" for error, covered in told))
            yield f"| {title} | {words} | {' | '.join(cells)} |"


ABLATED = {
    OURS: "all", "without the atlas": "the atlas", "without trees": "trees: the process alone",
    "without the process's share": "the process's share in the mean",
    "without other tasks": "the run's other tasks",
    "without finer metrics": "finer metrics", "without the plan": "the planned end",
    "without past errors": "stretching by past errors",
}  # fmt: skip
"""Methods of the arm "ablation" and what they lack, in words."""


def ablation() -> Iterator[str]:
    """A row an ingredient: error, coverage and pinball loss without it, means over sources."""
    places = [(rule, context, share) for rule in ("none", "finished") for context, share in ASKED[::2]]
    yield f"| without | {' | '.join(f'{RULES[rule]}, {share}' for rule, _, share in places)} |"
    yield f"|---|{'---|' * len(places)}"
    for method, words in ABLATED.items():
        cells = []
        for rule, context, _ in places:
            sources = [source for source in SOURCES if (rule, context, source, OURS) in measured("ablation")]
            error, covered, loss = (
                value(rule, context, method, key, sources, "ablation")
                for key in ("mae", "coverage80", "pinball")
            )
            cells.append(f"{error:.2f} ({covered:.0f} %) {loss:.2f}")
        yield f"| {'–' if method == OURS else words} | {' | '.join(cells)} |"


def _near(rule: str, context: float, source: str, method: str) -> dict[str, float]:
    """Of curves near chance: means over seeds."""
    rows = [row.get("near_chance") for row in measured()[rule, context, source, method]]
    known = [row for row in rows if row]
    keys = ("curves", "mae", "coverage80", "take_off", "take_off_inside")
    return {key: float(np.mean([row[key] for row in known])) if known else 0.0 for key in keys}
