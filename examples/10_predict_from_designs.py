"""Scores before any training: from design decisions to the final scores of the packaged runs."""

from neuneu.designs.prediction.nested import evaluate
from neuneu.designs.prediction.score_summaries import summary
from neuneu.designs.prediction.sources import load_table

table = load_table(None, "home", tasks=["continuation_prose", "word_order_code"])
predictions = evaluate(table, ["log-linear", "ensemble"], seeds=[0])
print(summary(predictions).select("task", "method", "mae", "coverage80", "models"))
