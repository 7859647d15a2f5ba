"""Draw forecasts as fans, and write a page that works offline."""

import neuneu as nn

run, tasks = "home/llama-800k-prose-seed0", ["text_prose", "text_code"]
found = nn.forecast(nn.read_home_curves(), context=0.3, runs=run, tasks=tasks)
found.plot("fan.png")
print(found.report("report.html"))
