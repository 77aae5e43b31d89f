"""Search space and benchmark: NAS-Bench-201's cells, and the accuracy and latency of each.

NAS-Bench-201 (Dong and Yang, ICLR 2020) builds a network from one cell: 3 stages of 5 copies of
it, with the resolution halved and the width doubled between stages. A cell is a graph of 4 nodes,
0 (input) to 3 (output); each of its 6 edges carries one of 5 operations:

    0 --0--> 1 --4--> 3        edge       0      1      2      3      4      5
    0 --1--> 2 --5--> 3        nodes     0->1   0->2   1->2   0->3   1->3   2->3
    1 --2--> 2
    0 --3--> 3                 where edges meet, their outputs are added

    operation  0 none           cuts the edge
               1 skip_connect   copies its input
               2 nor_conv_1x1   ReLU, convolution, batch norm
               3 nor_conv_3x3   ReLU, convolution, batch norm
               4 avg_pool_3x3   the average of 3x3 pixels

    name      meaning                                                      shape
    cell      6 operation numbers, one per edge, in the order above        (..., 6)
    row       the base-5 number that a cell spells, 0 .. 5^6 - 1           (...)
    string    NAS-Bench-201's own name of a cell,
              |op~0|+|op~0|op~1|+|op~0|op~1|op~2|  (~k: the edge comes from node k)

For example 3x3, skip, 3x3, none, skip, 3x3 is the cell 3 1 3 0 1 3, whose row is
3 * 3125 + 1 * 625 + 3 * 125 + 0 * 25 + 1 * 5 + 3 = 10,383.

A benchmark is one pickle of plain data: accuracy (0..1) and latency (ms) of all 15,625 cells, by
row, and its provenance. A pickle can run code when it is read; `load` refuses one that would, and
whatever else is not exactly a benchmark. Left out: training networks. Every accuracy here was
looked up, measured or fitted beforehand."""

import itertools
import math
import pickle
import pickletools
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from command_line import as_user_error, atomic_output, check_file

# --- The search space -------------------------------------------------------------------------

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SHORT = ("none", "skip", "1x1", "3x3", "pool")  # the same, in few letters
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (from node, to node)
CELLS = np.array(list(itertools.product(range(5), repeat=6)))  # (15625, 6)
N_CELLS = len(CELLS)  # 5^6 = 15,625
PLACE_VALUES = np.array([3125, 625, 125, 25, 5, 1])  # powers of 5
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))  # edges of each path from node 0 to 3
CONNECTED = np.any([CELLS[:, path].all(axis=1) for path in PATHS], axis=0)  # (15625,)
CONVOLUTIONS = ((CELLS == 2) | (CELLS == 3)).sum(axis=1)  # of each cell, (15625,)


def cell_to_row(cells):
    """The row of each cell: (..., 6) operation numbers -> (...) integers."""
    return np.asarray(cells) @ PLACE_VALUES


def cell_to_string(cell):
    """NAS-Bench-201's string of one cell, 6 operation numbers."""
    op = [OPERATIONS[k] for k in cell]
    return f"|{op[0]}~0|+|{op[1]}~0|{op[2]}~1|+|{op[3]}~0|{op[4]}~1|{op[5]}~2|"


def string_to_cell(text):
    """The 6 operation numbers that NAS-Bench-201's string `text` names, or ValueError."""
    names = re.findall(r"(\w+)~", text)
    cell = [OPERATIONS.index(name) for name in names if name in OPERATIONS]
    if len(cell) != len(EDGES) or cell_to_string(cell) != text:
        raise ValueError(f"not an architecture string of NAS-Bench-201: {text!r}")
    return cell


# --- A benchmark ------------------------------------------------------------------------------

DATA = Path(__file__).resolve().parent / "data"
SURROGATE = DATA / "nasbench201_cifar100_surrogate.pkl"  # ships with the project
OFFICIAL = DATA / "nasbench201_cifar100.pkl"  # the user's own
MIN_MS = 1e-4  # beyond is not plausible: the public tables have 0.003 to 99 ms
MAX_MS = 1e6
MIN_CORRELATION = 0.1  # of latency with the number of convolutions, see `check_order`
MAX_FACTS = 50  # in a provenance
MAX_CHARS = 300  # in a fact
MAX_NAME = 80  # which is a title in figures
PROVENANCE = ("name", "source", "dataset", "split", "epochs", "trials")
PROVENANCE += ("device", "batch", "unit", "how", "built")


@dataclass
class Benchmark:
    """Accuracy (15625,) in 0..1 and latency (15625,) in ms, by row, and where they come from.

    provenance: a dict with the keys PROVENANCE, see `check_provenance`. This is the one place that
    decides what a benchmark may be; ValueError says what is wrong or implausible."""

    accuracy: np.ndarray
    latency_ms: np.ndarray
    provenance: dict

    def __post_init__(self):
        self.accuracy = checked_column("accuracy", self.accuracy)
        self.latency_ms = checked_column("latency_ms", self.latency_ms)
        most = self.accuracy.max()
        if most > 1:
            raise ValueError(f"accuracy must lie in 0..1, not {most:g}; was it percent?")
        least, median, most = np.quantile(self.latency_ms, [0, 0.5, 1])
        if median < 0.5:
            raise ValueError(f"the median latency is {median:g} ms; was it seconds?")
        check_order(self.accuracy, self.latency_ms)
        least = self.latency_ms[CONNECTED].min()
        if least < MIN_MS or most > MAX_MS:
            limits = f"{MIN_MS:g}..{MAX_MS:,.0f}"
            raise ValueError(f"latency_ms must lie in {limits}, not {least:g}..{most:g}")
        check_provenance(self.provenance)
        if not set(PROVENANCE) <= set(self.provenance):
            raise ValueError(f"its provenance lacks one of {', '.join(PROVENANCE)}")
        if type(self.name) is not str or len(self.name) > MAX_NAME:
            raise ValueError(f"its name is not a text of at most {MAX_NAME} letters")

    @property
    def name(self):
        return self.provenance["name"]

    def __str__(self):
        """The provenance, in lines of at most 100 columns; the hashes stay in the file."""
        lines = []
        for key, value in self.provenance.items():
            if key != "sha256":
                fact = f"  {key:8} {value}"
                lines.append(textwrap.fill(fact, 100, subsequent_indent=" " * 11))
        return "\n".join(lines)


