"""Plants bugs, one at a time, and counts how many the tests catch. For developers.

    python .ci/mutate.py                           all files
    python .ci/mutate.py claims.py nas_search.py   some of them
    python .ci/mutate.py claims.py --every 5       every fifth bug

A bug is one operator, comparison, sign or number changed, or one statement left out. Survivors are
printed as they are found: file, line, and the line with the bug in it. A bug that makes the tests
take three times as long is caught, too, but is counted apart: it may run for ever.

First the tests run once without a bug, and it is noted which functions each of them executes. A bug
is shown to the tests that execute its function, the fastest first, up to the first that fails; to
all if it stands outside of functions. A test that starts a process counts as executing everything.
Left out are bugs in what is only text, and the tests of how the files are written: these read lines
that a file printed anew does not have.

Each bug has a copy of the project and a process of its own, forked from this one, which has
imported NumPy, Matplotlib and pytest, but no file of the project."""

import argparse
import ast
import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1"}

import hypothesis.strategies  # noqa: F401
import matplotlib.animation
import matplotlib.backends.backend_agg
import matplotlib.widgets  # noqa: F401
import numpy  # noqa: F401
import pytest

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = 2  # each with a copy of the project of its own
FILES = (
    "nas_reward.py",
    "nas_benchmark.py",
    "controller_plain.py",
    "controller_numpy.py",
    "claims.py",
    "nas_search.py",
    "run_experiment.py",
    "figures.py",
    "command_line.py",
    "data/build_benchmark.py",
    "data/surrogate.py",
)
TESTS = ("test_all.py", "data/test_data.py")
NOT_THE_PROGRAM = "# --- The project itself"  # the section whose tests read the files as text
STARTS = ("", 0)  # in place of (file, line): a process is started
LEFT_OUT = ("experiment", "draw", "heading", "main")  # functions that only call others, or speak


# --- Bugs -------------------------------------------------------------------------------------

PAIRS = """
    Add/Sub Sub/Add Mult/Div Div/Mult Pow/Mult FloorDiv/Mult BitAnd/BitOr BitOr/BitAnd
    Lt/LtE LtE/Lt Gt/GtE GtE/Gt Eq/NotEq NotEq/Eq In/NotIn NotIn/In Is/IsNot IsNot/Is
    And/Or Or/And USub/UAdd Not/UAdd Invert/UAdd
"""
SWAPS = {getattr(ast, old): getattr(ast, new) for old, new in re.findall(r"(\w+)/(\w+)", PAIRS)}
NAMES = {"max": "min", "maximum": "minimum", "argmax": "argmin"}
NAMES |= {new: old for old, new in NAMES.items()}


def changes(node):
    """(line number, field, new value) for each bug that fits into one node of a syntax tree."""
    operator = type(getattr(node, "op", None))
    if operator in SWAPS and not is_constant(node):
        yield node.lineno, "op", SWAPS[operator]()
    if isinstance(node, ast.Compare):
        for k, comparison in enumerate(node.ops):
            yield node.lineno, "ops", replaced(node.ops, k, SWAPS[type(comparison)]())
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield node.lineno, "value", node.value + 1
    if isinstance(node, ast.Constant) and type(node.value) is float:
        yield node.lineno, "value", node.value * 1.1 or 0.1
    for field in ("id", "attr"):
        if getattr(node, field, None) in NAMES:
            yield node.lineno, field, NAMES[getattr(node, field)]
    for field in ("body", "orelse"):
        statements = getattr(node, field, None)
        if isinstance(statements, list):
            for k, statement in enumerate(statements):
                if can_go(statement):
                    yield statement.lineno, field, replaced(statements, k, ast.Pass())


def is_constant(node):
    """Whether a node is a number with a sign: the number is changed instead."""
    return isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)


def replaced(values, k, value):
    """A copy of a list with another value at place k."""
    return [*values[:k], value, *values[k + 1 :]]


