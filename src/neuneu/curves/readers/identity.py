"""Who is this run, which checkpoint is it: the one place that answers, for every reader.

A reader says of each results file what it knows (`Origin`: the file, the model with its revision, adapter and
subfolder, a step stated as a number); `place` gives its run, step and tokens, and puts into the report from
where they were told, or why nothing was read. All files of a reading are looked at together, since what tells
runs apart depends on which there are. The rules stand in docs/curves.md.
"""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from neuneu.curves.readers.names import (
    ENDINGS,
    MATCHED,
    REMEMBERED,
    Pattern,
    holds_checkpoints,
    is_final,
    is_plain,
    only_noise,
    read_name,
    without_number,
)
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.run_names import Location, name_runs
from neuneu.errors import InputError

NAMING = {
    "run_pattern": r"regular expression of the run in the model or path, like '([^/]+)/step'.",
    "step_pattern": r"regular expression of the step, like 'step(\d+)'.",
    "tokens_pattern": r"regular expression of the tokens seen, like '(\d+B)'.",
    "final_step": "the step of checkpoints that are only known as the final one (revision main).",
}
"""Options of every reader whose files do not hold run and step in columns."""

TELLING = 100
"""A folder's number that is the step is the checkpoint's only from here on: seed_1 at step 1 is a seed."""

NO_STEP = (
    "its step is in neither revision, model nor path: "
    r"`step_pattern` 'step(\d+)' or `tokens_pattern` '(\d+B)'"
)
TOKENS_AMONG_STEPS = "states tokens where others of its run state steps: `tokens_per_step` puts them together"

_HUB_CACHE = re.compile(r"models--(?P<owner>[^/]+?)--(?P<name>[^/]+)")
_SHA = re.compile(r"[0-9a-f]{7,64}")
_SHOTS = re.compile(r"(?:\d+|zero|one|few)[-_]?shots?", re.IGNORECASE)
_DATE = re.compile(r"(?:[a-z]+[-_])?\d{4}[-_]?\d{2}[-_]?\d{2}(?:[-_T:.\d]*)|\d{2}-\d{2}-\d{2}", re.IGNORECASE)
_EPOCH = re.compile(r"epoch[-_=]?\d+", re.IGNORECASE)
_NUMBER_FOLDER = re.compile(r"(?:^|[/\\])\d+[/\\][^/\\]*$")
_AMOUNT_NAME = re.compile(r"(?<![a-z0-9.])\d+bt(?![a-z0-9])", re.IGNORECASE)
_AMOUNT_FOLDER = re.compile(r"[/\\]\d+(?:\.\d+)?[MBT]T?[/\\]")


@dataclass(frozen=True, slots=True)
class Origin:
    """What one results file says of the checkpoint that it measured; None where it does not say.

    model: a name on a hub or a path; adapter: what was trained on top of it (peft, delta); step, tokens:
    stated as numbers, not in a name; measured: the curves that the file has values of, tasks first.
    """

    file: str
    model: str | None = None
    revision: str | None = None
    adapter: str | None = None
    subfolder: str | None = None
    step: int | None = None
    tokens: int | None = None
    measured: frozenset[tuple[object, ...]] = frozenset()


@dataclass(frozen=True, slots=True)
class Placed:
    """The run, step and tokens of a results file."""

    run: str
    step: int
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Naming:
    """What the user says of names: patterns by what they tell (run, step, tokens), and more."""

    run: str | None = None
    patterns: Mapping[str, Pattern] = field(default_factory=dict)
    final_step: int | None = None

    @classmethod
    def of(cls, given: Given, options: Mapping[str, str | None]) -> "Naming":
        """The options of NAMING as a reader gets them. Raises InputError on what is no pattern or number."""
        texts = {name: options.get(f"{name}_pattern") for name in ("run", "step", "tokens")}
        patterns = {name: Pattern.of(name, text) for name, text in texts.items() if text is not None}
        final = options.get("final_step")
        if final is not None and not str(final).isdecimal():
            raise InputError("must be a whole number", field="final-step", value=final)
        return cls(given.run, patterns, None if final is None else int(final))


