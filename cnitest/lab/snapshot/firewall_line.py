"""A line of a firewall's rules, as `State.firewall` has it: text, and its parts by name."""

from __future__ import annotations

import shlex


class FirewallLine(str):
    """A line of iptables-save with its table in front (``nat: -A POSTROUTING -j MASQUERADE``), or a statement of
    nftables with all that it stands in (``table ip nat chain x: counter accept``)."""

    __slots__ = ()

    @property
    def parent(self) -> str:
        """What it stands in: a table of iptables; of nftables the table, with the chain, set, map or object in it."""
        return self.partition(": ")[0]

    @property
    def statement(self) -> str:
        """The line without that; empty of a table or chain of nftables itself."""
        return self.partition(": ")[2]

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments of iptables that make it, as a shell splits them; none of anything else."""
        if not self.statement.startswith("-A "):
            return ()
        try:
            return tuple(shlex.split(self.statement))
        except ValueError:  # a comment with a single quotation mark
            return tuple(self.statement.split())

    @property
    def chain_made(self) -> str:
        """The chain of iptables that it makes (``filter: :CNI-ADMIN -``); empty of anything else."""
        name = self.statement.partition(" ")[0]
        return name[1:] if name.startswith(":") else ""

    @property
    def nft_chain(self) -> tuple[str, str, str] | None:
        """Family, table and name of the chain of nftables that it stands in, or is; None of what stands in none."""
        match self.parent.split():
            case ["table", family, table, "chain", name]:
                return family, table, name
        return None

    def follows(self, option: str) -> str:
        """The word after an option of iptables (``-s``, ``--dport``); empty where the rule does not have that."""
        return dict(zip(self.words, self.words[1:], strict=False)).get(option, "")
