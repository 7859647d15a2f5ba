"""Work that can be killed: finished parts wait in a folder beside the output until all are there."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from neuneu.errors import InputError
from neuneu.files import remove_leftovers, write_json


def claim(output: Path, settings: Mapping[str, object]) -> Path:
    """The folder `<output>.parts`; what is in it from other settings is dropped.

    Raises InputError where the folder is something else than unfinished work.
    """
    parts = output.with_name(f"{output.name}.parts")
    text = json.dumps(dict(settings), sort_keys=True, default=str)
    mark = {"digest": hashlib.sha256(text.encode()).hexdigest()}
    known = parts / "settings.json"
    if parts.exists() and not known.exists() and any(parts.iterdir()):
        raise InputError("is in the way of unfinished work", where=parts)
    if known.exists() and json.loads(known.read_text()) == mark:
        remove_leftovers(parts)
        return parts
    shutil.rmtree(parts, ignore_errors=True)
    write_json(known, mark)
    return parts


def version(path: str | Path) -> list[object]:
    """What tells one version of a file, or of the files of a folder, from another: names, sizes and times."""
    path = Path(path).resolve()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    states = [(str(file), file.stat()) for file in files if file.is_file()]
    return [[name, state.st_size, state.st_mtime_ns] for name, state in states]