class Place(NamedTuple):
    """Where a text puts a checkpoint, and what it states of it.

    folders: what may name its run, from the outermost to the nearest, without the checkpoint's own folder;
    below: folders under that; own: whether there is a checkpoint's own name; file: whether the last of
    `folders` is what the name of a file leaves besides the step.
    """

    folders: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    own: bool = False
    step: int | None = None
    tokens: int | None = None
    file: bool = False
    absolute: bool = False
    hub: bool = False


@dataclass(slots=True)
class _Told:
    """What the names of one file say, and what is made of it."""

    origin: Origin
    model: Place
    path: Place
    stage: str = ""
    base: str = ""
    final: bool = False
    step: int | None = None
    tokens: int | None = None
    step_from: str = ""
    run: str | None = None
    run_from: str = ""
    why: str = ""
    here: tuple[str, ...] = ()
    _folders: Place | None = None

    @property
    def results(self) -> Place:
        """The place of the results file with the folders that may name a run."""
        if self._folders is None:
            self._folders = _telling(self)
        return self._folders


def place(origins: Sequence[Origin], naming: Naming, given: Given, report: ReadReport) -> list[Placed | None]:
    """Run, step and tokens of each file; None, and the reason in the report, where a file has no place.

    Two files get one run only where nothing says that they may be of two (`_group`).
    """
    here = Path.cwd().parts[1:]
    told = [_read(origin, naming, here) for origin in origins]
    _name(told)
    runs: dict[str, list[_Told]] = defaultdict(list)
    for one in told:
        runs[one.run or ""].append(one)
    for name, its in runs.items():
        _settle_steps(name, its, naming, given, report)
    joined = naming.run if naming.run is not None and naming.patterns else None
    placed: list[Placed | None] = []
    for one in told:
        run = joined or one.run or ""
        if one.why or one.step is None:
            report.skip(one.origin.file, one.why or NO_STEP, run=run)
            placed.append(None)
        else:
            report.seen(run, one.origin.file, name_from=one.run_from, step_from=one.step_from)
            placed.append(Placed(run, one.step, one.tokens))
    if naming.run is None:
        _note_lone_checkpoints(runs, report)
    return placed


@lru_cache(REMEMBERED)
def read_place(text: str, *, revision: bool = False, words: bool = True) -> Place:
    """What a path, a name on a hub or a revision says. words: as for `read_name`."""
    cached = _HUB_CACHE.search(text)
    if cached is not None:
        return Place((cached["owner"], cached["name"]), hub=True)
    text = re.sub(r"^[a-z0-9]+://", "/", text.strip(), flags=re.IGNORECASE)
    absolute = text.startswith(("/", "~", "\\", "__")) or re.match(r"[A-Za-z]:[/\\]", text) is not None
    relative = text.startswith(".")
    pieces = [piece for piece in re.split(r"[/\\]|__", text) if piece not in ("", ".", "..", "~")]
    is_file = bool(pieces) and ENDINGS.search(pieces[-1]) is not None
    names = [read_name(piece, revision=revision, words=words) for piece in pieces]
    own = _own_folder(pieces, names, words)
    hub = not (absolute or relative or is_file) and len(pieces) == 2 and not is_plain(pieces[0])
    if own is None:
        folders = tuple(pieces[:-1] if is_file else pieces)
        return Place(folders, absolute=absolute, hub=hub)
    name = names[own]
    step = name.step if name.own else int(pieces[own])
    rest = (name.rest,) if name.own and name.rest else ()
    last = own == len(pieces) - 1
    below = () if last else tuple(pieces[own + 1 : -1] if is_file else pieces[own + 1 :])
    return Place(
        (*pieces[:own], *rest), below, True, step, name.tokens,
        file=last and is_file and bool(rest), absolute=absolute, hub=hub and last and bool(rest),
    )  # fmt: skip


_read_known = lru_cache(REMEMBERED)(read_place)
"""`read_place` for what many files say: their model, its revision."""


