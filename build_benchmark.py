"""Where the tables come from: makes the benchmark files that `nas_benchmark.load` reads.

    python build_benchmark.py tables --list                   27 devices: GPUs, phones, CPUs, ...
    python build_benchmark.py tables --device pixel3          real accuracy, real latency; 3 MB
    python build_benchmark.py natsbench DIR                   the official NATS-Bench folder
    python build_benchmark.py nasbench201 FILE.pth            the official NAS-Bench-201 file
    python build_benchmark.py surrogate                       the committed surrogate, to the byte

data/README.md says what each needs, and who owns it. No table is a part of this project.

**The surrogate** stands in for the official CIFAR-100 table, which may not be copied into this
repository. Its numbers are not measurements but two small models, fitted here:

    accuracy     log(1 - ACC) = bias + one effect per (live edge, operation)
                                     + one per pair of them,               265 numbers
    latency      LAT = base + one cost per operation, summed over the edges,  5 numbers

The errors of both are measured on the spot and travel in the file's provenance.

**The official numbers**: test accuracy after 200 epochs, mean over trials; latency in ms, batch
256. Both libraries default to 12 epochs, one random trial, and seconds: all wrong here.

Left out: training networks, and the size search space of NATS-Bench.
"""

import bz2
import csv
import datetime
import hashlib
import http.client
import itertools
import os
import pickle
import re
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

from command_line import Parser, UserError, cores, fork_context, progress, run, short, whole_files
from nas_benchmark import (
    CELLS,
    DATA,
    N_CELLS,
    OPERATIONS,
    SURROGATE,
    Benchmark,
    BenchmarkError,
    PlainUnpickler,
    cell_to_row,
    live_edges,
    save,
    string_to_cell,
)

DATASETS = {  # dataset -> (its column in the public CSV, NAS-Bench-201's name of its test set)
    "cifar10": ("CIFAR10TestAccuracy200Epochs", "ori-test"),
    "cifar100": ("CIFAR100TestAccuracy200Epochs", "x-test"),
    "ImageNet16-120": ("ImageNetTestAccuracy200Epochs", "x-test"),
}


def provenance(**facts):
    """`facts` about a benchmark, and what is common to all unless they say otherwise."""
    common = {
        "split": "test",
        "epochs": 200,
        "trials": "mean of all",
        "unit": "ms",
        "built": datetime.date.today().isoformat(),
    }
    return facts | {key: value for key, value in common.items() if key not in facts}


# --- The public tables: download --------------------------------------------------------------

CSV = "nats_bench.csv"
CSV_SHA256 = "cb5d777ec3368be83c8f9b3aa4d520696051cb0eb8d94b8f85b519f9ea4afa3e"
CSV_REPOSITORY = "v-tao/nats-bench-landscape/b307ae5fe6e8d7043cd4fe7d1c3532288271adb7"
LATENCY_REPOSITORY = "HayeonLee/HELP/45f70eb92d0d735970a33b608d1544ad3c52f285/data/nasbench201"
SERVER = os.environ.get("NAS_TABLES_SERVER", "https://raw.githubusercontent.com")
CACHE = DATA / "cache"  # holds what a --from folder holds
TIMEOUT_S = 30

