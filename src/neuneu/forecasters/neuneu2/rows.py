"""Training cells of neuneu-2: questions with their candidates, answers and weights; and their folds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.evidence.batch import Batch, make_batch
from neuneu.evidence.questions import Questions
from neuneu.forecasters.neuneu2.candidates import Candidates, make_candidates
from neuneu.forecasters.neuneu2.expected import Laws
from neuneu.forecasters.neuneu2.process import Process

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 3
"""Sources are left out of the trees in so many turns, for the widths."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Training cells: a batch with candidates, and the question, answer and weight of each, (n_cells,)."""

    batch: Batch
    candidates: Candidates
    cell: "NDArray[np.intp]"
    truth: Floats
    weight: Floats

    @classmethod
    def of(
        cls, questions: Questions, process: Process, hidden: "NDArray[np.bool_]", laws: Laws | None
    ) -> "Rows":
        """Rows of questions. hidden: (n_questions,) whose references are not shown; laws: of their tasks."""
        batch = make_batch(questions.evidences, questions.horizons)
        bare = [
            replace(evidence, references=(), reference_metrics=()) if hide else evidence
            for evidence, hide in zip(batch.evidences, hidden, strict=True)
        ]
        batch = replace(batch, evidences=bare)
        candidates = make_candidates(batch, process, laws)
        truth = np.concatenate([np.empty(0), *questions.truths]) / batch.unit[batch.cell]
        sizes = np.bincount(batch.cell, minlength=batch.n)
        weight = questions.weights[batch.cell] / sizes[batch.cell]
        return cls(batch, candidates, batch.cell, truth, weight)

    def part(self, mask: "NDArray[np.bool_]") -> "Rows":
        """These cells only."""
        return Rows(
            self.batch, self.candidates.part(mask), self.cell[mask], self.truth[mask], self.weight[mask]
        )


def folds_of(questions: Questions) -> "NDArray[np.intp]":
    """Fold of each question, of `FOLDS`: by source; where there is one source, by run."""
    names: Sequence[str] = questions.sources
    if len(set(names)) < 2:
        names = [evidence.context.key.run for evidence in questions.evidences]
    sizes = Counter(names)
    order = {name: i % FOLDS for i, name in enumerate(sorted(sizes, key=lambda name: (-sizes[name], name)))}
    return np.array([order[name] for name in names], dtype=np.intp)
