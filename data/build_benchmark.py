"""Build benchmark files for run_experiment.py --benchmark.

    python data/build_benchmark.py tables --device modelled   measured accuracy, modelled latency
    python data/build_benchmark.py tables --device pixel3     measured accuracy, measured latency
    python data/build_benchmark.py tables --latency FILE.csv  measured accuracy, your own latency
    python data/build_benchmark.py tables --list              27 devices, and the two models
    python data/build_benchmark.py natsbench DIR              the official NATS-Bench folder
    python data/build_benchmark.py nasbench201 FILE.pth       the official NAS-Bench-201 file
    python data/build_benchmark.py surrogate                  the committed surrogate, to the byte

data/README.md says what each needs, and who owns it. Official are the test accuracy after 200
epochs, mean over trials, and ms; both libraries default to 12, one random trial and seconds."""

import bz2
import csv
import hashlib
import io
import math
import multiprocessing
import os
import pickle
import re
import sys
import time
import urllib.request
import zipfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the program's files

import command_line  # first: is Python new enough?  # isort: skip
import numpy as np
import surrogate

import nas_benchmark
from command_line import UserError, as_user_error, check_file
from nas_benchmark import DATA, N_CELLS, Benchmark, load_plain
from nas_reward import T_MS

# How the public CSV calls each dataset.
DATASETS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "ImageNet16-120": "ImageNet"}


def row_of(string):
    """The row of the cell that NAS-Bench-201's string names, or ValueError."""
    return int(nas_benchmark.cell_to_row(nas_benchmark.string_to_cell(string)))


def by_row(rows, values):
    """`values` of all cells in the order of the list `rows` -> an array (15625,) by row."""
    if sorted(rows) != list(range(N_CELLS)):
        raise ValueError(f"it holds {len(set(rows)):,} different cells, not {N_CELLS:,}")
    return np.array(values, float)[np.argsort(rows)]


def provenance(**facts):
    """A benchmark's provenance, in the order of its keys: `facts`, and what is common to all."""
    common = dict(split="test", epochs=200, trials="mean of all", unit="ms")
    facts = common | dict(built=time.strftime("%Y-%m-%d")) | facts
    return {key: facts[key] for key in nas_benchmark.PROVENANCE} | facts


# --- The public tables ------------------------------------------------------------------------

CSV = "nats_bench.csv"
CSV_SHA256 = "cb5d777ec3368be83c8f9b3aa4d520696051cb0eb8d94b8f85b519f9ea4afa3e"
CSV_REPOSITORY = "v-tao/nats-bench-landscape/b307ae5fe6e8d7043cd4fe7d1c3532288271adb7"
LATENCY_REPOSITORY = "HayeonLee/HELP/45f70eb92d0d735970a33b608d1544ad3c52f285/data/nasbench201"
SERVER = "https://raw.githubusercontent.com"
CACHE = DATA / "cache"  # holds what a --from folder holds
TIMEOUT_S = 30  # without any byte
MAX_DOWNLOAD = 20_000_000  # bytes; the largest, the CSV, has 3 MB


def devices():
    """{device: its kind, hardware, batch and the SHA-256 of its file}, from data/devices.csv."""
    with open(DATA / "devices.csv", encoding="utf-8") as file:
        return {line["device"]: line for line in csv.DictReader(file)}


def sha256_of(path):
    """The SHA-256 of a file of any size but 0."""
    return hashlib.sha256(np.memmap(path, mode="r")).hexdigest()


def fetch(folder, repository, name, sha256):
    """The path of a public file: in `folder`, or (None) in the cache, downloaded if need be.

    Its SHA-256 is right, and so its content need not be checked. Raises UserError."""
    path = (folder or CACHE) / name
    url = f"{SERVER}/{repository}/{name}"
    if path.is_file() and path.stat().st_size and sha256_of(path) == sha256:
        return path
    if folder:
        raise UserError(f"{path}: missing, or its SHA-256 differs; fetch {url}")
    print(f"downloading {url}", flush=True)
    by_hand = f"fetch {url} by hand, save it as {path}, and try again"
    with as_user_error(url, "complete download", by_hand):
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:
            body = reply.read(MAX_DOWNLOAD)
        if hashlib.sha256(body).hexdigest() != sha256:
            raise ValueError(f"its SHA-256 differs, after {len(body):,} bytes")
        with command_line.atomic_output(path.parent) as unfinished:
            (unfinished / path.name).write_bytes(body)
    return path


