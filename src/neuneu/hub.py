"""The Hugging Face hub and GitHub: asked only where the user names them. Files and lists, never code."""

import hashlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote

from neuneu.errors import InputError, MissingExtraError
from neuneu.files import atomic_path, parse_json, read_bytes
from neuneu.progress import counted, heard

HUB = "hf://"
"""Begins the address of a data set on the Hugging Face hub: hf://OWNER/NAME."""

GITHUB = "https://github.com/"
"""Begins the address of a repository on GitHub."""

GITHUB_API = "https://api.github.com"
GITHUB_FILES = "https://raw.githubusercontent.com"
GITHUB_LIMIT = 60
"""Lists that GitHub gives an hour to those who do not sign in (docs.github.com, REST API, rate limits)."""

SECONDS = 60
"""How long an answer of GitHub is waited for."""

CONNECTIONS = 8
"""Files of GitHub that are fetched at once."""

MAX_BLOB = 2**30
"""Bytes of a file that is checked by its git object id: GitHub takes none above 100 MB."""

TELL_EVERY = 500
"""Files after which it is told how far a fetch has come."""


_COMMA = re.compile(r",(?![^()]*\))")


def cache_folder() -> Path:
    """Where what is fetched is kept."""
    return Path.home() / ".cache" / "neuneu"


def split_address(address: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    """An address without its query, and the query: `a?size=70m,1b` → ("a", {"size": ("70m", "1b")}).

    A comma within brackets and a + are what they are. Raises InputError on any other form.
    """
    place, _, query = address.partition("?")
    try:
        asked = parse_qs(query.replace("+", "%2B"), strict_parsing=True) if query else {}
    except ValueError as error:
        raise InputError("must be NAME=VALUE,VALUE&NAME=…", field="address", value=address) from error
    return place, {
        name: tuple(v for text in texts for v in _COMMA.split(text)) for name, texts in asked.items()
    }


@contextmanager
def hub_errors(where: str) -> Iterator[None]:
    """Turns the hub's errors into one InputError that names the repository."""
    try:
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "lm") from error
    try:
        yield
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"the hub does not give it: {reason}", where=where) from error


def fetch_files(
    repository: str,
    patterns: Sequence[str],
    *,
    revision: str | None = None,
    kind: str = "model",
    folder: Path | None = None,
) -> Path:
    """The folder with a repository's files of these patterns, fetched into the hub library's cache.

    kind: "model" or "dataset"; folder: fetch into this one instead. Raises InputError where the hub does not
    give them.
    """
    with hub_errors(repository):
        from huggingface_hub import snapshot_download

        found = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(patterns),
            repo_type=kind,
            local_dir=folder,
        )
        return Path(found)


def list_branches(repository: str) -> list[str]:
    """Names of a model repository's branches and tags, sorted."""
    with hub_errors(repository):
        from huggingface_hub import HfApi

        references = HfApi().list_repo_refs(repository)
    return sorted({reference.name for reference in (*references.branches, *references.tags)})


def list_files(repository: str, pattern: str, *, kind: str = "dataset") -> list[str]:
    """Paths of a repository's files that match a pattern, sorted."""
    with hub_errors(repository):
        from huggingface_hub import HfApi

        names = HfApi().list_repo_files(repository, repo_type=kind)
    return sorted(name for name in names if fnmatch(name, pattern))


def open_file(repository: str, path: str, *, kind: str = "dataset") -> Any:
    """A file of a repository, of which only the bytes that are read are fetched."""
    with hub_errors(repository):
        from huggingface_hub import HfFileSystem

        folder = {"dataset": "datasets/", "model": ""}[kind]
        return HfFileSystem(skip_instance_cache=True).open(
            f"{folder}{repository}/{path}", "rb", cache_type="none"
        )


def select_rows(
    repository: str, wanted: Mapping[str, Sequence[str]], keys: Sequence[str], folder: Path
) -> Path:
    """Rows of a hub data set's Parquet files where each wanted column has one of its values, as Parquet.

    Only what is needed is fetched: the columns `keys` of the row groups whose statistics leave room for a
    match, and the other columns of those that have one. folder: where the result is written; it is returned.
    Raises InputError where a column is not there, and where no row is left.
    """
    with hub_errors(repository):
        import pyarrow.parquet

        files = list_files(repository, "*.parquet")
        parts = []
        seen: dict[str, set[str]] = {column: set() for column in wanted}
        for name in files:
            with open_file(repository, name) as stream:
                table = pyarrow.parquet.ParquetFile(stream, pre_buffer=True)
                _check_columns(table.schema_arrow.names, [*wanted, *keys], f"{repository}/{name}")
                for group in range(table.num_row_groups):
                    if _may_match(table.metadata.row_group(group), wanted):
                        parts += _matching(table, group, wanted, keys, seen)
        if not parts:
            there = "; ".join(f"{column}: {', '.join(sorted(seen[column])[:12])}" for column in wanted)
            raise InputError(f"no row matches (there are {there or 'no files'})", where=repository)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "rows.parquet") as temporary:
            pyarrow.parquet.write_table(pyarrow.concat_tables(parts), temporary)
    return folder


def _check_columns(there: Sequence[str], needed: Sequence[str], where: str) -> None:
    for column in needed:
        if column not in there:
            rule = f"is no column; there are {', '.join(there[:12])}"
            raise InputError(rule, where=where, field="column", value=column)


