"""Tables of results/moments.json for the documents; `benchmarks.tables` puts them there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.moments import CLASSICAL, LAWS, ONE_MOMENT, RESULTS, SPLITS, STATISTIC_LAWS, WITHOUT

from neuneu.files import read_json

FOLDER = Path(RESULTS).parent
NETWORK, NETWORK_WITHOUT = "neuneu-levels", "neuneu-residual"
EVIDENCE = {
    "last-value": "none: last value", "power-law": "none: power law", WITHOUT: "no losses (rise-law)",
    "p": "m", ONE_MOMENT: "m, m² (**loss-law**)", "p, squared, cubed": "m, m², m³", "p, p²": "m, mean of p²",
    "p, p², p³": "m, means of p² and p³", "mean loss": "mean loss and its square",
    "median": "median of p and its square", "q10": "10 % quantile of p and its square",
    "p, q10, q90": "m, 10 and 90 % quantiles of p", "p, seven quantiles": "m, seven quantiles of p",
    "size": "no losses: log parameters", "size, squared": "no losses: log parameters and their square",
    "p, size": "m, log parameters",
    "loss": "mean loss", "log rank": "mean log rank", "hit 1": "top-1 hits", "hit 10": "top-10 hits",
    "entropy": "mean entropy",
    "top 1": "mean probability of the likeliest", "top 10": "mean probability of the ten likeliest",
}  # fmt: skip
"""Law → what it reads, in words; m is the mean of p = exp(−loss)."""
BASE = 6
"""Numbers a task of the law without losses; each moment and power is one of the level and one of the rise."""


def measured(part: str) -> dict[tuple[str, float, str], dict[str, Any]]:
    """Rows of a part by split, context and law."""
    rows = read_json(RESULTS)[part]["rows"]
    return {(row["split"], row["context"], row["law"]): row for row in rows}


def network(name: str, where: str) -> dict[str, float]:
    """A network's error in points: on Gemstones by context, on the home suite by split at 20 %."""
    if where == "gemstones":
        rows = read_json(FOLDER / "neuneu-gemstones.json")["rows"]
        (own,) = [row["mae_by_context"] for row in rows if row["forecaster"] == name]
        return {context: 100 * mae for context, mae in own.items()}
    splits = read_json(FOLDER / "home-suite.json")["splits"]
    return {
        split: 100 * row["mae"]
        for split in SPLITS
        for row in splits[split]["rows"]
        if row["forecaster"] == name
    }


def moments() -> Iterator[str]:
    """A row a law: its error on Gemstones by context and on the home suite by split, and what it keeps."""
    gemstones, home = measured("gemstones"), measured("home")
    asked = (0.1, 0.2, 0.5)
    shares = [f"{context:.0%}".replace("%", " %") for context in asked]
    yield (
        f"| what the law reads of the losses | numbers a task | Gemstones, {' | '.join(shares)} "
        f"| of the network's gain, 10 and 20 % | home, 20 %: {' | '.join(SPLITS)} |"
    )
    yield f"|---|---|{'---|' * (len(asked) + 1 + len(SPLITS))}"
    gains = [
        network(NETWORK_WITHOUT, "gemstones")[str(c)] - network(NETWORK, "gemstones")[str(c)]
        for c in asked[:2]
    ]
    for law in (*CLASSICAL, WITHOUT, *LAWS):
        names, powers = LAWS.get(law, ((), 0))
        numbers = "" if law in CLASSICAL else str(BASE + 2 * len(names) * powers)
        errors = [100 * gemstones["folds", context, law]["mae"] for context in asked]
        without = [100 * gemstones["folds", context, WITHOUT]["mae"] for context in asked]
        kept = [
            f"{(w - e) / g:.0%}".replace("%", " %") for w, e, g in zip(without, errors, gains, strict=False)
        ]
        at_home = [f"{100 * home[split, 0.2, law]['mae']:.2f}" for split in SPLITS]
        cells = [*(f"{error:.2f}" for error in errors), " and ".join(kept) if names else "", *at_home]
        yield f"| {EVIDENCE[law]} | {numbers} | {' | '.join(cells)} |"
    for name, words in ((NETWORK_WITHOUT, "network without losses"), (NETWORK, "network")):
        own, splits = network(name, "gemstones"), network(name, "home")
        cells = [*(f"{own[str(context)]:.2f}" for context in asked), ""]
        yield f"| {words}: {name} | | {' | '.join([*cells, *(f'{splits[split]:.2f}' for split in SPLITS)])} |"
    rows = [home[split, 0.2, ONE_MOMENT] for split in SPLITS]
    sizes = [gemstones["folds", 0.2, ONE_MOMENT], *rows]
    counts = [f"{row['runs']}, {row['curves']:,}" for row in sizes]
    yield f"| runs, curves asked | | {counts[0]} | | | | {' | '.join(counts[1:])} |"


def statistics() -> Iterator[str]:
    """A row a law: errors by split and context, and its distance to the law of the losses' moment."""
    rows = measured("statistics")
    asked = [(split, context) for split in SPLITS for context in (0.1, 0.2)]
    heads = [f"{split}, {context:.0%}".replace("%", " %") for split, context in asked]
    yield f"| what the law reads of the tokens | {' | '.join(heads)} |"
    yield f"|---|{'---|' * len(asked)}"
    for law in (*CLASSICAL, WITHOUT, *STATISTIC_LAWS):
        words = EVIDENCE.get(law) or "m and " + EVIDENCE.get(law.removeprefix("p and "), "all six")
        cells = []
        for split, context in asked:
            row = rows[split, context, law]
            low, high = (100 * bound for bound in row["over_one_moment_95"])
            plain = law == ONE_MOMENT or law in CLASSICAL
            cells.append(f"{100 * row['mae']:.2f}" + ("" if plain else f" ({low:+.2f} to {high:+.2f})"))
        yield f"| {words} | {' | '.join(cells)} |"
    sizes = [rows[split, context, ONE_MOMENT] for split, context in asked]
    counts = [f"{row['runs']}, {row['curves']:,}" for row in sizes]
    yield f"| runs, curves asked | {' | '.join(counts)} |"
