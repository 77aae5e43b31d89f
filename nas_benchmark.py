"""What exists: the search space of NAS-Bench-201, and a table with every network's two numbers.

NAS-Bench-201 (Dong and Yang, ICLR 2020) builds a network by stacking one cell. A cell is a graph
of 4 nodes, 0 (input) to 3 (output); each of its 6 edges carries one of 5 operations:

    edge       0       1       2       3       4       5
    nodes     0->1    0->2    1->2    0->3    1->3    2->3

    operation  0 none   1 skip_connect   2 nor_conv_1x1   3 nor_conv_3x3   4 avg_pool_3x3

    name      meaning                                                      shape
    cell      6 operation numbers, one per edge, in the order above        (..., 6)
    row       the base-5 number that a cell spells, 0 .. 5^6 - 1           (...)
    string    NAS-Bench-201's own name of a cell,
              |op~0|+|op~0|op~1|+|op~0|op~1|op~2|  (~k: the edge comes from node k)

A benchmark is one pickle of plain data: accuracy (0..1) and latency (ms) of all 15,625 cells, by
row, and its provenance. `load` refuses whatever is not exactly that, and never runs a file's code.

Left out: training networks. Every accuracy here was looked up, measured or fitted beforehand.
"""

import pickle
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from command_line import UserError, whole_files

# --- The search space -------------------------------------------------------------------------

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SHORT_NAMES = ("none", "skip", "1x1", "3x3", "pool")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (from node, to node)
N_CELLS = len(OPERATIONS) ** len(EDGES)  # 5^6 = 15,625
CELLS = np.indices((len(OPERATIONS),) * len(EDGES)).reshape(len(EDGES), -1).T  # (15625, 6), by row
PLACE_VALUES = len(OPERATIONS) ** np.arange(len(EDGES))[::-1]  # 3125, 625, 125, 25, 5, 1
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))  # the edges of each way from node 0 to node 3


def cell_to_row(cells):
    """The row of each cell: (..., 6) operation numbers -> (...) integers."""
    return np.asarray(cells) @ PLACE_VALUES


def cell_to_string(cell):
    """NAS-Bench-201's string of one cell, 6 operation numbers."""
    op = [OPERATIONS[k] for k in cell]
    return f"|{op[0]}~0|+|{op[1]}~0|{op[2]}~1|+|{op[3]}~0|{op[4]}~1|{op[5]}~2|"


def cell_to_words(cell):
    """One cell in six short words, edge by edge, for tables on the terminal."""
    return " ".join(f"{SHORT_NAMES[k]:4}" for k in cell).rstrip()


def string_to_cell(text):
    """The 6 operation numbers that NAS-Bench-201's string `text` names, or ValueError."""
    try:
        cell = [OPERATIONS.index(name) for name in re.findall(r"(\w+)~", text)]
        if cell_to_string(cell) == text:
            return cell
    except (ValueError, IndexError):
        pass  # an unknown operation, or fewer than six
    raise ValueError(f"not an architecture string of NAS-Bench-201: {text!r}")


def live_edges(cells):
    """Which edges lie on a way from input to output: cells (..., 6) -> (..., 6) booleans.

    An edge without one ("dead") cannot change the output; a cell with none is disconnected.
    """
    present = np.asarray(cells) != OPERATIONS.index("none")
    live = np.zeros_like(present)
    for path in PATHS:
        whole = present[..., path].all(axis=-1)  # (...)
        for edge in path:
            live[..., edge] |= whole
    return live


# --- A benchmark ------------------------------------------------------------------------------

DATA = Path(__file__).resolve().parent / "data"
SURROGATE = DATA / "nasbench201_cifar100_surrogate.pkl"  # ships with the project
OFFICIAL = DATA / "nasbench201_cifar100.pkl"  # the user's own, made by build_benchmark.py
PROVENANCE = (
    *("name", "source", "dataset", "split", "epochs", "trials"),
    *("device", "batch", "unit", "how", "built"),
)
REBUILD = "make it anew with build_benchmark.py"


