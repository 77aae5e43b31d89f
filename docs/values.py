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
from exercises import EXERCISES, surrogate

import claims
import controller_plain as plain
import nas_reward
import nas_search
from claims import LEVEL, MIN_RUNS  # noqa: F401
from nas_reward import ALPHA, PAIR, SAMPLES, T_MS, X, Y, equal_strength  # noqa: F401
from nas_search import HYPERPARAMETERS, words_of  # noqa: F401
from run_experiment import SEEDS


@functools.cache
def problem():
    return nas_search.Problem(surrogate(), PAIR, T_MS)


# --- Numbers ----------------------------------------------------------------------------------


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
