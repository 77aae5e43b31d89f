"""Published numbers, repeated: NAS-Bench-201's random search and REINFORCE, by its protocol.

`python study/beyond.py published` calls `search`; study/beyond.md describes the protocol.

    name      meaning                                                    unit    shape
    valid     validation accuracy after 12 epochs: the reward            0..1    (15625,)
    cost_s    what 12 epochs of training take                            s       (15625,)
    test      test accuracy after 200 epochs, by data set                0..1    (15625,) each
    rows      the samples of a search, in order                                  (seeds, draws)"""

import itertools
import math
from collections import namedtuple

from tables import read, select, write_csv  # first  # isort: skip
import build_benchmark
import numpy as np
from logits import LogitsReinforce

from command_line import as_user_error, tracked
from controller_numpy import Reinforce
from nas_benchmark import N_CELLS
from nas_search import HYPERPARAMETERS, random_search

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
BUDGET_S = 12_000
SEEDS = range(500)
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
POLICIES = {"LSTM": Reinforce, "table": LogitsReinforce}
TITLES = {"LSTM": "our LSTM", "table": "tabular policy"}

# Mean and standard deviation of 500 runs, in percent, by data set, as hzf1174/RoBoT (commit
# ead6c2f, images/Table2.jpg) reports them from the paper of NAS-Bench-201.
PUBLISHED = {
    "random": (93.70, 0.36, 71.04, 1.07, 44.57, 1.25),
    "REINFORCE": (93.85, 0.37, 71.71, 1.09, 45.24, 1.18),
}
REPOSITORY = "hzf1174/RoBoT/ead6c2f4e9f6db932ca3929d43cee19df8d30ce7/data"
FILE = "nb2_cf10_hp12_info.p"
SHA256 = "1217bae8967cc2539bb7a09a2ebe47b8ca19e1813d959bc0b2ad6472e6a67497"

Trained = namedtuple("Trained", "valid, cost_s, test")


def load(folder):
    """The public tables as Trained, from a folder; None downloads them. Raises UserError."""
    path = build_benchmark.fetch(folder, REPOSITORY, FILE, SHA256)
    with as_user_error(path, "table of 12 epochs", "fetch it again"), open(path, "rb") as file:
        cells = build_benchmark.CellUnpickler(file).load()
        rows = [build_benchmark.row_of(cell["arch"]) for cell in cells]
        percent = build_benchmark.by_row(rows, [cell["valacc"] for cell in cells])
        cost_s = build_benchmark.by_row(rows, [cell["cost"] for cell in cells])
    test = {name: build_benchmark.measured_accuracy(folder, name)[1] for name in DATASETS}
    return Trained(percent / 100, cost_s, test)


def search(folder):
    """NAS-Bench-201's protocol with random search and our controllers; writes published.csv."""
    write_csv("published.csv", runs_of(load(folder)))


def runs_of(trained, seeds=SEEDS, rates=RATES):
    """A line for random search, and one per policy and learning rate; see `line_of`."""
    draws = int(BUDGET_S / trained.cost_s.min()) + 1  # more than any budget allows
    random = np.stack([random_search(seed, draws) for seed in seeds])  # (seeds, draws)
    lines = [line_of("random", "", random, trained)]
    rewards = np.broadcast_to(trained.valid, (len(seeds), N_CELLS))
    for policy, rate in tracked(list(itertools.product(POLICIES, rates))):
        settings = HYPERPARAMETERS | dict(learning_rate=rate)
        rows = POLICIES[policy](seeds, **settings).search(rewards, draws)
        lines.append(line_of(policy, rate, rows, trained))
    return lines


def line_of(search, rate, rows, trained):
    """What searches of one kind end with: means and standard deviations over their seeds. Samples
    after the budget is spent do not count; they did not change the earlier ones."""
    paid = trained.cost_s[rows].cumsum(axis=1) <= BUDGET_S  # (seeds, draws)
    pick = np.where(paid, trained.valid[rows], -np.inf).argmax(axis=1)  # (seeds,)
    best = rows[np.arange(len(rows)), pick]  # (seeds,)
    line = dict(search=search, rate=rate, runs=len(rows))
    line["networks"] = round(float(paid.sum(axis=1).mean()), 1)
    line["valid"] = round(100 * float(trained.valid[best].mean()), 3)
    for name in DATASETS:
        percent = 100 * trained.test[name][best]  # (seeds,)
        line[name] = round(float(percent.mean()), 3)
        line[f"{name}_sd"] = round(float(percent.std(ddof=1)), 3)
    return line


def compared():
    """{name: line}: random search, the published run, and ours: each policy with the project's
    rate, and with its best one, by the mean validation accuracy, which a search can see."""
    lines = read("published.csv")
    names = [f"{name}{end}" for name in DATASETS for end in ("", "_sd")]
    theirs = {}
    for search, numbers in PUBLISHED.items():
        theirs[search] = dict(zip(names, numbers, strict=True), runs=500, networks="")
    found = {"random search, published": theirs["random"]}
    found["random search, ours"] = lines[0]
    found["REINFORCE, published"] = theirs["REINFORCE"]
    for policy, title in TITLES.items():
        of_policy = select(lines, search=policy)
        [project] = select(of_policy, rate=HYPERPARAMETERS["learning_rate"])
        best = max(of_policy, key=lambda line: line["valid"])
        found[f"{title}, the project's rate, {project['rate']:g}"] = project
        found[f"{title}, its best rate, {best['rate']:g}"] = best
    return found


def gains_table():
    """The gain of each search over random search ± its standard error, in points."""
    (_, theirs), (_, ours), *searches = compared().items()
    for name, line in searches:
        reference = theirs if name.endswith("published") else ours
        row = name
        for d in DATASETS:  # two means of independent runs
            gain = round(line[d] - reference[d], 2) + 0.0  # not "-0.00"
            errors = [e[f"{d}_sd"] / e["runs"] ** 0.5 for e in (line, reference)]
            row += f" | {gain:+.2f} ± {math.hypot(*errors):.2f}"
        yield row


def results_table():
    """The test accuracies of each search."""
    for name, line in compared().items():
        row = f"{name} | {line['networks']}"
        for d in DATASETS:
            row += f" | {line[d]:.2f} ± {line[f'{d}_sd']:.2f}"
        yield row
