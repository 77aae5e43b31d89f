"""The embedded surrogate beside measured accuracies: the tables of data/README.md, as Markdown.

    text = surrogate_table(folder)                   `folder` holds the public tables
    python study/surrogate_table.py --from DIR        prints it; 6 minutes on two cores

Without a folder they are downloaded. Both sides have the same latency, the modelled one, so that
whatever differs comes from the accuracies. Nothing here decides what ships: surrogate.py does."""

import argparse
import csv
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import run_experiment  # noqa: F401  # first: it sets the number of BLAS threads  # isort: skip
import build_benchmark
import numpy as np
import surrogate
from pages import markdown

import nas_benchmark
from claims import evaluate_claims, key
from command_line import progress, run
from nas_benchmark import CELLS, N_CELLS, Benchmark
from nas_reward import PAIR, T_MS
from nas_search import Problem, run_searches

SEEDS = range(40)
SETTINGS = (
    dict(hidden=64, learning_rate=3e-3, entropy_weight=0.003, baseline_decay=0.9),
    dict(hidden=64, learning_rate=1e-3, entropy_weight=0.001, baseline_decay=0.95),
    dict(hidden=64, learning_rate=1e-3, entropy_weight=0.005, baseline_decay=0.95),
    dict(hidden=64, learning_rate=3e-4, entropy_weight=0.003, baseline_decay=0.95),
    dict(hidden=32, learning_rate=1e-3, entropy_weight=0.01, baseline_decay=0.95),
)
NARROW = SETTINGS[1]  # its searches end with a few networks: the hardest for a surrogate
SIMPLER = (2, 3)  # edges at once
FOLDS = 5
TOP = 156  # 1 % of the cells
BANDS = {
    "below 50 %": (0.0, 0.5),
    "50-60 %": (0.5, 0.6),
    "60-70 %": (0.6, 0.7),
    "70 % and more": (0.7, 1.01),
}
CONNECTED = surrogate.live_edges(CELLS).any(axis=1)  # (15625,)


def surrogate_table(folder):
    """All tables, each under a sentence, as one Markdown text. Raises UserError."""
    measured, networks = public_accuracy(folder)
    ours = nas_benchmark.load(nas_benchmark.SURROGATE)
    models = {edges: surrogate.model_accuracy(measured, edges) for edges in SIMPLER}
    models[surrogate.EDGES_AT_ONCE] = ours.accuracy
    real = with_accuracy(measured)
    jobs = [(table, setting) for setting in SETTINGS for table in (real, ours)]
    simpler = [(with_accuracy(models[edges]), NARROW) for edges in SIMPLER]
    *ledgers, pairs, triples = all_searches(jobs + simpler)
    at = 2 * SETTINGS.index(NARROW)
    narrow = [pairs, triples, ledgers[at + 1], ledgers[at]]  # in the order of the columns
    tables = {
        "fits": models_table(measured, models, narrow),
        "narrow": f"*(1) {words_of(NARROW)}; {CONDITIONS}.*",
        "errors": errors_table(measured, ours.accuracy),
        "optima": optima_table(real, ours),
        "latency": latency_table(folder),
        "searches": searches_table(ledgers),
        "verdicts": verdicts_table(ledgers),
    }
    floor = noise_floor(measured, networks)
    return TEXT.format(**tables, floor=100 * floor, conditions=CONDITIONS)


CONDITIONS = f"medians of {len(SEEDS)} seeds, T = {T_MS:g} ms, modelled latency"
TEXT = """\
**Three models of the accuracy**, fitted to the 15,284 connected cells; the last one ships. Cells
that are the same network differ by {floor:.2f} points (standard deviation): the noise floor.

{fits}

{narrow}

**Where it is wrong**: the surrogate less what was measured, in points of accuracy.

{errors}

**What the rewards ask for, and what uniform draws find** within T, of 5,000.

{optima}

**Two models of the official latency** beside what is known of it, in ms.

{latency}

**What searches do**: measured / surrogate, {conditions}.

{searches}

**What they conclude**: verdicts on measured accuracies / on the surrogate, the same runs.

{verdicts}"""


# --- Tables and searches ----------------------------------------------------------------------


def public_accuracy(folder):
    """Measured CIFAR-100 accuracy (15625,), and the number of the network each cell is (15625,)."""
    source = (build_benchmark.CSV_REPOSITORY, build_benchmark.CSV, build_benchmark.CSV_SHA256)
    path = build_benchmark.fetch(folder, *source)
    rows, measured = build_benchmark.read_accuracy(path, "cifar100")
    with open(path, encoding="utf-8") as file:
        names = [line["UniqueString"] for line in csv.DictReader(file)]
    _, networks = np.unique(names, return_inverse=True)
    return measured, build_benchmark.by_row(rows, networks).astype(int)


