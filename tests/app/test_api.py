"""The description of the API is true: made-up requests are answered as it says, by a server that goes on."""

import pytest
from tests.app.conftest import Ask

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

EXAMPLES = 6
"""Made-up requests of each kind."""

KINDS = [
    ("get", "/api/page"), ("get", "/api/forecasters"), ("get", "/api/formats"),
    ("get", "/api/tables/{table}"),
    ("post", "/api/tables"), ("get", "/api/forecast"), ("post", "/api/forecast"),
    ("get", "/api/forecast.csv"), ("post", "/api/forecast.csv"), ("get", "/api/report"),
    ("post", "/api/report"), ("get", "/api/rank"), ("post", "/api/rank"),
]  # fmt: skip


@pytest.fixture(scope="module")
def described(ask: Ask):
    return ask("openapi.json").json


def test_every_kind_of_request_is_tested(described) -> None:
    there = {(method, path) for path, methods in described["paths"].items() for method in methods}
    assert there == {*KINDS, ("get", "/api/events")}


@pytest.mark.parametrize(("method", "path"), KINDS)
def test_made_up_requests_are_answered_as_described(described, address: str, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(described)
    operation = schema[path][method.upper()]

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def check(case) -> None:
        case.call_and_validate(
            base_url=address.rstrip("/"),
            excluded_checks=[
                schemathesis.checks.CHECKS.get_one(name)
                for name in ("positive_data_acceptance", "unsupported_method")
            ],
        )

    check()


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_name_of_a_field_and_any_value_get_an_answer(ask: Ask, name: str, value: str) -> None:
    from urllib.parse import urlencode

    query = urlencode(
        {name.encode("utf-8", "replace"): value.encode("utf-8", "replace"), "forecaster": "last-value"}
    )
    assert ask(f"api/rank?{query}").status in (200, 404, 422)