# name of the file, its SHA-256, what it was measured on
DEVICES = """
1080ti_1       4028f52b2c2441da126932e3827ae11a7f76d39818c4374c1b9ab9df236e23f4 GPU GTX 1080 Ti
1080ti_256     435af0ccfab01f5dc55dc9f2e8b90ca37b396b2656e327bba5ee0b6eb9c24464 GPU GTX 1080 Ti
1080ti_32      affce4fcdcf6f28622365995ef2ec018bb07d448add59f80633c0978c393cdea GPU GTX 1080 Ti
2080ti_1       38cf0e8f698abf8696c69b41a358fe9ddedf5d54cb1ae6f85b04dd8a8f89a1b3 GPU RTX 2080 Ti
2080ti_256     daee655c44c46955d8318ddf0fa39254e70bab1ae723a6abc53d7b7e4e1561ae GPU RTX 2080 Ti
2080ti_32      ebc603ad325850663fc56c8e0fde52fadea28e585a8405864baa20f986eaf29d GPU RTX 2080 Ti
essential_ph_1 a97165c8669a216b9ca046041c83a07352bd07f2a42e2d8fea8b51e7ddbcabf0 phone Essential PH-1
eyeriss        6f1dd2f8c0442289a09ab78e63e49bde96489f6d455cc33d5fa5aed37edb5d03 ASIC Eyeriss
fpga           6a0333c1476a3ab039d8c39e5d42ac99efe9e7f3ff521289569013fa84233b28 FPGA
gold_6226      6a00f63d14f67f8007ec04519f638a90aa6ed5357cf5c0e60c391df37f186c99 CPU Gold 6226
gold_6240      ac6dd41f183de69bba21dec3954ac73333b7dec871e0defbcce0572d82536890 CPU Gold 6240
pixel2         051845ddefc2bc138f21e2217f6c7827fe280c78375cbfb4b5bd252a888cb950 phone Pixel 2
pixel3         cf1387da12e06b1d4541ce85f3ca4869d551084e09daf4acf024b6e21a80d465 phone Pixel 3
raspi4         2fae425c50bcaef7aacc5391244cd0af98bfc7fba689a8741e461cb18192f57c CPU Raspberry Pi 4
samsung_a50    0872cb4ec8ecc7ea1b3bd8c98dd705f2d0f6e4940f3af833b313e484de39b155 phone Galaxy A50
samsung_s7     dbae32364b882022adb044b2aa1af77b66f43a180930d9be4d4c13532429f0ea phone Galaxy S7
silver_4114    0cce9dc9ba62ad81c21275298a88cb0e4534db6474a878f089df0abb13293421 CPU Silver 4114
silver_4210r   f976049bda39abde94b8f8cac90140cb78a5069fc145c462d6d6bc2f8450727a CPU Silver 4210R
titan_rtx_1    a854dac331e2a37d7dcd6ee1f63d1bc6d73ead3aeb0a86f803f45ea1b294859e GPU Titan RTX
titan_rtx_256  cff1fba40b1743d3716cfb74c86ac2463d0682c146f356fa9095ac0d02dfb2a5 GPU Titan RTX
titan_rtx_32   1258bee5501fe191530b9898a4f55a122ab30beec9c6ea74598c47a0173babed GPU Titan RTX
titanx_1       3461cc686263bd0ce4d4cd915bfc2fe067deb139cc68da387741bd6443434cb0 GPU Titan X
titanx_256     04ddb80719515687bd3d722235cd5da821b50bd453a9e580b1e9d321dfb92941 GPU Titan X
titanx_32      9c4ca69131e34451fb1e104caa47efbe12ffec3cc47bf051613674d7af044ff2 GPU Titan X
titanxp_1      935aa0041c6592bed90f2f94ff3b4d40e892c066467864b704e6583682a57b20 GPU Titan Xp
titanxp_256    9f03206bc62b0dcfc882820de07f55dc1fb7f43f57dfc977e4f0f4b019cb5041 GPU Titan Xp
titanxp_32     4b6db63c7a9fb55177aa2649d70031dd86d2ed1609467ef5803dc1089a73cb1b GPU Titan Xp
"""
DEVICES = {name: facts for name, *facts in (s.split(None, 2) for s in DEVICES.split("\n") if s)}
BATCH = re.compile(r"(?:ti|rtx|x|xp)_(1|32|256)$")  # GPUs; the others' owners do not say


def table_files(device):
    """{path in the folder: (URL, SHA-256)} of the two files that a device's benchmark needs."""
    latency = f"latency/{device}.pt"
    return {
        CSV: (f"{SERVER}/{CSV_REPOSITORY}/{CSV}", CSV_SHA256),
        latency: (f"{SERVER}/{LATENCY_REPOSITORY}/{latency}", DEVICES[device][0]),
    }