def _own_folder(pieces: Sequence[str], names: Sequence[object], words: bool) -> int | None:
    """Which of the pieces is the checkpoint's own: the deepest that states a step, else one of tokens.

    A bare number counts below a folder that is named for checkpoints: checkpoints/1000.
    """
    stepped = [
        i for i, name in enumerate(names)
        if getattr(name, "step", None) is not None or MATCHED in pieces[i]
        or (words and i > 0 and pieces[i].isdecimal() and holds_checkpoints(pieces[i - 1]))
    ]  # fmt: skip
    owned = stepped or [i for i, name in enumerate(names) if getattr(name, "own", False)]
    return owned[-1] if owned else None


def _read(origin: Origin, naming: Naming, here: tuple[str, ...]) -> _Told:
    """What the names of one file say, the user's patterns first. here: the folders that one stands in."""
    subject = "/".join(filter(None, [origin.adapter or origin.model, origin.subfolder]))
    texts = {"revision": origin.revision or "", "model": subject, "path": origin.file}
    said, marked = _match(texts, naming)
    words = "step" not in naming.patterns
    revision = _read_known(marked["revision"], revision=True, words=words)
    model = _read_known(marked["model"], words=words)
    path = read_place(marked["path"], words=words)
    one = _Told(origin, model, path)
    base = read_place(origin.model, words=words) if origin.adapter and origin.model else Place()
    if base.folders:
        one.base = "/".join(base.folders[-2:] if base.hub else base.folders[-1:])
    said_of = origin.revision or "main"
    says_nothing = is_final(said_of) or only_noise(said_of) or _SHA.fullmatch(said_of) is not None
    one.stage = "" if says_nothing else " ".join((*revision.folders, *revision.below))
    names = re.split(r"[/\\]", subject)
    one.final = is_final(origin.revision or "") or is_final(names[-1])
    if origin.step is not None or origin.tokens is not None:
        one.step, one.tokens, one.step_from = origin.step, origin.tokens, "the file"
    places = (revision, "the revision"), (model, "the model"), (base, "the model"), (path, "the path")
    for found, source in places:
        if one.step is None and one.tokens is None and found.own:
            one.step, one.tokens, one.step_from = found.step, found.tokens, source
    _apply(one, said, naming)
    one.here = here
    return one


def _match(texts: Mapping[str, str], naming: Naming) -> tuple[dict[str, tuple[str, Pattern]], dict[str, str]]:
    """What the patterns match, each in the first text that it matches, and the texts with that marked."""
    said: dict[str, tuple[str, Pattern]] = {}
    marked = dict(texts)
    for option, pattern in naming.patterns.items():
        for name, text in texts.items():
            found = pattern.last(text)
            if found is None:
                continue
            values, (start, stop) = found
            said |= {key: (value, pattern) for key, value in values.items()}
            if option != "run" and MATCHED not in marked[name]:
                slashes = "/" * text[start:stop].startswith("/"), "/" * text[start:stop].endswith("/")
                marked[name] = text[:start] + slashes[0] + MATCHED + slashes[1] + text[stop:]
            break
    return said, marked


def _apply(one: _Told, said: Mapping[str, tuple[str, Pattern]], naming: Naming) -> None:
    """What the patterns say wins; where one that was given does not match, the file has no place."""
    for option in naming.patterns:
        if option not in said:
            one.why = f"`{option}_pattern` matches neither revision, model nor path"
    if "step" in said:
        one.step, one.step_from = said["step"][1].amount(said["step"][0]), "`step_pattern`"
    if "tokens" in said:
        one.tokens = said["tokens"][1].amount(said["tokens"][0])
        one.step_from = one.step_from if one.step is not None else "`tokens_pattern`"
    if "run" in said:
        one.run, one.run_from = said["run"][0], "`run_pattern`"


