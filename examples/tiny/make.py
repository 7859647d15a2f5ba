"""Texts, a validation text and minimal pairs for two models of a few thousand parameters: `suite.yaml`."""

import json
import sys
from pathlib import Path

PEOPLE, VERBS = ["Ann", "Bob", "the cat", "a child", "my aunt"], ["sees", "likes", "follows", "finds"]


def sentence(number: int) -> str:
    return (
        f"In the year {1000 + 7 * number}, {PEOPLE[number % 5]} {VERBS[number * number % 4]} "
        f"{PEOPLE[3 * number % 5]} near house {number % 83}."
    )


def main(root: Path) -> None:
    for name in ("prose", "blimp"):
        (root / name).mkdir(exist_ok=True)
    for number in range(40):
        lines = [sentence(40 * number + i) for i in range(40)]
        (root / "prose" / f"{number:02d}.txt").write_text("\n".join(lines))
    documents = [" ".join(sentence(9000 + 5 * i + j) for j in range(5)) for i in range(12)]
    (root / "validation.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    pair = {"sentence_good": "Ann sees Bob near house 3.", "sentence_bad": "Ann see Bob near house 3."}
    (root / "blimp" / "agreement.jsonl").write_text((json.dumps(pair) + "\n") * 5)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
