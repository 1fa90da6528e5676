"""A whole run of ``cnitest fuzz``: what is kept is replayed, then workers search, and findings are written down."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis.database import ExampleDatabase

from cnitest.cni import conf
from cnitest.errors import CnitestError, ConfigError
from cnitest.faults.sweep import Sweep, sweep
from cnitest.fuzz.execute.differential import CHOICE, Pair
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.subjects import located, release_of, subject_of, trial_of
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.search import finding_files, store
from cnitest.fuzz.search.kinds import comparisons, keys_of, rounds
from cnitest.fuzz.search.networks import missing_pool, network_of
from cnitest.fuzz.search.searcher import Executor, FuzzFinding
from cnitest.fuzz.search.settings import FuzzSettings
from cnitest.fuzz.search.store import Store
from cnitest.fuzz.search.survey import KnownCause, explanation
from cnitest.fuzz.search.workers import Stopped, WorkerProgress, together
from cnitest.plural import count

# What is kept of one release, of two that differ, and of two backends, by the ends of their names in a database.
_STORES = {"": "", "differential": ", differential", "backends": ", backends"}
_EXAMPLES = Path(".cnitest/examples")


class Campaign:
    """One run over one subject. ``findings`` are those so far, ``places`` where each was written, by its cause."""

    def __init__(self, name: str, settings: FuzzSettings, workers: int, database: ExampleDatabase, out: Path) -> None:
        self.name = name
        self.settings = settings
        self.findings: list[FuzzFinding] = []
        self.places: dict[str, Path] = {}
        self.stopped: list[str] = []
        #: Whether what is known of the reference plugins is no finding; what of it showed, by its cause.
        self.reference = False
        self.explained: dict[str, KnownCause] = {}
        #: Causes that are no findings, for a baseline has them; which of them kept scenarios still show.
        self.accepted: frozenset[str] = frozenset()
        self.met: dict[str, Violation] = {}
        self._workers = workers
        key = f"{settings.subject.name} of {settings.subject.network}"
        #: What is kept of one release, and of two that differ.
        self._stores = {kind: Store(database, key + suffix) for kind, suffix in _STORES.items()}
        self._out = out
        self._known: set[str] = set()
        self._progress: dict[int, WorkerProgress] = {}
        self._began = time.monotonic()

    @classmethod
    def begin(
        cls,
        name: str,
        path: Sequence[str],
        *,
        chosen: tuple[str, ...],
        seed: int,
        seconds: float,
        examples: int,
        workers: int,
        release: str,
        next_path: tuple[str, ...],
        databases: list[str],
        out: Path,
        reference: bool = False,
    ) -> Campaign:
        """Find out what is fuzzed. Raises ConfigError for what cannot be."""
        subject = subject_of(name, path)
        missing = missing_pool(subject)
        if missing:
            raise ConfigError(f"{name}: failed to find its IPAM plugin {missing!r} in path [{' '.join(subject.path)}]")
        database = store.database(databases, _EXAMPLES)
        settings = FuzzSettings(subject, chosen, seed, seconds, examples, release or release_of(subject), next_path)
        if not (rounds(settings) or comparisons(settings) or "faults" in chosen):
            raise ConfigError(
                "there is nothing to compare: --only differential wants another release with --cni-path-next, "
                "or plugins with a choice of backends (--release)"
            )
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--out: {out} is no directory that can be written to: {error}") from error
        begun = cls(located(name), settings, workers, database, out)
        begun.reference = reference
        return begun

    @property
    def words(self) -> str:
        """What is about to happen."""
        settings, subject = self.settings, self.settings.subject
        chain = " + ".join([*(str(conf["type"]) for conf in subject.before), subject.plugin])
        budget = f"{settings.examples} examples" if settings.examples else f"{settings.seconds:g} s"
        workers = f", {self._workers} workers" if self._workers > 1 else ""
        return f"{chain} ({', '.join(settings.kinds)}), {budget}{workers}, seed {settings.seed}"

    def run(self) -> Iterator[FuzzFinding | None]:
        """Search; each new finding once, and None whenever there is progress to show."""
        for finding in self._kept():
            yield self._new(finding)
        if not (rounds(self.settings) or comparisons(self.settings)):
            return
        left = self.settings.seconds - (time.monotonic() - self._began)
        settings = replace(self.settings, known=tuple(sorted(self._known | self.accepted)), seconds=max(left, 1.0))
        for event in together(settings, self._workers):
            if isinstance(event, WorkerProgress):
                self._progress[event.worker] = event
            elif isinstance(event, Stopped):
                self.stopped.append(f"worker {event.worker + 1}: {event.words}")
            elif not self._known & set(event.causes[:1]):
                yield self._new(event)
                self._keep(event)
            yield None

    def _keep(self, finding: FuzzFinding) -> None:
        """Keep it for later runs, if the database still answers."""
        try:
            self._stores[finding.kind if finding.kind in _STORES else ""].keep(finding.scenario)
        except Exception as error:  # a directory's, or those of whatever server it is
            self.stopped.append(f"{finding.cause} is not kept: {error}")

    def _kept(self) -> Iterator[FuzzFinding]:
        """What kept scenarios still show, each cause once; those that show nothing are dropped."""
        trial, next_path = trial_of(self.settings.subject), self.settings.next_path
        with ReusingExecutor(trial, next_path=next_path) as executor:
            yield from self._again("", executor)
        if "differential" in self.settings.kinds and next_path:
            with Pair(trial, next_path) as pair:
                yield from self._again("differential", pair)
        if any(backends for backends, _ in comparisons(self.settings)):
            with Pair(trial, (), backends=CHOICE) as pair:
                yield from self._again("backends", pair)

    def _again(self, kind: str, executor: Executor) -> Iterator[FuzzFinding]:
        store = self._stores[kind]
        for scenario in store.kept():
            if self._is_over or (scenario.upgrades and not self.settings.next_path):
                continue
            try:
                violations = executor.alone(scenario)
            except (CnitestError, LookupError, TypeError, ValueError):  # of another release of ours, perhaps
                continue
            if not violations:
                store.drop(scenario)
            if new := self._unknown(violations):
                causes = tuple(dict.fromkeys(violation.cause for violation in new))
                yield FuzzFinding(new[0], scenario, causes, kind or "kept", 0, 0.0, 0)

    def _unknown(self, violations: Sequence[Violation]) -> list[Violation]:
        """Those of causes that are not known yet; of those that a baseline has, note that they were met."""
        self.met |= {one.cause: one for one in violations if one.cause in self.accepted}
        return [one for one in violations if one.cause not in self._known | self.accepted]

    @property
    def _is_over(self) -> bool:
        return time.monotonic() - self._began > self.settings.seconds

    def _new(self, finding: FuzzFinding) -> FuzzFinding:
        self._known |= set(finding.causes)
        reason = explanation(finding.violation) if self.reference else None
        if reason:
            self.explained[finding.cause] = reason
            return finding
        self.findings.append(finding)
        self.places[finding.cause] = self._out
        try:
            with ReusingExecutor(trial_of(self.settings.subject), next_path=self.settings.next_path) as executor:
                self.places[finding.cause] = finding_files.write(finding, executor, self._out, self.name)
        except (CnitestError, OSError) as error:
            self.stopped.append(f"{finding.cause} is not written: {error}")
        return finding

    def faults(self) -> Sweep | None:
        """The sweep of faults over the subject's own network, when that was asked for."""
        if "faults" not in self.settings.kinds:
            return None
        subject = self.settings.subject
        network = conf.network(network_of(subject))
        return sweep(network, subject.path, workers=self._workers, setting=subject.setting)

    def progress(self) -> str:
        """How far it is, in one line."""
        examples = sum(progress.examples for progress in self._progress.values())
        seconds = time.monotonic() - self._began
        tried = {key for progress in self._progress.values() for key in progress.keys}
        known = keys_of(self.settings)
        share = f", keys {len(tried & known)}/{len(known)}" if known else f", {len(tried)} keys"
        rate = examples / seconds if seconds else 0.0
        found = count(len(self.findings), "finding") + (f", {len(self.explained)} known" if self.reference else "")
        found += f", {len(self.met)} in the baseline" if self.accepted else ""
        return f"{seconds:5.0f} s  {examples} examples  {rate:.1f}/s{share}, {found}"

    def summary(self) -> str:
        """What came of it all."""
        lines = ["", *(f"  {finding.violation.rule:9} {finding.violation.words[:100]}" for finding in self.findings)]
        lines += [f"stopped early: {words}" for words in self.stopped]
        return "\n".join([*lines, f"{self.progress().strip()}, seed {self.settings.seed}"]).lstrip("\n")
