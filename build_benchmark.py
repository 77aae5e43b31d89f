"""Where the tables come from: makes the benchmark files that `nas_benchmark.load` reads.

    python build_benchmark.py tables --list                   27 devices: GPUs, phones, CPUs, ...
    python build_benchmark.py tables --device pixel3          real accuracy, real latency; 3 MB
    python build_benchmark.py natsbench DIR                   the official NATS-Bench folder
    python build_benchmark.py nasbench201 FILE.pth            the official NAS-Bench-201 file
    python build_benchmark.py surrogate                       the committed surrogate, to the byte

data/README.md says what each needs, and who owns it. **The surrogate** stands in for the official
CIFAR-100 table, which may not be copied here. It is not measured; it is two small models, fitted
to the public table and to published quantiles, whose errors travel in the file's provenance:

    accuracy  log(1 - ACC) = bias + one effect per (live edge, operation) + one per pair of them
    latency   LAT = base + one cost per operation, summed over the edges

**The official numbers** are the test accuracy after 200 epochs, mean over trials, and the latency
in ms, batch 256. Both libraries default to 12 epochs, one random trial and seconds: all wrong here.
"""

import bz2
import csv
import hashlib
import itertools
import os
import sys
import time
import urllib.request
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

import nas_benchmark
from command_line import CORES, WORKERS, Parser, UserError, progress, run, whole_files
from nas_benchmark import CELLS, DATA, N_CELLS, OPERATIONS, Benchmark, load_plain, reading

# dataset -> how the public CSV begins the name of its column
DATASETS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "ImageNet16-120": "ImageNet"}


def row_of(text):
    """The row of the cell that NAS-Bench-201's string `text` names, or ValueError."""
    return int(nas_benchmark.cell_to_row(nas_benchmark.string_to_cell(text)))


def by_row(rows, values):
    """`values` of all cells in the order of the list `rows` -> an array (15625,) by row."""
    if sorted(rows) != list(range(N_CELLS)) or len(values) != N_CELLS:
        raise ValueError(f"{len(set(rows)):,} cells, {len(values):,} values, not {N_CELLS:,}")
    return np.array(values, float)[np.argsort(rows)]


def provenance(name, source, dataset, device, batch, how, **more):
    """A benchmark's provenance: these facts, and what is common to all."""
    facts = dict(name=name, source=source, dataset=dataset, split="test", epochs=200)
    facts |= dict(trials="mean of all", device=device, batch=batch, unit="ms", how=how)
    return facts | {"built": time.strftime("%Y-%m-%d")} | more


# --- The public tables ------------------------------------------------------------------------

CSV = "nats_bench.csv"
CSV_SHA256 = "cb5d777ec3368be83c8f9b3aa4d520696051cb0eb8d94b8f85b519f9ea4afa3e"
CSV_REPOSITORY = "v-tao/nats-bench-landscape/b307ae5fe6e8d7043cd4fe7d1c3532288271adb7"
LATENCY_REPOSITORY = "HayeonLee/HELP/45f70eb92d0d735970a33b608d1544ad3c52f285/data/nasbench201"
SERVER = os.environ.get("NAS_TABLES_SERVER", "https://raw.githubusercontent.com")
CACHE = DATA / "cache"  # holds what a --from folder holds
TIMEOUT_S = 30


def devices():
    """{device: its kind, hardware, batch and the SHA-256 of its file}, from data/devices.csv."""
    with open(DATA / "devices.csv", encoding="utf-8") as file:
        return {line["device"]: line for line in csv.DictReader(file)}


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def fetch(folder, repository, name, sha256):
    """The path of a public file: in `folder`, or (None) in the cache, downloaded if need be."""
    path, url = (folder or CACHE) / name, f"{SERVER}/{repository}/{name}"
    if sha256_of(path) == sha256:
        return path
    if folder:
        raise UserError(f"{path}: missing, or its SHA-256 differs; fetch {url}")
    print(f"downloading {url}", flush=True)
    by_hand = f"fetch {url} by hand, save it as {path}, and try again"
    with reading(url, "file that we know", by_hand), whole_files(path.parent) as unfinished:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:
            body, size, start = b"", int(reply.headers["Content-Length"] or 0), time.perf_counter()
            while chunk := reply.read(1 << 16):
                body += chunk
                progress(len(body), max(size, len(body)), time.perf_counter() - start)
        if hashlib.sha256(body).hexdigest() != sha256:
            raise ValueError(f"{len(body):,} of {size:,} bytes came, and their SHA-256 differs")
        (unfinished / path.name).write_bytes(body)
    return path


