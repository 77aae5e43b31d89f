"""The surrogate compared with measured accuracies: the tables of data/README.md.

    python study/surrogate_table.py --from DIR    writes them there; 3 minutes on two cores

DIR holds the public tables, as data/README.md says; without --from they are downloaded. All
searches have the same latency, the modelled one, so that whatever differs comes from the
accuracies. Nothing here decides what ships: surrogate.py does."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import run_experiment  # noqa: F401  # first: it sets the number of BLAS threads  # isort: skip
import build_benchmark
import numpy as np
import surrogate
from pages import markdown
from tables import fill

import nas_benchmark
from claims import evaluate_claims, key
from command_line import Parser, run, tracked
from nas_benchmark import CELLS, CONNECTED, N_CELLS, Benchmark, network_of
from nas_reward import PAIR, T_MS
from nas_search import Problem, run_searches, words_of

README = Path(__file__).resolve().parents[1] / "data" / "README.md"
SEEDS = range(40)
NARROW = dict(  # searches that end with a few networks: the hardest for a surrogate
    hidden=64, learning_rate=1e-3, entropy_weight=0.001, baseline_decay=0.95
)
SIMPLER = (2, 3)  # edges at once
FOLDS = 5
TOP = 156  # 1 % of the cells
BANDS = {"below 50 %": (0.0, 0.5), "50-60 %": (0.5, 0.6), "60-70 %": (0.6, 0.7)}
BANDS["70 % and more"] = (0.7, 1.01)
OURS = nas_benchmark.load(nas_benchmark.SURROGATE)
LIVE = surrogate.live_edges(CELLS)  # (15625, 6)

TEXT = """\
**Three models of the accuracy**, fitted to the 15,284 connected cells; the last one ships. Cells
that are the same network differ by {floor:.2f} percentage points (pp; standard deviation), the
noise floor.

{models}

*(1) {narrow}; medians of {seeds} seeds, T = {T:g} ms, modelled latency.*

**Where it is wrong**: the surrogate minus what was measured, in percentage points.

{errors}

**Two models of the official latency**, and what is known of it, in ms.

{latency}"""


def surrogate_table(folder):
    """All tables, each under a sentence, as one Markdown text. Raises UserError."""
    measured, networks = public_accuracy(folder)
    models = {edges: surrogate.model_accuracy(measured, edges) for edges in SIMPLER}
    models[surrogate.EDGES_AT_ONCE] = OURS.accuracy
    accuracies = [*models.values(), measured]
    found = [narrow_counts(accuracy) for accuracy in tracked(accuracies)]
    return TEXT.format(
        floor=100 * noise_floor(measured, networks),
        models=models_table(measured, models, found),
        errors=errors_table(measured, models[surrogate.EDGES_AT_ONCE]),
        latency=latency_table(folder),
        narrow=words_of(NARROW),
        seeds=len(SEEDS),
        T=T_MS,
    )


def public_accuracy(folder):
    """Measured CIFAR-100 accuracy (15625,), and the number of the network each cell is (15625,)."""
    _, measured = build_benchmark.measured_accuracy(folder, "cifar100")
    numbers = {}
    networks = [numbers.setdefault(network_of(cell), len(numbers)) for cell in CELLS.tolist()]
    return measured, np.array(networks)


# --- What the rewards make of an accuracy (15625,) --------------------------------------------


def problem_with(accuracy):
    """The problem of both rewards, with these accuracies and the surrogate's latency."""
    return Problem(Benchmark(accuracy, OURS.latency_ms, OURS.provenance), PAIR, T_MS)


def best_cells(accuracy):
    """Accuracy and latency of each reward's best cell, as text."""
    optima = problem_with(accuracy).optima()
    found = [optima[reward] for reward in PAIR]
    return [f"{best['accuracy']:.2%} at {best['latency_ms']:.2f} ms" for best in found]


def narrow_counts(accuracy):
    """How many networks of 60-70 % searches with NARROW draw: the medians, as text."""
    runs = run_searches(problem_with(accuracy), SEEDS, hyperparameters=NARROW)
    results = {key(result): result for result in evaluate_claims(runs.points(), T_MS)}
    medians = [results[f"fig6_60_70.{reward}"]["median"] for reward in PAIR]
    return ", ".join(f"{median:,.0f}" for median in medians)


# --- The accuracy -----------------------------------------------------------------------------


