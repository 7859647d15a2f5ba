"""Write reference.json: float64 outputs of the tiny models of the goldens.

Run `python -m tests.forecasters.neuneu.make_reference` after a change that is meant to alter them.
"""

import json
import os
from pathlib import Path

from tests.conftest import SHARED
from tests.forecasters.neuneu.fills import questions
from tests.forecasters.neuneu.test_goldens import INPUTS, REFERENCE, as_double, build

from neuneu.files import write_json


def main() -> None:
    """Names of the weights come from the goldens, or from the reference that is already there."""
    goldens = SHARED / "goldens" / "neuneu.json"
    names = json.loads((goldens if goldens.is_file() else REFERENCE).read_text())
    document = {}
    for name, inputs in INPUTS.items():
        model = build(name, names[name]["names"]).double()
        output = model(as_double(questions(inputs())))
        document[name] = {"names": names[name]["names"], "out": output.tolist()}
    write_json(Path(os.fspath(REFERENCE)), document)


if __name__ == "__main__":
    main()
