"""A published number, run again: NAS-Bench-201's random search and REINFORCE, by its protocol.

    lines = runs_of(benchmark=load(folder), seeds=range(500))    a dict per search, for a CSV file
    print(results_table(lines))

The protocol (Dong and Yang, ICLR 2020): a network earns its CIFAR-10 validation accuracy after 12
epochs of training, and costs what these 12 epochs take. Draw and learn until the next network would
bring the bill above 12,000 s. Of all that were drawn, take the one with the highest validation
accuracy, and report its test accuracy after 200 epochs, on three data sets. Latency plays no part.

    name      meaning                                                    unit    shape
    valid     validation accuracy after 12 epochs: the reward            0..1    (15625,)
    cost_s    what 12 epochs of training take                            s       (15625,)
    test      test accuracy after 200 epochs, by data set                0..1    (15625,) each
    rows      the networks that a search drew, in order                          (seeds, draws)
    gain      mean test accuracy less that of random search              points

The searches are the project's own, with its hyperparameters. Only the learning rate is varied as
well, for that of the published run is not known. study/beyond.md says what else differs."""

import functools
import itertools
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import run_experiment  # noqa: F401  # first: it sets the number of BLAS threads  # isort: skip
import build_benchmark
import numpy as np
from logits import LogitsReinforce
from pages import markdown

from command_line import as_user_error, leave_signals_to_the_parent, progress
from controller_numpy import Reinforce
from nas_benchmark import N_CELLS
from nas_search import CORES, HYPERPARAMETERS, LOCKSTEP, WORKERS, random_search

DATASETS = {  # as read_accuracy calls them, and as the page does
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "ImageNet16-120": "ImageNet16-120",
}
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
    table = build_benchmark.fetch(
        folder,
        build_benchmark.CSV_REPOSITORY,
        build_benchmark.CSV,
        build_benchmark.CSV_SHA256,
    )
    test = {name: build_benchmark.read_accuracy(table, name)[1] for name in DATASETS}
    return Trained(percent / 100, cost_s, test)


# --- The searches -----------------------------------------------------------------------------


def runs_of(trained, seeds=SEEDS, rates=RATES):
    """A line for random search, and one per policy and learning rate; see `line_of`."""
    draws = int(BUDGET_S / trained.cost_s.min()) + 1  # more than any search can pay for
    random = np.stack([random_search(seed, draws) for seed in seeds])  # (seeds, draws)
    lines = [line_of("random", None, random, trained)]
    rates = sorted({*rates, HYPERPARAMETERS["learning_rate"]})
    groups = [seeds[k : k + LOCKSTEP] for k in range(0, len(seeds), LOCKSTEP)]
    tasks = list(itertools.product(POLICIES, rates, groups))
    found = []
    start = time.perf_counter()
    with WORKERS.Pool(CORES, leave_signals_to_the_parent) as pool:
        work = functools.partial(searched, valid=trained.valid, draws=draws)
        for rows in pool.imap(work, tasks):
            found.append(rows)
            progress(len(found), len(tasks), time.perf_counter() - start)
    for policy, rate in itertools.product(POLICIES, rates):
        wanted = [task[:2] == (policy, rate) for task in tasks]
        rows = np.concatenate(list(itertools.compress(found, wanted)))  # (seeds, draws)
        lines.append(line_of(policy, rate, rows, trained))
    return lines


def searched(task, valid, draws):
    """Rows (seeds, draws) of some searches. Later draws do not change earlier ones, so what the
    budget does not pay for can be left out afterwards."""
    policy, rate, seeds = task
    settings = HYPERPARAMETERS | dict(learning_rate=rate)
    reward_tables = np.broadcast_to(valid, (len(seeds), N_CELLS))
    return POLICIES[policy](seeds, **settings).search(reward_tables, draws)


def best_within(rows, trained, budget_s=BUDGET_S):
    """What searches end with: the rows (seeds,) of the best network by validation accuracy among
    those that the budget pays for, and how many networks (seeds,) these are."""
    paid = trained.cost_s[rows].cumsum(axis=1) <= budget_s  # (seeds, draws)
    seen = np.where(paid, trained.valid[rows], -np.inf)
    best = np.take_along_axis(rows, seen.argmax(axis=1)[:, None], axis=1)
    return best[:, 0], paid.sum(axis=1)


