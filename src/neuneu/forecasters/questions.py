"""Questions about finished runs whose answers are known: what forecasters are calibrated and trained on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.table import CurveTable
from neuneu.forecasters.evidence import Evidence, EvidenceBuilder, References
from neuneu.losses.store import LossStore

FRACTIONS = (0.1, 0.2, 0.3, 0.5, 0.7)
MIN_CHECKPOINTS = 8
HORIZONS_PER_CONTEXT = 12


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
) -> Questions:
    """Questions at several context ends of every long enough curve of the table, one metric a curve.

    A context holds the checkpoints up to a fraction of the run's final clock; of the later ones at most
    `HORIZONS_PER_CONTEXT` are asked, evenly picked. whole_evidence: look up other curves of the run,
    references and losses as well (slower).
    """
    builder = EvidenceBuilder(table, losses, references) if whole_evidence else None
    curves = [curve for curve in _one_metric(table) if len(curve) >= MIN_CHECKPOINTS]
    evidences, horizons, truths, owners = [], [], [], []
    for curve in curves:
        for context_size in sorted({_context_size(curve, fraction) for fraction in fractions}):
            end = float(curve.clock[context_size - 1])
            later = _pick(np.arange(context_size, len(curve)))
            evidences.append(
                builder.at(curve, end, sees_future=sees_future)
                if builder
                else Evidence(context=curve.until(end))
            )
            horizons.append(curve.clock[later])
            truths.append(curve.values[later])
            owners.append(curve)
    sources = [family_of(curve) for curve in owners]
    return Questions(evidences, horizons, truths, _weights(owners, sources), sources)


def family_of(curve: Curve) -> str:
    """What is left out together: the run's family, else its source, else the run."""
    return curve.facts.family or curve.facts.source or curve.key.run


def _one_metric(table: CurveTable) -> list[Curve]:
    chosen = table.one_metric().curves
    return chosen or table.curves


def _context_size(curve: Curve, fraction: float) -> int:
    size = int(np.searchsorted(curve.clock, fraction * curve.clock[-1], side="right"))
    return min(max(size, 1), len(curve) - 1)


def _pick(
    indices: "np.ndarray[tuple[int], np.dtype[np.int64]]",
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    if len(indices) <= HORIZONS_PER_CONTEXT:
        return indices
    even = np.linspace(0, len(indices) - 1, HORIZONS_PER_CONTEXT)
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
