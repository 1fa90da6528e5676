"""Where libcni does something else than the specification wants of a runtime, as data.

Each field is one such place; its default is what the specification says. RT-nn is the number of the rule.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Mode:
    """How a runtime decides where the specification and libcni differ.

    `SPEC` and `LIBCNI` are the two that exist; ``dataclasses.replace(SPEC, passes_capabilities=True)`` makes one that
    differs in a single thing. The environment of a plugin (RT-13) is scrubbed in every mode: libcni hands on its own,
    and ours would lead plugins out of the lab.
    """

    name: str
    #: RT-04: reject an ADD whose cache file would be that of another attachment (a-b + c and a + b-c are both a-b-c).
    guards_cache_files: bool = True
    #: RT-05: a cached result that cannot be understood is removed before DEL is called, not after it.
    drops_unreadable_cache: bool = False
    #: RT-07: ``disableCheck`` counts before the version does; a network older than CHECK may say it too.
    obeys_disable_check_first: bool = True
    #: RT-08: CHECK is rejected for what was never added or has been deleted; else it is called without prevResult.
    checks_only_what_is_cached: bool = True
    #: RT-10, RT-30: GC deletes a stale attachment with the configuration it was added with, not with today's.
    deletes_stale_as_added: bool = True
    #: RT-10: GC reports cache files that it cannot read; else they, or the whole GC, are passed over in silence.
    tells_unreadable_cache: bool = True
    #: RT-10: GC always names to plugins which attachments are valid; without a list those of this runtime are. Else it
    #: says nothing to them without a list, and yet deletes every attachment.
    lists_valid_attachments: bool = True
    #: RT-11: GC runs alone: no ADD and no DEL of its network at the same time.
    gc_runs_alone: bool = True
    #: RT-12: one operation at a time on a container.
    locks_containers: bool = True
    #: RT-14: integers beyond 2**53 are rounded on their way through a Go map.
    rounds_integers: bool = False
    #: RT-15: ``capabilities`` is left in the request of ADD, CHECK and DEL.
    passes_capabilities: bool = False
    #: RT-17: keys that begin with ``cni.dev/``, and a ``prevResult`` for the first ADD, are passed on from the
    #: configuration.
    passes_reserved_keys: bool = False
    #: RT-18: the version is the highest published one; else anything that looks like a version is taken at its word,
    #: and a network that names none is passed on as one of version "".
    picks_published_versions: bool = True
    #: RT-19: container ID and interface name are checked for every command, not for ADD alone.
    validates_every_command: bool = True
    #: RT-19: CNI_ARGS that no plugin could take apart into pairs again are rejected.
    validates_args: bool = True
    #: RT-20: a result loses what libcni's types do not know, before it is handed on and kept.
    reduces_results: bool = False
    #: RT-20: a result of another version is converted for the next plugin of the chain, not only when it was cached.
    converts_between_plugins: bool = True
    #: RT-27: a single plugin's .conf may say what a list says (cniVersions, disableCheck, disableGC).
    reads_list_keys_of_single: bool = True
    #: RT-27: a .conf or .json file may hold a list; libcni looks for lists in .conflist files only.
    takes_lists_anywhere: bool = True
    #: RT-29: DEL follows an ADD that failed.
    deletes_after_failed_add: bool = True

    @property
    def deviations(self) -> tuple[str, ...]:
        """The names of the fields in which this mode leaves the specification."""
        return tuple(
            field.name for field in fields(self) if field.name != "name" and getattr(self, field.name) != field.default
        )


SPEC = Mode("spec")
LIBCNI = Mode(
    "libcni",
    guards_cache_files=False,
    drops_unreadable_cache=True,
    obeys_disable_check_first=False,
    checks_only_what_is_cached=False,
    deletes_stale_as_added=False,
    tells_unreadable_cache=False,
    lists_valid_attachments=False,
    gc_runs_alone=False,
    locks_containers=False,
    rounds_integers=True,
    passes_capabilities=True,
    passes_reserved_keys=True,
    picks_published_versions=False,
    validates_every_command=False,
    validates_args=False,
    reduces_results=True,
    converts_between_plugins=False,
    reads_list_keys_of_single=False,
    takes_lists_anywhere=False,
    deletes_after_failed_add=False,
)
#: The modes by the names that options take.
MODES = {mode.name: mode for mode in (SPEC, LIBCNI)}


def mode_of(wanted: Mode | str) -> Mode:
    """A mode by its name, or itself. Raises ValueError for a name that there is not."""
    if isinstance(wanted, Mode):
        return wanted
    if wanted not in MODES:
        raise ValueError(f"there is no runtime mode {wanted!r}; there are: {', '.join(MODES)}")
    return MODES[wanted]
