"""What the modules of `neuneu designs` share."""

from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[Path, typer.Option("--store", "-s", help="The design database (a DuckDB file).")]
