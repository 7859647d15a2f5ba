"""A forecaster of your own, compared with the others on the same cells."""

import numpy as np

import neuneu as nn


class Mine(nn.Forecaster):
    """The mean of the last three checkpoints, plus or minus what the run has moved since."""

    def forecast_many(self, evidences, horizons):
        return [self.one(evidence.context, at) for evidence, at in zip(evidences, horizons, strict=True)]

    def one(self, context, at):
        middle, width = context.values[-3:].mean(), np.ptp(context.values[-3:]) + 0.02
        quantiles = np.clip(middle + width * (np.array(nn.LEVELS) - 0.5), context.low, context.high)
        return nn.Forecast(at, np.tile(quantiles, (len(at), 1)))


board = nn.evaluate(nn.read_home_curves(), [Mine()], tasks=["text_prose", "piqa"], fit=False)
print(board.to_frame().select("forecaster", "mae", "coverage80", "skill_vs_last_value"))
