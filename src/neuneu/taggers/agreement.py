"""How far a domain tagger agrees with labels: precision and recall by class, confusions, mistakes."""

from pathlib import Path

import polars as pl

from neuneu.errors import InputError
from neuneu.taggers.document_features import document_id, read_records

LEFT_OUT = ("unknown", "incoherent")
"""Answers that count as none, on either side, as published."""


def read_labels(path: str | Path, column: str) -> pl.DataFrame:
    """id and label of documents (.jsonl, .csv, .parquet); documents without a label are left out."""
    rows: list[tuple[str, str]] = []
    place = 0
    seen = False
    for records in read_records(path):
        for record in records:
            seen = seen or (isinstance(record, dict) and column in record)
            label = record.get(column) if isinstance(record, dict) else None
            if label is not None:
                rows.append((document_id(record, place), str(label)))
            place += 1
    if not seen:
        raise InputError("not in this file", where=path, field="column", value=column)
    frame = pl.DataFrame(rows, schema={"id": pl.String, "label": pl.String}, orient="row")
    twice = frame.filter(pl.col("id").is_duplicated())
    if len(twice):
        raise InputError("must not be given twice", where=path, field="id", value=twice["id"][0])
    return frame


def pairs_of(tagged: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """id, label and prediction of documents that have both; unknown and incoherent ones left out, media as
    reference. InputError where none is left."""
    for column in ("id", "prediction"):
        if column not in tagged.columns:
            raise InputError("not a file of domains", field="column", value=column)
    joined = labels.join(tagged.select("id", "prediction"), on="id", how="inner", maintain_order="left")
    both = pl.col("label", "prediction").replace("media", "reference")
    kept = joined.with_columns(both).filter(~pl.any_horizontal(pl.col("label", "prediction").is_in(LEFT_OUT)))
    if kept.is_empty():
        raise InputError("no document has a label and a prediction", field="id")
    return kept


def by_class(pairs: pl.DataFrame) -> pl.DataFrame:
    """A row a class: documents (labelled so), predicted (so), precision, recall and f1; then (all): its
    precision, recall and f1 are the share that is right."""
    classes = sorted({*pairs["label"], *pairs["prediction"]})
    rows = []
    for name in classes:
        right = len(pairs.filter(label=name, prediction=name))
        labelled, predicted = len(pairs.filter(label=name)), len(pairs.filter(prediction=name))
        precision = right / predicted if predicted else None
        recall = right / labelled if labelled else None
        f1 = 2 * right / (labelled + predicted)
        rows.append((name, labelled, predicted, precision, recall, f1))
    share = len(pairs.filter(pl.col("label") == pl.col("prediction"))) / len(pairs)
    rows.append(("(all)", len(pairs), len(pairs), share, share, share))
    schema = {"class": pl.String, "documents": pl.Int64, "predicted": pl.Int64}
    schema |= dict.fromkeys(("precision", "recall", "f1"), pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row")


def confusion(pairs: pl.DataFrame) -> pl.DataFrame:
    """Labels down, predictions across, how many documents: columns label, then one a class."""
    classes = sorted({*pairs["label"], *pairs["prediction"]})
    rows = [
        {"label": name, **{other: len(pairs.filter(label=name, prediction=other)) for other in classes}}
        for name in classes
    ]
    return pl.DataFrame(rows)


def mistakes(pairs: pl.DataFrame) -> pl.DataFrame:
    """The documents that are predicted otherwise than labelled."""
    return pairs.filter(pl.col("label") != pl.col("prediction"))
