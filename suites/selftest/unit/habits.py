"""The rules of the code that are about one module alone, with code that breaks and code that keeps them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from cnitest.suites.selftest.unit.sources import Source, imports, nodes, rule

SLOW = ("fixtures/faulty/", "cnitest/testing/standalone/scripted.py", "cnitest/deadline.py")
"""Where time may pass: in plugins of which being slow is the fault or the script, and in Deadline.poll itself."""

LONGEST = 350
"""The lines of a module."""


@rule
def no_sleep(source: Source) -> Iterator[tuple[int, str]]:
    """Waiting is for events."""
    if source.path.startswith(SLOW):
        return
    remedy = "wait for an event with a Deadline, or ask with Deadline.poll"
    for each in imports(source):
        if each.name in ("time.sleep", "asyncio.sleep"):
            yield each.line, f"imports {each.name}: {remedy}"
    for node in nodes(source):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.sleep", "asyncio.sleep"):
            yield node.lineno, f"{ast.unparse(node)}: {remedy}"
        if isinstance(node, ast.Call) and _waits_for_nothing(node):
            yield node.lineno, f"{ast.unparse(node)} is a sleep: {remedy}"
    for function in (node for node in nodes(source) if isinstance(node, ast.FunctionDef)):
        yield from ((line, f"{words} is a sleep: {remedy}") for line, words in _waits_of_nobody(function))


def _waits_for_nothing(call: ast.Call) -> bool:
    """Whether a call waits for no descriptor, no signal, or an event that nobody else can set."""
    function = ast.unparse(call.func).rpartition(".")[2]
    if function == "select" and len(call.args) >= 3:
        return all(isinstance(each, ast.List | ast.Tuple) and not each.elts for each in call.args[:3])
    if function == "sigtimedwait" and call.args:
        return ast.unparse(call.args[0]) in ("[]", "()", "set()")
    made = call.func.value if isinstance(call.func, ast.Attribute) else None
    return function in ("wait", "poll", "wait_for") and isinstance(made, ast.Call) and _makes_a_wait(made)


def _makes_a_wait(call: ast.Call) -> bool:
    return ast.unparse(call.func).rpartition(".")[2] in ("Event", "Condition", "poll", "epoll")


def _waits_of_nobody(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    """Waits for a local event or poll object of which the function does nothing but wait."""
    makes = [node for node in ast.walk(function) if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)]
    for made in makes:
        target = made.targets[0]
        if isinstance(target, ast.Name) and _makes_a_wait(made.value):  # type: ignore[arg-type]
            waits = [f"{target.id}.wait", f"{target.id}.poll"]
            used = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == target.id]
            waiting = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
            waiting = [node for node in waiting if ast.unparse(node) in waits]
            if waiting and len(used) == len(waiting) + 1:
                yield waiting[0].lineno, ast.unparse(waiting[0])


@rule
def no_shell(source: Source) -> Iterator[tuple[int, str]]:
    """Commands are lists of words."""
    for node in nodes(source):
        if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False":
            yield node.value.lineno, "shell=...: give the command as a list of words"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.system", "os.popen"):
            yield node.lineno, f"{ast.unparse(node)}: give the command as a list of words to the host's run()"


@rule
def environment_stays(source: Source) -> Iterator[tuple[int, str]]:
    """The process's environment is read, never changed: another thread may be starting a program."""
    if source.path.startswith("fixtures/faulty/"):
        return  # a program of its own
    changing = {f"os.environ.{name}" for name in ("update", "setdefault", "pop", "popitem", "clear")}
    for node in nodes(source):
        words = ast.unparse(node) if isinstance(node, ast.Subscript | ast.Attribute) else ""
        written = words.startswith("os.environ[") and not isinstance(getattr(node, "ctx", None), ast.Load)
        if written or words in changing | {"os.putenv", "os.unsetenv"}:
            yield getattr(node, "lineno", 1), f"{words} changes the environment: pass env= to what needs it"


@rule
def no_bare_except(source: Source) -> Iterator[tuple[int, str]]:
    """Who catches says what."""
    for node in nodes(source):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "bare except: name the exception, or BaseException and raise it again"


@rule
def modules_are_short(source: Source) -> Iterator[tuple[int, str]]:
    """A module is read in one go."""
    lines = max((getattr(node, "end_lineno", 0) for node in source.tree.body), default=0)
    if lines > LONGEST:
        yield lines, f"{lines} lines, {LONGEST} at most: split it by idea"


BROKEN = [
    (no_sleep, "cnitest/lab/x.py", "import time\ntime.sleep(1)", "time.sleep"),
    (no_sleep, "cnitest/lab/x.py", "from time import sleep", "imports time.sleep"),
    (no_sleep, "cnitest/lab/x.py", "select.select([], [], [], STEP)", "select.select([], [], [], STEP) is a sleep"),
    (no_sleep, "fixtures/honest/x.py", "from select import select\nselect((), (), (), 1)", "is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "threading.Event().wait(1)", "is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "select.poll().poll(10)", "is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "signal.sigtimedwait([], 1)", "is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "def f():\n    watch = select.poll()\n    watch.poll(10)", "watch.poll is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "def f():\n    never = Event()\n    never.wait(10)", "never.wait is a sleep"),
    (no_shell, "cnitest/lab/x.py", "run('ls', shell=True)", "list of words"),
    (no_shell, "cnitest/lab/x.py", "os.system('ls')", "os.system"),
    (environment_stays, "fixtures/x.py", "os.environ['A'] = 'b'", "os.environ['A'] changes"),
    (environment_stays, "fixtures/x.py", "del os.environ['A']", "os.environ['A'] changes"),
    (environment_stays, "fixtures/x.py", "os.environ.update(a='b')", "os.environ.update changes"),
    (environment_stays, "fixtures/x.py", "os.putenv('A', 'b')", "os.putenv changes"),
    (no_bare_except, "cnitest/lab/x.py", "try:\n    pass\nexcept:\n    pass", "bare except"),
    (modules_are_short, "cnitest/lab/x.py", "\n" * LONGEST + "a = 1", "351 lines, 350 at most"),
]

KEPT = [
    (modules_are_short, "cnitest/lab/x.py", "\n" * (LONGEST - 1) + "a = 1"),
    (no_sleep, "fixtures/faulty/of_x.py", "import time\ntime.sleep(1)"),
    (no_sleep, "cnitest/lab/x.py", "select.select([fd], [], [], 1)\nevent.wait(1)"),
    (no_sleep, "cnitest/lab/x.py", "def f():\n    watch = poll()\n    watch.register(fd)\n    watch.poll(10)"),
    (no_sleep, "cnitest/lab/x.py", "def f():\n    done = Event()\n    start(done)\n    done.wait(1)"),
    (environment_stays, "cnitest/cni/x.py", "a = os.environ['A']\nb = os.environ.get('B')"),
    (no_shell, "cnitest/cni/x.py", "run(['ls'], shell=False)"),
    (no_bare_except, "cnitest/cni/x.py", "try:\n    pass\nexcept OSError:\n    pass"),
]