def fetch(path, url, sha256):
    """Make sure that the file `path` is there, with this hash; download it from `url` if not."""
    if path.exists() and sha256_of(path) == sha256:
        return
    print(f"downloading {url}", flush=True)
    body, size, start = bytearray(), 0, time.perf_counter()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:
            size = int(reply.headers.get("Content-Length", 0))
            while chunk := reply.read(1 << 16):
                body += chunk
                progress(len(body), size, time.perf_counter() - start)
        wrong = "not the file that we know: its SHA-256 differs"
    except urllib.error.HTTPError as error:
        wrong = f"{error.code} {error.reason}"
    except TimeoutError:
        wrong = f"no answer within {TIMEOUT_S} s"
    except (OSError, http.client.HTTPException) as error:  # OSError: no network, no server
        wrong = f"no answer ({getattr(error, 'reason', error)!r})"
    if len(body) < size:
        wrong = f"it broke off after {len(body):,} of {size:,} bytes"
    if hashlib.sha256(body).hexdigest() != sha256:
        by_hand = f"fetch it by hand, save it as {short(path)}, and try again"
        raise BenchmarkError(f"{url}: {wrong}; {by_hand}")
    with whole_files(path.parent) as folder:
        (folder / path.name).write_bytes(body)


def sha256_of(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def tables_folder(folder, device):
    """The folder with the device's two files: `folder` checked, or the cache, filled if need be."""
    for name, (url, sha256) in table_files(device).items():
        if folder is None:
            fetch(CACHE / name, url, sha256)
        elif not (folder / name).is_file() or sha256_of(folder / name) != sha256:
            raise BenchmarkError(f"{folder / name}: missing, or its SHA-256 differs; fetch {url}")
    return folder or CACHE


def list_devices(folder):
    """Print all devices, and the latency range of those whose file is in the folder."""
    print("device          what it is (its batch)      latency, ms: lowest, median, highest")
    for device, (_, what) in DEVICES.items():
        batch, path = BATCH.search(device), (folder or CACHE) / "latency" / f"{device}.pt"
        what += f" ({batch[1]})" if batch else ""
        known = "once downloaded"
        if path.is_file():
            known = "{:8.2f} {:8.2f} {:8.2f}".format(*np.quantile(read_latency(path), [0, 0.5, 1]))
        print(f"{device:14}  {what:26}  {known}")


# --- The public tables: reading ---------------------------------------------------------------


def read_accuracy(path, dataset):
    """(rows, accuracy): row (15625,) of each NAS-Bench-201 index, and accuracy (15625,) by row.

    Raises BenchmarkError if the CSV at `path` is not the table of 15,625 networks.
    """
    rows, percent = [], []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                rows.append(cell_to_row(string_to_cell(line["ArchitectureString"])))
                percent.append(float(line[DATASETS[dataset][0]]))
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror})") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise BenchmarkError(f"{path}: not the table of NAS-Bench-201 ({error})") from None
    if sorted(rows) != list(range(N_CELLS)):
        raise BenchmarkError(f"{path}: {len(set(rows)):,} networks instead of {N_CELLS:,}")
    accuracy = np.empty(N_CELLS)
    accuracy[rows] = np.array(percent) / 100
    return np.array(rows), accuracy


