"""A suite small enough to train in a test."""

from pathlib import Path

import pytest

from .tiny import write_tiny


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with prose, blimp, requests and tiny.yaml."""
    return write_tiny(tmp_path_factory.mktemp("suite"))
