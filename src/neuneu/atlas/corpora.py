"""What a training corpus is worth: families trained on the same data stand alike on every benchmark.

An effect is a shift in capability, common to all tasks: how much further along the law that all families
share a family's models on this corpus stand than their parameters and tokens say.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl

from neuneu.atlas.atlas import laws_of
from neuneu.atlas.combine import shared_shape
from neuneu.atlas.family_laws import KNOTS, Law
from neuneu.curves.curve import Floats
from neuneu.curves.table import CurveTable
from neuneu.errors import check_known
from neuneu.files import read_json, write_json

NAMES: Mapping[str, tuple[str, ...]] = {
    "c4": ("c4", "allenai c4", "c4 en"),
    "dclm-baseline": ("dclm", "dclm baseline", "dclm pool", "olmo mix 1124", "olmo mix 1124 peteish"),
    "dolma": ("dolma", "dolma1.7", "dolma v1", "dolma v1 no resample", "dolma v1.5", "dolma v1.7"),
    "fineweb-edu": ("fineweb edu", "fineweb edu sample", "fineweb edu dedup"),
    "hplt": ("hplt", "hplt 2.0", "hplt v2", "hplt v2 cleaned"),
    "nemotron-cc-hq": (
        "nemotron cc hq",
        "nemotron cc 2024 hq",
        "nemotron cc 2024 hq real synth mix",
        "nemotron hq",
    ),
    "pile": ("pile", "the pile", "pile deduped"),
    "redpajama": ("redpajama", "rpj", "slimpajama", "slimpajama 627b", "redpajama v1"),
    "refinedweb": ("refinedweb", "rw", "rw v2", "falcon refinedweb", "refinedweb v2 postsubstr"),
}
"""Corpora by their public names, as recipes of curve tables write them (signs between words do not count).
OLMo-mix-1124 is DCLM-baseline to 95 % (OLMo 2, 2025, table 1); SlimPajama is RedPajama without repeats."""

SAYS_HOW_MUCH = re.compile(r"original|\d[\d.]*[bkmt]+|lr[\d.e]+")
"""Words after a name that say how much of the corpus or how it was trained on, and not another corpus."""

SHIFTS = np.array(sorted(np.round(np.arange(-1.0, 1.01, 0.05), 2), key=abs))
"""Effects that are tried, small ones first: where several fit alike the smallest is taken."""
ALIKE = 0.1
"""Laws in settings less alike than this are not compared."""
FLAT = 0.03
"""A benchmark whose shared law rises by less tells nothing of a corpus."""
BEYOND = 2
"""A law is compared at knots up to so many beyond those that other families reach."""
NO_EFFECT = 1.0
"""An effect is believed as if so many families more had shown none. With 0.3, 0.5 and 1 the error before
training is the same to 0.5 % (leave one family out)."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a corpus was worth in one family: `shift` in capability, told by so many runs."""

    corpus: str
    family: str
    shift: float
    runs: int


class Corpora:
    """Effects of corpora, and what a family that is none of theirs has to expect of one."""

    def __init__(self, effects: Sequence[Effect]) -> None:
        """effects: at most one for each corpus and family."""
        self.effects = tuple(effects)

    @property
    def names(self) -> list[str]:
        """Corpora of which anything is known, sorted."""
        return sorted({effect.corpus for effect in self.effects})

    def shift(self, corpus: str | None, without: Iterable[str] = ()) -> float | None:
        """Shift in capability that this corpus is worth; None where nothing is known of it.

        without: families that are left out.
        """
        left_out = frozenset(without)
        found = [e.shift for e in self.effects if e.corpus == corpus and e.family not in left_out]
        return sum(found) / (len(found) + NO_EFFECT) if found else None

    def write(self, path: Path) -> None:
        """Write the effects as JSON."""
        write_json(path, [asdict(effect) for effect in self.effects])