def with_accuracy(accuracy):
    """The surrogate's benchmark with other accuracies (15625,)."""
    ours = nas_benchmark.load(nas_benchmark.SURROGATE)
    return Benchmark(accuracy, ours.latency_ms, ours.provenance)


def all_searches(jobs):
    """{claim's key: its result} of each (benchmark, setting), in order."""
    start = time.perf_counter()
    ledgers = []
    for benchmark, setting in jobs:
        problem = Problem(benchmark, PAIR, T_MS)
        runs = run_searches(problem, SEEDS, hyperparameters=setting)
        entries = evaluate_claims(runs.points(), T_MS)
        ledgers.append({key(entry): entry for entry in entries})
        progress(len(ledgers), len(jobs), time.perf_counter() - start)
    return ledgers


def words_of(setting):
    """A setting of hyperparameters in one line."""
    rate = f"rate {setting['learning_rate']:g}, entropy {setting['entropy_weight']:g}"
    return f"{rate}, decay {setting['baseline_decay']:g}, H {setting['hidden']}"


def optimum(benchmark, reward):
    """Accuracy and latency of a reward's best cell, as text."""
    best = Problem(benchmark, [reward], T_MS).optima()[reward]
    return f"{best['accuracy']:.2%} at {best['latency_ms']:.2f} ms"


# --- The accuracy -----------------------------------------------------------------------------


def noise_floor(measured, networks):
    """The standard deviation of connected cells around the mean of those of the same network."""
    values = measured[CONNECTED]
    groups = networks[CONNECTED]
    size = np.bincount(groups, minlength=N_CELLS)
    mean = np.bincount(groups, values, minlength=N_CELLS) / np.maximum(size, 1)
    freedom = len(values) - np.sum(size > 0)
    return np.sqrt(np.sum((values - mean[groups]) ** 2) / freedom)


def cross_validated(measured, edges_at_once, groups):
    """R2 and mean error of a model on connected cells that it was not fitted to.

    groups (15284,): cells of one number are left out together."""
    X = surrogate.features(CELLS[CONNECTED], edges_at_once)
    values = measured[CONNECTED]
    y = np.log(1 - values)
    XtX = (X.T @ X).astype(float)
    Xty = X.T @ y
    fold = np.random.default_rng(0).integers(FOLDS, size=groups.max() + 1)[groups]  # (15284,)
    predicted = np.zeros_like(values)
    for k in range(FOLDS):
        left_out = fold == k
        Z = X[left_out]
        effects = surrogate.ridge_regression(XtX - Z.T @ Z, Xty - Z.T @ y[left_out])
        predicted[left_out] = 1 - np.exp(Z @ effects)
    residual = predicted - values
    return 1 - np.mean(residual**2) / values.var(), np.abs(residual).mean()


def models_table(measured, models, narrow):
    """A column per model: how many numbers, how wrong, what it makes of the top.

    narrow: per column, the ledger of the searches with NARROW."""
    one_by_one = np.arange(CONNECTED.sum())
    alive = np.where(surrogate.live_edges(CELLS), CELLS, 0)[CONNECTED]
    _, same_edges = np.unique(alive, axis=0, return_inverse=True)
    columns = {}
    for edges, accuracy in models.items():
        residual = (accuracy - measured)[CONNECTED]
        by_cell = cross_validated(measured, edges, one_by_one)
        by_edges = cross_validated(measured, edges, same_edges.ravel())
        columns[f"up to {edges} edges"] = [
            f"{surrogate.features(CELLS[:1], edges).shape[1]:,}",
            f"{1 - np.var(residual) / measured[CONNECTED].var():.4f}",
            f"{100 * np.abs(residual).mean():.2f} points",
            f"{by_cell[0]:.4f}, {100 * by_cell[1]:.2f} points",
            f"{by_edges[0]:.4f}, {100 * by_edges[1]:.2f} points",
            f"{accuracy.max():.2%}",
            *(optimum(with_accuracy(accuracy), reward) for reward in PAIR),
            narrow_counts(narrow[len(columns)]),
        ]
    columns["measured"] = [
        *["-"] * 5,
        f"{measured.max():.2%}",
        *(optimum(with_accuracy(measured), reward) for reward in PAIR),
        narrow_counts(narrow[-1]),
    ]
    names = [
        "numbers fitted",
        "R2",
        "mean error",
        f"R2 and mean error, {FOLDS}-fold, cell by cell",
        "the same, cells with the same live edges together",
        "most accurate cell",
        *(f"best cell for {reward}" for reward in PAIR),
        "networks of 60-70 % under T, MnasNet's and proposed (1)",
    ]
    rows = zip(names, *columns.values(), strict=True)
    return markdown(["", *columns], rows)


def narrow_counts(entries):
    """Medians of both rewards' networks of 60-70 %, as text."""
    medians = [entries[f"fig6_60_70.{reward}"]["median"] for reward in PAIR]
    return ", ".join(f"{median:,.0f}" for median in medians)


