"""What is public knowledge of DataDecide: how its models, their branches and its results name the same run.

The hub has a model repository a recipe and size (allenai/DataDecide-c4-300M), in it a branch a step and seed
(step1250-seed-small-aux-2); the results say data "C4", params "300M", seed "small aux 2".
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from neuneu.errors import InputError

SEEDS = {"default": 0, "small aux 2": 1, "small aux 3": 2, "large aux 2": 3, "large aux 3": 4}
"""What the results call the seeds, and their numbers in the wide layout."""

RECIPES = {
    "c4": "C4",
    "dclm-baseline": "DCLM-Baseline",
    "dclm-baseline-25p-dolma1.7-75p": "DCLM-Baseline 25% / Dolma 75%",
    "dclm-baseline-50p-dolma1.7-50p": "DCLM-Baseline 50% / Dolma 50%",
    "dclm-baseline-75p-dolma1.7-25p": "DCLM-Baseline 75% / Dolma 25%",
    "dclm-baseline-qc-10p": "DCLM-Baseline (QC 10%)",
    "dclm-baseline-qc-20p": "DCLM-Baseline (QC 20%)",
    "dclm-baseline-qc-7p-fw2": "DCLM-Baseline (QC 7%, FW2)",
    "dclm-baseline-qc-7p-fw3": "DCLM-Baseline (QC 7%, FW3)",
    "dclm-baseline-qc-fw-3p": "DCLM-Baseline (QC FW 3%)",
    "dclm-baseline-qc-fw-10p": "DCLM-Baseline (QC FW 10%)",
    "dolma1_6plus": "Dolma1.6++",
    "dolma1_7": "Dolma1.7",
    "dolma1_7-no-code": "Dolma1.7 (no code)",
    "dolma1_7-no-flan": "Dolma1.7 (no Flan)",
    "dolma1_7-no-math-code": "Dolma1.7 (no math, code)",
    "dolma1_7-no-reddit": "Dolma1.7 (no Reddit)",
    "falcon": "Falcon",
    "falcon-and-cc": "Falcon+CC",
    "falcon-and-cc-qc-10p": "Falcon+CC (QC 10%)",
    "falcon-and-cc-qc-20p": "Falcon+CC (QC 20%)",
    "falcon-and-cc-qc-orig-10p": "Falcon+CC (QC Orig 10%)",
    "falcon-and-cc-qc-tulu-10p": "Falcon+CC (QC Tulu 10%)",
    "fineweb-edu": "FineWeb-Edu",
    "fineweb-pro": "FineWeb-Pro",
}
"""Recipe in a repository's name → `data` in the results: the 25 corpora, each named by one name only."""

SIZES = (
    "4M", "6M", "8M", "10M", "14M", "16M", "20M", "60M", "90M", "150M", "300M", "530M", "750M", "1B"
)  # fmt: skip
"""The published sizes."""

LARGE = "1B"
"""The one size whose further seeds are named "large aux k"; all others have "small aux k"."""

TOKENIZER = "allenai/OLMo-1B"
"""The tokenizer that NeuNeu's corpus was made with."""

_RUN = re.compile(r"datadecide/(?P<data>.+)-(?P<size>\d+[MB])-seed\d+")
_PYTHIA = re.compile(r"pythia-v1/(pythia-[\w.-]+)")
_MODEL = re.compile(r"(?:[^/]+/|.*--)?DataDecide-(?P<recipe>.+)-(?P<size>\d+[MB])")


class DataDecideModel(NamedTuple):
    """A model of DataDecide: its recipe as the repository names it, and its size."""

    recipe: str
    size: str


def find_model(repository: str) -> DataDecideModel | None:
    """The model of a repository's or folder's name (allenai/DataDecide-c4-300M); None for others."""
    found = _MODEL.fullmatch(repository)
    if found is None or found["recipe"] not in RECIPES or found["size"] not in SIZES:
        return None
    return DataDecideModel(found["recipe"], found["size"])


def seed_branch(seed: str, repository: str) -> str:
    """What the branches of a seed end in: "default" → seed-default; "2" → seed-small-aux-2, seed-large-aux-2.

    seed: "default", the number k of the further seeds, or what the branches or the results call it. Raises
    InputError where the name is none of DataDecide's, or the size does not have this seed.
    """
    name = seed.removeprefix("seed-").replace(" ", "-")
    known = {known.replace(" ", "-") for known in SEEDS}
    if name.isdecimal():
        model = find_model(repository)
        if model is None:
            rule = "a number needs a model of DataDecide, whose size says which: name the branches' end"
            raise InputError(rule, where=repository, field="seed", value=seed)
        name = f"{'large' if model.size == LARGE else 'small'}-aux-{name}"
    if name not in known:
        rule = f"must be a seed of DataDecide: {', '.join(sorted(known))}, or the number of one"
        raise InputError(rule, where=repository, field="seed", value=seed)
    return f"seed-{name}"


def run_name(repository: str, branch_end: str) -> str | None:
    """The run as `import datadecide` names it: datadecide/C4-300M-seed1; None for other models."""
    model = find_model(repository)
    numbers = {name.replace(" ", "-"): number for name, number in SEEDS.items()}
    number = numbers.get(branch_end.removeprefix("seed-"))
    if model is None or number is None:
        return None
    return f"datadecide/{RECIPES[model.recipe]}-{model.size}-seed{number}"


def published_names(runs: Iterable[str]) -> dict[str, str]:
    """Each run under the name that NeuNeu's code reads it by: DataDecide-c4-300M, EleutherAI--pythia-70m.

    Other runs keep their name. Raises InputError where two would have one name, as two seeds of a model do:
    the published layout has a folder of its own for each seed.
    """
    recipes = {data: recipe for recipe, data in RECIPES.items()}
    found: dict[str, str] = {}
    for run in sorted(runs):
        own, pythia = _RUN.fullmatch(run), _PYTHIA.fullmatch(run)
        name = run
        if own and own["data"] in recipes:
            name = f"DataDecide-{recipes[own['data']]}-{own['size']}"
        elif pythia:
            name = f"EleutherAI--{pythia[1]}"
        if name in found:
            rule = f"{found[name]} has the same published name: choose one seed a folder"
            raise InputError(rule, field="run", value=run)
        found[name] = run
    return {run: name for name, run in found.items()}
