"""Syntax of code in twelve languages: depths of its tree, and how far names are used from where they are
defined."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import polars as pl

from neuneu.errors import InputError, MissingExtraError, offered
from neuneu.taggers.counts import Tagger


@dataclass(frozen=True)
class Grammar:
    """One language: the module and function that give its grammar; what defines and calls names in it.

    query: captures @function (names of functions where they are defined), @variable (names of variables and
    parameters where they are defined) and @call (names of functions where they are called). variables: the
    node types that a use of a variable has.
    """

    module: str
    query: str
    function: str = "language"
    variables: tuple[str, ...] = ("identifier",)


_JAVASCRIPT = """
(function_declaration name: (identifier) @function)
(generator_function_declaration name: (identifier) @function)
(method_definition name: (property_identifier) @function)
(variable_declarator name: (identifier) @function value: [(arrow_function) (function_expression)])
(variable_declarator name: (identifier) @variable)
(arrow_function parameter: (identifier) @variable)
(call_expression function: (identifier) @call)
(call_expression function: (member_expression property: (property_identifier) @call))
"""
_C = """
(function_declarator declarator: (identifier) @function)
(init_declarator declarator: (identifier) @variable)
(declaration declarator: (identifier) @variable)
(parameter_declaration declarator: (identifier) @variable)
(pointer_declarator declarator: (identifier) @variable)
(array_declarator declarator: (identifier) @variable)
(call_expression function: (identifier) @call)
(call_expression function: (field_expression field: (field_identifier) @call))
"""
GRAMMARS: Mapping[str, Grammar] = {
    "python": Grammar(
        "tree_sitter_python",
        """
        (function_definition name: (identifier) @function)
        (assignment left: (identifier) @variable)
        (assignment left: (pattern_list (identifier) @variable))
        (named_expression name: (identifier) @variable)
        (for_statement left: (identifier) @variable)
        (parameters (identifier) @variable)
        (lambda_parameters (identifier) @variable)
        (default_parameter name: (identifier) @variable)
        (typed_parameter (identifier) @variable)
        (typed_default_parameter name: (identifier) @variable)
        (call function: (identifier) @call)
        (call function: (attribute attribute: (identifier) @call))
        """,
    ),
    "javascript": Grammar(
        "tree_sitter_javascript", _JAVASCRIPT + "(formal_parameters (identifier) @variable)"
    ),
    "typescript": Grammar(
        "tree_sitter_typescript",
        _JAVASCRIPT
        + "(required_parameter pattern: (identifier) @variable)"
        + "(optional_parameter pattern: (identifier) @variable)",
        "language_typescript",
    ),
    "java": Grammar(
        "tree_sitter_java",
        """
        (method_declaration name: (identifier) @function)
        (variable_declarator name: (identifier) @variable)
        (formal_parameter name: (identifier) @variable)
        (method_invocation name: (identifier) @call)
        """,
    ),
    "php": Grammar(
        "tree_sitter_php",
        """
        (function_definition name: (name) @function)
        (method_declaration name: (name) @function)
        (assignment_expression left: (variable_name) @variable)
        (property_element (variable_name) @variable)
        (simple_parameter name: (variable_name) @variable)
        (function_call_expression function: (name) @call)
        (member_call_expression name: (name) @call)
        (scoped_call_expression name: (name) @call)
        """,
        "language_php",
        ("variable_name",),
    ),
    "c_sharp": Grammar(
        "tree_sitter_c_sharp",
        """
        (method_declaration name: (identifier) @function)
        (local_function_statement name: (identifier) @function)
        (variable_declarator name: (identifier) @variable)
        (parameter name: (identifier) @variable)
        (invocation_expression function: (identifier) @call)
        (invocation_expression function: (member_access_expression name: (identifier) @call))
        """,
    ),
    "c": Grammar("tree_sitter_c", _C),
    "cpp": Grammar(
        "tree_sitter_cpp",
        _C
        + """
        (function_declarator declarator: (field_identifier) @function)
        (function_declarator declarator: (qualified_identifier name: (identifier) @function))
        (reference_declarator (identifier) @variable)
        (call_expression function: (qualified_identifier name: (identifier) @call))
        """,
    ),
    "go": Grammar(
        "tree_sitter_go",
        """
        (function_declaration name: (identifier) @function)
        (method_declaration name: (field_identifier) @function)
        (short_var_declaration left: (expression_list (identifier) @variable))
        (var_spec name: (identifier) @variable)
        (const_spec name: (identifier) @variable)
        (parameter_declaration name: (identifier) @variable)
        (call_expression function: (identifier) @call)
        (call_expression function: (selector_expression field: (field_identifier) @call))
        """,
    ),
    "ruby": Grammar(
        "tree_sitter_ruby",
        """
        (method name: (identifier) @function)
        (singleton_method name: (identifier) @function)
        (assignment left: (identifier) @variable)
        (assignment left: (instance_variable) @variable)
        (method_parameters (identifier) @variable)
        (block_parameters (identifier) @variable)
        (keyword_parameter name: (identifier) @variable)
        (optional_parameter name: (identifier) @variable)
        (call method: (identifier) @call)
        """,
        variables=("identifier", "instance_variable"),
    ),
    "kotlin": Grammar(
        "tree_sitter_kotlin",
        """
        (function_declaration name: (identifier) @function)
        (variable_declaration (identifier) @variable)
        (parameter . (identifier) @variable)
        (class_parameter (identifier) @variable)
        (call_expression . (identifier) @call)
        (call_expression . (navigation_expression (identifier) @call .))
        """,
    ),
    "scala": Grammar(
        "tree_sitter_scala",
        """
        (function_definition name: (identifier) @function)
        (val_definition pattern: (identifier) @variable)
        (var_definition pattern: (identifier) @variable)
        (parameter name: (identifier) @variable)
        (class_parameter name: (identifier) @variable)
        (binding name: (identifier) @variable)
        (call_expression function: (identifier) @call)
        (call_expression function: (field_expression field: (identifier) @call))
        """,
    ),
}
"""The twelve languages that the published feature knows, about 80 % of the Stack."""

_OTHER_NAMES = {"c#": "c_sharp", "csharp": "c_sharp", "c-sharp": "c_sharp", "c++": "cpp", "golang": "go"}
_OTHER_NAMES |= {"js": "javascript", "ts": "typescript", "py": "python", "rb": "ruby", "kt": "kotlin"}

SCHEMA: dict[str, pl.DataType] = {
    "node_depth": pl.List(pl.Int64),
    "tree_depth": pl.List(pl.Int64),
    "node_type": pl.List(pl.Int64),
    "dist_to_def": pl.List(pl.Int64),
    "num_nodes_input": pl.Int64(),
}


def find_language(name: str) -> str | None:
    """The name in GRAMMARS of a language as corpora write it (C#, C++, js, …); None where there is no
    grammar."""
    plain = name.strip().lower()
    plain = _OTHER_NAMES.get(plain, plain)
    return plain if plain in GRAMMARS else None


def measure(code: str, language: str) -> dict[str, Any]:
    """The syntax of one text, a list entry a named node in pre-order: the columns of SCHEMA.

    node_depth; tree_depth, the greatest depth so far; node_type, the grammar's number of the type (65535
    where code is broken; numbers change with the grammar's version); dist_to_def, for uses of variables and
    calls of functions that are defined here, bytes from the end of the closest definition before it (of the
    first one if none is before it; negative then) to its start, else null.
    """
    parser, query = _loaded(language)
    source = code.encode("utf-8", "replace")
    tree = parser.parse(source)
    roles = _roles(query, tree.root_node)
    defined: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    nodes = _named_nodes(tree)
    for node, _ in nodes:
        if roles.get(node.id) in ("function", "variable"):
            defined[roles[node.id], source[node.start_byte : node.end_byte]].append(node.end_byte)
    kinds = GRAMMARS[language].variables
    depths = [depth for _, depth in nodes]
    deepest = depths[:1]
    for depth in depths[1:]:
        deepest.append(max(deepest[-1], depth))
    distances: list[int | None] = []
    for node, _ in nodes:
        role = roles.get(node.id, "variable use" if node.type in kinds else "")
        kind = {"call": "function", "variable use": "variable"}.get(role, "")
        ends = defined.get((kind, source[node.start_byte : node.end_byte])) if kind else None
        distances.append(None if ends is None else _distance(ends, node.start_byte))
    return {
        "node_depth": depths,
        "tree_depth": deepest,
        "node_type": [node.grammar_id for node, _ in nodes],
        "dist_to_def": distances,
        "num_nodes_input": len(nodes),
    }


def _distance(ends: Sequence[int], start: int) -> int:
    """ends ascend, for nodes come in the order of their starts."""
    return start - ends[max(bisect_right(ends, start) - 1, 0)]


def _named_nodes(tree: Any) -> list[tuple[Any, int]]:
    """(node, depth among named nodes) in pre-order, without recursion: code may be nested as deep as it is
    long."""
    found: list[tuple[Any, int]] = []
    cursor = tree.walk()
    above: list[bool] = []
    depth = 0
    while True:
        named = cursor.node.is_named
        if named:
            found.append((cursor.node, depth))
        if cursor.goto_first_child():
            above.append(named)
            depth += named
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return found
            depth -= above.pop()


def _roles(query: Any, root: Any) -> dict[int, str]:
    """Node → function, variable or call; a function that a variable holds is a function."""
    from tree_sitter import QueryCursor

    captured = QueryCursor(query).captures(root)
    roles: dict[int, str] = {}
    for role in ("variable", "function", "call"):
        roles |= {node.id: role for node in captured.get(role, ())}
    return roles


@cache
def _loaded(language: str) -> tuple[Any, Any]:
    try:
        from tree_sitter import Language, Parser, Query

        grammar = GRAMMARS[language]
        loaded = Language(getattr(import_module(grammar.module), grammar.function)())
    except ImportError as error:
        raise MissingExtraError("tree-sitter and its grammars", "taggers") from error
    return Parser(loaded), Query(loaded, grammar.query)


def syntax_tagger(language: str | None = None) -> Tagger:
    """code_features: the columns of SCHEMA, by `language` or each document's own `lang`.

    Documents in a language without a grammar get nulls. Raises InputError for a document without `lang`.
    """
    if language is not None and find_language(language) is None:
        raise InputError("unknown" + offered(language, GRAMMARS), field="language", value=language)
    _loaded(find_language(language or "python") or "")

    def tag(block: pl.DataFrame) -> pl.DataFrame:
        rows = []
        for name, text, own in block.select("id", "text", "lang").iter_rows():
            if own is None and language is None:
                raise InputError(
                    "must say the language (or give `language` for all)",
                    where=f"document {name}",
                    field="lang",
                )
            known = find_language(language or own)
            rows.append(dict.fromkeys(SCHEMA) if known is None else measure(text, known))
        return block.select("id").hstack(pl.DataFrame(rows, schema=SCHEMA))

    return tag
