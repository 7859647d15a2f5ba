"""In what setting a benchmark is asked: format, shots and normalisation, and how similar two settings are."""

from dataclasses import dataclass

import numpy as np

from neuneu.curves.curve import CurveKey
from neuneu.curves.tasks import find_task
from neuneu.errors import check_known

FORMATS = ("rc", "mc", "gen")
"""Scored are the texts of the choices (rc), the letters of listed choices (mc), a written answer (gen)."""

GENERATED = frozenset({"lambada_openai", "lambada_standard", "triviaqa", "gsm8k", "nq_open", "humaneval"})
"""Tasks whose answer is written, whichever harness asks."""

LISTED = frozenset({"csqa"})
"""Tasks besides MMLU whose choices lm-evaluation-harness lists by letter."""

NORMALISED = frozenset(
    {"len_norm", "acc_norm", "acc_per_char", "acc_per_token", "acc_per_byte", "acc_uncond"}
)
PLAIN = frozenset({"acc", "acc_raw", "exact_match", "em", "pass@1", "acc_all"})
"""Accuracies of choices whose likelihood is normalised, and of those as they are."""

UNKNOWN_FORMAT = 0.3
OTHER_NORMALISATION, UNKNOWN_NORMALISATION = 0.3, 0.6
OTHER_SHOTS, UNKNOWN_SHOTS = 0.6, 0.8
"""What a relative weighs in another setting than the one asked, each a factor. Shots count by the log of one
plus their number, at most one unit of it. Chosen among two or three values each, leave one family out."""


@dataclass(frozen=True, slots=True)
class Setting:
    """format: one of FORMATS; n_shot; normalised: whether likelihoods are; each None where unknown."""

    format: str | None = None
    n_shot: int | None = None
    normalised: bool | None = None

    def likeness(self, other: "Setting") -> float:
        """What a law in the other setting weighs for this one, in [0, 1]; 0 where the formats differ."""
        weight = 1.0
        if self.format != other.format:
            weight *= 0.0 if self.format and other.format else UNKNOWN_FORMAT
        if self.normalised is not other.normalised:
            unknown = self.normalised is None or other.normalised is None
            weight *= UNKNOWN_NORMALISATION if unknown else OTHER_NORMALISATION
        if self.n_shot != other.n_shot:
            if self.n_shot is None or other.n_shot is None:
                weight *= UNKNOWN_SHOTS
            else:
                weight *= OTHER_SHOTS ** min(1.0, abs(np.log1p(self.n_shot) - np.log1p(other.n_shot)))
        return float(weight)


def setting_of(key: CurveKey) -> Setting:
    """The setting that a curve's key tells: its variant, its metric, and its task where these are silent."""
    variant = key.variant or ""
    normalised = True if key.metric in NORMALISED else False if key.metric in PLAIN else None
    named = [name for name in FORMATS if name in variant.split("_")]
    if named:
        return Setting(named[0], key.n_shot, normalised)
    return Setting(usual_format(key.task, normalised=bool(normalised)), key.n_shot, normalised)


def usual_format(task: str, *, normalised: bool = False) -> str:
    """The format that harnesses ask a task in unless told otherwise; only texts are normalised."""
    name = find_task(task).name
    if name in GENERATED:
        return "gen"
    listed = name in LISTED or name == "mmlu" or name.startswith("mmlu_")
    return "mc" if listed and not normalised else "rc"


def check_format(name: str | None) -> str | None:
    """The format of this name. Raises InputError on any other."""
    if name is not None:
        check_known(name, FORMATS, "format", "unknown")
    return name
