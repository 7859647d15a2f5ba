"""Syntax measures hold on the published vectors and in all twelve languages."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.errors import InputError
from neuneu.taggers.syntax import GRAMMARS, find_language, measure, syntax_tagger

# One function of one parameter that is used, called once with a variable that is used: three distances.
SAMPLES = {
    "python": "def f(x):\n    return x\na = 1\nf(a)\n",
    "javascript": "function f(x) { return x; }\nlet a = 1;\nf(a);\n",
    "typescript": "function f(x: number) { return x; }\nlet a = 1;\nf(a);\n",
    "java": "class C { int f(int x) { return x; } void g() { int a = 1; f(a); } }\n",
    "php": "<?php function f($x) { return $x; } $a = 1; f($a);\n",
    "c_sharp": "class C { int F(int x) { return x; } void G() { int a = 1; F(a); } }\n",
    "c": "int f(int x) { return x; } int main() { int a = 1; f(a); }\n",
    "cpp": "int f(int x) { return x; } int main() { int a = 1; f(a); }\n",
    "go": "package m\nfunc f(x int) int { return x }\nfunc main() { a := 1\n f(a) }\n",
    "ruby": "def f(x)\n  x\nend\na = 1\nf(a)\n",
    "kotlin": "fun f(x: Int): Int { return x }\nfun main() { val a = 1\n f(a) }\n",
    "scala": "object O { def f(x: Int): Int = { x }; def g() = { val a = 1; f(a) } }\n",
}


def _uses(found: dict[str, Any]) -> list[int]:
    return [distance for distance in found["dist_to_def"] if distance is not None]


def test_the_published_vector_of_good_code() -> None:
    found = measure("\ndef test_func(x):\n    return x\na = 1\na += test_func(a)\n", "python")
    assert found["node_depth"] == [0, 1, 2, 2, 3, 2, 3, 4, 1, 2, 3, 3, 1, 2, 3, 3, 4, 4, 5]
    assert found["tree_depth"] == [0, 1, 2, 2, 3, 3, 3, *[4] * 11, 5]
    assert found["num_nodes_input"] == 19
    known = {i: distance for i, distance in enumerate(found["dist_to_def"]) if distance is not None}
    assert known == {7: 14, 14: 5, 16: 29, 18: 20}


def test_the_published_vector_of_broken_code() -> None:
    found = measure("\n# a comment\nThis code is broken!\n", "python")
    assert found["node_depth"] == [0, 1, 1, 2, 2, 3, 3, 2]
    assert found["tree_depth"] == [0, 1, 1, 2, 2, 3, 3, 3]
    assert found["num_nodes_input"] == 8
    assert _uses(found) == []
    assert 65535 in found["node_type"]


@pytest.mark.parametrize("language", GRAMMARS)
def test_uses_are_measured_from_definitions_in_every_language(language: str) -> None:
    code = SAMPLES[language]
    name = "F" if language == "c_sharp" else "f"
    found = measure(code, language)
    sign = "$" if language == "php" else ""
    first, second = (
        [i for i in range(len(code)) if code.startswith(sign + variable, i) and _whole(code, i, sign)]
        for variable in "xa"
    )
    calls = [i for i in range(len(code)) if code.startswith(name + "(", i) and _whole(code, i, "")]
    expected = [
        second[1] - second[0] - len(sign) - 1,
        first[1] - first[0] - len(sign) - 1,
        calls[1] - calls[0] - 1,
    ]
    assert sorted(_uses(found)) == sorted(expected)
    assert max(found["node_depth"]) == found["tree_depth"][-1]


def _whole(code: str, start: int, sign: str) -> bool:
    end = start + len(sign) + 1
    return not (code[start - 1].isalnum() and start > 0) and not code[end].isalnum()


@given(st.sampled_from(sorted(GRAMMARS)), st.text(max_size=60))
def test_any_text_has_a_tree(language: str, text: str) -> None:
    found = measure(text, language)
    assert found["num_nodes_input"] == len(found["node_depth"]) == len(found["dist_to_def"]) >= 1
    assert found["node_depth"][0] == 0
    assert all(b <= a + 1 for a, b in zip(found["node_depth"], found["node_depth"][1:], strict=False))


def test_nesting_as_deep_as_the_text_is_measured() -> None:
    assert measure("(" * 20_000 + ")" * 20_000, "python")["num_nodes_input"] >= 1


def test_documents_say_their_language() -> None:
    block = pl.DataFrame({"id": ["a", "b"], "text": ["x = 1\n", "??"], "lang": ["Python", "cobol"]})
    assert syntax_tagger()(block)["num_nodes_input"].to_list() == [5, None]
    assert find_language("C#") == "c_sharp"
    with pytest.raises(InputError, match="must say the language"):
        syntax_tagger()(block.with_columns(lang=pl.lit(None, pl.String)))
    with pytest.raises(InputError, match="known: python"):
        syntax_tagger("klingon")
