"""Published numbers, repeated: NAS-Bench-201's random search and REINFORCE, by its protocol.

    lines = runs_of(load(folder), seeds=range(500))    a dict per search, for a CSV file
    print(results_table(lines))

The protocol (Dong and Yang, ICLR 2020): the reward is the CIFAR-10 validation accuracy after 12
epochs of training, the cost is their time. Sample and learn until the next network would exceed the
budget of 12,000 s. Of all that were sampled, take the one with the highest validation
accuracy, and report its test accuracy after 200 epochs, on three data sets. Latency plays no part.

    name      meaning                                                    unit    shape
    valid     validation accuracy after 12 epochs: the reward            0..1    (15625,)
    cost_s    what 12 epochs of training take                            s       (15625,)
    test      test accuracy after 200 epochs, by data set                0..1    (15625,) each
    rows      the samples of a search, in order                                  (seeds, draws)
    gain      mean test accuracy less that of random search              points

The searches are the project's own, with its hyperparameters. Only the learning rate is varied as
well, for that of the published run is not known. study/beyond.md says what else differs."""

import functools
import itertools
import math
import sys
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import run_experiment  # noqa: F401  # first: it sets the number of BLAS threads  # isort: skip
import build_benchmark
import numpy as np
from logits import LogitsReinforce
from pages import markdown

from command_line import as_user_error, leave_signals_to_the_parent, tracked
from controller_numpy import Reinforce
from nas_benchmark import N_CELLS
from nas_search import CORES, HYPERPARAMETERS, LOCKSTEP, WORKERS, random_search

DATASETS = dict(cifar10="CIFAR-10", cifar100="CIFAR-100")  # names of read_accuracy: of the page
DATASETS["ImageNet16-120"] = "ImageNet16-120"
BUDGET_S = 12_000
SEEDS = range(500)

# Mean and standard deviation of 500 runs, in percent, by data set, as hzf1174/RoBoT (commit
# ead6c2f, images/Table2.jpg) reports them from the paper of NAS-Bench-201.
PUBLISHED = {
    "random": ((93.70, 0.36), (71.04, 1.07), (44.57, 1.25)),
    "REINFORCE": ((93.85, 0.37), (71.71, 1.09), (45.24, 1.18)),
}
PUBLISHED_RUNS = 500

POLICIES = {"LSTM": Reinforce, "table": LogitsReinforce}
TITLES = {"LSTM": "our LSTM", "table": "tabular policy"}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


# --- The tables -------------------------------------------------------------------------------

REPOSITORY = "hzf1174/RoBoT/ead6c2f4e9f6db932ca3929d43cee19df8d30ce7/data"
FILE = "nb2_cf10_hp12_info.p"
SHA256 = "1217bae8967cc2539bb7a09a2ebe47b8ca19e1813d959bc0b2ad6472e6a67497"


class Trained(NamedTuple):
    """What training each cell gave and took, by row."""

    valid: np.ndarray
    cost_s: np.ndarray
    test: dict


def load(folder):
    """The public tables as Trained, from a folder; None downloads them. Raises UserError."""
    path = build_benchmark.fetch(folder, REPOSITORY, FILE, SHA256)
    with as_user_error(path, "table of 12 epochs", "fetch it again"), open(path, "rb") as file:
        cells = build_benchmark.CellUnpickler(file).load()
        rows = [build_benchmark.row_of(cell["arch"]) for cell in cells]
        percent = build_benchmark.by_row(rows, [cell["valacc"] for cell in cells])
        cost_s = build_benchmark.by_row(rows, [cell["cost"] for cell in cells])
    source = (build_benchmark.CSV_REPOSITORY, build_benchmark.CSV, build_benchmark.CSV_SHA256)
    table = build_benchmark.fetch(folder, *source)
    test = {name: build_benchmark.read_accuracy(table, name)[1] for name in DATASETS}
    return Trained(percent / 100, cost_s, test)


# --- The searches -----------------------------------------------------------------------------


def runs_of(trained, seeds=SEEDS, rates=RATES):
    """A line for random search, and one per policy and learning rate; see `line_of`."""
    draws = int(BUDGET_S / trained.cost_s.min()) + 1  # more than any budget allows
    random = np.stack([random_search(seed, draws) for seed in seeds])  # (seeds, draws)
    lines = [line_of("random", "", random, trained)]
    rates = sorted({*rates, HYPERPARAMETERS["learning_rate"]})
    groups = [seeds[k : k + LOCKSTEP] for k in range(0, len(seeds), LOCKSTEP)]
    tasks = list(itertools.product(POLICIES, rates, groups))
    found = {}
    with WORKERS.Pool(CORES, leave_signals_to_the_parent) as pool:
        work = functools.partial(searched, valid=trained.valid, draws=draws)
        done = pool.imap(work, tasks)
        for (policy, rate, _), rows in zip(tracked(tasks), done, strict=True):
            found.setdefault((policy, rate), []).append(rows)
    for (policy, rate), rows in found.items():
        lines.append(line_of(policy, rate, np.concatenate(rows), trained))
    return lines