class BenchmarkError(UserError):
    """A file is no benchmark; the message says which file, what is wrong and what to do."""


@dataclass
class Benchmark:
    """Accuracy (15625,) in 0..1 and latency (15625,) in ms, by row, and where they come from.

    `provenance` is a dict with at least the keys PROVENANCE; its "name" is a few words that stand
    in every output, for example "surrogate".
    """

    accuracy: np.ndarray
    latency_ms: np.ndarray
    provenance: dict

    @property
    def name(self):
        return self.provenance["name"]


class PlainUnpickler(pickle.Unpickler):
    """Reads dict, list, str, int, float; a pickle that names any class or function is refused."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(
            f"it asks for {module}.{name}, and plain data asks for nothing"
        )


def load(path=None):
    """The benchmark in the pickle at `path`, validated; BenchmarkError says what is wrong.

    Without a path: data/nasbench201_cifar100.pkl if you made one, else the surrogate.
    """
    if path is None:
        path = OFFICIAL if OFFICIAL.exists() else SURROGATE
    try:
        with open(path, "rb") as file:
            content = PlainUnpickler(file).load()
    except FileNotFoundError:
        raise BenchmarkError(f"{path}: no such file; {REBUILD}") from None
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        reason = str(error) or type(error).__name__
        raise BenchmarkError(f"{path}: not a benchmark pickle ({reason}); {REBUILD}") from None
    try:
        return _validated(content)
    except (ValueError, OverflowError) as error:  # OverflowError: an integer beyond any float
        raise BenchmarkError(f"{path}: {error}; {REBUILD}") from None


def save(benchmark, path):
    """Write `benchmark` to `path` as one pickle of plain data, whole or not at all."""
    content = {
        "accuracy": [float(a) for a in benchmark.accuracy],
        "latency_ms": [float(ms) for ms in benchmark.latency_ms],
        "provenance": benchmark.provenance,
    }
    try:
        _validated(content)
    except ValueError as error:
        raise BenchmarkError(f"{path}: not written, because {error}") from None
    path = Path(path)
    with whole_files(path.parent) as folder:
        (folder / path.name).write_bytes(pickle.dumps(content, protocol=4))


def _validated(content):
    """The Benchmark in a pickle's `content`, or ValueError saying what is wrong with it."""
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__} instead of a dict")
    for key in ("accuracy", "latency_ms", "provenance"):
        if key not in content:
            raise ValueError(f"it has no '{key}'")
    accuracy = _column(content, "accuracy")
    latency_ms = _column(content, "latency_ms")
    if accuracy.max() > 1:
        raise ValueError(
            f"accuracy reaches {accuracy.max():g}, which looks like percent; it must be in 0..1"
        )
    if np.median(latency_ms) < 0.5:
        raise ValueError(
            f"the median latency is {np.median(latency_ms):g} ms, which looks like seconds"
        )
    provenance = content["provenance"]
    if not isinstance(provenance, dict):
        raise ValueError(f"its provenance is a {type(provenance).__name__} instead of a dict")
    missing = [key for key in PROVENANCE if key not in provenance]
    if missing:
        raise ValueError(f"its provenance lacks {', '.join(missing)}")
    return Benchmark(accuracy, latency_ms, provenance)


def _column(content, key):
    """A list of 15,625 positive, finite numbers as an array (15625,), or ValueError."""
    values = content[key]
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        raise ValueError(f"{key} is not a list of numbers")
    if len(values) != N_CELLS:
        raise ValueError(f"{key} has {len(values):,} values instead of {N_CELLS:,}")
    values = np.array(values, float)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{key} has a value that is not finite (row {_first(~np.isfinite(values))})"
        )
    if not (values > 0).all():
        raise ValueError(f"{key} has a value that is not positive (row {_first(values <= 0)})")
    return values


def _first(mask):
    return int(np.argmax(mask))