def _telling(one: _Told) -> Place:
    """The place of the results file with the folders that may name a run.

    Those are left out that say what is known from elsewhere: the model, tasks, shots, the step; and dates,
    except above checkpoints of which no model tells the run.
    Folders above the path that was given count too, so that it does not matter where one stands.
    """
    path, origin = one.path, one.origin
    model = _model_pieces(origin.model, origin.adapter)
    tasks = _tasks(origin.measured)
    amounts = frozenset(n for n in (one.step, one.tokens) if n is not None and n >= TELLING)

    def tell(names: Sequence[str], *, dates: bool) -> tuple[str, ...]:
        kept = (
            without_number(name, amounts) for name in names
            if name not in model and _tells(name, tasks) and (dates or not _DATE.fullmatch(name))
        )  # fmt: skip
        return tuple(name for name in kept if name)

    rest = path.folders[-1:] if path.file else ()
    folders = path.folders[:-1] if path.file else path.folders
    dates = all(is_plain(name) for name in one.model.folders)
    above = () if path.absolute else one.here[: max(0, len(one.here) - origin.file.count(".." + os.sep))]
    return path._replace(
        folders=(*above, *tell(folders, dates=dates), *rest), below=tell(path.below, dates=False)
    )


@lru_cache(REMEMBERED)
def _model_pieces(*texts: str | None) -> frozenset[str]:
    """What a model's names consist of, as folders of results are called after it."""
    told = [text for text in texts if text]
    pieces = {piece for text in told for piece in re.split(r"[/\\]|__", text)}
    return frozenset(pieces | {re.sub(r'["<>:/\\|?*\[\]]+', "_", text) for text in told})


@lru_cache(REMEMBERED)
def _tasks(measured: frozenset[tuple[object, ...]]) -> frozenset[str]:
    return frozenset(str(curve[0]) for curve in measured)


@lru_cache(REMEMBERED)
def _tells(name: str, tasks: frozenset[str]) -> bool:
    """Whether a folder's name is neither that of all these tasks, or their beginning or end, nor shots."""
    of_tasks = bool(tasks) and all(
        task == name or task.startswith(f"{name}_") or task.endswith(f"_{name}") for task in tasks
    )
    return not of_tasks and not _SHOTS.fullmatch(name)


def _name(told: Sequence[_Told]) -> None:
    """Give each file a run: those of one group get one name."""
    groups = _group([one for one in told if one.run is None])
    for location, its in name_runs(groups).items():
        for one in its:
            one.run = location
            one.run_from = one.run_from or "the folder"


def _group(told: Sequence[_Told]) -> list[tuple[Location, list[_Told]]]:
    """The files of each run, with the place that names it.

    Where the model says a place besides the step, files of one place are one run, unless their own folders
    say otherwise (`_by_folder`); where it does not, files of one folder are.
    """
    by_model: dict[Location, list[_Told]] = defaultdict(list)
    rest: list[_Told] = []
    for one in told:
        if any(not is_plain(name) for name in one.model.folders):
            one.run_from = "the adapter" if one.origin.adapter else "the model"
            by_model[Location(one.model.folders, one.model.hub, one.model.file, one.stage, one.base)].append(
                one
            )
        else:
            rest.append(one)
    groups: list[tuple[Location, list[_Told]]] = []
    for location, its in by_model.items():
        parts = _by_folder(its)
        if len(parts) == 1:
            groups.append((location, its))
        for folders, some in parts.items() if len(parts) > 1 else ():
            groups.append((Location(folders, stage=location.stage, base=location.base), some))
            for one in some:
                one.run_from = "the folder, as one model stands for several"
    for place, some in _folders(rest, always=True).items():
        stages = {one.stage for one in some}
        for stage in stages:
            its = [one for one in some if one.stage == stage]
            groups.append((Location(place, file=its[0].results.file, stage=stage, base=its[0].base), its))
    return groups


def _by_folder(its: Sequence[_Told]) -> dict[tuple[str, ...], list[_Told]]:
    """The files of one model by the folders that stand for runs of their own; all in one where none do.

    A name on a hub with a revision that tells the step is the same model everywhere. A path need not be: it
    may be relative, or be filled anew for each checkpoint. Two folders are two runs where one curve would
    take values from both; an absolute path that tells the step counts for more, so that each must then hold
    several checkpoints.
    """
    if all(one.model.hub and one.step_from in ("the revision", "the model") for one in its):
        return {(): list(its)}
    parts = _folders(its, always=False)
    seen: set[object] = set()
    overlap = False
    for some in parts.values():
        curves = {curve for one in some for curve in one.origin.measured}
        overlap = overlap or bool(curves & seen)
        seen |= curves
    sure = all(one.model.absolute and one.step_from == "the model" for one in its)
    several = [some for some in parts.values() if len({(one.step, one.tokens) for one in some}) > 1]
    if not overlap or (sure and len(several) < 2):
        return {(): list(its)}
    return parts


