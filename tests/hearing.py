"""A listener to what is counted, for tests."""


class Ear:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def begin(self, what: str, total: int | None) -> str:
        self.heard.append(("begin", what, total))
        return what

    def at(self, work: str, done: int, now: str) -> None:
        self.heard.append((work, done, now))

    def end(self, work: str) -> None:
        self.heard.append(("end", work))

    def told(self, work: str) -> list[tuple[object, ...]]:
        """(done, now) each time that this work told."""
        return [each[1:] for each in self.heard if each[0] == work]

    def totals(self) -> dict[object, object]:
        """Work → how many there were to do."""
        return {each[1]: each[2] for each in self.heard if each[0] == "begin"}
