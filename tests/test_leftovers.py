"""What a killed writer leaves behind is removed, and nothing else."""

from pathlib import Path

from neuneu.files import atomic_path, remove_leftovers


def test_only_temporary_files_of_killed_writers_go(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    kept = [tmp_path / "run" / name for name in ("state.safetensors", "scores.json")] + [
        tmp_path / ".run.lock"
    ]
    for path in kept:
        path.write_text("x")
    with atomic_path(tmp_path / "run" / "state.safetensors") as temporary:
        temporary.write_text("cut")
        left = temporary.with_name(temporary.name.replace(temporary.suffix, "2" + temporary.suffix))
        left.write_text("what a kill would leave")
        temporary.write_text("x")
    remove_leftovers(tmp_path)
    assert not left.exists()
    assert all(path.read_text() == "x" for path in kept)
