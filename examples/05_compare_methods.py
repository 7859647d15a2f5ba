"""Compare methods on the same cells of finished runs, naive ones included."""

import neuneu as nn

curves = nn.read_home_curves()
tasks = ["text_prose", "text_code", "piqa", "sciq"]
board = nn.evaluate(curves, ["neuneu-2", "log-linear"], context=0.2, tasks=tasks, fit=False)
print(board.to_frame().select("source", "forecaster", "mae", "coverage80", "n_runs", "n_curves"))
board.plot("leaderboard", "leaderboard.png")
board.write("evaluation")