def list_devices(folder):
    """Print all devices, and the latency range of those whose file is in the folder."""
    print("device          what it is (its batch)      latency, ms: lowest, median, highest")
    for name, device in devices().items():
        what = f"{device['kind']} {device['hardware']} ({device['batch'] or '?'})"
        path, known = (folder or CACHE) / "latency" / f"{name}.pt", "once downloaded"
        if path.is_file():
            known = "{:8.2f} {:8.2f} {:8.2f}".format(*np.quantile(read_latency(path), [0, 0.5, 1]))
        print(f"{name:14}  {what:26}  {known}")


def read_accuracy(path, dataset):
    """From the CSV: the row of each NAS-Bench-201 index (list), and accuracy (15625,) by row."""
    with reading(path, "table of NAS-Bench-201", "fetch it again"), open(path) as file:
        lines = list(csv.DictReader(file))
        rows = [row_of(line["ArchitectureString"]) for line in lines]
        percent = [float(line[f"{DATASETS[dataset]}TestAccuracy200Epochs"]) for line in lines]
        return rows, by_row(rows, percent) / 100


def read_latency(path):
    """Latency (15625,) in ms by NAS-Bench-201 index: the zip that torch.save makes of a list."""
    with reading(path, "latency of all cells", "fetch it again"), zipfile.ZipFile(path) as file:
        (member,) = [name for name in file.namelist() if name.endswith("/data.pkl")]
        return by_row(range(N_CELLS), load_plain(file.open(member)))


def build_tables(path, device, dataset):
    """The Benchmark of measured numbers, from the two files in a folder (None: downloads)."""
    if device not in devices():
        raise UserError(f"no device {device}: see build_benchmark.py tables --list")
    line, name = devices()[device], f"latency/{device}.pt"
    latency = fetch(path, LATENCY_REPOSITORY, name, line["sha256"])
    rows, accuracy = read_accuracy(fetch(path, CSV_REPOSITORY, CSV, CSV_SHA256), dataset)
    title, how = f"{dataset} accuracy, {device} latency", "as measured by the tables' owners"
    source = "public tables: v-tao/nats-bench-landscape and HayeonLee/HELP"
    what, batch = f"{device} ({line['kind']} {line['hardware']})", line["batch"] or "not stated"
    sha256 = {CSV: CSV_SHA256, name: line["sha256"]}
    facts = provenance(title, source, dataset, what, batch, how, sha256=sha256)
    return Benchmark(accuracy, by_row(rows, read_latency(latency)), facts)


# --- The surrogate ----------------------------------------------------------------------------

RIDGE = 0.01
DISCONNECTED_ACCURACY = 0.01  # a guess among 100 classes
DECIMALS = 4  # of what is stored: enough to tell cells apart, few enough to be the same everywhere

# Facts about the official CIFAR-100 latency (batch 256, as NAS-Bench-201's API returns it, in ms):
# quantiles over all cells as published with the code of slds-lmu/qdo_nas (niches.R), and three
# cells. The five costs below were found by differential evolution: every quantile within 0.2 ms,
# then the three cells as near as they get. Cell 0 stays 1.7 ms off; no five costs met all.
QUANTILES = (0.01, 0.02, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.70, 1.00)
LATENCY_MS = (8.561, 8.934, 10.308, 11.435, 12.502, 13.637, 14.299, 15.000, 16.606, 26.141)
BASE_MS, COST_MS = 7.66, np.array([0.0, 0.14, 3.05, 2.38, 0.66])  # per edge, by operation


