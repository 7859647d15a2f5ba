"""Questions about finished runs whose answers are known: what forecasters are calibrated and trained on."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.table import CurveTable
from neuneu.evidence.cut import Question, seen
from neuneu.evidence.evidence import Evidence, EvidenceBuilder
from neuneu.evidence.finished import References
from neuneu.losses.loss_store import LossStore

FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
MIN_CHECKPOINTS = 8
HORIZONS_PER_CONTEXT = 12
CURVES_PER_SOURCE = 300
"""Calibration asks about at most so many curves of a source, drawn by the seed."""


@dataclass(frozen=True, eq=False)
class Questions:
    """Evidences with horizons and the values that came true.

    horizons[i], truths[i]: (n_i,); weights: (n_questions,) equal for each run within a source, for each curve
    within a run and for each source; sources: (n_questions,) name of the source of each.
    """

    evidences: Sequence[Evidence]
    horizons: Sequence[Floats]
    truths: Sequence[Floats]
    weights: Floats
    sources: Sequence[str]

    def __len__(self) -> int:
        return len(self.evidences)


def ask_questions(
    table: CurveTable,
    losses: LossStore | None = None,
    references: References | None = None,
    *,
    whole_evidence: bool = False,
    sees_future: bool = False,
    fractions: Sequence[float] = FRACTIONS,
    curves_per_source: int = CURVES_PER_SOURCE,
    horizons_per_context: int = HORIZONS_PER_CONTEXT,
    seed: int = 0,
) -> Questions:
    """Questions at several context ends of every long enough curve of the table, one metric a curve.

    A context holds the checkpoints up to a fraction of the run's final clock; of the later ones at most
    `horizons_per_context` are asked, evenly picked; of a source at most
    `curves_per_source` curves. whole_evidence: look up other curves of the run,
    references and losses as well (slower).
    """
    builder = EvidenceBuilder(table, losses, references) if whole_evidence else None
    long_enough = [curve for curve in _one_metric(table) if len(curve) >= MIN_CHECKPOINTS]
    asked = [
        Question(curve, size, curve.clock[_pick(np.arange(size, len(curve)), horizons_per_context)])
        for curve in _draw(long_enough, curves_per_source, seed)
        for size in _context_sizes(curve, fractions)
    ]
    evidences = [
        builder.ask(question, sees_future=sees_future) if builder else Evidence(context=question.context)
        for question in asked
    ]
    owners = [question.curve for question in asked]
    sources = [family_of(curve) for curve in owners]
    horizons, truths = [q.horizons for q in asked], [q.truth()[1] for q in asked]
    return Questions(evidences, horizons, truths, _weights(owners, sources), sources)


def family_of(curve: Curve) -> str:
    """What is left out together: the run's family, else its source, else the run."""
    return curve.facts.family or curve.facts.source or curve.key.run


def _one_metric(table: CurveTable) -> list[Curve]:
    chosen = table.one_metric().curves
    return chosen or table.curves


def _draw(curves: Sequence[Curve], per_source: int, seed: int) -> list[Curve]:
    """At most so many curves of each source, in their order."""
    of_source: dict[str, list[int]] = defaultdict(list)
    for index, curve in enumerate(curves):
        of_source[family_of(curve)].append(index)
    rng = np.random.default_rng(seed)
    drawn: list[int] = []
    for source in sorted(of_source):
        drawn += rng.permutation(of_source[source])[:per_source].tolist()
    return [curves[index] for index in sorted(drawn)]


def _context_sizes(curve: Curve, fractions: Sequence[float]) -> list[int]:
    """Checkpoints up to each fraction of the final clock, where there is one with a positive clock."""
    return sorted({seen(curve, fraction) for fraction in fractions} - {0, len(curve)})


def _pick(
    indices: "np.ndarray[tuple[int], np.dtype[np.int64]]", most: int
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    if len(indices) <= most:
        return indices
    even = np.linspace(0, len(indices) - 1, most)
    return indices[np.round(even).astype(np.int64)]


def _weights(curves: Sequence[Curve], sources: Sequence[str]) -> Floats:
    """1 / (questions of the run × runs of the source)."""
    per_run = Counter((source, curve.key.run) for source, curve in zip(sources, curves, strict=True))
    runs = Counter(source for source, _ in per_run)
    return np.array(
        [
            1.0 / (per_run[source, curve.key.run] * runs[source])
            for source, curve in zip(sources, curves, strict=True)
        ]
    )