def searched(task, valid, draws):
    """Rows (seeds, draws) of some searches. Later samples do not change earlier ones, so what
    exceeds the budget can be left out afterwards."""
    policy, rate, seeds = task
    settings = HYPERPARAMETERS | dict(learning_rate=rate)
    reward_tables = np.broadcast_to(valid, (len(seeds), N_CELLS))
    return POLICIES[policy](seeds, **settings).search(reward_tables, draws)


def best_within(rows, trained, budget_s=BUDGET_S):
    """What searches end with: the rows (seeds,) of the best network by validation accuracy among
    those within the budget, and how many networks (seeds,) these are."""
    paid = trained.cost_s[rows].cumsum(axis=1) <= budget_s  # (seeds, draws)
    seen = np.where(paid, trained.valid[rows], -np.inf)
    best = np.take_along_axis(rows, seen.argmax(axis=1)[:, None], axis=1)
    return best[:, 0], paid.sum(axis=1)


def line_of(search, rate, rows, trained):
    """What the searches of one kind end with: means and standard deviations over their seeds."""
    best, networks = best_within(rows, trained)
    line = dict(
        search=search,
        rate=rate,
        runs=len(rows),
        networks=round(float(networks.mean()), 1),
        valid=round(100 * float(trained.valid[best].mean()), 3),
    )
    for name in DATASETS:
        percent = 100 * trained.test[name][best]  # (seeds,)
        line[name] = round(float(percent.mean()), 3)
        line[f"{name}_sd"] = round(float(percent.std(ddof=1)), 3)
    return line


# --- The tables of the page: of lines, as published.csv has them ------------------------------


def published_line(search):
    """A published row in the form of `line_of`."""
    line = dict(search=search, runs=PUBLISHED_RUNS)
    for name, (mean, deviation) in zip(DATASETS, PUBLISHED[search], strict=True):
        line[name] = mean
        line[f"{name}_sd"] = deviation
    return line


def rates(lines):
    """The learning rates that were tried, as text."""
    return [line["rate"] for line in lines if line["search"] == "LSTM"]


def compared(lines):
    """{name: line} of our searches: each policy with the project's rate, and with its best one.

    The best has the best mean validation accuracy, which is what a search can see."""
    found = {}
    for policy, title in TITLES.items():
        of_policy = [line for line in lines if line["search"] == policy]
        of_rate = {float(line["rate"]): line for line in of_policy}
        project = HYPERPARAMETERS["learning_rate"]
        best = max(of_rate, key=lambda rate: float(of_rate[rate]["valid"]))
        found[f"{title}, the project's rate, {project:g}"] = of_rate[project]
        found[f"{title}, its best rate, {best:g}"] = of_rate[best]
    return found


def gains(line, reference):
    """(gain in points, its standard error) per data set: two means of independent runs."""
    found = []
    for name in DATASETS:
        gain = float(line[name]) - float(reference[name])
        errors = [float(e[f"{name}_sd"]) / float(e["runs"]) ** 0.5 for e in (line, reference)]
        found.append((gain, math.hypot(*errors)))
    return found


def results_table(lines):
    """Test accuracies, published and ours: mean ± standard deviation over the runs."""
    searches = {"random search, published": published_line("random")}
    searches["random search, ours"] = lines[0]
    searches["REINFORCE, published"] = published_line("REINFORCE")
    rows = []
    for name, line in (searches | compared(lines)).items():
        cells = [f"{float(line[d]):.2f} ± {float(line[f'{d}_sd']):.2f}" for d in DATASETS]
        rows.append([name, line.get("networks", ""), *cells])
    return markdown(["search", "networks", *DATASETS.values()], rows)


def gains_table(lines):
    """Gains over random search, published and ours: points ± standard error."""
    theirs = gains(published_line("REINFORCE"), published_line("random"))
    found = {"REINFORCE, published": theirs}
    found |= {name: gains(line, lines[0]) for name, line in compared(lines).items()}
    rows = [[name, *map(with_error, values)] for name, values in found.items()]
    return markdown(["gain over random search, pp", *DATASETS.values()], rows)


def with_error(found):
    """A gain ± its standard error."""
    gain, error = found
    return f"{round(gain, 2) + 0.0:+.2f} ± {error:.2f}"  # + 0.0: not "-0.00"
