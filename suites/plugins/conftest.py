"""Fixtures of the plugins' suites, and expected failures: what releases of the plugins are known to do wrong."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import ready_sandbox
from cnitest.suites.plugins.leases import IMPATIENT, daemon

from cnitest.report.given import plugin_path
from cnitest.report.marks.known import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]


@pytest.fixture
def node(lab):
    """The host that the plugins run on."""
    return lab.host("node")


@pytest.fixture
def sandbox(node):
    """A container without a network."""
    return ready_sandbox(node, "c1")


@pytest.fixture
def peer(lab):
    """The machine at the other end of the host's link."""
    return lab.host("peer")


@pytest.fixture
def server(lab):
    """The DHCP server, which the default route leads to as well."""
    return lab.host("server")


@pytest.fixture
def client(lab):
    """The machine that sends requests to the host from outside."""
    return lab.host("client")


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
