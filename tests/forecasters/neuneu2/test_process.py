"""The process over runs: units and names do not matter, references are followed, spread grows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forecasters.forecaster_cases import make_curve

from neuneu.curves.curve import Curve, Facts, Floats
from neuneu.errors import InputError
from neuneu.evidence.batch import make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.questions import Questions
from neuneu.forecasters.neuneu2.candidates import units_of
from neuneu.forecasters.neuneu2.process import LENGTHS, VARIANCES, Process, _kernels, posterior
from neuneu.forecasters.neuneu2.surface import Units, alike, make_surface

CLOCK = np.geomspace(1e8, 1e10, 24)
AHEAD = np.array([0.1, 0.5, 1.0, 1.6])


def curve_of(rise: float, params: int, recipe: str = "a", start: float = 0.3, noise: float = 0.0) -> Curve:
    values = start + rise * np.log(CLOCK / CLOCK[0]) + noise * np.random.default_rng(params).normal(size=24)
    name = f"run-{params}-{recipe}"
    curve = make_curve(CLOCK, values)
    return replace(
        curve, key=curve.key._replace(run=name), facts=Facts(family="f", params=params, recipe=recipe)
    )


def evidence_of(rise: float = 0.03, references: tuple[Curve, ...] = ()) -> Evidence:
    return Evidence(curve_of(rise, 800).until(2e9), references=references, planned_end=1e10)


def ask(evidence: Evidence, ahead: Floats = AHEAD) -> tuple[Floats, Floats, Floats]:
    units = units_of(make_batch([evidence], [np.exp(ahead) * evidence.end]))
    return Process().forecast([evidence], [ahead], units)


@settings(max_examples=20)
@given(scale=st.floats(1e-6, 1e6), names=st.permutations(["x", "y", "z"]))
def test_the_unit_of_the_clock_and_the_names_of_recipes_do_not_matter(scale: float, names: list[str]) -> None:
    references = tuple(
        curve_of(0.02, params, recipe) for params, recipe in [(100, "x"), (200, "y"), (400, "z")]
    )
    rename = dict(zip("xyz", names, strict=True))
    moved = tuple(
        replace(r, clock=r.clock * scale, facts=replace(r.facts, recipe=rename[str(r.facts.recipe)]))
        for r in references
    )
    evidence = evidence_of(references=references)
    context = replace(evidence.context, clock=evidence.context.clock * scale)
    assert evidence.planned_end
    other = Evidence(context, references=moved, planned_end=evidence.planned_end * scale)
    for one, two in zip(ask(evidence), ask(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-9)


def test_a_line_goes_on_and_its_spread_grows() -> None:
    mean, spread, _ = ask(evidence_of(0.03))
    end = 0.3 + 0.03 * np.log(2e9 / CLOCK[0])
    assert np.all(np.diff(mean) > 0)
    np.testing.assert_allclose(mean, end + 0.03 * AHEAD, atol=0.03)
    assert np.all(np.diff(spread) > 0)


@pytest.mark.parametrize("later", [-0.06, 0.0, 0.06])
def test_references_say_what_the_curve_cannot(later: float) -> None:
    """References that rise, stay or fall after the context end, alike before it, are followed."""
    bent = []
    for params in (100, 200, 400):
        curve = curve_of(0.03, params)
        after = np.maximum(np.log(CLOCK / 2e9), 0.0)
        bent.append(replace(curve, values=curve.values + (later - 0.03) * after))
    mean, spread, _ = ask(evidence_of(references=tuple(bent)))
    end = 0.3 + 0.03 * np.log(2e9 / CLOCK[0])
    np.testing.assert_allclose(mean, end + later * AHEAD, atol=0.045)
    assert spread[0] <= 1.1 * ask(evidence_of())[1][0]


def test_references_that_do_not_fit_make_the_context_unlikely() -> None:
    fitting = tuple(curve_of(0.03, p, noise=0.002) for p in (100, 200, 400))
    strange = tuple(
        replace(c, values=0.5 + 0.3 * np.sin(3 * np.log(CLOCK) + c.facts.params)) for c in fitting
    )
    alone = ask(evidence_of())[2][0]
    assert ask(evidence_of(references=strange))[2][0] < alone < ask(evidence_of(references=fitting))[2][0]


def test_numpy_and_torch_agree() -> None:
    torch = pytest.importorskip("torch")
    from neuneu.forecasters.neuneu2.process import _to_torch

    evidence = evidence_of(references=(curve_of(0.02, 100), curve_of(0.04, 200, "b")))
    surface = make_surface([evidence], [AHEAD], Units(np.ones(1), np.full(1, 0.4), np.full(1, 0.01)))
    parameters = np.log(list(VARIANCES.values())), np.log(list(LENGTHS.values()))
    ours = posterior(np, surface, *parameters)
    theirs = posterior(torch, _to_torch(surface), *map(torch.from_numpy, parameters))
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, two.numpy(), atol=1e-9)


def test_tasks_of_a_run_share_one_layout_and_say_what_they_say_alone() -> None:
    given = [
        evidence_of(0.02, references=(curve_of(0.02, 100), curve_of(0.04, 200, "b"))),
        evidence_of(0.05, references=(curve_of(0.01, 100), curve_of(0.03, 200, "b"))),
        evidence_of(0.03),
    ]
    assert alike(given).tolist() == [0, 0, 1]
    units = Units(np.ones(3), np.array([0.4, 0.5, 0.45]), np.full(3, 0.01))
    surface = make_surface(given, [AHEAD] * 3, units)
    assert surface.layout.tolist() == [0, 0, 1]
    together = Process().forecast(given, [AHEAD] * 3, units)
    alone = [Process().forecast([e], [AHEAD], units.part([i])) for i, e in enumerate(given)]
    for one, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(one, np.concatenate(parts), atol=1e-9)


def test_the_likelihood_is_the_density_of_the_context_given_the_references() -> None:
    """Of a normal distribution: the log density of all points minus that of the references' alone."""
    units = Units(np.ones(1), np.full(1, 0.4), np.full(1, 0.01))
    given = evidence_of(references=(curve_of(0.02, 100), curve_of(0.04, 200, "b")))
    surface = make_surface([given], [AHEAD], units)
    parameters = [np.log(list(values.values())) for values in (VARIANCES, LENGTHS)]
    found = posterior(np, surface, *parameters)[2][0]
    kernels = _kernels(np, surface, VARIANCES, LENGTHS)
    scale, noise = surface.scale[0] ** 2, surface.noise[0] ** 2
    covariance = scale * kernels.signal[0] + noise * kernels.noise[0] + kernels.jitter[0]
    of_context = surface.run[0] == 0

    def density(which: np.ndarray) -> float:
        part, y = covariance[np.ix_(which, which)], surface.y[0][which]
        return -0.5 * (np.linalg.slogdet(part)[1] + y @ np.linalg.solve(part, y))

    expected = density(np.ones_like(of_context)) - density(~of_context)
    np.testing.assert_allclose(found, expected / of_context.sum(), atol=1e-8)


def test_parameters_of_another_version_are_refused() -> None:
    with pytest.raises(InputError, match="another process"):
        Process(log_variances=(0.0,))


def test_no_question_no_answer() -> None:
    nothing = Process().forecast([], [], Units(*np.empty((3, 0))))
    assert [len(part) for part in nothing] == [0, 0, 0]
    assert not len(Questions([], [], [], np.empty(0), []))
