"""The JSON Schema of the conformance suite's document (``--json``)."""

from __future__ import annotations

from typing import Any

from cnitest.conformance.model.requirement import Kind, Level
from cnitest.conformance.model.verdict import CaseVerdict
from cnitest.report.conformance.summary import FORMAT

_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "number"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_VERDICT: dict[str, Any] = {"enum": [verdict.value for verdict in CaseVerdict]}


def conformance_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of cnitest's conformance suite",
        **_object(
            format={"const": FORMAT},
            profile={"enum": ["spec", "reference"]},
            subjects=_list(_subject()),
            requirements=_list(_requirement()),
            disappeared=_list(_object(subject=_TEXT, requirement=_TEXT, reason=_TEXT, link=_TEXT)),
            causes=_list(_cause()),
            baseline=_baseline(),
            shares=_object(seconds=_NUMBER, calls=_NUMBER, plugins=_NUMBER, tools=_NUMBER, own=_NUMBER),
        ),
    }


def _subject() -> dict[str, Any]:
    kinds = {"enum": [kind.value for kind in Kind]}
    return _object(name=_TEXT, plugin=_TEXT, kind=kinds, versions=_TEXTS, advertised=_TEXTS, banner=_TEXT)


def _requirement() -> dict[str, Any]:
    """One requirement for one subject."""
    levels = {"enum": [level.value for level in Level]}
    return _object(
        id=_TEXT,
        level=levels,
        section=_TEXT,
        says=_TEXT,
        subject=_TEXT,
        verdict=_VERDICT,
        reason={**_TEXT, "description": "why it does not apply or was not decided; else empty"},
        cases=_list(_case()),
    )


def _cause() -> dict[str, Any]:
    """One thing that is wrong with one plugin, and the cases that show it."""
    return _object(
        subject=_TEXT,
        plugin=_TEXT,
        verdict=_VERDICT,
        requirements=_TEXTS,
        versions=_TEXTS,
        evidence=_TEXT,
        also=_TEXTS,
        script={**_TEXT, "description": "the path of the script that shows it, where one was written"},
        cases=_list(_object(requirement=_TEXT, version=_TEXT, test=_TEXT)),
    )


def _baseline() -> dict[str, Any]:
    """The baseline of a run, whose file is empty where there was none: how many cases are in it, and what of it was
    tried and did not show."""
    keys = ("plugin", "requirement", "rule", "test", "cause", "comment")
    entry = {"type": "object", "properties": dict.fromkeys(keys, _TEXT), "required": ["cause"]}
    return _object(file=_TEXT, accepted={"type": "integer"}, disappeared=_list(entry))


def _case() -> dict[str, Any]:
    """One test in one version. Times are in seconds; ``script`` is the path of one, where it was written."""
    return _object(
        requirement=_TEXT,
        subject=_TEXT,
        version=_TEXT,
        test=_TEXT,
        verdict=_VERDICT,
        details={**_TEXTS, "description": "what does not hold"},
        reason=_TEXT,
        known={"type": "array", "items": {"type": "integer"}, "description": "entries of the table of deviations"},
        seconds=_NUMBER,
        plugin_seconds=_NUMBER,
        tool_seconds=_NUMBER,
        calls={"type": "integer"},
        effect={"type": "boolean", "description": "whether an ADD of the plugin changed host or container in it"},
        script=_TEXT,
        evidence={**_TEXTS, "description": "the last calls, as they went"},
        fingerprints={**_TEXTS, "description": "what tells the cause of each detail; empty where only its words do"},
        accepted={**_TEXTS, "description": "its causes that the baseline has; ``details`` are those that are left"},
        machine={**_TEXTS, "description": "files that were left in directories of the machine's, such as /tmp"},
    )


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}
