"""Stop or go on: runs in flight against a target, and against a rival."""

import neuneu as nn

curves = nn.read_home_curves()
runs = [f"home/llama-800k-{recipe}-seed0" for recipe in ("code", "manuals", "prose")]
asked = {"runs": runs, "tasks": "text_prose", "context": 0.3}
print(nn.advise(curves, target=0.2, **asked).select("run", "q50", "p_success", "advice", "compute_saved"))
print(nn.advise(curves, rival=runs[2], **asked).select("run", "p_success", "advice", "regret"))