def list_devices():
    """Print all devices."""
    print(f"{'device':18}  what it is (its batch)")
    for name, what in MODELS.items():
        print(f"{name:18}  {what}")
    for name, device in devices().items():
        print(f"{name:18}  {device['kind']} {device['hardware']} ({device['batch'] or '?'})")


def measured_accuracy(folder, dataset):
    """From the CSV: the row of each NAS-Bench-201 index (list), and accuracy (15625,) by row."""
    path = fetch(folder, CSV_REPOSITORY, CSV, CSV_SHA256)
    with open(path, encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    rows = [row_of(line["ArchitectureString"]) for line in lines]
    column = f"{DATASETS[dataset]}TestAccuracy200Epochs"
    return rows, by_row(rows, [float(line[column]) for line in lines]) / 100


MODELS = {  # devices that nobody measured: see surrogate.py
    "modelled": "the official GTX 1080 Ti latency, by a base and a cost per operation",
    "modelled_1080ti_32": "the same, by a line from what 1080ti_32 measured",
}
GTX = dict(device="GTX 1080 Ti (modelled)", batch="256 (modelled)")


def build_tables(folder, device, dataset):
    """The Benchmark of measured accuracy, and the latency of a device or of a Path, one's own."""
    advice = "write a header line, then each of the 15,625 architecture strings and its ms"
    with as_user_error(device, "latency of all cells", advice):
        own = own_latency(device) if isinstance(device, Path) else None
        rows, accuracy = measured_accuracy(folder, dataset)
        latency_ms, facts = own or latency_of(device, folder, rows)
        facts |= dict(
            name=f"{dataset} accuracy, {device.stem[:40] if own else device} latency",
            source=f"accuracy: v-tao/nats-bench-landscape; latency: {facts['source']}",
            sha256={CSV: CSV_SHA256} | facts["sha256"],
        )
        return Benchmark(accuracy, latency_ms, provenance(dataset=dataset, **facts))


def latency_of(device, folder, rows):
    """(latency (15625,) in ms, facts) of a device; `rows`: the order of the cells in its file."""
    if device == "modelled":
        how = "accuracy as measured; latency by a base and a cost per operation"
        facts = dict(source="model (surrogate.py)", how=how, sha256={})
        return surrogate.model_latency(), facts | GTX
    if device == "modelled_1080ti_32":
        measured_ms, facts = latency_of("1080ti_32", folder, rows)
        facts |= GTX | dict(source="HayeonLee/HELP, through a model (surrogate.py)")
        facts |= dict(how="accuracy as measured; latency by a line from 1080ti_32's")
        return surrogate.scaled_latency(measured_ms), facts
    line = devices()[device]
    name = f"latency/{device}.pt"
    path = fetch(folder, LATENCY_REPOSITORY, name, line["sha256"])
    with zipfile.ZipFile(path) as file:  # as torch.save writes a list
        (member,) = [name for name in file.namelist() if name.endswith("/data.pkl")]
        measured_ms = load_plain(file.read(member))
    facts = dict(
        source="HayeonLee/HELP",
        device=f"{device} ({line['kind']} {line['hardware']})",
        batch=line["batch"] or "not stated",
        how="as measured by the tables' owners",
        sha256={name: line["sha256"]},
    )
    return by_row(rows, measured_ms), facts


# --- Your own latency -------------------------------------------------------------------------

MAX_OWN = 10_000_000  # bytes; a usual one has 2 MB
MILLISECONDS = {"ms", "msec", "msecs", "millisecond", "milliseconds"}
UNITS = {  # words in the header of a column that is not in ms: what to do
    "fps hz ips qps throughput per": "write 1000 / value",
    "s sec secs second seconds": "multiply by 1,000",
    "us usec usecs µs μs microsecond microseconds": "divide by 1,000",
    "ns nsec nsecs nanosecond nanoseconds": "divide by 1,000,000",
    "flops mflops gflops macs params acc accuracy mj energy": "give the latency",
}
FAILED = {"", "none", "null", "na", "n/a", "failed", "fail", "error"}


def own_latency(path):
    """What `latency_of` returns, from the user's own CSV, in any order and perhaps incomplete."""
    check_file(path, MAX_OWN)
    with open(path, newline="", encoding="utf-8-sig") as file:
        latency_ms, told = completed(read_own(csv.reader(file)))
    how = f"accuracy as measured, latency from your own file{told}"
    facts = dict(source=f"your own {path.name}", device=path.stem, batch="not stated")
    return latency_ms, facts | dict(how=how, sha256={path.name: sha256_of(path)})


def read_own(lines):
    """{row: ms, or NaN if the cell failed} from a csv.reader; or ValueError."""
    header = next(lines, [])
    if len(header) != 2 or "~" in header[0]:
        raise ValueError("line 1 is not a header of two columns")
    check_unit(header[1])
    latency_ms = {}
    for line in filter(None, lines):
        try:
            if len(line) != 2:
                raise ValueError(f"it has {len(line)} columns, not 2")
            row = row_of(line[0])
            if row in latency_ms:
                raise ValueError(f"{line[0]} is there twice")
            latency_ms[row] = own_ms(row, line[1])
        except ValueError as error:
            raise ValueError(f"line {lines.line_num}: {error}") from None
    return latency_ms


def check_unit(header):
    """ValueError if the header of a column, say latency_us, names another unit than ms."""
    apart = re.sub("([a-z])([A-Z])", r"\1 \2", header)  # latencyUs
    words = set(re.findall("[a-zµμ]+", apart.lower().replace("/", " per ")))
    for units, advice in UNITS.items():
        if words & set(units.split()) and not words & MILLISECONDS:
            raise ValueError(f"{header!r:.40} is not in ms: {advice}, and call it ms")


def own_ms(row, text):
    """The ms that a text of the user's own CSV says, NaN if the cell failed; or ValueError."""
    ms = math.nan if text.strip().lower() in FAILED else float(text)
    if ms == 0 and not nas_benchmark.CONNECTED[row]:
        return nas_benchmark.MIN_MS  # it computes nothing
    if ms < 0 and ms not in (-1, -math.inf):
        raise ValueError(f"{text} ms is not positive")
    return ms if 0 < ms < math.inf else math.nan


def completed(ms):
    """Latency (15625,) from {row: ms, or NaN}, and what was added to it, as text.

    A cell without one takes the mean of those of the same network; ValueError if none has."""
    latency_ms = np.array([ms.get(row, math.nan) for row in range(N_CELLS)])
    missing = np.flatnonzero(np.isnan(latency_ms))
    if not len(missing):
        return latency_ms, ""
    networks = [surrogate.network_of(cell) for cell in nas_benchmark.CELLS.tolist()]
    measured = {}
    for row in np.flatnonzero(np.isfinite(latency_ms)):
        measured.setdefault(networks[row], []).append(latency_ms[row])
    absent = N_CELLS - len(ms)
    told = f"{len(missing) - absent:,} cells failed, {absent:,} are not there"
    without = [row for row in missing if networks[row] not in measured]
    if without:
        told += f", and {len(without):,} of these are like no cell that you measured"
        cell = nas_benchmark.cell_to_string(nas_benchmark.CELLS[without[0]])
        advice = "measure them, or give what cannot run twice your slowest latency"
        raise ValueError(f"{told}, for example {cell}: {advice}")
    latency_ms[missing] = [np.mean(measured[networks[row]]) for row in missing]
    return latency_ms, f"; {told}: they have that of the same network in another cell"


# --- The surrogate ----------------------------------------------------------------------------


def build_surrogate(folder):
    """The surrogate Benchmark, its accuracy fitted to the CSV in the folder (None: downloads)."""
    _, measured = measured_accuracy(folder, "cifar100")
    accuracy = surrogate.model_accuracy(measured)
    latency_ms = surrogate.model_latency()
    off = (accuracy - measured)[nas_benchmark.CONNECTED]
    r2 = 1 - off.var() / measured[nas_benchmark.CONNECTED].var()
    points = 100 * np.abs(off).mean()
    quantiles_off, cells_off = map(np.abs, surrogate.latency_errors(latency_ms))
    facts = provenance(
        name="surrogate (fitted, not measured)",
        source="fitted models of NAS-Bench-201 (surrogate.py)",
        dataset="cifar100",
        split="test (fitted)",
        epochs="200 (fitted)",
        trials="mean of all (fitted)",
        **GTX,
        how="accuracy by effects of up to four edges; latency by a base and a cost per operation",
        built="2026-11-25",  # fixed, as the file is rebuilt to the byte
        fit=f"connected cells: R2 {r2:.4f}, mean error {points:.2f} points; "
        f"latency: ten quantiles within {quantiles_off.max():.2f} ms, "
        f"four cells within {cells_off.max():.2f} ms",
    )
    return Benchmark(accuracy, latency_ms, facts)


# --- The official files -----------------------------------------------------------------------

SCALAR = np.float64(0).__reduce__()[0]  # makes one of NumPy's numbers from its bytes
ALLOWED = {  # all that a cell's file may refer to
    "collections.OrderedDict": dict,
    "numpy.dtype": np.dtype,
    "numpy.core.multiarray.scalar": SCALAR,  # NumPy 1
    "numpy._core.multiarray.scalar": SCALAR,  # NumPy 2
}


class CellUnpickler(pickle.Unpickler):
    """Refuses a pickle that refers to anything but ALLOWED."""

    def find_class(self, module, name):
        if f"{module}.{name}" not in ALLOWED:
            raise ValueError(f"it refers to {module}.{name}, and may contain plain data only")
        return ALLOWED[f"{module}.{name}"]


def read_natsbench_cell(path, dataset="cifar100"):
    """(row, accuracy in 0..1, latency in ms) in NATS-Bench's file of one cell; or UserError."""
    last = "ori-test@199" if dataset == "cifar10" else "x-test@199"
    with as_user_error(path, "cell of NATS-Bench", "unpack the folder again"):
        content = io.BytesIO(bz2.decompress(path.read_bytes()))
        by_epochs = CellUnpickler(content).load()
        if "90" in by_epochs:
            raise UserError(f"{path} is of the size space (sss); give NATS-tss-...")
        info = by_epochs["200"]
        seeds = info["dataset_seed"][dataset]
        trials = [info["all_results"][dataset, seed] for seed in seeds]
        percent = np.mean([trial["eval_acc1es"][last] for trial in trials])
        seconds = np.mean([np.mean(trial["latency"]) for trial in trials])
        return row_of(info["arch_str"]), float(percent) / 100, 1000 * float(seconds)


def build_natsbench(folder, dataset):
    """The Benchmark in NATS-Bench's folder, read in parallel; UserError names a bad cell."""
    paths = [folder / f"{index:06d}.pickle.pbz2" for index in range(N_CELLS)]
    for inner in folder.glob(f"*/{paths[0].name}"):
        raise UserError(f"{folder} holds the folder {inner.parent.name}: give that one")
    read = partial(read_natsbench_cell, dataset=dataset)
    with multiprocessing.Pool(None, command_line.leave_signals_to_the_parent) as pool:
        found = pool.imap(read, paths, chunksize=16)
        cells = [next(found) for _ in command_line.tracked(paths)]
    return official(cells, "NATS-Bench", folder, dataset)


def official(cells, library, path, dataset, **more):
    """The Benchmark of a list of (row, accuracy, latency in ms), in any order."""
    facts = dict(name=f"{library} {dataset}", source=f"official {library}: {path.name}")
    facts |= dict(dataset=dataset, device="GTX 1080 Ti", batch=256)
    facts |= dict(how="both as the benchmark reports them") | more
    rows, accuracy, latency_ms = zip(*cells, strict=True)
    with as_user_error(path, "whole benchmark", "fetch it again"):
        columns = by_row(rows, accuracy), by_row(rows, latency_ms)
        return Benchmark(*columns, provenance(**facts))


MEMORY_PER_SIZE = 6  # 28 GB for 4.7 GB, says github.com/D-X-Y/AutoDL-Projects/issues/78


def build_nasbench201(path, dataset, force=False, trust=False):
    """The Benchmark in an official .pth file, by the API; its code runs only if you `trust` it."""
    needed = MEMORY_PER_SIZE * path.stat().st_size / 1e9
    present = math.inf
    if hasattr(os, "sysconf"):  # Windows does not tell
        present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    print(f"{path} takes about {needed:.1f} of {present:.1f} GB of memory", flush=True)
    if present < needed and not force:
        raise UserError("too little memory; --force tries, and natsbench needs 0.1 GB")
    try:
        import torch
        from nas_201_api import NASBench201API
    except ImportError as error:
        raise UserError(f"{error.name} is missing: pip install torch nas-bench-201") from None
    allowed = [(SCALAR, name) for name, made in ALLOWED.items() if made is SCALAR]
    allowed += [np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8"))]
    cells = []
    with as_user_error(path, "NAS-Bench-201 for torch", "if you trust its code, add --trust"):
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=not trust)
        for index, arch in enumerate(command_line.tracked(content["meta_archs"])):
            infos = {0: content["arch2infos"].pop(index)}  # one cell: the API copies all
            one = dict(meta_archs=[arch], arch2infos=infos, evaluated_indexes=[0])
            api = NASBench201API(one, verbose=False)
            facts = api.get_more_info(0, dataset, hp="200", is_random=False)
            accuracy = float(facts["test-accuracy"]) / 100
            latency_ms = 1000 * float(api.get_latency(0, dataset, hp="200"))
            cells.append((row_of(arch), accuracy, latency_ms))
    return official(cells, "NAS-Bench-201", path, dataset, sha256=sha256_of(path))


# --- Command line -----------------------------------------------------------------------------


def parse(argv):
    """The options as a namespace, or UserError."""
    parser = command_line.Parser(description="Make a file for run_experiment.py --benchmark.")
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    tables = sources.add_parser("tables", help="measured accuracy, any latency")
    natsbench = sources.add_parser("natsbench", help="the official folder")
    nasbench201 = sources.add_parser("nasbench201", help="the official file")
    ships = sources.add_parser("surrogate", help="the file that ships in data/")
    where = "take the public tables from here, not from the network"
    for source in (tables, ships):
        source.add_argument("--from", dest="folder", type=Path, metavar="DIR", help=where)
    for source in (tables, natsbench, nasbench201):
        source.add_argument("--dataset", default="cifar100", choices=DATASETS)
    latency = tables.add_mutually_exclusive_group(required=True)
    known = dict(metavar="DEVICE", choices=[*MODELS, *devices()])
    latency.add_argument("--device", **known, help="whose latency, say pixel3, or modelled")
    latency.add_argument("--latency", type=Path, metavar="CSV", help="your own latency")
    latency.add_argument("--list", action="store_true", help="show the devices")
    natsbench.add_argument("path", type=Path, metavar="DIR", help="the unpacked folder")
    nasbench201.add_argument("path", type=Path, metavar="FILE", help="the .pth file")
    force = "load even if memory seems insufficient"
    nasbench201.add_argument("--force", action="store_true", help=force)
    trust = "allow the pickle to run code: only for files you trust"
    nasbench201.add_argument("--trust", action="store_true", help=trust)
    for source in (tables, natsbench, nasbench201, ships):
        source.add_argument("--out", type=Path, metavar="PATH", help="output file")
    parser.set_defaults(list=False, latency=None)
    return parser.parse_args(argv)


def build(argv):
    """Build the benchmark file that `argv` asks for, and say what it is."""
    args = parse(argv)
    if args.list:
        return list_devices()
    if args.out and args.out.is_dir():
        raise UserError(f"--out {args.out} is a folder: name the file to write")
    if args.source == "tables":
        benchmark = build_tables(args.folder, args.latency or args.device, args.dataset)
        device = f"own_{args.latency.stem[:100]}" if args.latency else args.device
        name = f"{args.dataset}_{device}.pkl"
    elif args.source == "surrogate":
        benchmark = build_surrogate(args.folder)
        name = nas_benchmark.SURROGATE.name
    elif args.source == "nasbench201":
        benchmark = build_nasbench201(args.path, args.dataset, args.force, args.trust)
        name = f"nasbench201_{args.dataset}.pkl"
    else:
        benchmark = build_natsbench(args.path, args.dataset)
        name = f"nasbench201_{args.dataset}.pkl"
    out = args.out or DATA / name
    if args.latency and not args.out and out.exists():
        old = nas_benchmark.load(out)  # perhaps made from another file of that name
        if old.provenance.get("sha256") != benchmark.provenance["sha256"]:
            raise UserError(f"{out} was made from another file; to replace it, add --out {out}")
    nas_benchmark.save(benchmark, out)
    print(f"{benchmark}\n  written  {out}\n  next     {next_command(benchmark, out)}")


def next_command(benchmark, out):
    """The experiment on a new file, with another T where T = 17 ms forbids too little, or much."""
    quoted = f'"{out}"' if " " in str(out) else out
    share = np.mean(benchmark.latency_ms <= T_MS)
    target = "" if 0.1 <= share <= 0.9 else " --target-quantile 0.75"
    return f"python run_experiment.py --benchmark {quoted}{target}"


def main(argv=None):
    """Build one benchmark file; returns the exit code."""
    return command_line.run(build, argv)


if __name__ == "__main__":
    sys.exit(main())
