"""The surrogate compared with measured accuracies: prints the rows of data/README.md.

    python study/surrogate_table.py models --from DIR     three models of the accuracy; 3 minutes
    python study/surrogate_table.py errors --from DIR     where the one that ships is wrong
    python study/surrogate_table.py latency --from DIR    two models of the official latency

All searches have the same latency, the modelled one, so that whatever differs comes from the
accuracies. Nothing here decides what ships: surrogate.py does."""

from tables import cells, main, markdown, table_of  # first  # isort: skip
import build_benchmark
import numpy as np
import surrogate

import nas_benchmark
from claims import count_under
from command_line import tracked
from nas_benchmark import CELLS, CONNECTED, Benchmark
from nas_reward import PAIR, T_MS
from nas_search import HYPERPARAMETERS, Problem, run_searches, words_of

SEEDS = range(40)
NARROW = HYPERPARAMETERS | dict(entropy_weight=0.001)  # ends with a few networks
EDGES_AT_ONCE = (2, 3, surrogate.EDGES_AT_ONCE)  # of the three models
FOLDS = 5
TOP = 156  # 1 % of the cells
BANDS = {"below 50%": (0.0, 0.5), "50-60%": (0.5, 0.6)}
BANDS |= {"60-70%": (0.6, 0.7), "70% and more": (0.7, 1.01)}
OURS = nas_benchmark.load(nas_benchmark.SURROGATE)


def models(folder):
    """A column per model: how many numbers, how wrong, what it makes of the top. Below them the
    standard deviation of connected cells around the mean of those of the same network."""
    measured = build_benchmark.measured_accuracy(folder, "cifar100")[1]
    connected = measured[CONNECTED]
    folds = f"R2 and mean error, {FOLDS}-fold, cells with the same live edges together"
    names = ["numbers fitted", "R2", "mean error", folds, "most accurate cell"]
    names += [f"best cell for {reward}" for reward in PAIR]
    columns = [[*names, "networks of 60-70% under T, MnasNet's and proposed (1)"]]
    for edges in tracked(EDGES_AT_ONCE):
        accuracy = surrogate.model_accuracy(measured, edges)
        numbers = surrogate.features(CELLS[:1], edges).shape[1]
        fitted = accuracy[CONNECTED] - connected
        left_out = cross_validated(connected, edges) - connected
        r2 = 1 - fitted.var() / connected.var()
        r2_left_out = 1 - np.mean(left_out**2) / connected.var()
        pp = 100 * np.abs(fitted).mean()
        pp_left_out = 100 * np.abs(left_out).mean()
        column = [f"{numbers:,}", f"{r2:.4f}", f"{pp:.2f} pp"]
        column.append(f"{r2_left_out:.4f}, {pp_left_out:.2f} pp")
        columns.append([*column, *top(accuracy)])
    columns.append([*["-"] * 4, *top(measured)])
    print(markdown(map(cells, zip(*columns, strict=True))))
    networks = {}
    for cell, accuracy in zip(CELLS[CONNECTED].tolist(), connected, strict=True):
        networks.setdefault(surrogate.network_of(cell), []).append(accuracy)
    squares = sum(len(same) * np.var(same) for same in networks.values())
    floor = np.sqrt(squares / (len(connected) - len(networks)))
    print(f"noise floor: {100 * floor:.2f} pp; (1): {words_of(NARROW)}")


def cross_validated(connected, edges_at_once):
    """Accuracies (15284,) of the connected cells by models that were not fitted to them.

    Cells with the same live edges are left out together, because they are the same network."""
    X = surrogate.features(CELLS[CONNECTED], edges_at_once)
    y = np.log(1 - connected)
    XtX = (X.T @ X).astype(float)
    Xty = X.T @ y
    alive = np.where(surrogate.live_edges(CELLS), CELLS, 0)[CONNECTED]
    _, groups = np.unique(alive, axis=0, return_inverse=True)
    groups = groups.ravel()  # (15284,)
    fold = np.random.default_rng(0).integers(FOLDS, size=groups.max() + 1)[groups]
    predicted = np.zeros(len(y))
    for k in range(FOLDS):
        Z = X[fold == k]
        effects = surrogate.ridge_regression(XtX - Z.T @ Z, Xty - Z.T @ y[fold == k])
        predicted[fold == k] = 1 - np.exp(Z @ effects)
    return predicted


def top(accuracy):
    """What the rewards make of accuracies (15625,): best cells, and what searches sample."""
    problem = Problem(Benchmark(accuracy, OURS.latency_ms, OURS.provenance), PAIR, T_MS)
    optima = problem.optima()
    best = ["{accuracy:.2%} at {latency_ms:.2f} ms".format_map(optima[name]) for name in PAIR]
    points = run_searches(problem, SEEDS, hyperparameters=NARROW).points()
    counts = [count_under(*points[name], T_MS, 0.6, 0.7) for name in PAIR]
    texts = [f"{np.median(count):,.0f}" for count in counts]
    return [f"{accuracy.max():.2%}", *best, ", ".join(texts)]


def errors(folder):
    """Mean and mean absolute error of what ships by measured accuracy, and in the top 1 %."""
    measured = build_benchmark.measured_accuracy(folder, "cifar100")[1]
    bands = BANDS | {"the best 1%": (np.sort(measured)[-TOP], 1.01)}
    rows = []
    for name, (low, high) in bands.items():
        some = CONNECTED & (measured >= low) & (measured < high)
        points = 100 * (OURS.accuracy - measured)[some]
        size = np.abs(points)
        row = f"{name} | {some.sum():,} | {points.mean():+.2f}"
        rows.append(f"{row} | {size.mean():.2f} | {size.max():.2f}")
    print(markdown(rows))


def latency(folder):
    """Each published fact, and what both models say."""
    facts = {f"{100 * level:g}% quantile": ms for level, ms in surrogate.QUANTILES_MS.items()}
    known = ("cell 0", "cell 11", "cell 284", "cell 9930")
    facts |= dict(zip(known, surrogate.KNOWN_MS.values(), strict=True))
    columns = [facts, [f"{ms:.3f}" for ms in facts.values()]]
    for name in build_benchmark.MODELS:
        latency_ms = table_of(name, folder).latency_ms
        off = np.concatenate(surrogate.latency_errors(latency_ms))
        columns.append([f"{error:+.2f}" for error in off])
    print(markdown(map(cells, zip(*columns, strict=True))))


if __name__ == "__main__":
    main(__doc__, models=models, errors=errors, latency=latency)