def can_go(statement):
    """Whether a program is left without this statement: a call, an item set, +=, raise."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call)
    if isinstance(statement, ast.Assign):
        return isinstance(statement.targets[0], (ast.Subscript, ast.Attribute))
    return isinstance(statement, (ast.AugAssign, ast.Raise, ast.Continue))


def nodes(node):
    """A node and all below it, but for what stands in f-strings: numbers there are layout."""
    if not isinstance(node, ast.JoinedStr):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from nodes(child)


def mutants(file):
    """(line, function or class it is in, source) of a file with one bug, for each bug."""
    tree = ast.parse((ROOT / file).read_text())
    for top in tree.body:
        name = getattr(top, "name", None)
        if name in LEFT_OUT:
            continue
        for node in nodes(top):
            for line, field, value in changes(node):
                old = getattr(node, field)
                setattr(node, field, value)
                yield line, name, ast.unparse(ast.fix_missing_locations(tree))
                setattr(node, field, old)


def changed_line(file, source):
    """The first line of `source`, which has a bug, that the file as it is does not have."""
    original = ast.unparse(ast.parse((ROOT / file).read_text())).splitlines()
    pairs = zip(original, source.splitlines(), strict=False)
    differ = [new for old, new in pairs if old != new]
    return differ[0].strip() if differ else ""


# --- Tests ------------------------------------------------------------------------------------


class Chosen:
    """A plugin of pytest: these tests in this order; None: all but those of NOT_THE_PROGRAM."""

    def __init__(self, names=None):
        self.names = names

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        if self.names:
            by_name = {item.nodeid: item for item in items}
            items[:] = [by_name[name] for name in self.names]
            return
        before, _, _ = (ROOT / "test_all.py").read_text().partition(NOT_THE_PROGRAM)
        first = {"test_all.py": before.count("\n")}
        items[:] = [i for i in items if i.location[1] < first.get(i.location[0], math.inf)]


class Recorder(Chosen):
    """A plugin of pytest: which functions each test executes, and how long it takes.

    places   {test, fixture or "import": {(file, line of the function)}}; STARTS for a process
    seconds  {test or fixture: what it takes}
    parts    {test: its own name, and those of its fixtures}"""

    def __init__(self, folder):
        super().__init__()
        self.prefix = f"{folder}/"
        self.places = {"import": set()}
        self.seconds = {"import": 0.0}
        self.parts = {"import": ["import"]}
        self.stack = ["import"]
        sys.addaudithook(self.audit)
        sys.settrace(self.called)

    def audit(self, event, _):
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            self.places[self.stack[-1]].add(STARTS)

    def called(self, frame, *_):
        path = frame.f_code.co_filename
        if path.startswith(self.prefix):
            place = (path.removeprefix(self.prefix), frame.f_code.co_firstlineno)
            self.places[self.stack[-1]].add(place)

    @contextlib.contextmanager
    def noting(self, name):
        """What is executed inside is noted for `name`."""
        start = time.perf_counter()
        self.places.setdefault(name, set())
        self.stack.append(name)
        sys.settrace(self.called)  # a test may have set its own
        yield
        self.stack.pop()
        self.seconds[name] = time.perf_counter() - start

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        with self.noting(f"fixture {fixturedef.argname}"):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        fixtures = [f"fixture {name}" for name in item.fixturenames]
        self.parts[item.nodeid] = [item.nodeid, *fixtures]
        with self.noting(item.nodeid):
            return (yield)

    def pytest_sessionfinish(self):
        """Write {test: (seconds, [[file, line], ...])} for the parent."""
        sys.settrace(None)
        found = {}
        for test, names in self.parts.items():
            places = set().union(*(self.places.get(name, ()) for name in names))
            seconds = sum(self.seconds.get(name, 0) for name in names)
            found[test] = (seconds, sorted(places))
        Path(f"{self.prefix}record.json").write_text(json.dumps(found))


def start(folder, plugin, *options):
    """Fork a process that runs the tests in a copy of the project; its number."""
    process = os.fork()
    if process:
        return process
    os.setsid()
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    sys.path[0] = str(folder)
    sys.modules["__main__"] = types.ModuleType("__main__")  # a spawned worker would run this file
    sys.dont_write_bytecode = True
    usual = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder}/tmp"]
    known = "ignore::pytest.PytestAssertRewriteWarning"  # Hypothesis is imported already
    code = 1
    try:
        code = pytest.main([*usual, "-W", known, *options], plugins=[plugin(folder)])
    finally:
        os._exit(code)


def finish(process):
    """Kill what a process has left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def record(folder):
    """{test: (seconds, {(file, function or class it is in)})} without a bug, files printed anew."""
    original = {file: (ROOT / file).read_text() for file in FILES}
    tops = {}
    for file in FILES:
        printed_anew = ast.unparse(ast.parse(original[file]))
        (folder / file).write_text(printed_anew)
        tops[file] = tops_of(printed_anew)
    process = start(folder, Recorder, *TESTS)
    _, status = os.waitpid(process, 0)
    finish(process)
    if status:
        sys.exit("the tests fail without a bug, with the files printed anew; mend that first")
    for file in FILES:
        (folder / file).write_text(original[file])
    found = json.loads((folder / "record.json").read_text())
    return {
        test: (seconds, {(file, tops.get(file, {}).get(line)) for file, line in places})
        for test, (seconds, places) in found.items()
    }