def build_surrogate(path):
    """The surrogate Benchmark, its accuracy fitted to the CSV in the folder (None: downloads)."""
    _, measured = read_accuracy(fetch(path, CSV_REPOSITORY, CSV, CSV_SHA256), "cifar100")
    accuracy = np.round(fit_accuracy(measured), DECIMALS)
    latency_ms = np.round(BASE_MS + COST_MS[CELLS].sum(axis=1), DECIMALS)
    residual = accuracy - measured
    off = np.abs(np.quantile(latency_ms, QUANTILES) - LATENCY_MS)
    r2, error = 1 - residual.var() / measured.var(), np.abs(residual).mean()
    fit = f"accuracy: R2 {r2:.4f}, mean error {error:.4f}; "
    fit += f"latency: all ten quantiles within {off.max():.3f} ms"
    name, source = "surrogate (fitted, not measured)", "fitted models of NAS-Bench-201"
    how = "ridge regression of log error on pair effects; base + operation costs"
    facts = provenance(name, source, "cifar100", "GTX 1080 Ti (modelled)", 256, how, fit=fit)
    facts["built"] = "2026-11-24"  # fixed, as the file is rebuilt to the byte
    return Benchmark(accuracy, latency_ms, facts)


def fit_accuracy(measured):
    """Fit log(1 - accuracy) by pair effects; measured (15625,) -> fitted accuracy (15625,)."""
    live = nas_benchmark.live_edges(CELLS)  # (15625, 6)
    connected = live.any(axis=1)  # (15625,)
    X = pair_features(np.where(live, CELLS, OPERATIONS.index("none")))[connected]  # (15284, 265)
    y = np.log(1 - measured[connected])
    effects = np.linalg.solve(X.T @ X + RIDGE * np.eye(X.shape[1]), X.T @ y)  # (265,)
    accuracy = np.full(N_CELLS, DISCONNECTED_ACCURACY)
    accuracy[connected] = 1 - np.exp(X @ effects)
    return accuracy


def pair_features(cells):
    """0/1 features (n, 265): 1, each (edge, operation), each pair of them on two edges."""
    ones = itertools.product(range(cells.shape[1]), range(1, len(OPERATIONS)))
    single = {(edge, op): cells[:, edge] == op for edge, op in ones}  # (n,) each
    pairs = [single[a] & single[b] for a, b in itertools.combinations(single, 2) if a[0] != b[0]]
    return np.column_stack([np.ones(len(cells)), *single.values(), *pairs]).astype(float)


# --- The official NATS-Bench folder -----------------------------------------------------------

ALLOWED = {("collections", "OrderedDict"): dict, ("numpy", "dtype"): np.dtype}  # in a cell's file
for core in ("core", "_core"):  # NumPy's numbers, before and since its version 2
    ALLOWED[f"numpy.{core}.multiarray", "scalar"] = lambda kind, raw: np.frombuffer(raw, kind)[0]


def read_natsbench_cell(path, dataset="cifar100"):
    """(accuracy in 0..1, latency in ms) in NATS-Bench's file of one cell; raises UserError."""
    return _read_natsbench_cell(path, dataset)[1:]


def _read_natsbench_cell(path, dataset):
    """The same, preceded by the cell's row."""
    with reading(path, "cell of NATS-Bench", "unpack the folder again"), bz2.open(path) as file:
        info = load_plain(file, ALLOWED)["200"]
        trials = [info["all_results"][dataset, seed] for seed in info["dataset_seed"][dataset]]
        last = "ori-test@199" if dataset == "cifar10" else "x-test@199"
        accuracy = np.mean([trial["eval_acc1es"][last] for trial in trials]) / 100
        latency_ms = 1000 * np.mean([np.mean(trial["latency"]) for trial in trials])
        return row_of(info["arch_str"]), float(accuracy), float(latency_ms)


def build_natsbench(path, dataset):
    """The Benchmark in NATS-Bench's folder, read in parallel; UserError names a bad cell."""
    paths = [path / f"{index:06d}.pickle.pbz2" for index in range(N_CELLS)]
    read, cells, start = partial(_read_natsbench_cell, dataset=dataset), [], time.perf_counter()
    with WORKERS.Pool(CORES) as pool:
        for cell in pool.imap(read, paths, chunksize=16):
            cells.append(cell)
            progress(len(cells), N_CELLS, time.perf_counter() - start)
    return official(cells, "NATS-Bench", path, dataset)


