"""Reading and writing files: one guard on the way in, one on the way out."""

from neuneu.files.documents import (
    check_document,
    parse_json,
    parse_yaml,
    read_document,
    read_json,
    read_json_lines,
    read_yaml,
)
from neuneu.files.reading import (
    MAX_DOCUMENT,
    MAX_LINE,
    check_file,
    open_file,
    open_unpacked,
    read_bytes,
    read_lines,
    read_text,
    refuse_library_errors,
)
from neuneu.files.writing import (
    atomic_folder,
    atomic_path,
    check_place,
    remove_leftovers,
    to_json,
    write_json,
    write_table,
    write_text,
)

__all__ = [
    "MAX_DOCUMENT",
    "MAX_LINE",
    "atomic_folder",
    "atomic_path",
    "check_document",
    "check_file",
    "check_place",
    "open_file",
    "open_unpacked",
    "parse_json",
    "parse_yaml",
    "read_bytes",
    "read_document",
    "read_json",
    "read_json_lines",
    "read_lines",
    "read_text",
    "read_yaml",
    "refuse_library_errors",
    "remove_leftovers",
    "to_json",
    "write_json",
    "write_table",
    "write_text",
]
