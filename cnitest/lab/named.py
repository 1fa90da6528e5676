"""Places by their names: a dictionary that says which there are, and what to write instead of what is not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn, TypeVar

from cnitest.errors import UnknownName, is_ours
from cnitest.typos import nearest

__tracebackhide__ = is_ours

T = TypeVar("T")


class Name(str):
    """A name that a loop over places gives; asked for what a place has, it says how to come by the place."""

    def __new__(cls, name: str, whole: str) -> Name:
        """A name, and what it is a name in."""
        made = super().__new__(cls, name)
        made._whole = whole
        return made

    _whole: str

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AttributeError(
            f"{str(self)!r} is a name, which has no {attribute!r}: loop over {self._whole}.values(), "
            f"or write {self._whole}[{str(self)!r}].{attribute}"
        )


class Named(dict[str, T]):
    """Places by name; ``whole`` is how a test writes the dictionary itself."""

    def __init__(self, whole: str, places: Iterable[tuple[str, T]]) -> None:
        super().__init__({Name(name, whole): place for name, place in places})
        self._whole = whole

    def __missing__(self, name: object) -> NoReturn:
        raise unknown(self._whole, "place", name, self)


def unknown(who: str, what: str, name: object, known: Iterable[str], has: str = "; it has ") -> UnknownName:
    """The error for a name that nobody has, with those that there are."""
    names = [*known]
    hint = _did_you_mean(name, names) if isinstance(name, str) else ". A name is a text"
    return UnknownName(f"{who} has no {what} {name!r}{has}{', '.join(names) or 'none'}{hint}")


def _did_you_mean(name: str, names: Sequence[str]) -> str:
    """What was meant, whole: of ``host/sandbox`` the second part alone may be what was written."""
    whole = {each: each.rpartition("/")[2] for each in names}
    near = nearest(name, [*whole, *whole.values()])
    meant = [repr(each) for each, last in whole.items() if near in (each, last)]
    return f". Did you mean {' or '.join(meant)}?" if meant else ""
