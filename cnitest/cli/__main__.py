"""``python -m cnitest.cli``: the command where it is not installed."""

from __future__ import annotations

import sys

from cnitest.cli import main

sys.exit(main())
