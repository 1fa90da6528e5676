"""``cnitest doctor``: everything that this machine lacks, at once, found by trying."""

from cnitest.cli.doctor.command import declare, examine
from cnitest.cli.doctor.examined import Examined

__all__ = ["Examined", "declare", "examine"]