def official(cells, library, path, dataset, **more):
    """The Benchmark of a list of (row, accuracy, latency in ms), in any order."""
    name, source = f"{library} {dataset}", f"official {library}: {path.name}"
    how = "both as the benchmark reports them"
    facts = provenance(name, source, dataset, "GTX 1080 Ti", 256, how, **more)
    rows, accuracy, latency_ms = zip(*cells, strict=True)
    with reading(path, "whole benchmark", "fetch it again"):
        return Benchmark(by_row(rows, accuracy), by_row(rows, latency_ms), facts)


# --- The official NAS-Bench-201 file ----------------------------------------------------------

MEMORY_PER_SIZE = 6  # 28 GB for the 4.7 GB of v1_1, says github.com/D-X-Y/AutoDL-Projects/issues/78


def build_nasbench201(path, dataset, force=False, trust=False):
    """The Benchmark in an official .pth file, by the API; its code runs only if you `trust` it."""
    needed = MEMORY_PER_SIZE * path.stat().st_size / 1e9
    present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    print(f"loading {path} takes about {needed:.1f} of {present:.1f} GB of memory", flush=True)
    if present < needed and not force:
        raise UserError("too little memory; --force tries, and the natsbench source needs 0.5 GB")
    try:
        import torch
        from nas_201_api import NASBench201API
    except ImportError as error:
        raise UserError(f"{error.name} is missing: pip install torch nas-bench-201") from None
    scalar = np.float64(0).__reduce__()[0]
    allowed = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    allowed += [np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8"))]
    cells, start = [], time.perf_counter()
    with reading(path, "NAS-Bench-201 for torch", "if you trust it to run code, add --trust"):
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=not trust)
        for index, arch in enumerate(content["meta_archs"]):
            # One cell at a time: the API copies all that it is given.
            one = {"meta_archs": [arch], "arch2infos": {0: content["arch2infos"].pop(index)}}
            api = NASBench201API({**one, "evaluated_indexes": [0]}, verbose=False)
            facts = api.get_more_info(0, dataset, hp="200", is_random=False)
            latency_ms = 1000 * float(api.get_latency(0, dataset, hp="200"))
            cells.append((row_of(arch), float(facts["test-accuracy"]) / 100, latency_ms))
            progress(len(cells), len(content["meta_archs"]), time.perf_counter() - start)
    return official(cells, "NAS-Bench-201", path, dataset, sha256=sha256_of(path))


# --- Command line -----------------------------------------------------------------------------

SOURCES = {  # source -> (what it is, who builds it, the file it makes in data/)
    "tables": ("public tables, real numbers", build_tables, "{dataset}_{device}.pkl"),
    "natsbench": ("the official folder", build_natsbench, "nasbench201_{dataset}.pkl"),
    "nasbench201": ("the official file", build_nasbench201, "nasbench201_{dataset}.pkl"),
    "surrogate": ("the file that ships in data/", build_surrogate, nas_benchmark.SURROGATE.name),
}


def build(argv):
    """Build the benchmark file that `argv` asks for, and say what it is."""
    parser = Parser(description="Make a benchmark file for run_experiment.py --benchmark.")
    commands = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    for source, (about, *_) in SOURCES.items():
        add = commands.add_parser(source, help=about).add_argument
        if source in ("natsbench", "nasbench201"):
            add("path", type=Path, help=about)
        else:
            add("--from", dest="path", type=Path, metavar="DIR", help="a folder, not the network")
        if source == "tables":
            add("--device", help="whose latency, for example pixel3")
            add("--list", action="store_true", help="show the devices")
        if source == "nasbench201":
            add("--force", action="store_true", help="even if memory looks too small")
            add("--trust", action="store_true", help="let the file run code")
        if source != "surrogate":
            add("--dataset", default="cifar100", choices=DATASETS)
        add("--out", type=Path, metavar="PATH", help="the file to write")
    args = vars(parser.parse_args(argv))
    _, builder, name = SOURCES[args.pop("source")]
    out = args.pop("out") or DATA / name.format(**args)
    if args.pop("list", False):
        return list_devices(args["path"])
    benchmark = builder(**args)
    nas_benchmark.save(benchmark, out)
    print(f"{benchmark}\n  written  {out}\n  next     python run_experiment.py --benchmark {out}")


def main(argv=None):
    """Build one benchmark file; returns the exit code."""
    return run(build, argv)


if __name__ == "__main__":
    sys.exit(main())