def noise_floor(measured, networks):
    """The standard deviation of connected cells around the mean of those of the same network."""
    values = measured[CONNECTED]
    groups = networks[CONNECTED]
    size = np.bincount(groups, minlength=N_CELLS)
    mean = np.bincount(groups, values, minlength=N_CELLS) / np.maximum(size, 1)
    freedom = len(values) - np.sum(size > 0)
    return np.sqrt(np.sum((values - mean[groups]) ** 2) / freedom)


def cross_validated(measured, edges_at_once):
    """R2 and mean error of a model on connected cells that it was not fitted to.

    Cells with the same live edges are left out together, for they are the same network."""
    X = surrogate.features(CELLS[CONNECTED], edges_at_once)
    values = measured[CONNECTED]
    y = np.log(1 - values)
    XtX = (X.T @ X).astype(float)
    Xty = X.T @ y
    alive = np.where(LIVE, CELLS, 0)[CONNECTED]
    _, groups = np.unique(alive, axis=0, return_inverse=True)
    groups = groups.ravel()  # (15284,)
    fold = np.random.default_rng(0).integers(FOLDS, size=groups.max() + 1)[groups]
    predicted = np.zeros_like(values)
    for k in range(FOLDS):
        left_out = fold == k
        Z = X[left_out]
        effects = surrogate.ridge_regression(XtX - Z.T @ Z, Xty - Z.T @ y[left_out])
        predicted[left_out] = 1 - np.exp(Z @ effects)
    residual = predicted - values
    return 1 - np.mean(residual**2) / values.var(), np.abs(residual).mean()


def models_table(measured, models, found):
    """A column per model: how many numbers, how wrong, what it makes of the top.

    found: what `narrow_counts` says of each model, and of the measured accuracies"""
    columns = {}
    for edges, accuracy in models.items():
        residual = (accuracy - measured)[CONNECTED]
        r2, error = cross_validated(measured, edges)
        columns[f"up to {edges} edges"] = [
            f"{surrogate.features(CELLS[:1], edges).shape[1]:,}",
            f"{1 - np.var(residual) / measured[CONNECTED].var():.4f}",
            f"{100 * np.abs(residual).mean():.2f} pp",
            f"{r2:.4f}, {100 * error:.2f} pp",
            f"{accuracy.max():.2%}",
            *best_cells(accuracy),
        ]
    columns["measured"] = [*["-"] * 4, f"{measured.max():.2%}", *best_cells(measured)]
    for column, counts in zip(columns.values(), found, strict=True):
        column.append(counts)
    names = [
        "numbers fitted",
        "R2",
        "mean error",
        f"R2 and mean error, {FOLDS}-fold, cells with the same live edges together",
        "most accurate cell",
        *(f"best cell for {reward}" for reward in PAIR),
        "networks of 60-70 % under T, MnasNet's and proposed (1)",
    ]
    return markdown(["", *columns], zip(names, *columns.values(), strict=True))


def errors_table(measured, accuracy):
    """Mean and mean absolute error by measured accuracy, and in the top 1 %."""
    chosen = {}
    for name, (low, high) in BANDS.items():
        chosen[name] = CONNECTED & (measured >= low) & (measured < high)
    chosen["the best 1 %"] = np.isin(np.arange(N_CELLS), np.argsort(measured)[-TOP:])
    rows = []
    for name, cells in chosen.items():
        points = 100 * (accuracy - measured)[cells]
        size = np.abs(points)
        errors = [f"{points.mean():+.2f}", f"{size.mean():.2f}", f"{size.max():.2f}"]
        rows.append([name, f"{cells.sum():,}", *errors])
    return markdown(["measured accuracy", "cells", "mean", "mean size", "largest"], rows)


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
    rows = []
    for (fact, ms), errors in zip(facts.items(), zip(*columns, strict=True), strict=True):
        rows.append([fact, f"{ms:.3f}", *(f"{error:+.2f}" for error in errors)])
    models = [f"{name}, off by" for name in build_benchmark.MODELS]
    return markdown(["official", "ms", *models], rows)


# --- Command line -----------------------------------------------------------------------------


def command(argv):
    """Write the tables into data/README.md."""
    parser = Parser(description="The surrogate compared with measured accuracies.")
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="public tables")
    fill(README, {"surrogate": surrogate_table(parser.parse_args(argv).folder)})


if __name__ == "__main__":
    sys.exit(run(command, sys.argv[1:]))
