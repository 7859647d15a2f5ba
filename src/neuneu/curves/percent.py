"""Values that harnesses report in percent though their metric is a share."""

import re
from functools import lru_cache

_TASKS = re.compile(r"(?:squad_?v?2|jsquad|jaqket(?:_v2)?)(?:[-_.].*)?", re.IGNORECASE)
_METRICS = re.compile(r"(?:HasAns_|NoAns_|best_)?(?:exact|f1|em|exact_match)", re.IGNORECASE)


@lru_cache(4096)
def in_percent(task: str, metric: str) -> bool:
    """Whether lm-evaluation-harness reports this metric of this task in percent.

    SQuAD 2.0 and its Japanese kin go through the official script, which scales f1 and exact by 100.
    """
    return _METRICS.fullmatch(metric) is not None and _TASKS.fullmatch(task) is not None
