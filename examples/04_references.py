"""What finished runs add: one question alone, with smaller runs, with all finished runs of the family."""

import neuneu as nn

curves = nn.read_home_curves()
run = "home/llama-800k-code-seed0"
for references in ("none", "smaller", "finished"):
    cells = nn.forecast(curves, context=0.2, runs=run, tasks="text_code", references=references).to_frame()
    last = cells.tail(1)
    print(f"{references:9} 80 %: {last['q10'][0]:.3f} to {last['q90'][0]:.3f}; truth {last['value'][0]:.3f}")
