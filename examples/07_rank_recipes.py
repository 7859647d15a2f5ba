"""Which data recipe wins, told from the first fifth of each run, with what probability."""

import neuneu as nn

curves = nn.read_home_curves()
recipes = ["balanced", "code", "dictionary", "manuals", "prose", "words"]
runs = [f"home/llama-800k-{recipe}-seed0" for recipe in recipes]
ranked = nn.rank(curves, runs=runs, tasks="text_prose", context=0.2, references="smaller")
print(ranked.select("run", "q50", "p_best"))
