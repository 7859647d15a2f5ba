"""Run a tagger over a file: streaming, in parallel, and resumable."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import cast

import polars as pl

from neuneu.errors import InputError, check_known, import_named
from neuneu.files import atomic_path
from neuneu.progress import counting
from neuneu.taggers import cleaning, counts, repetition
from neuneu.taggers.document_features import BLOCK, SOURCE, expected, read_blocks, source_digest
from neuneu.taggers.parts import Job, check, claimed, start, version, work

_SLOW = ("content_function_ratio", "dep_parse", "const_parse", "edu_classifier", "domain")
_SLOW_BLOCK = 64


@dataclass(frozen=True)
class TaggerOptions:
    """What some features need.

    tokenizer: a tokenizer.json. endpoint: address of an OpenAI-compatible service, and model: its name there;
    without an endpoint, model is the folder of a local checkpoint. language: of all documents. against: file
    of evaluation texts, and words: how many in a row must be shared.
    """

    tokenizer: str | None = None
    endpoint: str | None = None
    model: str | None = None
    language: str | None = None
    against: str | None = None
    words: int = 13


def make_tagger(feature: str, options: TaggerOptions) -> counts.Tagger:
    """The tagger of a feature, or the function at "package.module:function".

    Raises InputError where it is unknown, cannot be imported or lacks an option.
    """
    from neuneu.taggers import classifiers, domains, parses, syntax, web_classes

    language, tokenizer = options.language, options.tokenizer
    makers: dict[str, Callable[[], counts.Tagger]] = {
        "char_len": lambda: counts.character_length,
        **{name: partial(counts.token_feature, name, tokenizer) for name in counts.TOKEN_FEATURES},
        "keyword_ratios": lambda: counts.keyword_ratios,
        "keyword_counts": lambda: counts.keyword_counts,
        "counts": lambda: partial(counts.all_counts, tokenizer=tokenizer),
        "repetition": lambda: _repetition,
        "repaired_text": lambda: _repair,
        "contamination": lambda: _contamination(_needed(options.against, "against"), options.words),
        "language": domains.language_tagger,
        "web_class": lambda: web_classes.url_tagger,
        "code_features": lambda: syntax.syntax_tagger(language),
        **{name: partial(parses.stanza_tagger, name, language or "en") for name in parses.FEATURES},
        "edu_classifier": lambda: classifiers.educational_tagger(_needed(options.model, "model")),
        "domain": lambda: domains.domain_tagger(options.endpoint, _needed(options.model, "model")),
    }
    if ":" in feature:
        own = import_named(feature, "feature", "package.module:function")
        if not callable(own):
            raise InputError("is not a function of a block of documents", field="feature", value=feature)
        return cast(counts.Tagger, own)
    check_known(feature, [*makers, "entropy"], "feature", "unknown")
    return makers[feature]()


_loaded = cache(make_tagger)  # models and pipelines are loaded once a process


def tag(
    feature: str,
    source: str | Path,
    output: str | Path,
    *,
    options: TaggerOptions | None = None,
    workers: int = 1,
    limit: int | None = None,
    size: int | None = None,
) -> int:
    """Tag every document of a file into one Parquet (id and the feature's columns); returns how many.

    Finished blocks of `size` documents wait in `<output>.parts`; the same call after an interruption takes
    them up, if the file, feature and options are the same, and gives the same bytes. Memory: about ten times
    a block (8 MB, or one document), for each worker; it does not grow with the file.
    """
    source, output = Path(source), Path(output)
    options = options or TaggerOptions()
    check(source, output, workers, suffix=".parquet")
    size = size or (_SLOW_BLOCK if feature in _SLOW else BLOCK)
    _loaded.cache_clear()  # the files behind it may have changed
    _loaded(feature, options)
    model = options.model if options.endpoint is None else None
    used = [version(path) for path in (source, options.against, options.tokenizer, model) if path is not None]
    settings = {"feature": feature, "size": size, "limit": limit, "files": used, **vars(options)}
    done, digest = 0, source_digest(source)

    with claimed(output, settings) as parts:

        def jobs() -> Iterator[Job]:
            nonlocal done
            for number, block in enumerate(read_blocks(source, size=size, limit=limit)):
                done += len(block)
                yield Job(parts / f"{number:08d}.parquet", _tag_block, (feature, options, block), done)

        with counting("documents", expected(source, limit)) as tell, start(workers) as executor:
            work(jobs(), executor, workers, tell)
        if done == 0:
            raise InputError("holds no documents", where=source)
        with atomic_path(output) as temporary:
            pl.scan_parquet(parts / "*.parquet").sink_parquet(
                temporary, compression="zstd", maintain_order=True, metadata={SOURCE: digest}
            )
    return done


def _tag_block(feature: str, options: TaggerOptions, block: pl.DataFrame, path: Path) -> None:
    tagged = _loaded(feature, options)(block)
    with atomic_path(path) as temporary:
        tagged.write_parquet(temporary)


def _repetition(block: pl.DataFrame) -> pl.DataFrame:
    return block.select("id", repetition.removal_reasons(block["text"]).alias("removed_because"))


def _repair(block: pl.DataFrame) -> pl.DataFrame:
    return block.select(
        "id", pl.Series("text", [cleaning.repair_encoding(t) for t in block["text"]], dtype=pl.String)
    )


def _contamination(against: str, words: int) -> counts.Tagger:
    finder = cleaning.Decontaminator((block["text"] for block in read_blocks(against)), n=words)
    return lambda block: block.select("id", pl.Series("contamination", finder.shares(block["text"])))


def _needed(value: str | None, name: str) -> str:
    if value is None:
        raise InputError("is needed by this feature", field=name)
    return value
