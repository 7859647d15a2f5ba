"""Train NeuNeu on curves and token losses, and forecast a run that it has not seen."""

import neuneu as nn

curves, losses = nn.read_home_curves(), nn.read_home_losses()
tasks = ["text_prose", "text_code", "piqa"]
train = [run for run in curves.runs if "llama-50k" in run and run.endswith("seed0")]  # the smallest runs

method = nn.make_forecaster("neuneu-levels")
method.config = method.config.model_copy(
    update={"training": method.config.training.model_copy(update={"max_steps": 60})}  # of 300: to be quick
)
method.fit(curves.filter(run=train, task=tasks), losses).save("trained")

asked = {"context": 0.3, "runs": "home/llama-200k-prose-seed0", "tasks": tasks, "losses": losses}
for forecaster in ("trained", "last-value"):  # the folder just written, and the baseline
    cells = nn.forecast(curves, forecasters=forecaster, **asked).to_frame()
    print(forecaster, (cells["q50"] - cells["value"]).abs().mean())
