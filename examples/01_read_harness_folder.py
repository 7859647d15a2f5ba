"""Read a folder of lm-evaluation-harness results into one curve table."""

from pathlib import Path

import neuneu as nn

RESULTS = Path(__file__).parent / "results"

curves = nn.read_lm_eval(RESULTS, tokens_per_step=2_097_152, planned_tokens=4e10)
print(curves)
print(nn.inspect(curves).runs)
curves.write("curves.parquet")