def _may_match(group: Any, wanted: Mapping[str, Sequence[str]]) -> bool:
    """Whether a row group's statistics leave room for rows that are wanted."""
    for index in range(group.num_columns):
        column = group.column(index)
        values, statistics = wanted.get(column.path_in_schema), column.statistics
        if values is None or statistics is None or not statistics.has_min_max:
            continue
        low, high = statistics.min, statistics.max
        if isinstance(low, str) and not any(low <= value <= high for value in values):
            return False
    return True


def _matching(
    table: Any,
    group: int,
    wanted: Mapping[str, Sequence[str]],
    keys: Sequence[str],
    seen: dict[str, set[str]],
) -> list[Any]:
    """The rows of a row group that are wanted: none or one table."""
    import pyarrow
    import pyarrow.compute

    part = table.read_row_group(group, columns=list(dict.fromkeys([*wanted, *keys])))
    mask = None
    for column, values in wanted.items():
        text = part[column].cast(pyarrow.string())
        seen[column] |= set(pyarrow.compute.unique(text).to_pylist())
        inside = pyarrow.compute.is_in(text, value_set=pyarrow.array(values, pyarrow.string()))
        mask = inside if mask is None else pyarrow.compute.and_(mask, inside)
    if mask is None or not pyarrow.compute.any(mask).as_py():
        return []
    return [table.read_row_group(group).filter(mask)]


def fetch_github(
    repository: str, folders: Sequence[str], pattern: str, root: Path, *, branch: str = "main"
) -> Path:
    """Copy a GitHub repository's files of these folders that match a pattern to `root`, which is returned.

    What is there already in the same size is not fetched again. Raises InputError where GitHub does not give
    a folder or a file.
    """
    for folder in folders:
        for entry in list_github(repository, folder, branch=branch):
            name = str(entry["name"])
            if entry["type"] != "file" or "/" in name or not fnmatch(name, pattern):
                continue
            file = root / folder / name
            if file.is_file() and file.stat().st_size == entry["size"]:
                continue
            content = _get(f"{GITHUB_FILES}/{repository}/{branch}/{quote(f'{folder}/{name}')}")
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_name(f".{name}.partial")
            partial.write_bytes(content)
            partial.replace(file)
    return root


def list_github(repository: str, folder: str, *, branch: str = "main") -> list[Mapping[str, Any]]:
    """What is in a folder of a GitHub repository: name, type ("file" or "dir") and size of each."""
    address = f"{GITHUB_API}/repos/{repository}/contents/{quote(folder)}?ref={branch}"
    found = json.loads(_get(address))
    if not isinstance(found, list):
        raise InputError("is no folder on GitHub", where=address)
    return found


def _get(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        limit = f" (it gives {GITHUB_LIMIT} lists an hour)" if error.code in (403, 429) else ""
        raise InputError(
            f"GitHub does not give it: {error.code} {error.reason}{limit}", where=address
        ) from error
    except OSError as error:
        raise InputError(f"GitHub does not give it: {error}", where=address) from error


class Blob(NamedTuple):
    """A file of a commit: its path, its size in bytes and its git object id."""

    path: str
    size: int
    sha: str


def list_tree(repository: str, revision: str) -> list[Blob]:
    """Every file of a GitHub repository at a commit, by path; one request.

    Raises InputError where GitHub does not give the list, or only a part of it.
    """
    address = f"{GITHUB_API}/repos/{repository}/git/trees/{quote(revision)}?recursive=1"
    found = parse_json(_get(address).decode(), address)
    entries = found.get("tree") if isinstance(found, dict) else None
    if not isinstance(entries, list) or found.get("truncated"):
        raise InputError("GitHub does not give the whole list of files", where=address)
    blobs = [entry for entry in entries if isinstance(entry, dict) and entry.get("type") == "blob"]
    return sorted(Blob(str(blob["path"]), int(blob["size"]), str(blob["sha"])) for blob in blobs)


def fetch_blobs(
    repository: str, revision: str, blobs: Sequence[Blob], root: Path, tell: Callable[[str], None]
) -> None:
    """Fetch files of a commit to `root`, each checked by its git object id before it takes its name.

    What is there already with the right id is not fetched again. tell: takes a line on how far it has come.
    Raises InputError where GitHub does not give a file, where one is not what its id says, and on a path that
    leads out of `root`.
    """
    missing = []
    for blob in blobs:
        file = root / blob.path
        if not file.resolve().is_relative_to(root.resolve()):
            raise InputError("leads out of the folder", where=repository, field="path", value=blob.path)
        if not file.is_file() or blob_sha(read_bytes(file, MAX_BLOB)) != blob.sha:
            missing.append(blob)

    def fetch(blob: Blob) -> None:
        address = f"{GITHUB_FILES}/{repository}/{revision}/{quote(blob.path)}"
        content = _get(address)
        if blob_sha(content) != blob.sha:
            raise InputError(
                f"is not the file of the commit: its git object id is not {blob.sha}", where=address
            )
        with atomic_path(root / blob.path) as temporary:
            temporary.write_bytes(content)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        fetched = counted(pool.map(fetch, missing), "files", len(missing))
        for count, _ in enumerate(fetched, 1):
            if (not heard() and count % TELL_EVERY == 0) or count == len(missing):
                tell(f"fetched {count} of {len(missing)} files")


def blob_sha(content: bytes) -> str:
    """Git's object id of a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
