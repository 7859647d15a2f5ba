"""What a design database knows of runs in flight → the facts that forecasters of curves read."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.designs.database.store import DesignStore
from neuneu.errors import InputError, check_known, offered

FACTS = ("params", "planned_tokens", "recipe")
MIX = "pretraining_summary_percentage_"
TOKENS = "pretraining_summary_total_tokens_billions"
DOMAINS = ("web", "code", "books", "reference", "academic")


def fill_facts(
    curves: CurveTable, store: DesignStore, models: Mapping[str, str] | None = None
) -> tuple[CurveTable, pl.DataFrame]:
    """The curves with size, planned tokens and recipe of runs that lacked them, and what was filled.

    models: run → id in the database; other runs are looked up by their own name, aliases included. What a
    curve table says already stays. A recipe is the mix in per cent, as "code 20, web 80". The second table
    has a row a run: run, model (None where the database has none), and the facts filled in. Raises
    InputError where `models` names a run that the curves lack or an id that the database lacks.
    """
    known = _designs(store)
    named = dict(models or {})
    for run, model in named.items():
        check_known(run, curves.runs, "run", "is not in these curves")
        if store.aliases.model(model) not in known:
            raise InputError("is not in the database" + offered(model, known), field="model", value=model)
    ids = {run: store.aliases.model(named.get(run, run)) for run in curves.runs}
    found = [
        {"run": run, "model": model if model in known else None, **known.get(model, dict.fromkeys(FACTS))}
        for run, model in ids.items()
    ]
    schema = {"run": pl.String, "model": pl.String, "params": pl.Int64, "planned_tokens": pl.Int64}
    facts = pl.DataFrame(found, schema={**schema, "recipe": pl.String})
    joined = curves.frame.join(facts, on="run", how="left", suffix="_found")
    lacking = joined.group_by("run").agg(pl.col(fact).is_null().any() for fact in FACTS)
    filled = joined.with_columns(pl.coalesce(fact, f"{fact}_found") for fact in FACTS)
    told = facts.join(lacking, on="run", suffix="_lacking").with_columns(
        pl.when(f"{fact}_lacking").then(fact).alias(fact) for fact in FACTS
    )
    table = CurveTable.from_frame(filled.select(curves.frame.columns))
    return table, told.select("run", "model", *FACTS).sort("run")


def _designs(store: DesignStore) -> dict[str, dict[str, Any]]:
    """Facts by model id."""
    size = store.table("model").select("id", params="total_params")
    columns = ["id", TOKENS, *(MIX + domain for domain in DOMAINS)]
    rows = size.join(store.table("dataset").select(columns), on="id", how="full", coalesce=True)
    return {
        row["id"]: {
            "params": row["params"],
            "planned_tokens": None if row[TOKENS] is None else round(row[TOKENS] * 1e9),
            "recipe": _recipe(row),
        }
        for row in rows.iter_rows(named=True)
    }


def _recipe(row: Mapping[str, Any]) -> str | None:
    """The mix in words; None where nothing is known of it."""
    parts = sorted((domain, row[MIX + domain]) for domain in DOMAINS if row[MIX + domain])
    return ", ".join(f"{domain} {share:g}" for domain, share in parts) or None
