"""Plants bugs, one at a time, and counts how many the tests catch. For developers.

    python .ci/mutate.py                           all files; two hours on two cores
    python .ci/mutate.py claims.py nas_search.py   some of them
    python .ci/mutate.py claims.py --every 5       every fifth bug

A bug is one operator, comparison, sign or number changed, or one statement left out. Survivors are
printed as they are found: file, line, and the line with the bug in it. A bug that makes the tests
take twice as long is caught, too, but is counted apart: it may run for ever.

The tests stop at the first that fails, and the sections of test_all.py that are about the file come
first. Left out are bugs in what is only text, and the tests of the docs and of how the files are
written: these quote lines that a file printed anew does not have."""

import argparse
import ast
import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = 2  # each with a copy of the project of its own
FILES = {  # file: the section of test_all.py that is about it
    "nas_reward.py": "I",
    "nas_benchmark.py": "V",
    "controller_plain.py": "II",
    "controller_numpy.py": "II",
    "claims.py": "IV",
    "nas_search.py": "IV",
    "surrogate.py": "V",
    "run_experiment.py": "VI",
}
SECTIONS = ("I", "II", "III", "IV", "V", "VI", "VII")  # all that are about the program
LEFT_OUT = ("experiment", "draw", "heading", "main")  # functions that only call others, or speak


# --- Bugs -------------------------------------------------------------------------------------

SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.USub: ast.UAdd,
    ast.Not: ast.UAdd,
    ast.Invert: ast.UAdd,
}
NAMES = {
    "max": "min",
    "min": "max",
    "maximum": "minimum",
    "minimum": "maximum",
    "argmax": "argmin",
    "argmin": "argmax",
}


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
    """(line number, source) of a file with one bug, for each bug."""
    tree = ast.parse((ROOT / file).read_text())
    for top in tree.body:
        if getattr(top, "name", None) in LEFT_OUT:
            continue
        for node in nodes(top):
            for line, field, value in changes(node):
                old = getattr(node, field)
                setattr(node, field, value)
                yield line, ast.unparse(ast.fix_missing_locations(tree))
                setattr(node, field, old)


def changed_line(file, source):
    """The first line of `source`, which has a bug, that the file as it is does not have."""
    original = ast.unparse(ast.parse((ROOT / file).read_text())).splitlines()
    pairs = zip(original, source.splitlines(), strict=False)
    differ = [new for old, new in pairs if old != new]
    return differ[0].strip() if differ else ""


# --- Tests ------------------------------------------------------------------------------------


def tests_for(file):
    """The tests to run, those of the section about this file first."""
    source = (ROOT / "test_all.py").read_text()
    section = None
    found = {name: [] for name in SECTIONS}
    for line in source.splitlines():
        heading = re.match(r"# --- (\w+)\.? ", line)
        if heading:
            section = heading[1]
        test = re.match(r"def (test_\w+)", line)
        if test and section in found:
            found[section].append(f"test_all.py::{test[1]}")
    if not all(found.values()):
        sys.exit(f"test_all.py lacks one of the sections {', '.join(SECTIONS)}")
    return found.pop(FILES[file]) + [test for tests in found.values() for test in tests]


def passes(folder, tests, limit_s=600):
    """Whether these tests pass in a copy of the project; None if they take longer than limit_s."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(limit_s) == 0
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, too
        process.wait()


def copies(folder):
    """A queue of AT_ONCE copies of the project, compiled, so that only the bug is compiled anew."""
    free = queue.Queue()
    for k in range(AT_ONCE):
        path = Path(folder) / str(k)
        ignored = shutil.ignore_patterns(".*", "results", "cache", "__pycache__")
        shutil.copytree(ROOT, path, ignore=ignored)
        command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "test_all.py"]
        subprocess.run(command, cwd=path, stdout=subprocess.DEVNULL, check=True)
        for file in FILES:
            for compiled in (path / "__pycache__").glob(f"{Path(file).stem}.*"):
                compiled.unlink()
        free.put(path)
    return free


def survey(file, every, free):
    """Plant the bugs in one file; returns how many were planted, survived, and timed out."""
    tests = tests_for(file)
    original = (ROOT / file).read_text()

    def outcome(source, limit_s=600):
        folder = free.get()
        (folder / file).write_text(source)
        passed = passes(folder, tests, limit_s)
        (folder / file).write_text(original)
        free.put(folder)
        return passed

    start = time.perf_counter()
    if not outcome(ast.unparse(ast.parse(original))):
        sys.exit(f"the tests fail without a bug in {file}, just printed anew; mend that first")
    limit_s = 2 * (time.perf_counter() - start)
    planted = list(mutants(file))[::every]
    survived = timed_out = 0
    start = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda bug: outcome(bug[1], limit_s), planted)
        for k, ((line, source), passed) in enumerate(zip(planted, outcomes, strict=True), 1):
            timed_out += passed is None
            if passed:
                survived += 1
                print(f"survived  {file}:{line}  {changed_line(file, source)}", flush=True)
            if k % 50 == 0 or k == len(planted):
                seconds = (time.perf_counter() - start) / k
                print(f"{file}: {k} of {len(planted)}, {seconds:.1f} s each", flush=True)
    return len(planted), survived, timed_out


def main():
    parser = argparse.ArgumentParser(description="Count the planted bugs that the tests catch.")
    parser.add_argument("files", nargs="*", default=list(FILES), help="default: all")
    parser.add_argument("--every", type=int, default=1, help="only every Nth bug")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        free = copies(folder)
        counts = [survey(file, args.every, free) for file in args.files]
    planted, survived, timed_out = map(sum, zip(*counts, strict=True))
    caught = planted - survived
    print(f"{caught} of {planted} caught ({caught / planted:.1%}), {timed_out} by taking too long")


if __name__ == "__main__":
    main()
