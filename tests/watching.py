"""Watching a folder that another process writes to: what vanishes between two looks is no error."""

import glob
from pathlib import Path


def paths_now(folder: Path, pattern: str) -> list[Path]:
    """The paths that a pattern (`**` for any depth) finds now; `Path.glob` raises where one has just gone."""
    return [folder / found for found in glob.glob(pattern, root_dir=folder, recursive=True)]  # noqa: PTH207


def written_at(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 where there is none (now)."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
