"""A plugin that does what its script says, for tests of runtimes and of plugins that delegate."""

from __future__ import annotations

from cnitest.testing.records import Record
from cnitest.testing.reply import Reply
from cnitest.testing.scripted import ScriptedPlugin

__all__ = ["Record", "Reply", "ScriptedPlugin"]
