"""Tokenizing, scoring and words, timed against the straight way. `python -m benchmarks.losses`."""

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = 50_304
WINDOW = 1024


def main() -> None:
    """Print one JSON document: seconds, tokens/s, words/s, peak memory, ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=20.0, help="Text to tokenize.")
    parser.add_argument("--documents", type=int, default=48, help="Documents to score.")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--part", choices=["straight", "ours", "floor"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(_PARTS[options.part](options.documents)))
        return
    result = {
        "tokenize": tokenize(options.megabytes),
        "score": score(options.documents),
        "words": words(),
        "threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def tokenize(megabytes: float) -> dict[str, float]:
    """JSON lines → corpus folder, against a loop that encodes one document after the other: ids alone, and
    all that a corpus holds (ids, bounds of documents, tokens of each word)."""
    from tokenizers import Tokenizer

    from neuneu.losses.corpus import tokenize_corpus

    texts = _python_texts(megabytes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _train_tokenizer(texts, folder / "tokenizer")
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / "text.jsonl").write_text(lines)

        def loop() -> np.ndarray:
            made = Tokenizer.from_file(str(folder / "tokenizer/tokenizer.json"))
            ids: list[int] = []
            with (folder / "text.jsonl").open() as stream:
                for line in stream:
                    ids.extend(made.encode(json.loads(line)["text"], add_special_tokens=False).ids)
            return np.array(ids)

        def whole_loop() -> tuple[list[int], list[tuple[int, int]], list[tuple[int, int]]]:
            made = Tokenizer.from_file(str(folder / "tokenizer/tokenizer.json"))
            ids: list[int] = []
            bounds, words = [], []
            with (folder / "text.jsonl").open() as stream:
                for line in stream:
                    text = json.loads(line)["text"]
                    encoding = made.encode(text, add_special_tokens=False)
                    spans, first = encoding.offsets, 0
                    for word in re.finditer(r"\S+", text):
                        while spans[first][1] <= word.start():
                            first += 1
                        past = first
                        while past < len(spans) and spans[past][0] < word.end():
                            past += 1
                        words.append((len(ids) + first, len(ids) + past))
                    bounds.append((len(ids), len(ids) + len(encoding.ids)))
                    ids.extend(encoding.ids)
            return ids, bounds, words

        workers = len(os.sched_getaffinity(0))
        loop_wall, loop_cpu, expected = _timed(loop)
        whole_wall, whole_cpu, (_, bounds, words) = _timed(whole_loop)
        source, tokenizer = [folder / "text.jsonl"], str(folder / "tokenizer")
        one_wall, one_cpu, _ = _timed(lambda: tokenize_corpus(source, folder / "one", tokenizer))
        all_wall, _, corpus = _timed(
            lambda: tokenize_corpus(source, folder / "all", tokenizer, workers=workers)
        )
        theirs = (expected, np.array(bounds), np.array(words))
        for found, wanted in zip((corpus.tokens, corpus.bounds, corpus.words), theirs, strict=True):
            if not np.array_equal(found, wanted):
                raise RuntimeError("the corpora differ")
        return {
            "megabytes": sum(map(len, texts)) / 1e6,
            "tokens": len(expected),
            "loop_seconds": loop_wall,
            "whole_loop_seconds": whole_wall,
            "one_worker_seconds": one_wall,
            "all_workers_seconds": all_wall,
            "workers": workers,
            "loop_cpu_seconds": loop_cpu,
            "one_worker_cpu_seconds": one_cpu,
            "ratio_one_worker_cpu": loop_cpu / one_cpu,
            "ratio_one_worker": loop_wall / one_wall,
            "ratio_all_workers": loop_wall / all_wall,
            "ratio_whole_loop_one_worker_cpu": whole_cpu / one_cpu,
            "ratio_whole_loop_all_workers": whole_wall / all_wall,
        }


def score(documents: int) -> dict[str, float]:
    """Tokens/s and peak memory of three processes: straight, ours, matrix multiplications alone."""
    parts: dict[str, Any] = {}
    for part in ("straight", "ours", "floor"):
        command = [sys.executable, "-m", "benchmarks.losses", "--part", part, "--documents", str(documents)]
        parts[part] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    difference = abs(parts["straight"]["mean"] - parts["ours"]["mean"])
    if difference > 1e-4:
        raise RuntimeError(f"the mean losses differ by {difference}")
    return {
        **{f"{part}_{name}": value for part, values in parts.items() for name, value in values.items()},
        "speed_ratio": parts["straight"]["cpu_seconds"] / parts["ours"]["cpu_seconds"],
        "wall_ratio": parts["straight"]["seconds"] / parts["ours"]["seconds"],
        "memory_ratio": parts["straight"]["megabytes"] / parts["ours"]["megabytes"],
        "times_the_floor": parts["ours"]["cpu_seconds"] / parts["floor"]["cpu_seconds"],
    }


def words() -> dict[str, float]:
    """Alignment and sums of a text of two million words."""
    from neuneu.losses.alignment import align_words, sum_words, word_spans

    text = " ".join(["the naïve fox", "doesn't jump\n"] * 400_000)
    edges = np.arange(0, len(text), 3)
    ends = np.append(edges[1:], len(text))
    losses = np.random.default_rng(0).gamma(2, size=len(edges))
    wall, _, ranges = _timed(lambda: align_words(word_spans(text), edges, ends))
    sum_wall, _, sums = _timed(lambda: sum_words(losses, ranges))
    return {
        "words": len(sums),
        "align_words_per_second": len(sums) / wall,
        "sum_words_per_second": len(sums) / sum_wall,
    }


def _setting(documents: int) -> tuple[Any, Any, Any]:
    """A model of 2 layers × 128 with 50,304 tokens; documents as long as web pages are."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=128, intermediate_size=512, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=WINDOW,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(450), 0.9, documents), 20, WINDOW).astype(int)
    ends = np.cumsum(lengths)
    return model, rng.integers(0, VOCABULARY, ends[-1]), np.stack([ends - lengths, ends], axis=1)


