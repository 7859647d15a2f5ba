"""Run the real lm-evaluation-harness on a tiny random model: FOLDER STEP... writes FOLDER/out."""

import json
import os
import sys
from pathlib import Path

WORDS = ["<eos>", "<unk>", "the", "cat", "dog", "sat", "on", "mat", "hat", "blue", "red", "sky"]
TASK = """
task: tiny_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {items}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: q
doc_to_choice: choices
doc_to_target: gold
num_fewshot: 0
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""


def main(folder: Path, steps: list[int]) -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    import lm_eval
    import torch
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    items = folder / "items.jsonl"
    questions = [
        {"q": f"the {word} sat on the", "choices": ["mat", "sky", "blue"], "gold": place % 3}
        for place, word in enumerate(WORDS[3:10])
    ]
    items.write_text("".join(json.dumps(question) + "\n" for question in questions))
    (folder / "tiny.yaml").write_text(TASK.format(items=items))
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<eos>", unk_token="<unk>", pad_token="<eos>"
    )
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    for step in steps:
        torch.manual_seed(step)
        shape = {"n_positions": 32, "n_embd": 8, "n_layer": 1, "n_head": 1}
        model = GPT2LMHeadModel(GPT2Config(vocab_size=len(WORDS), bos_token_id=0, eos_token_id=0, **shape))
        checkpoint = folder / "tiny-lm" / f"step{step}"
        model.save_pretrained(checkpoint)
        tokenizer.save_pretrained(checkpoint)
        tracker = EvaluationTracker(output_path=str(folder / "out" / f"step{step}"))
        found = lm_eval.simple_evaluate(
            model="hf", model_args=f"pretrained={checkpoint},dtype=float32", tasks=["tiny_choice"],
            task_manager=manager, device="cpu", batch_size=4, bootstrap_iters=0, evaluation_tracker=tracker,
        )  # fmt: skip
        samples = found.pop("samples")
        tracker.save_results_aggregated(results=found, samples=samples)
        for task, items in samples.items():
            tracker.save_results_samples(task_name=task, samples=items)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(step) for step in sys.argv[2:]])
