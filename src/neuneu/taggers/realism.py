"""Whether what models write is like what they read: features of real texts against those of generations."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from neuneu.errors import InputError
from neuneu.files.tables import read_frame, read_parquet

LEAST = 3
"""Models that a spread is told of at least."""


def compare(real: pl.DataFrame, generated: pl.DataFrame) -> pl.DataFrame:
    """A row a feature that both have: real, generated (mean over models), spread (n − 1), models, z; the
    farthest first.

    real: one row of a corpus's features, as `aggregate` makes them; generated: a row a model. z = (generated
    − real) ÷ spread, null with fewer than three models or no spread. Raises InputError where `real` has not
    one row, or no feature is in both.
    """
    if len(real) != 1:
        raise InputError("must hold one row, of one corpus", field="real", value=len(real))
    rows = []
    for name in [column for column in real.columns if column != "id" and column in generated.columns]:
        values = generated[name].cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
        truth = real[name].cast(pl.Float64)[0]
        if truth is None or not len(values):
            continue
        spread = float(values.std(ddof=1)) if len(values) >= LEAST else 0.0
        z = (float(values.mean()) - truth) / spread if spread > 0 else None
        rows.append((name, float(truth), float(values.mean()), spread or None, len(values), z))
    if not rows:
        raise InputError("no feature is in both files", field="generated")
    schema = {"feature": pl.String, "real": pl.Float64, "generated": pl.Float64, "spread": pl.Float64}
    frame = pl.DataFrame(rows, schema={**schema, "models": pl.Int64, "z": pl.Float64}, orient="row")
    return frame.sort(pl.col("z").abs(), descending=True, nulls_last=True, maintain_order=True)


def pooled(real: pl.DataFrame, generated: pl.DataFrame) -> pl.DataFrame:
    """Correlations of real and generated values, pooled over features and models: shares of domains, and
    other numbers (of these Pearson's of logarithms, for their units differ); group, pairs, pearson, spearman.
    """
    from scipy import stats

    shared = [name for name in real.columns if name != "id" and name in generated.columns]
    groups = {"domains": [n for n in shared if n.startswith("domain_")]}
    groups["numbers"] = [name for name in shared if name not in groups["domains"]]
    rows = []
    for group, names in groups.items():
        pairs = [
            (float(real[name][0]), float(value))
            for name in names
            for value in generated[name].drop_nulls()
            if real[name][0] is not None and np.isfinite(value)
        ]
        x, y = (np.array(side) for side in zip(*pairs, strict=True)) if pairs else (np.empty(0), np.empty(0))
        if group == "numbers":
            x, y = (np.sign(side) * np.log1p(np.abs(side)) for side in (x, y))
        known = len(x) >= LEAST and np.ptp(x) > 0 and np.ptp(y) > 0
        pearson = float(stats.pearsonr(x, y)[0]) if known else None
        spearman = float(stats.spearmanr(x, y)[0]) if known else None
        rows.append((group, len(x), pearson, spearman))
    schema = {"group": pl.String, "pairs": pl.Int64, "pearson": pl.Float64, "spearman": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def read_features(path: str | Path, ids: Sequence[str] = ()) -> pl.DataFrame:
    """A feature table (id, then numbers), all rows or those of these ids, which must be there."""
    frame = read_frame(path)
    if "id" not in frame.columns:
        raise InputError("column needed", where=path, field="column", value="id")
    for name in ids:
        if name not in frame["id"].to_list():
            raise InputError("not in this file", where=path, field="id", value=name)
    columns = [frame["id"].cast(pl.String)]
    for column in frame.drop("id").iter_columns():
        numbers = column.cast(pl.Float64, strict=False)
        bad = (numbers.is_null() & column.is_not_null() & (column.cast(pl.String) != "")).arg_true()
        if len(bad):
            row = int(bad[0])
            raise InputError("must be a number", where=path, field=column.name, value=column[row])
        columns.append(numbers.fill_nan(None))
    typed = pl.DataFrame(columns)
    return typed.filter(pl.col("id").is_in(list(ids))) if ids else typed


def distributions(entries: Mapping[str, str | Path], column: str) -> dict[str, np.ndarray]:
    """Corpus → its documents' values of a column that `tag` wrote; missing ones left out."""
    found = {}
    for name, path in entries.items():
        frame = read_parquet(path)
        if column not in frame.columns or not frame[column].dtype.is_numeric():
            known = [c for c, kind in frame.schema.items() if kind.is_numeric()]
            raise InputError(f"numbers here: {', '.join(known)}", where=path, field="column", value=column)
        values = frame[column].cast(pl.Float64).drop_nulls().to_numpy()
        found[name] = values[np.isfinite(values)]
        if not len(found[name]):
            raise InputError("holds no value", where=path, field="column", value=column)
    return found


def spread_table(values: Mapping[str, np.ndarray]) -> pl.DataFrame:
    """A row a corpus: documents, mean, std (n − 1), p10, p25, p50, p75, p90."""
    rows = []
    for name, found in values.items():
        places = {f"p{q}": float(np.percentile(found, q)) for q in (10, 25, 50, 75, 90)}
        std = float(found.std(ddof=1)) if len(found) > 1 else None
        first = {"corpus": name, "documents": len(found), "mean": float(found.mean()), "std": std}
        rows.append({**first, **places})
    return pl.DataFrame(rows)
