import json


def test_the_command_answers_in_a_table_json_and_a_figure(neuneu, tmp_path):
    done = neuneu(
        "atlas", "hellaswag", "mmlu", "--params", "7e9", "--tokens", "2e12", "--data", "pile", "--json",
        "--figure", tmp_path / "atlas.svg",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["task"] for row in rows] == ["hellaswag", "mmlu"]
    assert rows[0]["data_shift"] < 0
    assert rows[0]["q10"] < rows[0]["q50"] < rows[0]["q90"]
    assert "hellaswag (rc)" in (tmp_path / "atlas.svg").read_text()
