"""The numbers and tables on the pages: functions that docs/check.py calls by their names.

A function that returns text makes a block; one that returns a number makes a number in a sentence.
Whatever stands here comes from the program, from its files in data/, or from the tables of study/.
"""

import functools
import math  # noqa: F401 (for expressions on the pages)
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # the program's files

from exercises import EXERCISES, proposed_entries, surrogate
from pages import markdown, read_csv

import claims
import controller_plain as plain
import nas_reward
import nas_search
from claims import LEVEL, MIN_RUNS  # noqa: F401
from controller_plain import K
from nas_benchmark import OPERATIONS, SHORT, cell_to_row
from nas_reward import ALPHA, PAIR, SAMPLES, T_MS, X, Y, equal_strength  # noqa: F401
from run_experiment import SEEDS

STUDY = Path(__file__).resolve().parents[1] / "study"


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


@functools.cache
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
    found = {}
    for accuracy, latency_ms, printed in proposed_entries():
        L = (printed - X * accuracy) / Y
        power = T_MS**L
        ms = f"{latency_ms:.0f}"
        formula = f"({printed:.5f} - {X} * {accuracy:.2f}) / {Y} = {L:.4f}"
        total = f"{power:.2f} + {ms} = {power + latency_ms:.2f}"
        found.setdefault(latency_ms, [ms, formula, f"{power:.2f}", total])
    header = ["LAT, ms", "L", f"{T_MS:g}^L", f"{T_MS:g}^L + LAT"]
    return markdown(header, [found[latency_ms] for latency_ms in sorted(found)])


def table_1():
    return fenced(nas_reward.table_1_report())


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
    rows = []
    found = problem().optima()
    names = ["the most accurate under T"] + [f"highest reward, {name}" for name in PAIR]
    for name, cell in zip(names, found.values(), strict=True):
        meets = "yes" if cell["meets_target"] else "no"
        ms = f"{cell['latency_ms']:.2f} ms"
        rows.append([name, f"{cell['accuracy']:.2%}", ms, meets])
    return markdown([f"best cell, {surrogate().name}", "ACC", "LAT", "under T"], rows)


def exercises():
    """The list of exercises, with the minutes that they take."""
    rows = [[number, e.title, e.minutes] for number, e in EXERCISES.items()]
    return markdown(["exercise", "", "minutes"], rows)


TABLES = ("surrogate", "modelled")  # accuracies fitted, and measured


def results_table(kind):
    """The paper and our runs, on both of TABLES and over the grid: signs, or values."""
    configurations = read_csv(STUDY / "hyperparameters.csv")
    verdicts = read_csv(STUDY / "verdicts.csv")
    lines = {(line["table"], line["claim"]): line for line in verdicts}
    rows = []
    for (table, claim), line in lines.items():
        if table == TABLES[0] and line["kind"] == kind and line["verdict"] != "no claim":
            paper = [f"{int(line['paper']):,}"] if kind == "value" else []
            ours = [in_cell(lines[name, claim]) for name in TABLES]
            rows.append([line["text"], *paper, *ours, shares(configurations, claim)])
    paper = ["paper"] if kind == "value" else []
    where = [f"{name}: median [min, max]" for name in ("surrogate", "measured")]
    word = "inside" if kind == "value" else "supported"
    last = f"{word} in configurations with b, without"
    return markdown([kind, *paper, *where, last], rows)


def in_cell(line):
    """Our runs and the verdict, from a line of verdicts.csv, as text."""
    digits = 1 if line["claim"].startswith("fig7_accuracy") else 0
    median, low, high = (f"{float(line[x]):,.{digits}f}" for x in ("median", "min", "max"))
    return f"{line['censoring']} {median} [{low}, {high}]: {line['verdict']}".strip()


def shares(configurations, claim):
    """In how many configurations of the grid a claim is so: on each of TABLES, with b, without."""
    texts = []
    for table in TABLES:
        here = [line for line in configurations if line["table"] == table]
        for with_b in (True, False):
            some = [line for line in here if bool(line["baseline_decay"]) == with_b]
            verdicts = [line[f"{claim}.verdict"] for line in some]
            good = verdicts.count("supported") + verdicts.count("inside")
            texts.append(f"{good}/{len(verdicts)}")
    return "{}, {}; measured {}, {}".format(*texts)