def errors_table(measured, accuracy):
    """Mean and mean absolute error by measured accuracy, and in the top 1 %."""
    chosen = {
        name: CONNECTED & (measured >= low) & (measured < high)
        for name, (low, high) in BANDS.items()
    }
    chosen["the best 1 %"] = np.isin(np.arange(N_CELLS), np.argsort(measured)[-TOP:])
    rows = []
    for name, cells in chosen.items():
        points = 100 * (accuracy - measured)[cells]
        rows.append(
            [
                name,
                f"{cells.sum():,}",
                f"{points.mean():+.2f}",
                f"{np.abs(points).mean():.2f}",
                f"{np.abs(points).max():.2f}",
            ]
        )
    return markdown(["measured accuracy", "cells", "mean", "mean size", "largest"], rows)


def optima_table(real, ours):
    """Both rewards' best cells, and how uniform draws fall on the bands within T."""
    rows = [
        [f"best cell for {reward}", *(optimum(table, reward) for table in (real, ours))]
        for reward in PAIR
    ]
    best = int(np.argmax(Problem(ours, PAIR, T_MS).reward_tables["proposed"]))
    what = f"that cell was really measured at {real.accuracy[best]:.2%}"
    rows[PAIR.index("proposed")][2] += f"; {what}"
    for name, (low, high) in list(BANDS.items())[1:]:
        counts = []
        for table in (real, ours):
            under = table.latency_ms <= T_MS
            share = np.mean(under & (table.accuracy >= low) & (table.accuracy < high))
            counts.append(f"{5000 * share:,.0f}")
        rows.append([f"uniform draws of {name}", *counts])
    return markdown(["", "measured", "surrogate"], rows)


# --- The latency ------------------------------------------------------------------------------


def latency_table(folder):
    """Each published fact, and what both models say."""
    facts = {f"{100 * level:g} % quantile": ms for level, ms in surrogate.QUANTILES_MS.items()}
    numbers = ("cell 0", "cell 11", "cell 284", "cell 9930")
    facts |= dict(zip(numbers, surrogate.KNOWN_MS.values(), strict=True))
    columns = []
    for name in build_benchmark.MODELS:
        benchmark = build_benchmark.build_tables(folder, name, "cifar100")
        columns.append(np.concatenate(surrogate.latency_errors(benchmark.latency_ms)))
    rows = [
        [fact, f"{ms:.3f}", *(f"{column[k]:+.2f}" for column in columns)]
        for k, (fact, ms) in enumerate(facts.items())
    ]
    models = [f"{name}, off by" for name in build_benchmark.MODELS]
    return markdown(["official", "ms", *models], rows)


# --- The searches -----------------------------------------------------------------------------


def searches_table(ledgers):
    """A line per setting and reward: medians on measured accuracies / on the surrogate."""
    counted = {
        "networks under T": "fig6_under_T",
        "of 50-60 %": "fig6_50_60",
        "of 60-70 %": "fig6_60_70",
        "settles": "fig7_stays_under",
    }
    rows = []
    for k, setting in enumerate(SETTINGS):
        for reward in PAIR:
            row = [words_of(setting), reward]
            for claim in counted.values():
                pair = [ledgers[2 * k + side][f"{claim}.{reward}"] for side in (0, 1)]
                row.append(" / ".join(map(median_of, pair)))
            rows.append(row)
    return markdown(["hyperparameters", "reward", *counted], rows)


def median_of(entry):
    """The median of a result; "never" for most seeds that do not settle."""
    seeds = len(entry["per_seed"])
    if entry["n_censored"] > seeds / 2:
        return "never"
    return f"{entry['median']:,.0f}"


def verdicts_table(ledgers):
    """A line per setting: the directions' verdicts, measured / surrogate."""
    said = {
        "more under T": "fig6_under_T.sign",
        "more of 50-60 %": "fig6_50_60.sign",
        "more of 60-70 %": "fig6_60_70.sign",
        "settles sooner": "fig7_stays_under.sign",
    }
    rows = []
    for k, setting in enumerate(SETTINGS):
        row = [words_of(setting)]
        for claim in said.values():
            pair = [ledgers[2 * k + side][claim]["verdict"] for side in (0, 1)]
            row.append(" / ".join(pair))
        rows.append(row)
    return markdown(["hyperparameters", *said], rows)


# --- Command line -----------------------------------------------------------------------------


def command(argv):
    """Print the tables."""
    parser = argparse.ArgumentParser(description="The surrogate beside measured accuracies.")
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="the public tables")
    print(surrogate_table(parser.parse_args(argv).folder))


def main(argv=None):
    """Print the tables; returns the exit code."""
    return run(command, argv)


if __name__ == "__main__":
    sys.exit(main())
