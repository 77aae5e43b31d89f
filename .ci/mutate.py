"""Plants bugs, one at a time, and counts how many the tests catch. For developers.

    python .ci/mutate.py                           all files
    python .ci/mutate.py claims.py nas_search.py   some of them
    python .ci/mutate.py claims.py --every 5       every fifth bug

A bug is one operator, comparison, sign or number changed, or one statement left out. Survivors are
printed. A bug that makes the tests take three times as long is caught, too.

First the tests run without a bug, and it is noted which functions each executes. A bug is shown to
the tests that execute its function, or start a process, the fastest first, up to the first that
fails, or 40 seconds of tests; to any if it stands outside of functions. Left out are bugs in
what is only text. Each bug has a process of its own, forked from a worker that has imported pytest,
but no file of the project. Needs Python 3.11, and Linux or macOS."""

import argparse
import ast
import contextlib
import math
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1"}

import matplotlib.widgets  # noqa: F401
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = 2  # each with a copy of the project of its own
FILES = ["nas_reward.py", "nas_benchmark.py", "controller_plain.py", "controller_numpy.py"]
FILES += ["claims.py", "nas_search.py", "run_experiment.py", "figures.py", "command_line.py"]
FILES += ["data/build_benchmark.py", "data/surrogate.py"]
TESTS = ("test_all.py", "data/test_data.py")
RECORD = "record.pickle"  # in a worker's copy of the project
MOST_S = 40  # of tests that a bug is shown to, as they take without a bug
STARTS = ("", "")  # in place of (file, function): a process is started
LEFT_OUT = ("experiment", "draw", "heading", "main")  # functions that only speak


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
    number = isinstance(getattr(node, "operand", None), ast.Constant)
    if operator in SWAPS and not number:
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
    """(what the bug is, function or class it is in, source of the file with it), for each bug."""
    text = (ROOT / file).read_text()
    tree = ast.parse(text)
    for top in tree.body:
        name = getattr(top, "name", None)
        if name in LEFT_OUT:
            continue
        for node in nodes(top):
            for line, field, value in changes(node):
                old = getattr(node, field)
                setattr(node, field, value)
                source = ast.unparse(ast.fix_missing_locations(tree))
                new = f"{field}: {value}" if field in ("value", "id", "attr") else field
                yield f"{file}:{line}  {text.splitlines()[line - 1].strip()}  ({new})", name, source
                setattr(node, field, old)


# --- Tests ------------------------------------------------------------------------------------


class Recorder:
    """A plugin of pytest: what each test executes, fixtures included, and how long it takes.

    notes  {test, fixture or "import": [seconds, {(file, function or class), or STARTS}]}"""

    def __init__(self):
        self.notes = {"import": [0.0, set()]}
        self.stack = ["import"]
        self.prefix = f"{os.getcwd()}/"
        sys.addaudithook(self.audit)
        sys.settrace(self.called)

    def audit(self, event, _):
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            self.notes[self.stack[-1]][1].add(STARTS)

    def called(self, frame, *_):
        path = frame.f_code.co_filename
        if path.startswith(self.prefix):
            top = frame.f_code.co_qualname.partition(".")[0]
            self.notes[self.stack[-1]][1].add((path.removeprefix(self.prefix), top))

    @contextlib.contextmanager
    def noting(self, name):
        """What is executed inside is noted for `name`."""
        start = time.perf_counter()
        note = self.notes.setdefault(name, [0.0, set()])
        self.stack.append(name)
        sys.settrace(self.called)  # a test may have set its own
        yield
        self.stack.pop()
        note[0] += time.perf_counter() - start

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        with self.noting(fixturedef.argname):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        with self.noting(item.nodeid):
            result = yield
        for name in self.notes.keys() & item.fixturenames:
            self.notes[item.nodeid][1].update(self.notes[name][1])
        return result

    def pytest_sessionfinish(self):
        sys.settrace(None)
        tests = {name: note for name, note in self.notes.items() if "::" in name}
        Path(RECORD).write_bytes(pickle.dumps(tests | {"import": self.notes["import"]}))


