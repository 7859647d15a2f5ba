"""Notebooks of docs/ as pages: their text, code and the outputs that they hold, pictures as files beside."""

import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

ENDING = ".ipynb"
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
STYLE = re.compile(r"<style scoped>.*?</style>|<style>.*?</style>", re.DOTALL)
TABLE = '<table border="1" class="dataframe">'
"""As Polars and pandas write it; the theme lets only tables without a class scroll inside the page."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put a page in the place of each notebook; the notebook can be fetched beside it."""
    for file in [file for file in files if file.src_uri.endswith(ENDING)]:
        name = posixpath.splitext(posixpath.basename(file.src_uri))[0]
        text, resources = MarkdownExporter().from_filename(
            file.abs_src_path, resources={"output_files_dir": f"{name}_files", "unique_key": name}
        )
        place = file.src_uri.removesuffix(ENDING)
        files.append(File.generated(config, f"{place}.md", content=as_page(text)))
        for path, content in resources["outputs"].items():
            where = posixpath.join(posixpath.dirname(file.src_uri), path)
            files.append(File.generated(config, where, content=content))
    return files


def as_page(text: str) -> str:
    """nbconvert's Markdown with printed text in blocks of `output`, and pictures that say what they are."""
    text = STYLE.sub("", text).replace(TABLE, "<table>")
    text = INDENTED.sub(lambda found: f"```output\n{_unindented(found[0])}```\n", text)
    text = text.replace("```output\n\n```\n", "")  # a figure's empty text
    return text.replace("![png](", "![The figure that the cell above draws](")


def _unindented(text: str) -> str:
    return "".join(line.removeprefix("    ") for line in text.splitlines(keepends=True)).strip("\n") + "\n"
