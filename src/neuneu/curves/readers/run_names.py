"""Names of runs: of each run's place the nearest folder that tells it from the others."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from neuneu.curves.readers.names import is_plain, is_qualifier

Item = TypeVar("Item")

UNNAMED = "run"
"""The name of a run of which nothing is known."""


class Location(NamedTuple):
    """The place of a run.

    folders: from the outermost to the nearest; hub: they are owner and name on a hub; file: the last is the
    rest of a file's name; stage: which part of a run (stage1); base: the model that an adapter stands on.
    """

    folders: tuple[str, ...]
    hub: bool = False
    file: bool = False
    stage: str = ""
    base: str = ""


def name_runs(groups: Iterable[tuple[Location, list[Item]]]) -> dict[str, list[Item]]:
    """A name for each place: a hub's owner/name, else the nearest folder that tells it apart."""
    groups = list(groups)
    locations = [location for location, _ in groups]
    paths = [place for place in dict.fromkeys(locations) if not place.hub]
    nearest = dict(zip(paths, _nearest(paths), strict=True))
    names = {
        place: " ".join(filter(None, ["/".join(place.folders) if place.hub else nearest[place], place.stage]))
        for place in locations
    }
    times = Counter(names.values())
    for place, name in names.items():
        if times[name] > 1 and place.base:
            names[place] = f"{name} on {place.base}"
    runs: dict[str, list[Item]] = {}
    for location, items in groups:
        name = names[location]
        number = 2
        while name in runs:
            name = f"{names[location]} ({number})"
            number += 1
        runs[name] = items
    return runs


def name_files(files: Sequence[Path]) -> dict[Path, str]:
    """A run for each file that holds one: its name, with the folders that tell files of one name apart."""
    stems = [file.stem for file in files]
    if len(set(stems)) == len(stems):
        return dict(zip(files, stems, strict=True))
    places = [Location((*file.absolute().parent.parts[1:], file.stem)) for file in files]
    return dict(zip(files, _nearest(places), strict=True))


def _nearest(places: Sequence[Location]) -> list[str]:
    """For each place the fewest of its nearest folders that no other place ends in."""
    chains = [_telling(place.folders) for place in places]
    without = [_telling(place.folders[:-1] if _in_folder(place) else place.folders) for place in places]
    if len(set(without)) == len(set(chains)):
        chains = without
    distinct = set(chains)
    while len(distinct) > 1 and len({chain[-1] for chain in distinct}) == 1 and min(map(len, distinct)) > 1:
        distinct = {chain[:-1] for chain in distinct}
        chains = [chain[:-1] for chain in chains]
    ends = Counter(chain[-n:] for chain in distinct for n in range(1, len(chain) + 1))
    return ["/".join(_shortest(chain, ends)) for chain in chains]


def _in_folder(place: Location) -> bool:
    """Whether the last name is a file's, and the folder that it lies in tells something."""
    return place.file and len(place.folders) > 1 and not is_plain(place.folders[-2])


def _telling(folders: tuple[str, ...]) -> tuple[str, ...]:
    """The folders without words that name nothing."""
    return tuple(name for name in folders if not is_plain(name)) or folders[-1:] or (UNNAMED,)


def _shortest(chain: tuple[str, ...], ends: Mapping[tuple[str, ...], int]) -> tuple[str, ...]:
    """The shortest end of a chain that no other has. ends: of every chain → chains that end so."""
    for n in range(1, len(chain) + 1):
        end = chain[-n:]
        named = any(not is_qualifier(name) for name in end) or n == len(chain)
        if named and ends[end] == 1:
            return end
    return chain
