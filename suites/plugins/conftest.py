"""What releases of the reference plugins are known to fail is expected to fail; daemons of the dhcp plugin."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.leases import IMPATIENT, daemon

from cnitest.report.given import plugin_path
from cnitest.report.marks.known import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]


@pytest.fixture
def running(node, request):
    """The plugin's daemon; it outlives the runtime, which deletes at its end what a test leaves."""
    with daemon(node, plugin_path(request.config)) as program:
        yield program


@pytest.fixture
def impatient(node, request):
    """The plugin's daemon, which gives up soon when nobody answers."""
    with daemon(node, plugin_path(request.config), *IMPATIENT) as program:
        yield program
