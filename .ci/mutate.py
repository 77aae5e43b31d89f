"""Plants bugs one at a time and counts how many the tests catch. For developers; takes a while.

    python .ci/mutate.py                            all of them, 2 at a time
    python .ci/mutate.py nas_reward.py --every 5    every fifth bug in one file

A bug is one changed operator, comparison, number, sign or condition, or one statement left out.
Survivors are printed as they are found: file, line, and the line with the bug in it.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = {  # file -> the functions and classes to plant bugs in (all if empty)
    "nas_reward.py": (),
    "nas_benchmark.py": (),
    "controller_numpy.py": (),
    "claims.py": (),
    "run_experiment.py": (
        *("search", "search_in_parallel", "run_searches", "choose_target", "cell_facts"),
        *("best_under", "optimum_of", "best_found_by", "print_window", "print_ledger"),
    ),
}
SWAPS = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In},
    **{ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
}
NAMES = {"max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum", "argmax": "argmin"}


def bugs(tree):
    """All bugs of a node and what is below it: functions that plant and remove one each."""
    for node in ast.walk(tree):
        for field in ("op", "ops"):
            operators = getattr(node, field, None)
            for k, operator in enumerate(operators if isinstance(operators, list) else [operators]):
                if type(operator) in SWAPS:
                    new = SWAPS[type(operator)]()
                    value = [*operators[:k], new, *operators[k + 1 :]] if field == "ops" else new
                    yield node.lineno, node, field, value
        if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
            yield node.lineno, node, "op", ast.UAdd()
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield (
                node.lineno,
                node,
                "value",
                node.value + 1 if type(node.value) is int else node.value * 1.1 or 0.1,
            )
        if isinstance(node, ast.Name) and node.id in NAMES:
            yield node.lineno, node, "id", NAMES[node.id]
        if isinstance(node, ast.Attribute) and node.attr in NAMES:
            yield node.lineno, node, "attr", NAMES[node.attr]
        for field in ("body", "orelse"):
            statements = getattr(node, field, None)
            for k, statement in enumerate(statements if isinstance(statements, list) else []):
                call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
                put = isinstance(statement, ast.Assign) and isinstance(
                    statement.targets[0], ast.Subscript
                )
                if call or put or isinstance(statement, (ast.AugAssign, ast.Raise, ast.Continue)):
                    value = [*statements[:k], ast.Pass(), *statements[k + 1 :]]
                    yield statement.lineno, node, field, value


def mutants(file, only):
    """(file, line number, source with one bug) for each bug."""
    tree = ast.parse((ROOT / file).read_text())
    tops = [n for n in tree.body if not only or getattr(n, "name", None) in only]
    # numbers in f-strings are layout
    layout = {id(n) for j in ast.walk(tree) if isinstance(j, ast.JoinedStr) for n in ast.walk(j)}
    for top in tops:
        for line, node, field, value in bugs(top):
            if id(node) not in layout:
                old = getattr(node, field)
                setattr(node, field, value)
                yield file, line, ast.unparse(ast.fix_missing_locations(tree))
                setattr(node, field, old)


def caught(mutant):
    """Whether the suite notices one mutant, in a copy of the project."""
    file, _, source = mutant
    with tempfile.TemporaryDirectory() as folder:
        copy_to = Path(folder) / "main"
        ignore = shutil.ignore_patterns(".git", ".venv", "results", "__pycache__")
        shutil.copytree(ROOT, copy_to, ignore=ignore)
        (copy_to / file).write_text(source)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        command += [
            "-k",
            "not (tables or bench201 or natsbench or downloads or two_runs or readme)",
        ]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=copy_to, capture_output=True, timeout=300, env=environment
            )
        except subprocess.TimeoutExpired:
            return True
        return done.returncode != 0


def main():
    parser = argparse.ArgumentParser(description="Count the planted bugs that the tests catch.")
    parser.add_argument("files", nargs="*", default=list(FILES), help="default: all")
    parser.add_argument("--every", type=int, default=1, help="only every Nth bug")
    args = parser.parse_args()
    total = survived = 0
    for file in args.files:
        if caught((file, 0, ast.unparse(ast.parse((ROOT / file).read_text())))):
            sys.exit(f"the tests fail with no bug in {file}, just printed anew; mend that first")
        chosen = list(mutants(file, FILES[file]))[:: args.every]
        original = ast.unparse(ast.parse((ROOT / file).read_text())).splitlines()
        with ThreadPoolExecutor(2) as pool:
            for (_, line, source), found in zip(chosen, pool.map(caught, chosen), strict=True):
                if not found:
                    changed = [
                        new
                        for old, new in zip(original, source.splitlines(), strict=False)
                        if old != new
                    ]
                    print(
                        f"survived  {file}:{line}  {changed[0].strip() if changed else ''}",
                        flush=True,
                    )
                    survived += 1
        total += len(chosen)
        print(f"{file}: {len(chosen)} bugs planted", flush=True)
    print(f"{total - survived} of {total} caught ({(total - survived) / total:.1%})")


if __name__ == "__main__":
    main()