def _folders(its: Sequence[_Told], *, always: bool) -> dict[tuple[str, ...], list[_Told]]:
    """Files by the folders above their checkpoints, and those below that hold several of them.

    always: whether the rest of a file's name counts, as nothing else does.
    """
    below: dict[tuple[str, ...], set[int | None]] = defaultdict(set)
    for one in its:
        below[one.results.below].add(one.step if one.step is not None else one.tokens)
    parts: dict[tuple[str, ...], list[_Told]] = defaultdict(list)
    for one in its:
        above = one.results.folders if always or not one.results.file else one.results.folders[:-1]
        names = (*above, *(one.results.below if len(below[one.results.below]) > 1 else ()))
        parts[tuple(name for name in names if not is_plain(name)) or names].append(one)
    return parts


def _settle_steps(run: str, its: Sequence[_Told], naming: Naming, given: Given, report: ReadReport) -> None:
    """Steps of checkpoints that are known by their tokens or as the final one; tokens that are none."""
    for one in its:
        if one.step is None and one.tokens is None and one.final and not one.why:
            one.step, one.step_from = naming.final_step, "`final_step`"
            if one.step is None:
                said = (
                    f"revision {one.origin.revision}" if is_final(one.origin.revision or "") else "its name"
                )
                one.why = f"the final checkpoint ({said}): `final_step` gives its step"
    steps = {one.step for one in its if one.step is not None}
    known = [one for one in its if one.tokens is not None and one.step is not None]
    if len(steps) > 1 and len(known) > 1 and len({one.tokens for one in known}) == 1:
        report.count_note("the same tokens in the names of all checkpoints were not taken for a clock", run)
        for one in known:
            one.tokens = None
    for one in its:
        if one.step is None and one.tokens is not None and not one.why:
            one.step = given.step_at(one.tokens)
            if one.step is None and steps:
                one.why = TOKENS_AMONG_STEPS
            elif one.step is None:
                one.step = one.tokens
                report.count_note("names say tokens, not steps, so that they stand for steps too; "
                                  "`tokens_per_step` gives steps", run)  # fmt: skip
        if one.step is None and not one.why:
            one.why = _no_step(one)


def _no_step(one: _Told) -> str:
    """Why there is no step, with the option that would tell it."""
    texts = [one.origin.revision or "", one.origin.model or "", one.origin.file]
    if any(_EPOCH.search(text) for text in texts):
        return r"names an epoch, no step: `step_pattern` 'epoch[-_=]?(\d+)' takes epochs for steps"
    if _NUMBER_FOLDER.search(one.origin.file):
        return NO_STEP.partition(":")[0] + r": `step_pattern` '/(\d+)/[^/]*$' if its folder is the step"
    if any(_AMOUNT_NAME.search(text) for text in texts):
        return NO_STEP + r"; `tokens_pattern` '(\d+bt)' if its name counts tokens"
    if any(_AMOUNT_FOLDER.search(text) for text in texts):
        return NO_STEP + r"; `tokens_pattern` '/(\d+B)/' if its folder is named for tokens"
    return NO_STEP


def _note_lone_checkpoints(runs: Mapping[str, Sequence[_Told]], report: ReadReport) -> None:
    """Several runs of one checkpoint each are rather one run whose names were not understood."""
    lone = [
        run for run, its in runs.items()
        if run and len({one.step for one in its if one.step is not None}) == 1
    ]  # fmt: skip
    for run in lone if len(lone) > 1 else ():
        report.count_note("runs of one checkpoint each: if they are one run, `run` NAME with `step_pattern` "
                          "joins them, `run_pattern` names them", run)  # fmt: skip
