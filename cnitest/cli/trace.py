"""``cnitest trace-shim``: wrappers that record the plugin calls of a real runtime."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnitest import paths
from cnitest.cli.output import say
from cnitest.cni.calls.invoke import search_path
from cnitest.report.options import PLUGIN_PATH, declare_to_command
from cnitest.testing import tracing

_ADVICE = """\
Set your runtime's plugin directory to {directory}:
  containerd  bin_dir (bin_dirs from 2.1 on) in the section of the CRI plugin that ends in .cni
  cri-o       plugin_dirs in [crio.network]
  podman      cni_plugin_dirs in [network] of containers.conf
  cnitest     cnitest run --cni-path {directory}
Each call adds a line of JSON to {log}."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.description = (
        "Write a wrapper for each plugin into DIR. A wrapper calls the real plugin, changes nothing, and "
        "records the call: what it got, what it gave, how it ended, how long it took."
    )
    parser.add_argument("directory", metavar="DIR", help="where the wrappers go; made when it is not there")
    declare_to_command(parser, [PLUGIN_PATH])
    parser.add_argument("--log", metavar="FILE", help="where calls are recorded (default: DIR/.trace.jsonl)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write them, and say what to do with them."""
    path = search_path(arguments.cni_path)
    directory = Path(paths.directory_to_fill("DIR", arguments.directory))
    log = Path(paths.file_to_write("--log", arguments.log)) if arguments.log else None
    made = tracing.trace(directory, path, log)
    say(f"Traced: {', '.join(made.plugins)}.")
    say(_ADVICE.format(directory=directory, log=made.log))
    return 0
