"""How models to evaluate are named."""

import pytest

from neuneu.errors import InputError
from neuneu.suite.outside_models import parse_model


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("models/gpt", ("models/gpt", "models/gpt", 0)),
        ("models/gpt@300", ("models/gpt", "models/gpt", 300)),
        ("mine=models/gpt@300", ("mine", "models/gpt", 300)),
        ("runs/a/weights/step20", ("a", "runs/a/weights/step20", 20)),
        ("runs/a/00000020", ("a", "runs/a/00000020", 20)),
        ("runs/a/step20", ("a", "runs/a/step20", 20)),
        ("runs/a/step20@7", ("a", "runs/a/step20", 7)),
        ("b=runs/a/step20/", ("b", "runs/a/step20/", 20)),
        ("owner/name@5", ("owner/name", "owner/name", 5)),
    ],
)
def test_run_folder_and_step(name: str, expected: tuple[str, str, int]) -> None:
    assert parse_model(name) == expected


def test_a_step_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="whole number"):
        parse_model("models/gpt@last")
