"""Whether a bandwidth limit is there: a slow machine is not one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cnitest.conformance.model.finding import Doubt
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Subject
from cnitest.conformance.observe import capability
from cnitest.lab.reach import Verdict

SUBJECT = Subject("x", "x", Kind.META, "n", {}, (), (), ("1.0.0",), (), "x")


class Clock:
    """Seconds that only datagrams of a `Sender` take."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """The time."""
        return self.now


class Sender:
    """A place whose datagrams, all of a volley together, take these seconds; the last ones from then on."""

    def __init__(self, clock: Clock, *volleys: float) -> None:
        self.clock, self.volleys, self.sent = clock, volleys, 0

    def udp(self, *_: object, **__: object) -> SimpleNamespace:
        """Deliver one."""
        volley = min(self.sent // 40, len(self.volleys) - 1)
        self.sent += 1
        self.clock.now += self.volleys[volley] / 40
        return SimpleNamespace(verdict=Verdict.DELIVERED)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that measures the volleys."""
    made = Clock()
    monkeypatch.setattr(capability, "time", made)
    monkeypatch.setattr(capability.traffic, "free_port", lambda *_: 5201)
    return made


def test_a_limit_slows_the_container_alone(clock: Clock):
    """There is a limit when volleys of the container are slow and those without a limit are not."""
    why = capability._ever_too_fast(SUBJECT, Sender(clock, 0.3), Sender(clock, 0.03), "fd00::1", "both ways")

    assert why == ""


def test_one_fast_volley_is_no_limit(clock: Clock):
    """What is slow only at times is not limited."""
    why = capability._ever_too_fast(SUBJECT, Sender(clock, 0.3, 0.3, 0.05), Sender(clock, 0.03), "fd00::1", "both ways")

    assert "not limited" in why
    assert not isinstance(why, Doubt)


def test_a_slow_machine_is_not_a_limit(clock: Clock):
    """Nothing is said of a limit while volleys without one are as slow."""
    why = capability._ever_too_fast(SUBJECT, Sender(clock, 0.3), Sender(clock, 0.25), "fd00::1", "both ways")

    assert isinstance(why, Doubt)
    assert "too busy" in why