def read_latency(path):
    """Latency (15625,) in ms by NAS-Bench-201 index, from a device file, without torch.

    The file is what torch.save makes of a list: a zip that holds the list's pickle.
    Raises BenchmarkError if it is not.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            with archive.open(member) as file:
                latency_ms = np.array(PlainUnpickler(file).load(), float)
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise BenchmarkError(f"{path}: not a device's latency file ({error})") from None
    if latency_ms.shape != (N_CELLS,):
        raise BenchmarkError(f"{path}: {latency_ms.size:,} latencies instead of {N_CELLS:,}")
    return latency_ms


def build_tables(folder, device, dataset):
    """The Benchmark of measured accuracy on `dataset` and measured latency on `device`.

    folder: where the two files are; None downloads them. Raises UserError.
    """
    if device not in DEVICES:
        raise UserError(f"no device '{device}'; see build_benchmark.py tables --list")
    folder = tables_folder(folder, device)
    rows, accuracy = read_accuracy(folder / CSV, dataset)
    latency_ms = np.empty(N_CELLS)
    latency_ms[rows] = read_latency(folder / "latency" / f"{device}.pt")
    sha256, what = DEVICES[device]
    batch = BATCH.search(device)
    facts = provenance(
        name=f"{dataset} accuracy, {device} latency",
        source="public tables: v-tao/nats-bench-landscape and HayeonLee/HELP",
        dataset=dataset,
        device=f"{device} ({what})",
        batch=int(batch[1]) if batch else "not stated",
        how="measured by the tables' owners; joined by NAS-Bench-201 index",
        sha256={CSV: CSV_SHA256, f"{device}.pt": sha256},
    )
    return Benchmark(accuracy, latency_ms, facts)


# --- The surrogate ----------------------------------------------------------------------------

RIDGE = 0.01
DISCONNECTED_ACCURACY = 0.01  # a guess among 100 classes
DECIMALS = 4  # of what is stored: enough to tell cells apart, few enough to be the same everywhere

# Facts about the official CIFAR-100 latency (batch 256, as NAS-Bench-201's API returns it, in ms):
# quantiles over all cells as published with the code of slds-lmu/qdo_nas (niches.R), and three
# cells. The five costs below were found by differential evolution: every quantile within 0.2 ms,
# then the three cells as near as they get. Cell 0 stays 1.7 ms off; no five costs met all.
LATENCY_QUANTILES_MS = {
    0.01: 8.561,
    0.02: 8.934,
    0.05: 10.308,
    0.10: 11.435,
    0.20: 12.502,
    0.30: 13.637,
    0.40: 14.299,
    0.50: 15.000,
    0.70: 16.606,
    1.00: 26.141,
}
LATENCY_BASE_MS = 7.66
LATENCY_COST_MS = np.array([0.0, 0.14, 3.05, 2.38, 0.66])  # per edge, in the order of OPERATIONS


def build_surrogate(folder):
    """The surrogate Benchmark, its accuracy fitted to the CSV in `folder` (None: downloaded)."""
    if folder is None:
        fetch(CACHE / CSV, f"{SERVER}/{CSV_REPOSITORY}/{CSV}", CSV_SHA256)
        folder = CACHE
    _, measured = read_accuracy(folder / CSV, "cifar100")
    accuracy = np.round(fit_accuracy(measured), DECIMALS)
    latency_ms = np.round(LATENCY_BASE_MS + LATENCY_COST_MS[CELLS].sum(axis=1), DECIMALS)
    residual = accuracy - measured
    quantiles = np.quantile(latency_ms, list(LATENCY_QUANTILES_MS))
    off = np.abs(quantiles - np.array(list(LATENCY_QUANTILES_MS.values())))
    facts = provenance(
        name="surrogate (fitted, not measured)",
        source="surrogate of NAS-Bench-201: fitted models, not measurements",
        dataset="cifar100",
        device="GTX 1080 Ti (modelled)",
        batch=256,
        how="accuracy: ridge regression of log error on 265 pair effects; "
        "latency: base + five operation costs",
        built="2026-11-24",  # fixed, as the file is rebuilt to the byte
        fit={
            "accuracy_r2": round(float(1 - residual.var() / measured.var()), 4),
            "accuracy_kendall_tau": round(kendall_tau(accuracy, measured), 4),
            "accuracy_mean_abs_error": round(float(np.abs(residual).mean()), 5),
            "latency_max_quantile_error_ms": round(float(off.max()), 3),
        },
    )
    return Benchmark(accuracy, latency_ms, facts)


def fit_accuracy(measured):
    """Fit log(1 - accuracy) by pair effects; measured (15625,) -> fitted accuracy (15625,)."""
    live = live_edges(CELLS)  # (15625, 6)
    connected = live.any(axis=1)  # (15625,)
    X = pair_features(np.where(live, CELLS, OPERATIONS.index("none")))[connected]  # (15284, 265)
    y = np.log(1 - measured[connected])
    effects = np.linalg.solve(X.T @ X + RIDGE * np.eye(X.shape[1]), X.T @ y)  # (265,)
    accuracy = np.full(N_CELLS, DISCONNECTED_ACCURACY)
    accuracy[connected] = 1 - np.exp(X @ effects)
    return accuracy


def pair_features(cells):
    """0/1 features (n, 265): 1, each (edge, operation), each pair of them on two edges."""
    edges = range(cells.shape[1])
    singles = {
        (edge, op): cells[:, edge] == op for edge in edges for op in range(1, len(OPERATIONS))
    }
    pairs = [singles[a] & singles[b] for a, b in itertools.combinations(singles, 2) if a[0] != b[0]]
    return np.column_stack([np.ones(len(cells)), *singles.values(), *pairs]).astype(float)


def kendall_tau(a, b):
    """Kendall's tau-b: how far two lists (n,) agree on which of two is better, ties allowed for."""
    agree = ties_a = ties_b = 0
    for k in range(len(a)):
        sign_a, sign_b = np.sign(a[k] - a[:k]), np.sign(b[k] - b[:k])
        agree += sign_a @ sign_b
        ties_a += np.count_nonzero(sign_a == 0)
        ties_b += np.count_nonzero(sign_b == 0)
    pairs = len(a) * (len(a) - 1) / 2
    return float(agree / np.sqrt((pairs - ties_a) * (pairs - ties_b)))


