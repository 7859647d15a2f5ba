"""Pages and files of the site that lie outside docs/: SECURITY.md and its like, and benchmarks/results.

Links to them are written as they work in the repository (`../SECURITY.md`), and are turned here.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"SECURITY.md": "security.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""File of the repository → page of the site."""

RESULTS = "benchmarks/results/"
LINK = re.compile(r"(\]\()([^)#\s:]+)(#[^)\s]*)?(\))")


def places() -> dict[str, str]:
    """File of the repository → file of the site, for all that lies outside docs/."""
    results = sorted(path.name for path in (ROOT / RESULTS).iterdir())
    return PAGES | {RESULTS + name: f"results/{name}" for name in results}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside."""
    for path, place in places().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between docs/ and the rest of the repository."""
    known = places()
    at = page.file.src_uri
    outside = {place: path for path, place in known.items()}
    home = posixpath.dirname(outside.get(at, f"docs/{at}"))

    def turned(found: re.Match[str]) -> str:
        opening, link, anchor, closing = found.groups()
        target = posixpath.normpath(posixpath.join(home, link))
        place = known.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        if place is None:
            return found[0]
        return f"{opening}{posixpath.relpath(place, posixpath.dirname(at) or '.')}{anchor or ''}{closing}"

    return LINK.sub(turned, markdown)
