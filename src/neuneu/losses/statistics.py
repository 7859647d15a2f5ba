"""What the logits say of a token beside its loss, by name."""

from collections.abc import Sequence

from neuneu.errors import InputError

STATISTICS = ("rank", "entropy", "top1", "top10")
"""The right token's rank among all (1: the likeliest), the entropy of the prediction in nats, the probability
of the likeliest token, and of the ten likeliest together."""
TOP = 10


def check_statistics(names: Sequence[str]) -> None:
    """Raise InputError on a name that is none of STATISTICS, or given twice."""
    for name in names:
        if name not in STATISTICS or list(names).count(name) > 1:
            rule = f"must be of {', '.join(STATISTICS)}, each once"
            raise InputError(rule, field="statistics", value=name)