# --- The official NATS-Bench folder -----------------------------------------------------------


def _scalar(dtype, raw):
    """What a pickled NumPy number is made of, for plain numbers only."""
    if dtype.kind not in "fiu":
        raise pickle.UnpicklingError(f"a number of type {dtype}")
    return np.frombuffer(raw, dtype)[0].item()


ALLOWED = {  # all that a cell's pickle may name
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}


class CellUnpickler(PlainUnpickler):
    """Reads plain data and NumPy numbers; whatever else a pickle names is refused."""

    def find_class(self, module, name):
        return ALLOWED.get((module, name)) or super().find_class(module, name)


def read_natsbench_cell(path, dataset="cifar100"):
    """(accuracy in 0..1, latency in ms) of one cell's file NNNNNN.pickle.pbz2 of NATS-Bench.

    200 epochs, test set, mean over trials. Raises BenchmarkError if that cannot be read.
    """
    return _read_natsbench_cell(path, dataset)[1:]


def _read_natsbench_cell(path, dataset):
    """(row, accuracy, latency in ms) of one cell's file."""
    try:
        with bz2.open(path) as file:
            info = CellUnpickler(file).load()["200"]
        trials = [info["all_results"][dataset, seed] for seed in info["dataset_seed"][dataset]]
        last = f"{DATASETS[dataset][1]}@{trials[0]['epochs'] - 1}"
        accuracy = np.mean([trial["eval_acc1es"][last] for trial in trials]) / 100
        latency_ms = 1000 * np.mean([np.mean(trial["latency"]) for trial in trials])
        row = cell_to_row(string_to_cell(info["arch_str"]))
        return int(row), float(accuracy), float(latency_ms)
    except FileNotFoundError:
        raise BenchmarkError(f"{path}: no such file; unpack the whole folder again") from None
    except Exception as error:  # a damaged file can raise nearly anything
        reason = f"{type(error).__name__}: {error}"
        raise BenchmarkError(f"{path}: not a cell of NATS-Bench ({reason})") from None