def tops_of(source):
    """{line: name} of the function or class of the top level that each line of a source is in."""
    names = {}
    for top in ast.parse(source).body:
        if hasattr(top, "name"):
            first = min([top.lineno, *(node.lineno for node in top.decorator_list)])
            names |= dict.fromkeys(range(first, top.end_lineno + 1), top.name)
    return names


def tests_of(file, name, recorded):
    """The tests to show a bug to, in order: those of its function; all for what is in none."""

    def rank(test):
        seconds, places = recorded[test]
        return ((file, name) not in places, file not in {place[0] for place in places}, seconds)

    tests = sorted(recorded.keys() - {"import"}, key=rank)
    if name is None or (file, name) in recorded["import"][1]:
        return tests
    wanted = ((file, name), (STARTS[0], None))  # it executes the function, or starts a process
    return [test for test in tests if recorded[test][1].intersection(wanted)]


# --- The survey -------------------------------------------------------------------------------


def copies(folder):
    """AT_ONCE copies of the project, with its test files compiled."""
    paths = [Path(folder).resolve() / str(k) for k in range(AT_ONCE)]
    for path in paths:
        ignored = shutil.ignore_patterns(".*", "results", "cache", "__pycache__")
        shutil.copytree(ROOT, path, ignore=ignored)
        command = [sys.executable, "-m", "pytest", "-q", "--collect-only", *TESTS]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
        subprocess.run(command, cwd=path, env=environment, stdout=subprocess.DEVNULL, check=True)
    return paths


def outcomes(file, bugs, recorded, folders):
    """Yield (bug, whether the tests pass with it; None if they take too long), as they come."""
    original = (ROOT / file).read_text()
    for folder in folders:
        for compiled in (folder / file).parent.glob(f"__pycache__/{Path(file).stem}.*"):
            compiled.unlink()
    own = TESTS[file.startswith("data/")]  # which of the two is about this file
    free = list(folders)
    running = {}  # process: (bug, tests for later, folder, when it has taken too long)
    todo = [(bug, tests_of(file, bug[1], recorded)) for bug in reversed(bugs)]
    while todo or running:
        while todo and free:
            bug, tests = todo.pop()
            folder = free.pop()
            (folder / file).write_text(bug[2])
            now = [test for test in tests if test.startswith(own)] or tests
            later = [test for test in tests if test not in now]
            paths = dict.fromkeys(test.partition("::")[0] for test in now)
            process = start(folder, lambda _, now=now: Chosen(now), "-x", *paths)
            limit_s = 20 + 3 * sum(recorded[test][0] for test in now)
            running[process] = (bug, later, folder, time.monotonic() + limit_s)
        for process, (bug, later, folder, deadline) in list(running.items()):
            done, status = os.waitpid(process, os.WNOHANG)
            if done or time.monotonic() > deadline:
                finish(process)
                if not done:
                    os.waitpid(process, 0)
                (folder / file).write_text(original)
                free.append(folder)
                del running[process]
                if done and status == 0 and later:
                    todo.append((bug, later))
                else:
                    yield bug, status == 0 if done else None
        time.sleep(0.01)


def survey(file, every, recorded, folders):
    """Plant the bugs in one file; returns how many were planted, survived, and timed out."""
    planted = list(mutants(file))[::every]
    survived = timed_out = 0
    for bug, passed in outcomes(file, planted, recorded, folders):
        timed_out += passed is None
        if passed:
            survived += 1
            print(f"survived  {file}:{bug[0]}  {changed_line(file, bug[2])}", flush=True)
    return len(planted), survived, timed_out


def main():
    parser = argparse.ArgumentParser(description="Count the planted bugs that the tests catch.")
    parser.add_argument("files", nargs="*", default=FILES, help="default: all")
    parser.add_argument("--every", type=int, default=1, help="only every Nth bug")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folders = copies(folder)
        recorded = record(folders[0])
        counts = {}
        for file in args.files:
            counts[file] = survey(file, args.every, recorded, folders)
            print_counts(file, *counts[file])
    print_counts("all", *map(sum, zip(*counts.values(), strict=True)))


def print_counts(file, planted, survived, timed_out):
    caught = planted - survived
    line = f"{file:24} {caught:5} of {planted:5} caught, {caught / planted:6.1%}"
    print(f"{line}, {timed_out} of them by taking too long", flush=True)


if __name__ == "__main__":
    main()
