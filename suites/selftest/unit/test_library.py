"""Which release of CNI's Go library a binary is built against, and what is reported of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from cnitest.suites.selftest.unit.test_conformance import SUBJECT

from cnitest.cni import library
from cnitest.conformance.model import deviation
from cnitest.conformance.model.requirement import find
from cnitest.conformance.model.verdict import CaseVerdict, RunProfile, classify

CNI = "dep\tgithub.com/containernetworking/cni\tv0.8.1"
SKEL = b"github.com/containernetworking/cni/pkg/skel.(*dispatcher).pluginMain\0"
START, END = bytes.fromhex("3077af0c9274080241e1c107e6d618e6"), bytes.fromhex("f932433186182072008242104116d8f2")


def modules(*lines: str) -> bytes:
    """Module lines as Go's linker stores them."""
    return START + "\n".join(("path\texample.com/plugin", *lines)).encode() + b"\n" + END


@pytest.mark.parametrize(
    ("content", "release"),
    [
        (b"", ""),
        (b"#!/bin/sh\n" + SKEL, ""),
        (b"\x7fELF", ""),
        (b"\x7fELF" + modules(f"{CNI}\th1:x="), ""),
        (b"\x7fELF" + SKEL, library.UNKNOWN),
        (b"\x7fELF" + SKEL + modules("dep\tgithub.com/containernetworking/plugins\tv0.9.1\th1:x="), library.UNKNOWN),
        (b"\x7fELF" + SKEL + modules(f"{CNI}\th1:x="), "v0.8.1"),
        (b"\x7fELF" + SKEL + modules(CNI, "=>\tx.org/cni\tv1.0.1\th1:x="), "v1.0.1"),
    ],
)
def test_a_binary_says_what_it_is_built_against(tmp_path: Path, content: bytes, release: str):
    """The release is that of the module, or of what replaces it; a script and a stranger have none."""
    binary = tmp_path / "plugin"
    binary.write_bytes(content)

    assert library.of(binary) == release


def test_what_cannot_be_read_has_no_library(tmp_path: Path):
    """A directory and a missing file are no error."""
    assert library.of(tmp_path) == library.of(tmp_path / "none") == ""


def test_releases_are_compared_by_number():
    """0.10 comes after 0.8, a candidate counts as its release, and what is unknown is before nothing."""
    assert library.is_before("v0.7.1", "v0.8.0")
    assert not library.is_before("v0.10.0", "v0.8.0")
    assert not library.is_before("v0.8.0-rc1", "v0.8.0")
    assert not library.is_before(library.UNKNOWN, "v0.8.0")


@pytest.mark.parametrize(
    ("identifier", "detail", "release", "verdict"),
    [
        ("PROTO-03", "succeeds, but should refuse", "v0.8.1", CaseVerdict.INHERITED),
        ("VER-02", "cniVersion is '0.4.0', asked in '0.3.1'", "v0.8.1", CaseVerdict.INHERITED),
        ("VER-02", "cniVersion is '0.2.0', asked in '0.3.1'", "v0.8.1", CaseVerdict.FAILED),
        ("PROTO-09", "CNI_CONTAINERID 'a\nb': x ADD: succeeds, but should refuse", "v0.7.1", CaseVerdict.INHERITED),
        ("PROTO-09", "CNI_CONTAINERID 'a\nb': x ADD: succeeds, but should refuse", "v0.8.0", CaseVerdict.FAILED),
        ("PROTO-09", "CNI_CONTAINERID 'a': x ADD: succeeds, but should refuse", library.UNKNOWN, CaseVerdict.FAILED),
    ],
)
def test_only_what_that_release_does_is_inherited(identifier: str, detail: str, release: str, verdict: CaseVerdict):
    """What a newer library fixed is inherited from older ones alone; another answer is the plugin's own."""
    subject = dataclasses.replace(SUBJECT, library=release)

    found = classify(find(identifier), subject, "0.3.1", [detail], RunProfile.SPEC, strict=False)

    assert found[0] is verdict


def test_the_words_name_the_release_and_what_fixes_it():
    """What newer releases do is said of each."""
    old = dataclasses.replace(SUBJECT, library="v0.7.1")
    rows = {row.requirement: row.number for row in deviation.table() if row.inherited}

    fixed, not_fixed = (deviation.inheritance(old, [rows[name]]) for name in ("PROTO-09", "PROTO-05"))

    assert "containernetworking/cni v0.7.1" in fixed
    assert "v0.8.0 fixes it" in fixed
    assert "a newer release does not fix it" in not_fixed