@cache
def shipped_corpora() -> Corpora:
    """The effects that ship with the atlas, from the same sources."""
    path = Path(str(files("neuneu.atlas").joinpath("shipped", "corpora.json")))
    return Corpora([Effect(**row) for row in read_json(path)])


def find_corpus(recipe: str | None) -> str | None:
    """The corpus that a recipe names and nothing else; None for mixtures and names that are not known."""
    words = re.sub(r"[^a-z0-9.]+", " ", (recipe or "").lower()).split()
    while words:
        named = " ".join(words)
        for corpus, names in NAMES.items():
            if named in names:
                return corpus
        if not SAYS_HOW_MUCH.fullmatch(words.pop()):
            return None
    return None


def check_corpus(name: str) -> str:
    """The corpus of this name. Raises InputError where it is none that the atlas knows."""
    known = shipped_corpora().names
    found = find_corpus(name)
    if found not in known:
        check_known(name, known, "data", "is no corpus that the atlas knows")
    return found or name


def fit_corpora(table: CurveTable, laws: Mapping[str, Sequence[Law]]) -> Corpora:
    """Effects of the corpora that recipes of this table name, beside the laws of all its families.

    table: as `laws_of` takes it; laws: by task, what `laws_of` makes of it.
    """
    recipes = table.frame.get_column("recipe").unique().drop_nulls().to_list()
    corpus_of = {recipe: corpus for recipe in recipes if (corpus := find_corpus(recipe))}
    known = table.frame.filter(pl.col("recipe").is_in(list(corpus_of))).with_columns(
        corpus=pl.col("recipe").replace_strict(corpus_of)
    )
    effects = []
    for (corpus,), part in known.group_by("corpus", maintain_order=True):
        for task_laws in _by_family(laws_of(CurveTable(part.drop("corpus")))).values():
            found = nearest_shift(task_laws, laws)
            if found is not None:
                law = task_laws[0][1]
                runs = max(law.runs for _, law in task_laws)
                effects.append(Effect(str(corpus), law.family, found, runs))
    return Corpora(sorted(effects, key=lambda effect: (effect.corpus, effect.family)))


def _by_family(laws: Mapping[str, Sequence[Law]]) -> dict[str, list[tuple[str, Law]]]:
    found: dict[str, list[tuple[str, Law]]] = {}
    for task, own in laws.items():
        for law in own:
            found.setdefault(law.family, []).append((task, law))
    return found


def nearest_shift(
    own: Sequence[tuple[str, Law]], laws: Mapping[str, Sequence[Law]], reluctance: float = 0.0
) -> float | None:
    """The shift in capability with which these laws of one family lie nearest to what other families share.

    own: by task; laws: by task, of all families; reluctance: how much nearer, in shares of their rise, a
    shift of one must bring them. None where nothing can be compared.
    """
    costs = [cost for task, law in own if (cost := _cost(law, laws.get(task, ()))) is not None]
    if not costs:
        return None
    return float(SHIFTS[np.argmin(np.mean(costs, axis=0) + reluctance * np.abs(SHIFTS))])


def _cost(law: Law, laws: Sequence[Law]) -> Floats | None:
    """Distance of a law from the other families' at each of SHIFTS, in shares of their rise; None where no
    family can be compared."""
    weighed = [
        (other, likeness)
        for other in laws
        if other.family != law.family and (likeness := law.setting.likeness(other.setting)) > ALIKE
    ]
    if not weighed:
        return None
    shape = shared_shape(weighed)
    rise = float(np.ptp(shape))
    low = min(other.knots[0] for other, _ in weighed) - BEYOND
    high = max(other.knots[-1] for other, _ in weighed) + BEYOND
    inside = (law.knots >= low) & (law.knots <= high)
    if rise < FLAT or not inside.any():
        return None
    at = KNOTS[law.knots[inside]] + SHIFTS[:, None]
    distance = np.abs(law.values[inside] - np.interp(at, KNOTS, shape)).mean(axis=1)
    return np.asarray(max(likeness for _, likeness in weighed) * distance / rise)
