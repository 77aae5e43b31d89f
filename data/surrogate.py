"""The embedded surrogate: two models of NAS-Bench-201 on CIFAR-100, fitted, not measured.

    accuracy = model_accuracy(measured)          fitted to a public table
    latency_ms = model_latency()                 needs no table at all
    latency_ms = scaled_latency(measured_ms)     a second model, from another device's latency

The surrogate stands in for the official table, which may not be copied here. Its two models are

    accuracy  log(1 - ACC) = bias + one effect of each set of up to four live edges and what
                             operations they carry: 1 + 24 + 240 + 1,280 + 3,840 = 5,385 numbers,
                             by ridge regression on the public table of measured accuracies
    latency   LAT = base + one cost per edge, by its operation: 5 numbers, for skip_connect is free,
                    by least squares on fourteen published facts of the official latency

    name      meaning                                                     unit   shape
    measured  accuracy of every cell in the public table                  0..1   (15625,)
    X         0 or 1: does a connected cell have these operations there?         (15284, 5385)
    y         log(1 - ACC) of the connected cells                                (15284,)
    effects   what each feature adds to log(1 - ACC)                             (5385,)
    numbers   base, cost of none, of 1x1, of 3x3, of pooling              ms     (5,)

Why four edges: searches sample the best 1 % of the cells, where models of fewer edges are wrong
(data/README.md). The mean error is about the difference between two cells that are the same
network. Left out: the noise of training: a cell has one accuracy and one latency. Pure: reads and
writes nothing."""

import itertools

import numpy as np

from nas_benchmark import CELLS, CONNECTED, EDGES, N_CELLS, OPERATIONS, PATHS, cell_to_row

DECIMALS = 4  # of what is stored: they tell cells apart, and are the same everywhere
NONE = OPERATIONS.index("none")


def network_of(cell):
    """What one cell computes, as a nested tuple: equal for cells that are the same network.

    Dead edges are left out, and sums have no order. The 15,625 cells are 4,930 networks."""
    sums = [("input",), (), (), ()]  # per node: what is added there; () is nothing
    for (start, end), operation in zip(EDGES, cell, strict=True):
        if operation == 1:  # a copy of a sum adds the same terms
            sums[end] += sums[start]
        elif operation > 1 and sums[start]:
            sums[end] += ((int(operation), tuple(sorted(sums[start], key=repr))),)
    return tuple(sorted(sums[3], key=repr))


def live_edges(cells):
    """Edges on a way from input to output, (..., 6) -> (..., 6) booleans; all others are dead."""
    present = np.asarray(cells) != NONE
    live = np.zeros_like(present)
    for path in PATHS:
        live[..., path] |= present[..., path].all(axis=-1, keepdims=True)  # (..., 1)
    return live


# --- Accuracy ---------------------------------------------------------------------------------

EDGES_AT_ONCE = 4
RIDGE = 0.1
DISCONNECTED_ACCURACY = 0.01  # a guess among 100 classes


def model_accuracy(measured, edges_at_once=EDGES_AT_ONCE):
    """The fitted accuracy (15625,) of every cell, from the measured ones (15625,)."""
    X = features(CELLS[CONNECTED], edges_at_once)
    y = np.log(1 - measured[CONNECTED])
    effects = ridge_regression(X.T @ X, X.T @ y)
    accuracy = np.full(N_CELLS, DISCONNECTED_ACCURACY)
    accuracy[CONNECTED] = 1 - np.exp(X @ effects)
    return np.round(accuracy, DECIMALS)


def features(cells, edges_at_once=EDGES_AT_ONCE):
    """X (n, 5385) of the cells (n, 6): the bias, then every set of one to four edges.

    In float32: sums of 0 and 1 are exact, and it is twice as fast."""
    ops = [op for op in range(len(OPERATIONS)) if op != NONE]
    choices = np.where(live_edges(cells), cells, NONE)  # a dead edge is as good as none
    columns = [np.ones(len(cells), bool)]
    for size in range(1, edges_at_once + 1):
        for edges in itertools.combinations(range(choices.shape[1]), size):
            for chosen in itertools.product(ops, repeat=size):
                columns.append((choices[:, edges] == chosen).all(axis=1))
    return np.array(columns).T.astype(np.float32)


