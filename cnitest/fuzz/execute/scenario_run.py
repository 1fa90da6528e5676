"""The operations of a scenario: each calls plugins, and notes afterwards what does not hold."""

from __future__ import annotations

from collections.abc import Sequence

from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.cni.spec import Document
from cnitest.conformance.bench.bench import AttachmentTarget, Picture
from cnitest.conformance.bench.leftovers import AFTER_A_CALL, AFTER_A_NAMESPACE, Leftover, removals, settle
from cnitest.conformance.model import protocol
from cnitest.fuzz.execute import raw
from cnitest.fuzz.execute.scenario_state import ScenarioState
from cnitest.fuzz.model.example import Example, Validity, version_of
from cnitest.fuzz.model.scenario import Raw, Step
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.oracles import allocator, effects, invariants, leftovers
from cnitest.fuzz.oracles.allocator import Expected
from cnitest.fuzz.oracles.attached import Attached, accepted, crashes, failures, is_ipam, noise, rejections

Key = tuple[int, str, str]
# The codes of STATUS for a plugin that is not ready (SPEC section 5).
_NOT_READY = {50, 51}


class ScenarioRun(ScenarioState):
    """Runs the steps of one scenario on a bench; what each operation does is in `cnitest.fuzz.execute.operations`."""

    # --- ADD

    def add(self, step: Step) -> None:
        """ADD of every plugin, and all that has to hold then."""
        if self.is_foreign(step):
            return
        known = self.attached.get(self.key(step))
        if known is not None and known.lost:  # a runtime first deletes what it knows to be gone
            self.delete(step)
        example, target = self.networks[step.network], self.target(step)
        wanted = allocator.expected(self.bench, example)
        before = self.bench.look(target)
        calls, result = self.call.add(example, target)
        self.note(crashes(calls))
        if self.key(step) in self.attached:
            self._again(self.attached[self.key(step)], before, calls)
        elif result is None:
            self._rejected(step, target, before, calls, wanted)
        else:
            one = self._succeeded(step, target, before, result, calls)
            one.added = tuple(calls)
            self._validate(one, wanted, calls[0].plugin)

    def _again(self, known: Attached, before: Picture, calls: Sequence[Call]) -> None:
        """A second ADD of what is attached may fail or succeed, but takes nothing away."""
        self.note(rejections(calls))
        gone = removals(before, self.bench.look(known.target), self.bench.setting.leftover)
        self.note(leftovers.harm("a second ADD changes what is attached", calls[-1], gone))

    def _rejected(
        self, step: Step, target: AttachmentTarget, before: Picture, calls: Sequence[Call], wanted: Expected
    ) -> None:
        example = self.networks[step.network]
        self.note(rejections(calls))
        if example.validity is Validity.VALID and not self._may_fail(step, wanted):
            self.note(failures("refused", calls))
        works = example.validity is Validity.VALID
        undone = self.call.delete(example, target, None, stop=works)  # what one rejects is no fault of the others
        self.note([*crashes(undone), *(failures("delete", undone) if works else [])])
        self._nothing_left(before, target, calls[-1].plugin, "after a failed ADD and DEL")

    def _may_fail(self, step: Step, wanted: Expected) -> bool:
        """Whether ADD of a valid configuration may fail: two networks can be in each other's way, also by what the
        first has left on a bridge that both use; ranges end; and an address that somebody asked for can be taken."""
        if wanted.exhausted or self.proven - {step.network}:
            return True
        asked = self.networks[step.network]
        return bool(self.attached) and not (wanted.known and not asked.args and not asked.capabilities)

    def _succeeded(
        self, step: Step, target: AttachmentTarget, before: Picture, result: Document, calls: Sequence[Call]
    ) -> Attached:
        example = self.networks[step.network]
        if example.validity is Validity.INVALID:
            self.note([accepted(calls[-1], example.why)])
        return self.keep(step, target, before, result)

    def keep(self, step: Step, target: AttachmentTarget, before: Picture, result: Document) -> Attached:
        """Take note of what is attached now, and of all that its ADD brought."""
        brought = leftovers.brought(before, self.bench.look(target))
        example = self.networks[step.network]
        subject = self.bench.subject
        alone, known = is_ipam(example, subject), subject.setting.knowledge
        one = Attached(step, example, target, before, brought, result, is_ipam=alone, knowledge=known)
        self.attached[self.key(step)] = one
        self.proven.add(step.network)
        return one

    def _validate(self, one: Attached, wanted: Expected, plugin: str) -> None:
        """What has to be true of it: its result always, its effects when its configuration is known to be right."""
        others = [other for other in self.attached.values() if other is not one]
        self.note(invariants.of_result(self.bench, one, others=self.has_others(one)))
        if one.example.validity is not Validity.INVALID:
            known = wanted if one.example.validity is Validity.VALID else Expected()
            self.note(allocator.misallocated(one, known, others))
        if one.example.validity is Validity.VALID:
            self.note([*effects.missing(self.bench, one), *effects.asked_for(one)])
            silent = invariants.silences(self.bench, one, others, forwards=self.forwards)
            self.note([invariants.unanswered("silent", plugin, why, one) for why in silent])
            if not silent:
                return
        one.beyond = ()
        invariants.reach(self.bench, one)

    # --- the other operations

    def check(self, step: Step) -> None:
        """CHECK of what is attached succeeds; of what somebody has meddled with, it may say so."""
        one = self.attached.get(self.key(step))
        if one is None:
            if not self.is_foreign(step):
                self._check_nothing(self.gone.get(self.key(step)))
            return
        if one.lost or one.result is None or not spec.has_check(one.version):
            return
        before = self.bench.look(one.target)
        calls = self.call.check(one.example, one.target, one.result)
        self.note([*crashes(calls), *noise(calls)])
        changed = self.differing(before, self.bench.look(one.target))
        self.note(leftovers.harm("CHECK changes something", calls[-1], [] if one.broken else changed))
        if not one.broken and one.example.validity is not Validity.INVALID:
            self.note(failures("check", calls))

    def _check_nothing(self, gone: Attached | None) -> None:
        """CHECK of what was deleted fails, where ADD had made something that DEL took away."""
        if gone is None or not gone.own or not spec.has_check(gone.version):
            return
        calls = self.call.check(gone.example, gone.target, gone.result)
        self.note(crashes(calls))
        if not any(protocol.failed(call) for call in calls):
            self.note([Violation("check", calls[0].plugin, "CHECK succeeds after DEL")])

    def delete(self, step: Step) -> None:
        """DEL of what is attached takes away all that its ADD brought; of what is not, changes nothing."""
        one = self.attached.pop(self.key(step), None)
        if one is None:
            if not self.is_foreign(step):
                self._delete_nothing(step)
            return
        calls = self.call.delete(one.example, one.target, one.result)
        self.note([*crashes(calls), *noise(calls), *failures("delete", calls)])
        if one.result is not None and one.example.validity is Validity.VALID and not (one.lost or one.broken):
            self.gone[self.key(step)] = one
        self._own_left(one, calls[-1].plugin, lost=one.lost)
        self._others_kept(calls[-1])

    def _delete_nothing(self, step: Step) -> None:
        example, target = self.networks[step.network], self.target(step)
        before = self.bench.look(target)
        calls = self.call.delete(example, target, None)
        self.note(crashes(calls))
        if example.validity is Validity.VALID or step.network in self.proven:
            self.note(
                [violation._replace(words=f"once more: {violation.words}") for violation in failures("delete", calls)]
            )
        changed = self.differing(before, self.bench.look(target))
        self.note(leftovers.harm("DEL of what is not there changes something", calls[-1], changed))

    def gc(self, step: Step) -> None:
        """GC with all that is attached to a network frees nothing of it."""
        example = self.networks[step.network]
        if not spec.has_gc(version_of(example)):
            return
        there = [one for key, one in self.attached.items() if key[0] == step.network]
        lost = [one for one in there if one.lost]
        before = self.bench.look()
        calls = self.call.gc(example, [(one.target.container_id, one.target.ifname) for one in there if not one.lost])
        self.note([*crashes(calls), *noise(calls)])
        if not lost:
            gone = removals(before, self.bench.look(), self.bench.setting.leftover)
            self.note(leftovers.harm("GC takes away what is attached", calls[-1], gone))
            return
        self._others_kept(calls[-1])
        now = self.bench.look()
        found = sorted({left for one in lost for left in leftovers.kept(one, now)}, key=str)
        self.note(leftovers.left_over(calls[-1].plugin, "GC leaves what is lost", found))

    def status(self, step: Step) -> None:
        """STATUS of a network that works succeeds, silently, and changes nothing."""
        example = self.networks[step.network]
        if not spec.has_gc(version_of(example)) or step.network not in self.proven:
            return
        before = self.bench.look()
        calls = self.call.status(example)
        self.note([*crashes(calls), *noise(calls)])
        changed = self.differing(before, self.bench.look())
        self.note(leftovers.harm("STATUS changes something", calls[-1], changed))
        codes = [(protocol.error_document(call) or {}).get("code") for call in calls]
        if example.validity is Validity.VALID and not set(codes) & _NOT_READY:  # no address may be left
            self.note(failures("refused", calls))

    def raw(self, example: Example, call: Raw) -> Picture:
        """One raw call, with everything back as it was afterwards; how it is then."""
        violations, now = raw.tried(self.bench, self.target(Step("ADD")), self.call, example, call, self.differing)
        self.note(violations)
        return now

    # --- what is left

    def _own_left(self, one: Attached, plugin: str, *, lost: bool) -> None:
        def look() -> list[Leftover]:
            there = self.bench.look() if lost else self.bench.look(one.target)
            return [left for left in self.not_shared(self.differing(one.before, there)) if left in one.own]

        found = settle(look, AFTER_A_NAMESPACE if lost else AFTER_A_CALL)
        self.note(leftovers.left_over(plugin, "after DEL", found, one.target))

    def _nothing_left(self, before: Picture, target: AttachmentTarget, plugin: str, when: str) -> None:
        found = settle(lambda: self.not_shared(self.differing(before, self.bench.look(target))))
        self.note(leftovers.left_over(plugin, when, found, target))

    def _others_kept(self, call: Call) -> None:
        """What others' ADD brought is still there after a DEL, as far as only plugins change the host."""
        for other in [] if self.spent else self.live():
            gone = leftovers.taken(other, self.bench.look(other.target))
            self.note(leftovers.harm("DEL takes away what another attachment has", call, gone))

    def unharmed(self) -> None:
        """Every attachment is still as its result says, and reaches what it reached."""
        for one in self.live():
            for violation in invariants.come_untrue(self.bench, one, others=self.has_others(one)):
                self.note([violation._replace(rule="harm", words=f"an attachment: {violation.words}")])
            cut_off = invariants.lost(one)
            self.note([invariants.unanswered("harm", one.first, why, one, "cut off: ") for why in cut_off])

    def finish(self) -> Picture:
        """DEL of everything that is still attached, no more containers, and the host as it was; how it is now."""
        for one in list(self.attached.values()):
            self.delete(one.step)
        for name in () if self.keeps_containers else self.bench.node.sandboxes:
            self.bench.node.lose(name)
        self.tidy()
        now = self.bench.look()
        if set(self.bench.processes()) - self._running:
            plugin = str(self.networks[0].plugins[0].get("type", ""))
            self.note([Violation("left", plugin, "in the end: a process goes on")])
        if not self.violations and not self.spent and self.left_in_the_end(now):
            found = settle(lambda: self.left_in_the_end(self.bench.look()))
            self.note(leftovers.left_over(str(self.networks[0].plugins[0].get("type", "")), "in the end", found))
        return now
