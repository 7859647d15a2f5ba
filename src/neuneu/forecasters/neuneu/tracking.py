"""Where training is watched besides the metrics log: wandb, trackio or TensorBoard."""

from pathlib import Path
from typing import Any

from neuneu.errors import MissingExtraError
from neuneu.forecasters.neuneu.config import RunConfig
from neuneu.forecasters.neuneu.training import SILENT, Report


def make_tracker(config: RunConfig, folder: Path) -> Report:
    """A function that is given every logged record. Raises MissingExtraError where the library is absent."""
    kind = config.training.tracker
    if kind == "none":
        return SILENT
    if kind == "tensorboard":
        return _tensorboard(folder)
    module = _import(kind)
    run = module.init(
        project=config.training.tracker_project,
        name=config.training.tracker_run or folder.name,
        config=config.model_dump(mode="json"),
    )

    def report(record: dict[str, float]) -> None:
        run.log({name: value for name, value in record.items() if name != "step"}, step=int(record["step"]))

    return report


def _tensorboard(folder: Path) -> Report:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "track") from error
    writer = SummaryWriter(folder / "tensorboard")

    def report(record: dict[str, float]) -> None:
        for name, value in record.items():
            if name != "step":
                writer.add_scalar(name, value, int(record["step"]))

    return report


def _import(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(name, "track") from error
