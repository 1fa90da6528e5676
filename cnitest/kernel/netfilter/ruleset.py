"""The rules and chains of a network namespace, as the kernel and the programs that made them tell them, read once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from cnitest.errors import CommandError
from cnitest.kernel.netfilter import rule_words, tables
from cnitest.kernel.netfilter.rule_words import Run, SavedChain
from cnitest.kernel.netfilter.tables import ChainRow, RuleRow
from cnitest.kernel.rtnetlink.netlink import NetlinkSocket


class Ruleset:
    """What is asked for is read when it is first asked for, and then kept: thousands of rules take a while.

    Its properties raise KernelError, and `words` CommandError where nft cannot be run.
    """

    def __init__(self, netfilter: NetlinkSocket, run: Run) -> None:
        self._netfilter = netfilter
        self._run = run
        self._saved = dict[str, Mapping[tuple[str, str], SavedChain]]()

    @cached_property
    def chains(self) -> Mapping[tuple[str, str, str], ChainRow]:
        """The chains of nftables by family, table and name."""
        return {(row.family, row.table, row.name): row for row in tables.chains(self._netfilter)}

    @cached_property
    def rules(self) -> tuple[RuleRow, ...]:
        """The rules of nftables, each chain's in their order."""
        return tables.rules(self._netfilter)

    @cached_property
    def words(self) -> Mapping[tuple[str, str, str, int], str]:
        """The rules as nft writes them, by family, table, chain and handle."""
        return rule_words.nft_rules(self._run)

    def saved(self, program: str) -> Mapping[tuple[str, str], SavedChain]:
        """The chains as a program of iptables' saves them, by table and name; none where it cannot."""
        if program not in self._saved:
            try:
                self._saved[program] = rule_words.saved(self._run, program) if program else {}
            except CommandError:
                self._saved[program] = {}
        return self._saved[program]
