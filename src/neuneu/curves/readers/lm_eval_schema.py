"""What a results file of lm-evaluation-harness says beside its values, field by field: the one schema.

Written after the harness (lm_eval/evaluator.py and loggers/evaluation_tracker.py of 0.4, evaluator.py and
main.py of 0.3). Only fields that are read are checked; any may be missing.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from neuneu.errors import InputError
from neuneu.files import check_document

NEXT = "as lm-evaluation-harness writes it: correct it, or take it out of the file where it is not known"
"""What to do about a field of another kind: none is guessed."""

MOST_VALUES = 100_000
"""Values of one results file: the whole harness on all its tasks writes some tens of thousands. More would
take gigabytes as rows."""


def _text_or_number(value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
        raise ValueError("must be text or a number")
    return value


def _text_or_object(value: Any) -> Any:
    if value is not None and not isinstance(value, str | dict):
        raise ValueError("must be text (a=b,c=d) or an object")
    return value


def _group(value: Any) -> Any:
    names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if not (names or isinstance(value, dict)):
        raise ValueError("must be an object of the group's values, or a list of its tasks' names")
    return value


Whole = Annotated[StrictInt, Field(ge=0, lt=2**63)]
"""A count that a column of whole numbers holds."""


class _OfTask(BaseModel):
    """`results`: beside values, which are checked one by one, items of a task (before 0.4)."""

    sample_len: Whole | None = None


class _Settings(BaseModel):
    """`configs`: a task's own settings."""

    num_fewshot: Whole | None = None


class _Samples(BaseModel):
    """`n-samples`: a task's items, and how many of them were scored."""

    original: Whole | None = None
    effective: Whole | None = None


class _Config(BaseModel):
    """`config`: settings of the whole evaluation. model_num_parameters: -1 where the harness cannot tell."""

    model: StrictStr | None = None
    model_args: Annotated[Any, AfterValidator(_text_or_object)] = None
    model_revision: StrictStr | None = None
    model_num_parameters: Annotated[StrictInt, Field(lt=2**63)] | None = None
    limit: StrictFloat | None = None
    num_fewshot: Whole | None = None
    fewshot_seed: StrictInt | None = None


class ResultsSchema(BaseModel):
    """A results file; whatever else it says is not read."""

    results: dict[str, _OfTask]
    groups: dict[str, Annotated[Any, AfterValidator(_group)]] | None = None
    group_subtasks: dict[str, list[StrictStr]] | None = None
    configs: dict[str, _Settings | None] | None = None
    versions: dict[str, Annotated[Any, AfterValidator(_text_or_number)]] | None = None
    n_shot: dict[str, Whole | None] | None = Field(None, alias="n-shot")
    n_samples: dict[str, _Samples] | None = Field(None, alias="n-samples")
    higher_is_better: dict[str, dict[str, StrictBool | None]] | None = None
    task_hashes: dict[str, StrictStr | None] | None = None
    config: _Config | None = None
    date: StrictFloat | None = None
    model_name: StrictStr | None = None
    lm_eval_version: StrictStr | None = None


def check_results(document: dict[str, Any], path: str | Path) -> None:
    """InputError naming file, field, value, rule and what to do where a field is of another kind.

    Refuses more than MOST_VALUES values as well.
    """
    values = sum(len(measured) for measured in document["results"].values())
    if values > MOST_VALUES:
        rule = f"must hold at most {MOST_VALUES:,} values: split the file by tasks"
        raise InputError(rule, where=path, field="results", value=f"{values:,} values")
    try:
        check_document(ResultsSchema, document, path)
    except InputError as error:
        raise InputError(f"{error.rule}, {NEXT}", where=path, field=error.field, value=error.value) from error
