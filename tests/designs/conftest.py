"""A small design database, and the published export where it is at hand."""

from pathlib import Path

import pytest
from tests.canvas import on_canvas

from neuneu.designs import DesignStore

COLUMNS = "id,dimension,num_heads,mlp_ratio,activation,sequence_length,weight_tying,is_instruction_tuned"
MODELS = f"""{COLUMNS},total_params
org/a,512,8,4.0,gelu,2048,false,false,100000000
org/b,-1,16,-1,silu,2048,true,,200000000
solo,1024,16,2.667,,4096,false,true,
"""
DATASETS = """id,pretraining_summary_total_tokens_billions,pretraining_summary_percentage_code,metadata
org/a,300.5,-1,
org/b,600,12.5,
"""
EVALUATIONS = """id,benchmark,setting,metric,metric_value,metric_stderr
org/a,arc:challenge,25-shot,accuracy,0.31,0.01
org/a,arc_challenge,25-shot,accuracy,0.30,0.01
org/a,truthfulqa:mc,0-shot,mc2,0.41,
org/b,truthfulqa_mc2,0-shot,accuracy,0.39,0.015
org/b,anli_r1,0-shot,brier_score,nan,
"""


__all__ = ["on_canvas"]


@pytest.fixture(autouse=True)
def whole_figures(on_canvas: list[object]) -> None:
    """Nothing of a figure that is saved is cut."""


@pytest.fixture
def export_folder(tmp_path: Path) -> Path:
    """A tiny export with the published names of files."""
    folder = tmp_path / "export.duckdb"
    folder.mkdir()
    (folder / "model_annotations.csv").write_text(MODELS)
    (folder / "dataset_info.csv").write_text(DATASETS)
    (folder / "evaluation_results.csv").write_text(EVALUATIONS)
    return folder


@pytest.fixture
def store(export_folder: Path) -> DesignStore:
    """The tiny export in memory."""
    return DesignStore.from_export(export_folder)


@pytest.fixture(scope="session")
def published_store(published: Path) -> DesignStore:
    """The published export in memory, with its generation features."""
    from neuneu.designs.database.readers import read_features_csv

    store = DesignStore.from_export(published / "metadata" / "duckdb" / "2025_03_03.duckdb")
    features = published / "performance_prediction" / "all_models_feature_stats_3_03_with_ratios.csv"
    store.apply(read_features_csv(features))
    return store