def build_natsbench(folder, dataset, cells=N_CELLS, workers=None):
    """The Benchmark in the folder NATS-tss-v1_0-3ffb9-simple, read in parallel.

    cells: how many files to read, index 0, 1, ...; fewer than all is for tests and timing, and
    gives (rows, accuracy, latency_ms) instead. Raises BenchmarkError naming the first bad cell.
    """
    tasks = [(folder / f"{index:06d}.pickle.pbz2", dataset) for index in range(cells)]
    rows, accuracy, latency_ms = [], [], []
    start = time.perf_counter()
    with fork_context().Pool(workers or cores()) as pool:
        for row, acc, ms in pool.imap(_read_task, tasks, chunksize=16):
            rows.append(row)
            accuracy.append(acc)
            latency_ms.append(ms)
            progress(len(rows), cells, time.perf_counter() - start)
    if cells < N_CELLS:
        return rows, accuracy, latency_ms
    return official(rows, accuracy, latency_ms, "NATS-Bench", folder, dataset)


def _read_task(task):
    return _read_natsbench_cell(*task)


def official(rows, accuracy, latency_ms, library, path, dataset, **more):
    """The Benchmark of official numbers, given in any order with the row of each."""
    if sorted(rows) != list(range(N_CELLS)):
        raise BenchmarkError(f"{path}: {len(set(rows)):,} different cells, not {N_CELLS:,}")
    order = np.argsort(rows)
    facts = provenance(
        name=f"{library} {dataset}",
        source=f"official {library}: {Path(path).name}",
        dataset=dataset,
        device="GTX 1080 Ti",
        batch=256,
        how="200 epochs, test set, mean over trials; latency as the benchmark reports it",
        **more,
    )
    return Benchmark(np.array(accuracy)[order], np.array(latency_ms)[order], facts)


# --- The official NAS-Bench-201 file ----------------------------------------------------------

GB_PER_GB = 6  # memory per size of the file; 28 GB are reported for the 4.7 GB of v1_1
# (github.com/D-X-Y/AutoDL-Projects/issues/78)


def available_memory():
    """Bytes of memory that are free for use, or None where that cannot be told."""
    try:
        text = Path("/proc/meminfo").read_text()
        return 1024 * int(re.search(r"MemAvailable: +(\d+) kB", text)[1])
    except (OSError, TypeError):
        return None


def check_memory(path, force):
    """Say how much memory loading takes; UserError if the machine clearly lacks it."""
    needed, available = GB_PER_GB * path.stat().st_size, available_memory()
    print(f"loading {short(path)} takes about {needed / 1e9:.1f} GB of memory", flush=True)
    if available is not None and available < 0.7 * needed and not force:
        raise UserError(
            f"{available / 1e9:.1f} GB of memory are free, about {needed / 1e9:.1f} GB are needed; "
            "--force tries all the same, and the natsbench source needs 0.5 GB"
        )


def load_pth(path, trust):
    """The dict in a .pth file, by torch's loader that runs no code (unless trusted)."""
    import torch

    scalar = np.float64(0).__reduce__()[0]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    kinds = [type(np.dtype(kind)) for kind in ("f8", "f4", "i8")]
    try:
        with torch.serialization.safe_globals([*names, np.dtype, *kinds]):
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise BenchmarkError(
            f"{path}: torch will not load it safely ({reason}); if you trust the file, add --trust"
        ) from None
    except Exception as error:  # a damaged file can raise nearly anything
        raise BenchmarkError(f"{path}: torch cannot read it ({error})") from None


