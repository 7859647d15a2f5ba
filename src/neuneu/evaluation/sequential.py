"""The sequential protocol: each answer is appended to the context before the next checkpoint is asked."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neuneu.curves.curve import Curve
from neuneu.evaluation.protocol import Protocol
from neuneu.evidence.cut import Question
from neuneu.evidence.evidence import Evidence, EvidenceBuilder
from neuneu.forecasters.base import Forecast, Forecaster, Refusal


def one_by_one(
    forecaster: Forecaster, asked: Sequence[Question], builder: EvidenceBuilder, protocol: Protocol
) -> list[Forecast | Refusal]:
    """Forecast each question's next checkpoint, append the answer, repeat; all questions side by side.

    Fed with medians, everything but the context (losses, other tasks) stays as it was at the context end;
    fed with the truth, the context end itself moves.
    """
    given: list[list[Forecast]] = [[] for _ in asked]
    declined: dict[int, Refusal] = {}
    longest = max(len(question.horizons) for question in asked)
    for done in range(longest):
        open_ones = [i for i, q in enumerate(asked) if done < len(q.horizons) and i not in declined]
        if not open_ones:
            break
        evidences = [_next_evidence(forecaster, asked[i], builder, given[i], protocol) for i in open_ones]
        horizons = [asked[i].horizons[done : done + 1] for i in open_ones]
        for i, answer in zip(open_ones, forecaster.forecast_many(evidences, horizons), strict=True):
            if isinstance(answer, Refusal):
                declined[i] = answer
            else:
                given[i].append(answer)
    return [declined[i] if i in declined else _joined(given[i]) for i in range(len(asked))]


def _next_evidence(
    forecaster: Forecaster,
    question: Question,
    builder: EvidenceBuilder,
    given: Sequence[Forecast],
    protocol: Protocol,
) -> Evidence:
    curve, cut = question.curve, question.size + len(given)
    if protocol.feed == "truth":
        return builder.at(curve, float(curve.clock[cut - 1]), sees_future=forecaster.sees_future)
    known = builder.at(curve, question.end, sees_future=forecaster.sees_future)
    if not given:
        return known
    return replace(
        known,
        context=_extended(known.context, curve, [float(f.median[0]) for f in given]),
        run_curves=(*known.other_tasks, *known.other_metrics),
    )


def _extended(context: Curve, curve: Curve, medians: Sequence[float]) -> Curve:
    stop = len(context) + len(medians)
    return replace(
        context,
        steps=curve.steps[:stop],
        clock=curve.clock[:stop],
        values=np.concatenate([context.values, medians]),
        stderr=np.concatenate([context.stderr, np.full(len(medians), np.nan)]),
    )


def _joined(forecasts: Sequence[Forecast]) -> Forecast:
    return Forecast(
        np.concatenate([f.horizons for f in forecasts]),
        np.concatenate([f.values for f in forecasts]),
        forecasts[0].levels,
    )
