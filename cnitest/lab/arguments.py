"""What callers give to places and runtimes, checked before anything is done: what was expected, and what to write.

`checked` looks each argument up by its name in one table, so all methods say the same of the same thing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from cnitest.errors import UsageError, is_ours
from cnitest.lab import argument_checks as checks

__tracebackhide__ = is_ours

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
#: Makes of what was given what is meant; raises ValueError with the end of a sentence.
Check = Callable[[Any], Any]


def checked(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The method with its arguments checked by name. It raises UsageError before anything is done."""
    parameters = [*inspect.signature(method).parameters.values()][1:]
    defaults = {each.name: each.default for each in parameters}
    named = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    rest = next((each.name for each in parameters if each.kind is each.VAR_POSITIONAL), "")
    own = {name: CHECKS.get(f"{method.__name__}.{name}") or CHECKS.get(name) for name in defaults}

    @functools.wraps(method)
    def wrapper(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = is_ours

        def taken(name: str, value: Any) -> Any:
            check = own.get(name)
            if check is None or (value is None and defaults.get(name, ...) is None):
                return value
            try:
                return check(value)
            except ValueError as error:
                where = getattr(self, "full_name", type(self).__name__)
                raise UsageError(f"{where}: {method.__name__}(): {name} {error}") from None

        found = [taken(named[at] if at < len(named) else rest, value) for at, value in enumerate(args)]
        return method(self, *found, **{name: taken(name, value) for name, value in kwargs.items()})

    return cast(Callable[Concatenate[S, P], R], wrapper)


def expect(function: str, check: Check, **given: Any) -> None:
    """Check what a function was given, by name. Raises UsageError."""
    for name, value in given.items():
        try:
            check(value)
        except ValueError as error:
            raise UsageError(f"{function}(): {name} {error}") from None


#: How the arguments of that name are checked, in every method that is, or in the one that is named before it.
CHECKS: Mapping[str, Check] = {
    "address": checks.address,
    "source": checks.address,
    "port": checks.port,
    "listener_port": checks.port,
    "source_port": checks.number,
    "mark": checks.number,
    "ttl": checks.number,
    "rate": checks.rate,
    "size": checks.size,
    "reply_size": checks.size,
    "seconds": checks.seconds,
    "count": checks.count,
    "wait": checks.seconds,
    "timeout": checks.seconds,
    "hold": checks.seconds,
    "argv": checks.words,
    "environment": checks.texts,
    "ready": checks.ready,
    "protocol": checks.protocol,
    "protocols": checks.protocol,
    "reply": checks.data,
    "data": checks.data,
    "lines": checks.line,
    "program": checks.text,
    "sysctl.name": checks.text,
    "on": checks.link,
    "dhcp_server.link": checks.link,
    "dhcp_server.options": checks.several,
    "first": checks.address,
    "last": checks.address,
    "listener": checks.place,
    "udp.listener": checks.places,
    "packet": checks.packet,
    "sandbox": checks.sandbox,
    "host": checks.host,
    "attachment": checks.attachment,
    "network": checks.network,
    "ifname": checks.text,
    "container_id": checks.text,
    "args": checks.texts,
    "capabilities": checks.mapping,
    "plugin": checks.text,
}