def build_nasbench201(path, dataset, force=False, trust=False):
    """The Benchmark in an official .pth file, through the nas-bench-201 package's API."""
    try:
        from nas_201_api import NASBench201API
    except ImportError as error:
        raise UserError(f"{error.name} is missing: pip install torch nas-bench-201") from None
    if not path.is_file():
        raise BenchmarkError(f"{path}: no such file")
    check_memory(path, force)
    content = load_pth(path, trust)
    rows, accuracy, latency_ms = [], [], []
    start = time.perf_counter()
    try:
        archs, infos = content["meta_archs"], content["arch2infos"]
        for index, arch in enumerate(archs):
            # One cell at a time: the API copies all that it is given.
            one = {"meta_archs": [arch], "arch2infos": {0: infos.pop(index)}}
            api = NASBench201API({**one, "evaluated_indexes": [0]}, verbose=False)
            facts = api.get_more_info(0, dataset, hp="200", is_random=False)
            rows.append(int(cell_to_row(string_to_cell(arch))))
            accuracy.append(float(facts["test-accuracy"]) / 100)
            latency_ms.append(1000 * float(api.get_latency(0, dataset, hp="200")))
            progress(len(rows), len(archs), time.perf_counter() - start)
    except Exception as error:  # the API raises nearly anything
        reason = f"{type(error).__name__}: {error}"
        raise BenchmarkError(f"{path}: cell {len(rows)} cannot be read ({reason})") from None
    return official(
        rows, accuracy, latency_ms, "NAS-Bench-201", path, dataset, sha256=sha256_of(path)
    )


# --- Command line -----------------------------------------------------------------------------


def parse(argv):
    """The command line as a namespace, or UserError."""
    parser = Parser(description="Make a benchmark file for run_experiment.py --benchmark.")
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    tables = sources.add_parser("tables", help="public tables: real accuracy and latency")
    natsbench = sources.add_parser("natsbench", help="the official NATS-Bench folder")
    nasbench201 = sources.add_parser("nasbench201", help="the official NAS-Bench-201 file (torch)")
    surrogate = sources.add_parser("surrogate", help="fit the surrogate that ships in data/")
    tables.add_argument("--device", help="whose latency, for example pixel3")
    tables.add_argument("--list", action="store_true", help="show the devices")
    natsbench.add_argument("folder", type=Path, metavar="DIR", help="NATS-tss-v1_0-3ffb9-simple")
    nasbench201.add_argument("file", type=Path, metavar="FILE.pth")
    nasbench201.add_argument("--force", action="store_true", help="even if memory looks too small")
    nasbench201.add_argument("--trust", action="store_true", help="let the file run code")
    for command in (surrogate, tables):
        text = "a folder with the public tables, instead of the network"
        command.add_argument("--from", dest="folder", type=Path, metavar="DIR", help=text)
    for command in (tables, natsbench, nasbench201):
        command.add_argument("--dataset", default="cifar100", choices=DATASETS)
    for command in (surrogate, tables, natsbench, nasbench201):
        command.add_argument("--out", type=Path, metavar="PATH", help="the file to write")
    args = parser.parse_args(argv)
    if args.source == "tables" and not (args.device or args.list):
        raise UserError("tables needs --device NAME; --list shows the names")
    return args


def build(argv):
    """Build the benchmark file that `argv` asks for, and say what it is."""
    args = parse(argv)
    if args.source == "tables" and args.list:
        list_devices(args.folder)
        return
    if args.source == "surrogate":
        benchmark, path = build_surrogate(args.folder), SURROGATE
    elif args.source == "tables":
        benchmark = build_tables(args.folder, args.device, args.dataset)
        path = DATA / f"{args.dataset}_{args.device}.pkl"
    elif args.source == "natsbench":
        benchmark = build_natsbench(args.folder, args.dataset)
        path = DATA / f"nasbench201_{args.dataset}.pkl"
    else:
        benchmark = build_nasbench201(args.file, args.dataset, args.force, args.trust)
        path = DATA / f"nasbench201_{args.dataset}.pkl"
    path = args.out or path
    save(benchmark, path)
    for key, value in benchmark.provenance.items():
        print(f"{key:8} {value}")
    low, middle, most, high = np.quantile(benchmark.latency_ms, [0, 0.5, 0.75, 1])
    print(f"latency  {low:.2f} to {high:.2f} ms, median {middle:.2f}, 75 % within {most:.2f} ms")
    print(f"\nwritten  {short(path)}")
    print(f"next     python run_experiment.py --benchmark {short(path)}")


def main(argv=None):
    """Build one benchmark file; returns the exit code."""
    return run(build, argv)


if __name__ == "__main__":
    sys.exit(main())