def _straight(documents: int) -> dict[str, float]:
    """Batches of 8 documents, padded, in the order of the text, all logits in float32."""
    import torch

    model, tokens, bounds = _setting(documents)

    @torch.inference_mode()
    def run() -> np.ndarray:
        losses = []
        for start in range(0, len(bounds), 8):
            part = [torch.from_numpy(tokens[a:b]) for a, b in bounds[start : start + 8]]
            ids = torch.nn.utils.rnn.pad_sequence(part, batch_first=True)
            labels = torch.nn.utils.rnn.pad_sequence(part, batch_first=True, padding_value=-100)
            mask = (labels != -100).long()
            logits = model(ids, attention_mask=mask).logits.float()
            flat = torch.nn.functional.cross_entropy(
                logits[:, :-1].reshape(-1, VOCABULARY), labels[:, 1:].reshape(-1), reduction="none"
            )
            losses.append(flat[labels[:, 1:].reshape(-1) != -100].numpy())
        return np.concatenate(losses)

    return _measured(run, len(tokens))


def _ours(documents: int) -> dict[str, float]:
    from neuneu.losses.forward import token_losses
    from neuneu.losses.windows import plan_windows

    model, tokens, bounds = _setting(documents)
    windows = plan_windows(bounds, WINDOW, WINDOW // 2)
    return _measured(lambda: token_losses(model, tokens, windows), len(tokens))


def _floor(documents: int) -> dict[str, float]:
    """The multiplications that cannot be left out: the layers' and the head's, for the scored tokens."""
    import torch

    model, tokens, bounds = _setting(documents)
    linear = [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]
    n_tokens = len(tokens) - len(bounds)

    @torch.inference_mode()
    def run() -> np.ndarray:
        for weight in linear:
            part = torch.randn(256, weight.shape[1])
            out = torch.empty(256, weight.shape[0])
            for start in range(0, n_tokens, 256):
                size = min(256, n_tokens - start)
                torch.mm(part[:size], weight.T, out=out[:size])
        return np.zeros(1)

    return _measured(run, len(tokens))


_PARTS = {"straight": _straight, "ours": _ours, "floor": _floor}


def _measured(run: Callable[[], np.ndarray], n_tokens: int) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu, losses = _timed(run)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "tokens_per_second": n_tokens / wall,
        "megabytes": max(peak - before, 1.0),  # growth below what is already resident does not show
        "mean": float(np.nanmean(losses)),
    }


def _timed(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, processor seconds with those of finished child processes, and the result."""
    wall, cpu = time.perf_counter(), _processor_seconds()
    result = run()
    return time.perf_counter() - wall, _processor_seconds() - cpu, result


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _python_texts(megabytes: float) -> list[str]:
    """Text that every machine has: the standard library and the packages beside it, in pieces."""
    texts: list[str] = []
    size = 0
    for root in ("stdlib", "purelib"):
        for file in sorted(Path(sysconfig.get_paths()[root]).rglob("*.py")):
            for part in file.read_text(errors="replace").split("\n\n\n"):
                if part.strip():
                    texts.append(part)
                    size += len(part)
            if size > megabytes * 1e6:
                random.Random(0).shuffle(texts)
                return texts
    return texts


def _train_tokenizer(texts: list[str], folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(texts[: len(texts) // 2], trainer)
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(folder)


if __name__ == "__main__":
    main()