def checked_column(key, values):
    """A list of 15,625 positive, finite numbers as an array (15625,), or ValueError."""
    if isinstance(values, list) and set(map(type, values)) <= {int, float}:
        values = np.array(values)
    shape = getattr(values, "shape", None)
    if shape != (N_CELLS,) or values.dtype.kind not in "if":
        raise ValueError(f"{key} is not a list of {N_CELLS:,} numbers")
    good = np.isfinite(values) & (values > 0)
    if not good.all():
        row = np.argmin(good)
        raise ValueError(f"{key} must be positive and finite, not {values[row]} (row {row})")
    return values.astype(float)


def check_order(accuracy, latency_ms):
    """ValueError if the columns (15625,) cannot be by row, but are in another order, or rates.

    In every public table the cells without a path from input to output have the lowest accuracies,
    and the rank correlation of latency with the number of convolutions is at least 0.31 (40
    tables: 27 of HELP, 12 of HW-NAS-Bench-360, the surrogate). It is 0.00 in another order, and
    negative for frames per second."""
    slip = "is it NAS-Bench-201's order? Use cell_to_row(string_to_cell(string))"
    disconnected = np.median(accuracy[~CONNECTED])
    if disconnected > np.quantile(accuracy, 0.25):
        cells = "cells without a path from input to output should be the least accurate"
        raise ValueError(f"{cells}, and half of them have {disconnected:.1%} or more; {slip}")
    with np.errstate(invalid="ignore"):  # every latency the same
        correlation = np.corrcoef(ranks(latency_ms), ranks(CONVOLUTIONS))[0, 1]
    if correlation < -MIN_CORRELATION:
        raise ValueError("more convolutions are faster; was it frames per second?")
    if not correlation > MIN_CORRELATION:
        cells = "cells with more convolutions should be slower"
        raise ValueError(f"{cells}, and the rank correlation is {correlation:.2f}; {slip}")


def ranks(values):
    """The rank of each of the values (n,), 1 to n; equal values share the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def check_provenance(facts, nested=False):
    """ValueError unless `facts` is a dict of short, printable texts and of finite numbers.

    A value may itself be such a dict, but no deeper."""
    if type(facts) is not dict or len(facts) > MAX_FACTS:
        raise ValueError(f"its provenance is not a dict of at most {MAX_FACTS} entries")
    for key, value in facts.items():
        if type(value) is dict and not nested:
            check_provenance(value, nested=True)
        elif type(key) is not str or not (can_be_shown(key) and can_be_shown(value)):
            rule = "short, printable texts and finite numbers only"
            raise ValueError(f"its provenance may hold {rule}, unlike {key!r:.40}")


def can_be_shown(value):
    """Whether `value` is a short, printable text, a finite number, or None."""
    if type(value) is str:
        return value.isprintable() and len(value) <= MAX_CHARS
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (int, bool)


def load(path=None):
    """The benchmark in a file, else the official one if you made it, else the surrogate.
    Raises UserError, which says what is wrong."""
    if path is None:
        path = OFFICIAL if OFFICIAL.exists() else SURROGATE
    path = Path(path)
    advice = "make it again with data/build_benchmark.py"
    with as_user_error(path, "benchmark file", advice):
        content = check_file(path, MAX_BYTES, b"\x80").read_bytes()
        return Benchmark(**load_plain(content))


def save(benchmark, path):
    """Write `benchmark` to `path` as one pickle of plain data, whole or not at all."""
    columns = dict(accuracy=benchmark.accuracy.tolist(), latency_ms=benchmark.latency_ms.tolist())
    content = columns | dict(provenance=benchmark.provenance)
    Benchmark(**content)  # ValueError if it was changed for the worse
    with atomic_output(Path(path).parent) as folder:
        (folder / Path(path).name).write_bytes(pickle.dumps(content, protocol=4))


MAX_BYTES = 1_000_000  # of a pickle; ours have 0.3 MB
# The opcodes of dict, list, str, bool, int, float and None.
PLAIN = """
    PROTO FRAME STOP MARK MEMOIZE BINPUT BINGET EMPTY_DICT SETITEM SETITEMS EMPTY_LIST
    APPEND APPENDS SHORT_BINUNICODE BINUNICODE NONE NEWTRUE NEWFALSE
    BININT BININT1 BININT2 BINFLOAT
"""


def load_plain(content):
    """What the bytes of a pickle of plain data hold; ValueError if it is not one.

    The pickle's instructions are inspected before any is executed: some run code, others allocate
    gigabytes. What is built can refer to itself: check the type of each part before you go into it.
    """
    for opcode, _, _ in pickletools.genops(content):
        if opcode.name not in PLAIN.split():
            raise ValueError(f"it holds {opcode.name}, and may contain plain data only")
    return pickle.loads(content)