def copy_project(folder):
    """For a new worker: a copy of the project, with its test files compiled, to work in."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "project"
    ignored = shutil.ignore_patterns(".*", "results", "cache", "__pycache__")
    shutil.copytree(ROOT, path, ignore=ignored)
    os.chdir(path)
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", *TESTS]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def run_tests(sources, options, plugin=None, limit_s=0):
    """The exit status of pytest, with {file: source} in place of these files; 0: tests pass.

    It has a process of its own, which an alarm ends."""
    original = {file: Path(file).read_text() for file in sources}
    for file, source in sources.items():
        Path(file).write_text(source)
    process = os.fork()
    if not process:
        be_pytest(options, plugin, limit_s)
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)  # what it has left behind
    for file, source in original.items():
        Path(file).write_text(source)
    return status


def be_pytest(options, plugin, limit_s):
    """Run pytest in a process that was forked for it, and end."""
    os.setsid()
    signal.alarm(limit_s)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    sys.path[0] = os.getcwd()
    sys.modules["__main__"] = types.ModuleType("__main__")  # which spawned workers run
    sys.dont_write_bytecode = True
    usual = ["-q", "-p", "no:cacheprovider", f"--basetemp={os.getcwd()}/tmp"]
    code = 1
    try:
        code = pytest.main([*usual, *options], plugin and [plugin()])
    finally:
        os._exit(code)


def record():
    """What the Recorder writes, without a bug and with the files printed anew."""
    trees = {file: ast.parse(Path(file).read_text()) for file in FILES}
    printed_anew = {file: ast.unparse(tree) for file, tree in trees.items()}
    if run_tests(printed_anew, TESTS, Recorder):
        return None
    return pickle.loads(Path(RECORD).read_bytes())


def tests_of(file, name, recorded):
    """The tests to show a bug to, in order: those of its function; all for what is in none."""
    executing = {test for test, note in recorded.items() if (file, name) in note[1]}
    tests = executing | {test for test, note in recorded.items() if STARTS in note[1]}
    if name is None or "import" in executing:
        tests = set(recorded)
    order = {test: (test not in executing, recorded[test][0]) for test in tests - {"import"}}
    tests = sorted(order, key=order.get)
    until_then = np.cumsum([recorded[test][0] for test in tests])
    return tests[: np.searchsorted(until_then, MOST_S)]


def passes(planted):
    """Of (file, bug, tests, seconds): whether the tests pass with the bug, in that time."""
    file, bug, tests, limit_s = planted
    return not tests or run_tests({file: bug[2]}, ["-x", *tests], None, limit_s) == 0


def survey(file, every, recorded, workers):
    """Plant the bugs in one file; returns how many were planted, and how many were caught."""
    planted = []
    for bug in list(mutants(file))[::every]:
        tests = tests_of(file, bug[1], recorded)
        limit_s = 20 + 3 * sum(recorded[test][0] for test in tests)
        planted.append((file, bug, tests, math.ceil(limit_s)))
    survived = 0
    for (_, bug, *_), passed in zip(planted, workers.map(passes, planted), strict=True):
        if passed:
            survived += 1
            print(f"survived  {bug[0]}", flush=True)
    return len(planted), len(planted) - survived


def main():
    parser = argparse.ArgumentParser(description="Count the planted bugs that the tests catch.")
    parser.add_argument("files", nargs="*", default=FILES, help="default: all")
    parser.add_argument("--every", type=int, default=1, help="only every Nth bug")
    args = parser.parse_args()
    total = np.zeros(2, int)
    fork = multiprocessing.get_context("fork")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(AT_ONCE, fork, copy_project, [folder]) as workers,
    ):
        recorded = workers.submit(record).result()
        if not recorded:
            sys.exit("the tests fail without a bug, with files printed anew")
        for file in args.files:
            planted, caught = survey(file, args.every, recorded, workers)
            total += planted, caught
            print(f"{file:24} {caught:5} of {planted:5} caught, {caught / planted:.1%}", flush=True)
    print(f"all: {total[1]} of {total[0]} caught, {total[1] / total[0]:.1%}")


if __name__ == "__main__":
    main()
