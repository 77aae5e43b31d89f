"""The numbers and tables on the pages: functions that docs/check.py calls by their names.

A function that returns text makes a block, and so does one that yields the rows of a table; one
that returns a number makes a number in a sentence.
Whatever stands here comes from the program, from its files in data/, or from the tables of study/.
"""

import functools
import math  # noqa: F401 (for expressions on the pages)
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "study"))

from tables import csv_rows, markdown  # noqa: F401  # first  # isort: skip
import beyond  # noqa: F401
import numpy as np
import published  # noqa: F401
import sensitivity  # noqa: F401
from exercises import EXERCISES, proposed_entries, surrogate

import claims
import controller_plain as plain
import nas_reward
import nas_search
from claims import LEVEL, MIN_RUNS  # noqa: F401
from controller_plain import K
from nas_benchmark import OPERATIONS, SHORT, cell_to_row
from nas_reward import ALPHA, PAIR, SAMPLES, T_MS, X, Y, equal_strength  # noqa: F401
from nas_search import HYPERPARAMETERS, words_of  # noqa: F401
from run_experiment import SEEDS


@functools.cache
def problem():
    return nas_search.Problem(surrogate(), PAIR, T_MS)


# --- Numbers ----------------------------------------------------------------------------------


def guess(b, latency_ms):
    """b^L + LAT of a network of Table 1: 25.5 for the right base b of Eq. 4."""
    found = {ms: (printed - X * accuracy) / Y for accuracy, ms, printed in proposed_entries()}
    return b ** found[latency_ms] + latency_ms


def said(k):
    """The k-th number of the text's two comparisons, in the order of nas_reward.comparisons."""
    return [value for entry in nas_reward.comparisons() for value in entry["values"]][k]


def random_count(low, high):
    """The median of the samples of random search in a band under T."""
    rows = np.stack([nas_search.random_search(seed, SAMPLES) for seed in range(SEEDS)])
    points = (surrogate().accuracy[rows], surrogate().latency_ms[rows])
    return np.median(claims.count_under(*points, T_MS, low, high))


# --- Blocks -----------------------------------------------------------------------------------


def fenced(text):
    return f"```text\n{text}\n```"


def row():
    """The worked example of nas_benchmark.py: a cell, and its row."""
    cell = (3, 1, 3, 0, 1, 3)
    words = ", ".join(SHORT[k] for k in cell)
    digits = " ".join(map(str, cell))
    return fenced(f"{words}  =  {digits} in base {K}  =  row {cell_to_row(cell):,}")


def eq_4():
    """How Table 1 gives L, and L gives 25.5: four different latencies."""
    firsts = {entry[1]: entry for entry in reversed([*proposed_entries()])}
    for latency_ms, (accuracy, _, printed) in sorted(firsts.items()):
        L = (printed - X * accuracy) / Y
        power = T_MS**L
        formula = f"({printed:.5f} - {X} * {accuracy:.2f}) / {Y} = {L:.4f}"
        total = f"{power:.2f} + {latency_ms:.0f} = {power + latency_ms:.2f}"
        yield f"{latency_ms:.0f} | {formula} | {power:.2f} | {total}"


def by_hand():
    """One step of size 1 on five logits that were equal, for an advantage of either sign."""
    drawn = OPERATIONS.index("nor_conv_3x3")
    p = np.full(K, 1 / K)
    lines = [("", SHORT, "<9", ""), ("p", p, "<9.3f", "")]
    for A in (0.1, -0.1):
        dlogits = A * (p - np.eye(K)[drawn])
        after = plain.softmax(np.log(p) - dlogits)
        lines += [
            (f"A = {A:+.1f}", [], "", ""),
            ("  dlogits", dlogits, "<+9.3f", f"A (p - one-hot), {SHORT[drawn]} sampled"),
            ("  new p", after, "<9.3f", "softmax(logits - dlogits)"),
        ]
    text = [f"{name:14}{plain.in_columns(v, form)}{why}".rstrip() for name, v, form, why in lines]
    return fenced("\n".join(text))


def second_update():
    """The part of the printed lesson that is about the second network."""
    _, title, rest = plain.first_updates().partition("Network 2\n")
    return fenced(title + rest.partition("\n\n")[0])


def three_updates():
    """The table at the end of the printed lesson."""
    return fenced("\n".join(plain.first_updates().splitlines()[-4:]))


def optima():
    """The most accurate cell of the surrogate under T, and each reward's best cell."""
    names = ["the most accurate under T"] + [f"highest reward, {name}" for name in PAIR]
    for name, cell in zip(names, problem().optima().values(), strict=True):
        row = "{accuracy:.2%} | {latency_ms:.2f} ms".format_map(cell)
        yield f"{name} | {row} | {'yes' if cell['meets_target'] else 'no'}"


def exercises():
    """The list of exercises, with the minutes that they take."""
    for number, exercise in EXERCISES.items():
        yield f"{number} | {exercise.title} | {exercise.minutes}"
