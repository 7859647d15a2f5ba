"""What of a page is run and compared, and what is an error."""

import pytest
from tests.documents.blocks import page_mark, read_blocks
from tests.documents.session import console

PAGE = """<!-- slow -->

# A page

<!-- folder: results -->

<!-- here: 1000 => 10; big => small -->
```sh
neuneu demo --steps 1000 --size big
```

<!-- run: mkdir out -->

```python
print(1)
```

```output
1
```

<!-- not run: needs a cluster, tests/test_slurm.py runs it -->
```console
$ sbatch job
```

<!-- file: mine.toml -->
```toml
a = 1
```

```yaml
b: 2
```
"""


def test_blocks_come_in_order_and_know_what_is_said_of_them() -> None:
    blocks = read_blocks(PAGE)
    assert [block.kind for block in blocks] == [
        "folder", "sh", "sh", "python", "output", "console", "toml", "yaml",
    ]  # fmt: skip
    assert [block.hidden for block in blocks] == [True, False, True, *[False] * 5]
    assert [block.runs for block in blocks] == [False, True, True, True, False, True, False, False]
    assert blocks[1].shortened == "neuneu demo --steps 10 --size small\n"
    assert (
        PAGE.splitlines()[blocks[3].line - 1] == "print(1)"
    )  # so that a traceback names the line of the page
    assert blocks[5].marks == {"not run": "needs a cluster, tests/test_slurm.py runs it"}
    assert blocks[6].marks == {"file": "mine.toml"}
    assert page_mark(PAGE, "slow") == ""
    assert page_mark(PAGE, "elsewhere") is None


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("```\nneuneu demo\n```\n", "line 2: a block of nothing"),
        ("Text\n\n    neuneu demo\n", "a block of nothing"),
        ("```shell\nneuneu demo\n```\n", "a block of shell"),
        ("<!-- not runs: never -->\n```sh\nls\n```\n", "unknown comment 'not runs'"),
        ("<!-- not run: never -->\n\nText between.\n\n```sh\nls\n```\n", "not run: no block follows"),
        ("```sh\nls\n```\n\n<!-- ends with: 2 -->\n", "ends with: no block follows"),
        ("```yaml\na: 1\n```\n\n```output\n1\n```\n", "output of nothing that runs"),
    ],
)
def test_what_would_pass_unseen_is_an_error(page: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_blocks(page)


def test_a_replacement_that_no_longer_fits_is_an_error() -> None:
    (block,) = read_blocks("<!-- here: 2000 => 10 -->\n```sh\nneuneu demo --steps 1000\n```\n")
    with pytest.raises(AssertionError, match="no '2000' to replace"):
        _ = block.shortened


def test_a_console_block_is_commands_each_with_what_is_shown_below() -> None:
    text = "$ echo a \\\n    b\na b\n$ true\n$ echo c\nc\n\nd\n"
    assert console(text) == [
        ("echo a \\\n    b\n", "a b\n", 2),
        ("true\n", "", 4),
        ("echo c\n", "c\n\nd\n", 5),
    ]
    with pytest.raises(ValueError, match="begins with"):
        console("echo a\n$ echo b\n")