def line_of(search, rate, rows, trained):
    """What the searches of one kind end with: means and standard deviations over their seeds."""
    best, networks = best_within(rows, trained)
    line = dict(
        search=search,
        rate="" if rate is None else rate,
        runs=len(rows),
        networks=round(float(networks.mean()), 1),
        valid=round(100 * float(trained.valid[best].mean()), 3),
    )
    for name in DATASETS:
        percent = 100 * trained.test[name][best]  # (seeds,)
        line[name] = round(float(percent.mean()), 3)
        line[f"{name} sd"] = round(float(percent.std(ddof=1)), 3)
    return line


# --- The tables of the page -------------------------------------------------------------------


def published_line(search):
    """A published row in the form of `line_of`."""
    line = dict(search=search, runs=PUBLISHED_RUNS)
    for name, (mean, deviation) in zip(DATASETS, PUBLISHED[search], strict=True):
        line[name] = mean
        line[f"{name} sd"] = deviation
    return line


def of_policy(lines, policy):
    """The lines of one policy, by learning rate."""
    return {float(line["rate"]): line for line in lines if line["search"] == policy}


def unchanged(lines, policy):
    """The policy's line with the project's own learning rate."""
    return of_policy(lines, policy)[HYPERPARAMETERS["learning_rate"]]


def best_rate(lines, policy):
    """The policy's line with the best mean validation accuracy, which is what a search can see."""
    return max(of_policy(lines, policy).values(), key=lambda line: float(line["valid"]))


def gains(line, reference):
    """(gain in points, its standard error) per data set: two means of independent runs."""
    found = []
    for name in DATASETS:
        gain = float(line[name]) - float(reference[name])
        squares = [float(e[f"{name} sd"]) ** 2 / float(e["runs"]) for e in (line, reference)]
        found.append((gain, sum(squares) ** 0.5))
    return found


def named(lines):
    """{name: line} of the searches that the page compares, ours."""
    named = {}
    for policy, title in (("LSTM", "our LSTM"), ("table", "table of logits")):
        for choice, line in (
            ("the project's rate", unchanged(lines, policy)),
            ("its best rate", best_rate(lines, policy)),
        ):
            named[f"{title}, {choice}, {float(line['rate']):g}"] = line
    return named


def results_table(lines):
    """Test accuracies, published and ours: mean ± standard deviation over the runs."""
    searches = {
        "random search, published": published_line("random"),
        "random search, ours": lines[0],
        "REINFORCE, published": published_line("REINFORCE"),
    }
    rows = []
    for name, line in (searches | named(lines)).items():
        cells = [f"{float(line[d]):.2f} ± {float(line[f'{d} sd']):.2f}" for d in DATASETS]
        rows.append([name, line.get("networks", ""), *cells])
    return markdown(["search", "networks", *DATASETS.values()], rows)


def gains_table(lines):
    """Gains over random search, published and ours: points ± standard error."""
    theirs = (published_line("REINFORCE"), published_line("random"))
    compared = {"REINFORCE, published": theirs}
    compared |= {name: (line, lines[0]) for name, line in named(lines).items()}
    return compared_table("gain over random search, points", compared)


def differences_table(lines):
    """What else is compared: our random search with theirs, and the LSTM with the table."""
    compared = {"random search, ours less published": (lines[0], published_line("random"))}
    for choice, rate in ((unchanged, "the project's rate"), (best_rate, "its best rate")):
        both = (choice(lines, "LSTM"), choice(lines, "table"))
        compared[f"our LSTM less table of logits, each at {rate}"] = both
    return compared_table("difference, points", compared)


def compared_table(title, compared):
    """{name: (line, reference)} as a table of `gains`."""
    rows = [[name, *map(with_error, gains(*both))] for name, both in compared.items()]
    return markdown([title, *DATASETS.values()], rows)


def rates_table(lines):
    """Per learning rate: what each policy gains over random search, and the networks it draws."""
    rows = []
    for rate in of_policy(lines, "LSTM"):
        row = [f"{rate:g}"]
        for policy in POLICIES:
            line = of_policy(lines, policy)[rate]
            row.append(f"{float(line['valid']):.2f}")
            row += [with_error(found) for found in gains(line, lines[0])]
        rows.append(row)
    header = ["learning rate"]
    for policy in POLICIES:
        header.append(f"{policy}: best valid, %")
        header += [f"{policy}: {name}" for name in DATASETS.values()]
    return markdown(header, rows)


def with_error(found):
    """A gain ± its standard error."""
    gain, error = found
    return f"{round(gain, 2) + 0.0:+.2f} ± {error:.2f}"  # + 0.0: not "-0.00"