def ridge_regression(XtX, Xty):
    """The effects that minimise |X effects - y|^2 + RIDGE |effects|^2."""
    return np.linalg.solve(XtX + RIDGE * np.eye(len(XtX)), Xty)


# --- Latency ----------------------------------------------------------------------------------

# Facts about the official CIFAR-100 latency (GTX 1080 Ti, batch 256). Its quantiles over all cells
# were published with the code of slds-lmu/qdo_nas (niches.R). They cannot tell which operation is
# slow: all five occur equally often. That rests on four cells, which are in NATS-Bench's files.
QUANTILES_MS = {0.01: 8.561, 0.02: 8.934, 0.05: 10.308, 0.10: 11.435, 0.20: 12.502}
QUANTILES_MS |= {0.30: 13.637, 0.40: 14.299, 0.50: 15.000, 0.70: 16.606, 1.00: 26.141}
KNOWN_MS = {
    (4, 2, 1, 2, 1, 1): 13.183,  # NAS-Bench-201's cell 0
    (3, 3, 4, 0, 3, 4): 16.139,  # 11
    (1, 1, 1, 0, 2, 0): 11.145,  # 284
    (3, 3, 3, 1, 3, 3): 19.920,  # 9930, the most accurate
}
KNOWN_ROWS = cell_to_row(list(KNOWN_MS))  # (4,)

GRID_MS = 0.01  # of the five numbers
START = np.array([700, 100, 100, 100, 100])  # on the grid
FIRST_STEP = 64  # on the grid; then half of it, and so on, down to 1
DIRECTIONS = np.array(
    [move for move in itertools.product((-1, 0, 1), repeat=5) if np.abs(move).sum() <= 2]
)
COUNTS = (CELLS[:, :, None] == np.arange(len(OPERATIONS))).sum(axis=1)  # (15625, 5)


def model_latency():
    """Latency (15625,) in ms: the base, and the costs of the six edges."""
    return np.round(latencies(latency_parameters()), DECIMALS)


def latency_parameters():
    """Base, and cost of none, 1x1, 3x3 and pooling, (5,), as whole numbers on the grid.

    Steps to the best neighbour, one or two numbers changed, while that lowers the error."""
    numbers = START
    step = FIRST_STEP
    while step:
        neighbour = min(numbers + step * DIRECTIONS, key=squared_error)
        if squared_error(neighbour) < squared_error(numbers):
            numbers = neighbour
        else:
            step //= 2
    return numbers


def squared_error(numbers):
    """The sum of the squared errors of all fourteen facts, ms^2."""
    return sum((errors**2).sum() for errors in latency_errors(latencies(numbers)))


def latencies(numbers):
    """Latency (15625,) in ms by the five numbers; skip_connect is free."""
    base, *costs = numbers
    cost = np.insert(costs, OPERATIONS.index("skip_connect"), 0)  # (5,), by operation
    return GRID_MS * (base + COUNTS @ cost)


def latency_errors(latency_ms):
    """How far latencies (15625,) are off: (10,) at the quantiles, (4,) at the cells, in ms."""
    quantiles_ms = np.quantile(latency_ms, list(QUANTILES_MS))
    quantiles_off = quantiles_ms - list(QUANTILES_MS.values())
    cells_off = latency_ms[KNOWN_ROWS] - list(KNOWN_MS.values())
    return quantiles_off, cells_off


def scaled_latency(measured_ms):
    """A second model (15625,): a line through the four known cells, by least squares, from the
    latency (15625,) that some other device was measured to have."""
    slope, intercept = np.polyfit(measured_ms[KNOWN_ROWS], list(KNOWN_MS.values()), deg=1)
    return np.round(slope * measured_ms + intercept, DECIMALS)
