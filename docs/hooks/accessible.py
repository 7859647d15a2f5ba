"""What the theme and Markdown leave without a name gets one, or is what it is."""

import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

SEARCH = 'data-md-component="search" role="dialog"'
EMPTY_HEADER = re.compile(r"<th(?: [^>]*)?></th>")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """An empty corner of a table is no header."""
    return EMPTY_HEADER.sub("<td></td>", html)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Name the dialog of the search."""
    return _named(output)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """The same on the page for addresses that do not exist."""
    return _named(output_content)


def _named(html: str) -> str:
    return html.replace(SEARCH, f'{SEARCH} aria-label="Search"')
