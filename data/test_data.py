"""Tests of data/: where benchmark files come from, and the surrogate that ships."""

import bz2
import contextlib
import functools
import gzip
import http.server
import io
import itertools
import math
import os
import pickle
import re
import shutil
import socketserver
import subprocess
import sys
import threading
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data")]

import build_benchmark
import numpy as np
import pytest
import surrogate

import claims
import command_line
import nas_benchmark
import run_experiment
from nas_benchmark import CELLS, N_CELLS
from nas_search import Problem, run_searches
from test_all import (
    ACCURACY,
    HERE,
    LATENCY_MS,
    POSIX,
    SURROGATE,
    TABLES,
    Hostile,
    damaged,
    everything_in,
    files_of,
    provenance,
    public,
    refused,
    room,  # noqa: F401 (a fixture)
    told,
    with_value,
    within,
)


def with_accuracy(row, value):
    """The content of a benchmark file in which one accuracy is exchanged."""
    return damaged(accuracy=with_value(ACCURACY, row, value))


def with_latency(row, value):
    """The content of a benchmark file in which one latency is exchanged."""
    return damaged(latency_ms=with_value(LATENCY_MS, row, value))


SECONDS = [0.001 * ms for ms in LATENCY_MS]
NOT_A_LIST = "is not a list of 15,625 numbers"
NOT_A_FILE = "not a benchmark file"

BAD_BENCHMARKS = {  # damage: (content of the file, words of the refusal)
    "a call": (damaged(provenance=Hostile()), "may contain plain data only"),
    "an array": (damaged(accuracy=SURROGATE.accuracy), "may contain plain data only"),
    "too short": (damaged(accuracy=ACCURACY[1:]), f"(accuracy {NOT_A_LIST})"),
    "text": (with_latency(3, "9"), f"(latency_ms {NOT_A_LIST})"),
    "a number": (damaged(accuracy=0.7), NOT_A_LIST),
    "huge": (with_latency(3, 10**400), "plain data only"),
    "nan": (with_accuracy(3, math.nan), "finite, not nan (row 3)"),
    "infinite": (with_latency(15624, math.inf), "not inf (row 15624)"),
    "zero": (with_accuracy(4, 0), "positive and finite, not 0.0 (row 4)"),
    "negative": (with_latency(5, -1.0), "not -1.0 (row 5)"),
    "above 1": (with_accuracy(6, 1.01), "percent?"),
    "seconds": (damaged(latency_ms=SECONDS), "seconds?"),
    "no source": (damaged(provenance={"name": "x"}), "lacks one of name, source"),
    "odd provenance": (damaged(provenance="x"), NOT_A_FILE),
    "no latency": (pickle.dumps({"accuracy": ACCURACY}), "(TypeError: "),
    "a list": (pickle.dumps([1, 2]), NOT_A_FILE),
    "empty": (b"", NOT_A_FILE),
    "a table": (b"accuracy,latency\n1,2\n", NOT_A_FILE),
    "cut off": (damaged()[:50_000], NOT_A_FILE),
}


@pytest.mark.parametrize("damage", BAD_BENCHMARKS)
def test_bad_benchmarks_are_refused(damage, tmp_path, capfd, monkeypatch):
    """Catches a bad table that is searched in silence, or a pickle that runs code."""
    content, words = BAD_BENCHMARKS[damage]
    monkeypatch.chdir(tmp_path)
    Path("bad.pkl").write_bytes(content)
    Path("summary.json").write_text("precious")
    arguments = ["--benchmark", "bad.pkl", "--out", "."]
    refused(capfd, run_experiment.main, arguments, "bad.pkl", words, "build_benchmark")
    assert files_of(".") == {"bad.pkl": content, "summary.json": b"precious"}


# --- V. Where tables come from: build_benchmark.py --------------------------------------------


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """A folder with made-up public tables: the CSV in shuffled order, and one device's latency.

    Returns (folder, index order of the rows, accuracy by row, latency by row). The same latency is
    there as that of a second device."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    order = rng.permutation(N_CELLS)  # row of each NAS-Bench-201 index
    accuracy = rng.uniform(0.1, 0.7, N_CELLS)
    latency_ms = rng.uniform(2, 30, N_CELLS)
    columns = [f"{name}TestAccuracy200Epochs" for name in ("CIFAR10", "CIFAR100", "ImageNet")]
    lines = [",".join([*columns, "ArchitectureString"])]
    for row in order:
        lines.append(f"99,{100 * accuracy[row]},5,{nas_benchmark.cell_to_string(CELLS[row])}")
    (folder / "nats_bench.csv").write_text("\n".join(lines) + "\n")
    (folder / "latency").mkdir()
    for device in ("pixel3", "1080ti_32"):
        write_latency(folder / f"latency/{device}.pt", pickle.dumps(latency_ms[order].tolist()))
    return folder, order, accuracy, latency_ms


def write_latency(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3")


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves files, or misbehaves as `fault` says."""

    fault = None

    def copyfile(self, source, outputfile):
        time.sleep(2 if self.fault == "slow" else 0)
        with contextlib.suppress(OSError):
            outputfile.write(source.read(1000 if self.fault == "broken off" else -1))

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tables, tmp_path, monkeypatch):
    """A local server of the made-up tables; the cache is a folder of the test's own."""
    for url in (build_benchmark.CSV_REPOSITORY, build_benchmark.LATENCY_REPOSITORY):
        (tmp_path / "web" / url).parent.mkdir(parents=True)
        (tmp_path / "web" / url).symlink_to(tables[0])
    handler = functools.partial(Server, directory=tmp_path / "web")
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    serving = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    serving.start()
    devices = build_benchmark.devices()
    for device in ("pixel3", "1080ti_32"):
        path = tables[0] / f"latency/{device}.pt"
        devices[device]["sha256"] = build_benchmark.sha256_of(path)
    for name, value in dict(
        SERVER=f"http://127.0.0.1:{web.server_port}",
        CACHE=tmp_path / "cache",
        TIMEOUT_S=0.5,
        CSV_SHA256=build_benchmark.sha256_of(tables[0] / "nats_bench.csv"),
        devices=lambda: devices,
    ).items():
        monkeypatch.setattr(build_benchmark, name, value)
    yield web
    web.shutdown()
    web.server_close()


def test_tables_are_downloaded_joined_and_kept(server, tables, tmp_path, capfd):
    """Catches a join by the wrong index, percent or datasets mixed up, and a cache unused."""
    _, _, accuracy, latency_ms = tables
    out = tmp_path / "pixel3.pkl"
    command = ["tables", "--device", "pixel3", "--out", str(out)]
    assert build_benchmark.main(command) == 0
    benchmark = nas_benchmark.load(out)
    assert benchmark.accuracy == pytest.approx(accuracy)
    assert np.array_equal(benchmark.latency_ms, latency_ms)
    assert benchmark.provenance["device"] == "pixel3 (phone Pixel 3)"
    assert benchmark.provenance["built"] == time.strftime("%Y-%m-%d")
    assert len(benchmark.provenance["sha256"]) == 2
    assert capfd.readouterr().out.count("downloading") == 2
    server.shutdown()  # from here on, the cache serves
    assert build_benchmark.main([*command, "--dataset", "cifar10"]) == 0
    assert nas_benchmark.load(out).accuracy.tolist() == [0.99] * N_CELLS
    assert "downloading" not in capfd.readouterr().out
    (tmp_path / "cache" / "latency" / "pixel3.pt").write_text("spoilt")
    refused(capfd, build_benchmark.main, command, "by hand")  # it notices, and finds no server


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LATENCY_REPOSITORY", "elsewhere", "404"),
        ("CSV_SHA256", "0" * 64, "SHA-256 differs"),
        ("fault", "broken off", "(1,000 of "),
        ("fault", "slow", "timed out"),
        ("SERVER", "http://127.0.0.1:9", "Connection refused"),
    ],
)
def test_downloads_that_fail(name, value, words, server, tmp_path, capfd, monkeypatch):
    """Catches a damaged download that is used or kept, and a user left without a next step."""
    monkeypatch.setattr(Server if name == "fault" else build_benchmark, name, value)
    arguments = ["tables", "--device", "pixel3", "--out", tmp_path / "out.pkl"]
    refused(capfd, build_benchmark.main, arguments, words, "by hand, save it as")
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == (["nats_bench.csv"] if name == "LATENCY_REPOSITORY" else [])
    assert not (tmp_path / "out.pkl").exists()


def test_tables_from_a_folder(server, tables, tmp_path, capfd):
    """Catches a --from folder that is trusted blindly, or asks the network after all."""
    server.shutdown()
    command = ["tables", "--device", "pixel3", "--out", str(tmp_path / "out.pkl"), "--from"]
    assert build_benchmark.main([*command, str(tables[0])]) == 0
    other = shutil.copytree(tables[0], tmp_path / "other")
    for damage in (lambda path: path.write_text("other"), lambda path: path.unlink()):
        damage(other / "nats_bench.csv")
        words = "nats_bench.csv: missing, or its SHA-256 differs"
        refused(capfd, build_benchmark.main, [*command, other], words, "fetch http")


def test_modelled_latency(server, tables, tmp_path, capfd):
    """Catches another latency than the surrogate's, accuracies that are not measured, and a
    second download."""
    out = tmp_path / "modelled.pkl"
    assert build_benchmark.main(["tables", "--device", "modelled", "--out", str(out)]) == 0
    assert capfd.readouterr().out.count("downloading") == 1
    benchmark = nas_benchmark.load(out)
    assert benchmark.accuracy == pytest.approx(tables[2])
    assert np.array_equal(benchmark.latency_ms, SURROGATE.latency_ms)
    assert benchmark.provenance["device"] == "GTX 1080 Ti (modelled)"
    assert benchmark.provenance["epochs"] == 200
    assert list(benchmark.provenance["sha256"]) == ["nats_bench.csv"]


def test_second_modelled_latency(server, tables, tmp_path):
    """Catches a line through other points, or from the wrong device."""
    server.shutdown()
    out = tmp_path / "modelled.pkl"
    command = ["tables", "--device", "modelled_1080ti_32", "--from", str(tables[0])]
    assert build_benchmark.main([*command, "--out", str(out)]) == 0
    benchmark = nas_benchmark.load(out)
    assert np.array_equal(benchmark.latency_ms, surrogate.scaled_latency(tables[3]))
    assert "latency/1080ti_32.pt" in benchmark.provenance["sha256"]


def own_csv(latency_ms, **changes):
    """A latency file of the user's own, as text; changes: {line number: what stands there}."""
    lines = ["architecture,ms"]
    for cell, ms in zip(CELLS, latency_ms, strict=True):
        lines.append(f"{nas_benchmark.cell_to_string(cell)},{ms}")
    for number, line in changes.items():
        lines[int(number.removeprefix("line_")) - 1] = line
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("source", ["a folder", "the network"])
def test_own_latency(source, server, tables, tmp_path):
    """Catches an own latency joined by the order of its lines, or a copy kept under its name."""
    _, order, accuracy, latency_ms = tables
    header, *lines = own_csv(latency_ms).splitlines()
    shuffled = "\r\n".join([header, *(lines[row] for row in order), "", ""])
    path = tmp_path / "my board.csv"
    path.write_bytes(b"\xef\xbb\xbf" + shuffled.encode())  # as a spreadsheet on Windows does
    out = tmp_path / "own.pkl"
    command = ["tables", "--latency", str(path), "--out", str(out)]
    if source == "a folder":
        server.shutdown()
        command += ["--from", str(tables[0])]
    assert build_benchmark.main(command) == 0
    benchmark = nas_benchmark.load(out)
    assert np.array_equal(benchmark.latency_ms, latency_ms)
    assert benchmark.accuracy == pytest.approx(accuracy)
    assert benchmark.name == "cifar100 accuracy, my board latency"
    assert benchmark.provenance["sha256"]["my board.csv"] == build_benchmark.sha256_of(path)


FIRST = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"  # row 0, in line 2 of own_csv
OWN = np.linspace(5.0, 25.0, N_CELLS)
BAD_OWN = {  # name: (what makes the file's text, words of the refusal)
    "empty": (lambda: "", "line 1 is not a header of two columns"),
    "no header": (lambda: own_csv(OWN, line_1=f"{FIRST},5"), "line 1 is not a header"),
    "one column": (lambda: own_csv(OWN, line_1="architecture"), "line 1 is not a header"),
    "three columns": (lambda: own_csv(OWN, line_3="a,b,c"), "line 3 has 3 columns, not 2"),
    "unknown": (lambda: own_csv(OWN, line_9="|a~0|,5"), "line 9: not an architecture string"),
    "twice": (lambda: own_csv(OWN, line_3=f"{FIRST},5"), f"line 3: {FIRST} is there twice"),
    "missing": (lambda: own_csv(OWN, line_2=""), f"1 cells are missing, for example {FIRST}"),
    "text": (lambda: own_csv(OWN, line_2=f"{FIRST},fast"), "line 2: 'fast' is not a number of ms"),
    "nothing": (lambda: own_csv(OWN, line_2=f"{FIRST},"), "line 2: '' is not a number of ms"),
    "zero": (lambda: own_csv(OWN, line_2=f"{FIRST},0"), "line 2: 0 ms is not positive and finite"),
    "negative": (lambda: own_csv(OWN, line_2=f"{FIRST},-3"), "line 2: -3 ms is not positive"),
    "nan": (lambda: own_csv(OWN, line_2=f"{FIRST},nan"), "line 2: nan ms is not positive"),
    "infinite": (lambda: own_csv(OWN, line_2=f"{FIRST},inf"), "line 2: inf ms is not positive"),
    "seconds": (lambda: own_csv(OWN / 1000), "the median latency is 0.015 ms; was it seconds?"),
    "absurd": (lambda: own_csv(OWN, line_2=f"{FIRST},1e300"), "latency_ms must lie in"),
    "a quote": (lambda: 'a,b\n"' + "x" * 200_000, "field larger than field limit"),
    "NUL": (lambda: "a,b\n\0,1\n", "not a latency of all cells"),  # Python 3.10 names no line
    "many bytes": (lambda: "x" * 10_000_001, "it has more than 10,000,000 bytes"),
}


@pytest.mark.parametrize("damage", BAD_OWN)
def test_bad_own_latencies(damage, server, tables, tmp_path, capfd):
    """Catches an own latency that is used although it is not one, or refused without a reason."""
    make, words = BAD_OWN[damage]
    path = tmp_path / "mine.csv"
    path.write_text(make())
    arguments = ["tables", "--latency", path, "--from", tables[0], "--out", tmp_path / "out.pkl"]
    refused(capfd, build_benchmark.main, arguments, "mine.csv", words, "write a header line")
    assert not (tmp_path / "out.pkl").exists()


def test_own_latency_that_cannot_be_read(tables, tmp_path, capfd):
    """Catches a traceback for a file that is missing or not a text, and two latencies at once."""
    main = build_benchmark.main
    image = tmp_path / "image.csv"
    image.write_bytes(bytes(range(256)))
    for path, words in (
        (tmp_path / "no.csv", "not there"),
        (tmp_path, "not a file"),
        (image, "utf-8"),
    ):
        refused(capfd, main, ["tables", "--latency", path, "--from", tables[0]], words)
    both = ["tables", "--device", "pixel3", "--latency", image]
    refused(capfd, main, both, "not allowed with argument --device")


def test_damaged_tables(tables, tmp_path):
    """Catches tables that are read although a cell is missing, twice there, or no number."""
    lines = (tables[0] / "nats_bench.csv").read_text().splitlines(keepends=True)
    path = tmp_path / "damaged"
    for content, words in (
        (lines[:-1], "15,624 cells, 15,624 values"),
        (lines[:-1] + lines[1:2], "15,624 cells, 15,625 values"),
        ([*lines, "1,x,1,|none~0|\n"], "not a table of NAS-Bench-201"),
        (["a,b\n", "1,2\n"], "not a table of NAS-Bench-201"),
    ):
        path.write_text("".join(content))
        with pytest.raises(command_line.UserError, match=words):
            build_benchmark.read_accuracy(path, "cifar100")
    for content in (pickle.dumps([1.0, 2.0]), pickle.dumps(Hostile()), b"", pickle.dumps("text")):
        write_latency(path, content)
        with pytest.raises(command_line.UserError, match="not a latency of all cells"):
            build_benchmark.read_latency(path)


def test_devices(tables, capfd):
    """Catches a device without description, a wrong batch size, and a --list that needs a file."""
    assert build_benchmark.main(["tables", "--list", "--from", str(tables[0])]) == 0
    text = re.sub(" +", " ", capfd.readouterr().out)
    assert text.count("\n") == 30
    assert "\nmodelled the official GTX 1080 Ti latency, by a base" in text
    assert "\nmodelled_1080ti_32 the same, by a line from" in text
    assert re.search(r"\npixel3 phone Pixel 3 \(\?\) 2\.00 1\d\.\d\d 30\.00\n", text)
    assert "\n1080ti_256 GPU GTX 1080 Ti (256) once downloaded\n" in text
    assert all(len(line["sha256"]) == 64 for line in build_benchmark.devices().values())
    main = build_benchmark.main
    refused(capfd, main, ["tables", "--device", "pixel9"], "pixel9 is not a", "tables --list")
    refused(capfd, main, ["tables"], "needs --device", "tables --list")


@pytest.mark.parametrize("device", ["1080ti_256", "1080ti_32", "pixel3", "raspi4", "titan_rtx_256"])
def test_real_tables(device):
    """Catches hashes, formats or facts that are not those of the real files."""
    public("nats_bench.csv")
    public(f"latency/{device}.pt")
    benchmark = build_benchmark.build_tables(TABLES, device, "cifar100")
    disconnected = ~surrogate.live_edges(CELLS).any(axis=1)
    assert np.array_equal(benchmark.accuracy < 0.02, disconnected)
    best = int(np.argmax(benchmark.accuracy))
    assert CELLS[best].tolist() == [3, 3, 3, 1, 3, 3]
    assert benchmark.accuracy[best] == pytest.approx(0.7351, abs=1e-4)


def made_up_cell(index, row, accuracy, latency_ms):
    """The content of NATS-Bench's file of one cell, with decoys wherever a reader could slip."""

    def trial(test, seconds, which="x-test"):
        names = itertools.product(("ori-test", "x-valid", "x-test"), range(200))
        tests = {f"{name}@{k}": 1.0 for name, k in names} | {f"{which}@199": test}
        latency = [np.float64(0.5 * seconds), np.float64(1.5 * seconds)]
        more = {"params": np.float32(0.3), "train_times": OrderedDict({0: 1.0})}
        return {"epochs": 200, "eval_acc1es": tests, "latency": latency, **more}

    results = {("cifar10", 777): trial(50.0, 1.0, "ori-test")}
    for seed, shift in ((777, 1), (888, -1)):
        results["cifar100", seed] = trial(100 * accuracy + shift, latency_ms / 1000)
    full = {"arch_index": index, "arch_str": nas_benchmark.cell_to_string(CELLS[row])}
    full |= {"dataset_seed": {"cifar100": [777, 888], "cifar10": [777]}, "all_results": results}
    short = {**full, "all_results": {key: trial(7.0, 2.0) for key in results}}
    return OrderedDict({"12": short, "200": full})


@pytest.mark.parametrize(
    ("index", "accuracy", "latency_ms"),
    [
        ("000000", 0.52913, 13.183),
        ("000011", 0.67607, 16.139),
    ],
)
def test_real_natsbench_cells(index, accuracy, latency_ms):
    """Catches the wrong epochs, trials, test set or unit: cells 0 and 11 are known."""
    path = public(f"natsbench/{index}.pickle.pbz2")
    numbers = build_benchmark.read_natsbench_cell(path)
    assert numbers == pytest.approx((accuracy, latency_ms), abs=5e-4)


def test_natsbench_folder(tmp_path, capfd, monkeypatch):
    """Catches cells in the wrong row, and a folder that is converted although a cell is bad."""
    monkeypatch.setattr(build_benchmark, "N_CELLS", 40)
    monkeypatch.setattr(nas_benchmark, "N_CELLS", 40)
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.1, 0.7, 40)
    latency_ms = rng.uniform(2, 30, 40)
    for index, row in enumerate(rng.permutation(40)):
        content = pickle.dumps(made_up_cell(index, row, accuracy[row], latency_ms[row]))
        (tmp_path / f"{index:06d}.pickle.pbz2").write_bytes(bz2.compress(content, 1))
    cifar10 = build_benchmark.read_natsbench_cell(tmp_path / "000003.pickle.pbz2", "cifar10")
    assert cifar10 == pytest.approx((0.5, 1000.0))  # its test set has another name
    out = tmp_path / "out.pkl"
    command = ["natsbench", str(tmp_path), "--out", str(out)]
    assert build_benchmark.main(command) == 0
    benchmark = nas_benchmark.load(out)
    assert benchmark.accuracy == pytest.approx(accuracy)
    assert benchmark.latency_ms == pytest.approx(latency_ms)
    out.unlink()
    bad = tmp_path / "000007.pickle.pbz2"
    monkeypatch.chdir(tmp_path)
    for content in (bz2.compress(pickle.dumps(Hostile())), bad.read_bytes()[:100], b"", None):
        bad.unlink() if content is None else bad.write_bytes(content)
        words = "000007.pickle.pbz2: not a cell of NATS-Bench"
        refused(capfd, build_benchmark.main, command, words)
    twice = (tmp_path / "000006.pickle.pbz2").read_bytes()
    bad.write_bytes(twice)
    refused(capfd, build_benchmark.main, command, "39 cells, 40 values")
    assert not out.exists()
    assert not Path("hacked").exists()


def write_pth(path, cells):
    """A miniature NAS-Bench-201 file of `cells` made-up cells, by the package's own classes."""
    import torch
    from nas_201_api.api_utils import ArchResults

    archs, infos = [], {}
    for index in range(cells):
        row = cells - 1 - index
        content = made_up_cell(index, row, 0.5 + row / 100, 10.0 + row)
        infos[index] = {}
        for name, epochs in (("less", "12"), ("full", "200")):
            state = content[epochs]
            for key, trial in state["all_results"].items():
                times = dict.fromkeys(trial["eval_acc1es"], 1.0)
                more = {"name": key[0], "train_losses": dict.fromkeys(range(200), 1.0)}
                more |= {"train_acc1es": more["train_losses"], "train_times": None}
                more |= {"eval_losses": times, "eval_times": times, "flop": 1.0, "seed": key[1]}
                trial.update(more, net_state_dict=OrderedDict(weight=torch.zeros(2)))
            infos[index][name] = ArchResults.create_from_state_dict(state).state_dict()
        archs.append(content["200"]["arch_str"])
    content = {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": list(range(cells))}
    torch.save(content, path)


def test_nasbench201_file(tmp_path, monkeypatch):
    """Catches the API's defaults (12 epochs, one trial, seconds), and a file that runs code."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; it is never needed")
    pytest.importorskip("nas_201_api", reason="the package nas-bench-201 is not installed")
    monkeypatch.setattr(build_benchmark, "N_CELLS", 30)
    monkeypatch.setattr(nas_benchmark, "N_CELLS", 30)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mini.pth"
    write_pth(path, 30)
    benchmark = build_benchmark.build_nasbench201(path, "cifar100")
    assert benchmark.accuracy == pytest.approx(0.5 + np.arange(30) / 100)
    assert benchmark.latency_ms == pytest.approx(10.0 + np.arange(30))
    assert benchmark.provenance["sha256"] == build_benchmark.sha256_of(path)
    torch.save({"x": Hostile()}, path)
    for _ in range(2):
        with pytest.raises(command_line.UserError, match=r"mini\.pth: .* if you trust it"):
            build_benchmark.build_nasbench201(path, "cifar100")
        path.write_text("no torch file")
    assert not (tmp_path / "hacked").exists()


def test_nasbench201_memory_and_packages(tmp_path, monkeypatch, capfd):
    """Catches a machine that is driven into swap, and a missing package without advice."""
    path = tmp_path / "big.pth"
    path.write_bytes(b"x" * 1_000_000)  # needs 6 MB
    monkeypatch.setitem(sys.modules, "nas_201_api", None)
    missing = "pip install torch nas-bench-201"
    cases = ((5_900, [], "too little memory; --force"), (5_900, ["--force"], missing))
    for pages, option, words in (*cases, (6_100, [], missing)):
        monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": pages, "SC_PAGE_SIZE": 1000}.get)
        refused(capfd, build_benchmark.main, ["nasbench201", path, *option], words)


# --- V. The embedded surrogate: surrogate.py --------------------------------------------------

CONNECTED = surrogate.live_edges(CELLS).any(axis=1)


def reachable(edges, start):
    """The nodes that one can reach from `start` along edges (from node, to node)."""
    nodes = {start}
    for _ in range(3):
        nodes |= {end for begin, end in edges if begin in nodes}
    return nodes


def test_live_edges():
    """Catches a missing or wrong path: against a walk through the graph, both ways."""
    for cell in CELLS[::37].tolist():
        edges = zip(nas_benchmark.EDGES, cell, strict=True)
        present = [edge for edge, operation in edges if operation != 0]
        ahead = reachable(present, 0)
        back = reachable([(end, begin) for begin, end in present], 3)
        expected = [
            (begin, end) in present and begin in ahead and end in back
            for begin, end in nas_benchmark.EDGES
        ]
        assert surrogate.live_edges(cell).tolist() == expected, cell


def measured_accuracy():
    """CIFAR-100 accuracy of every cell in the public table (15625,)."""
    _, accuracy = build_benchmark.read_accuracy(public("nats_bench.csv"), "cifar100")
    return accuracy


def modelled(accuracy):
    """The benchmark of these accuracies with the surrogate's latency."""
    return nas_benchmark.Benchmark(accuracy, SURROGATE.latency_ms, SURROGATE.provenance)


def test_surrogate_is_what_it_says():
    """Catches fitted numbers that could be taken for measured ones, and a file that grows."""
    facts = SURROGATE.provenance
    assert SURROGATE.name == "surrogate (fitted, not measured)"
    for key in ("split", "epochs", "trials"):
        assert facts[key].endswith("(fitted)")
    for key in ("device", "batch"):
        assert facts[key].endswith("(modelled)")
    assert nas_benchmark.SURROGATE.stat().st_size < 400_000
    assert (SURROGATE.accuracy[~CONNECTED] == 0.01).all()
    assert SURROGATE.accuracy[CONNECTED].min() > 0.02


def test_features_of_a_cell():
    """Catches dead edges that count, sets of edges left out or counted twice."""
    cells = np.array([[3, 0, 2, 1, 0, 4], [3, 2, 0, 0, 0, 1], [3, 1, 3, 4, 1, 3]])
    X = surrogate.features(cells)  # their live edges: 0, 2, 3, 5; 1, 5; all
    assert X.shape == (3, 1 + 24 + 240 + 1280 + 3840)
    assert X.sum(axis=1).tolist() == [2**4, 2**2, sum(math.comb(6, k) for k in range(5))]
    dead = surrogate.features(np.array([[0, 2, 0, 0, 0, 1]]))
    assert np.array_equal(dead[0], X[1])  # edge 0 leads nowhere
    singles = X[0, 1:25].reshape(6, 4)  # by edge, and operation but none
    assert np.argwhere(singles).tolist() == [[0, 2], [2, 1], [3, 0], [5, 3]]


def test_ridge_regression():
    """Catches a penalty of the wrong size or sign: the gradient must be 0."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 6))
    y = rng.normal(size=20)
    effects = surrogate.ridge_regression(X.T @ X, X.T @ y)
    assert X.T @ (y - X @ effects) == pytest.approx(surrogate.RIDGE * effects)


def test_accuracy_of_a_made_up_table():
    """Catches a fit of anything but log(1 - ACC): here it is a sum over the live edges."""
    effect = np.array([0.0, -0.05, -0.1, -0.2, -0.02])  # by operation
    choices = np.where(surrogate.live_edges(CELLS), CELLS, 0)
    measured = 1 - 0.7 * np.exp(effect[choices].sum(axis=1))
    measured[~CONNECTED] = 0.5  # nobody should look there
    accuracy = surrogate.model_accuracy(measured, edges_at_once=1)
    assert accuracy[CONNECTED] == pytest.approx(measured[CONNECTED], abs=1e-4)
    assert set(accuracy[~CONNECTED]) == {0.01}
    assert np.array_equal(accuracy, np.round(accuracy, 4))


def test_errors_of_a_fit(monkeypatch):
    """Catches errors of the disconnected cells, of the wrong sign, or the least for the largest."""
    measured = SURROGATE.accuracy
    wrong = np.where(CONNECTED, np.where(CELLS[:, 0] == 3, 0.02, -0.01), 5.0)
    monkeypatch.setattr(surrogate, "model_accuracy", lambda measured: measured + wrong)
    monkeypatch.setattr(surrogate, "model_latency", lambda: np.full(N_CELLS, 15.0))
    accuracy, latency_ms, errors = surrogate.fit(measured)
    assert np.array_equal(accuracy, measured + wrong)
    assert latency_ms[0] == 15.0
    share = np.mean(CELLS[CONNECTED, 0] == 3)
    variance = share * (1 - share) * 0.03**2
    assert errors["r2"] == pytest.approx(1 - variance / measured[CONNECTED].var())
    assert errors["mean_error"] == pytest.approx(0.02 * share + 0.01 * (1 - share))
    assert errors["quantiles_ms"] == pytest.approx(26.141 - 15)
    assert errors["cells_ms"] == pytest.approx(19.92 - 15)


def test_surrogate_latency_against_published_facts():
    """Catches a latency that misses what is known of the official one."""
    known = {
        "4 2 1 2 1 1": 13.183,
        "3 3 4 0 3 4": 16.139,
        "1 1 1 0 2 0": 11.145,
        "3 3 3 1 3 3": 19.92,
    }
    for cell, ms in known.items():
        row = nas_benchmark.cell_to_row([int(op) for op in cell.split()])
        assert SURROGATE.latency_ms[row] == pytest.approx(ms, abs=0.4)
    quantiles = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1]
    published = [8.561, 8.934, 10.308, 11.435, 12.502, 13.637, 14.299, 15.0, 16.606, 26.141]
    ours = np.quantile(SURROGATE.latency_ms, quantiles)
    assert ours == pytest.approx(published, abs=0.25)


def test_surrogate_latency_is_additive():
    """Catches a cost on the wrong operation, and a committed file of another model."""
    base, none, conv_1x1, conv_3x3, pooling = surrogate.latency_parameters() / 100
    cost = [none, 0, conv_1x1, conv_3x3, pooling]
    for row in range(0, N_CELLS, 61):
        ms = base + sum(cost[op] for op in CELLS[row])
        assert SURROGATE.latency_ms[row] == pytest.approx(ms, abs=1e-9)


def test_other_numbers_meet_the_facts_as_well():
    """Catches data/README.md, which says that T lies within what the facts leave open."""
    best = nas_benchmark.cell_to_row([3, 3, 3, 1, 1, 3])
    others_ms = surrogate.latencies(np.array([634, 83, 327, 267, 53]))
    assert np.abs(np.concatenate(surrogate.latency_errors(others_ms))).max() < 0.24
    assert others_ms[best] == pytest.approx(17.02)
    assert SURROGATE.latency_ms[best] == pytest.approx(17.18)


def test_the_five_numbers_are_found_again(monkeypatch):
    """Catches a descent that stops on the way: facts of a made-up device with known costs."""
    planted = np.array([650, 90, 310, 240, 40])
    ms = surrogate.latencies(planted)
    levels = list(surrogate.QUANTILES_MS)
    facts = dict(zip(levels, np.quantile(ms, levels), strict=True))
    monkeypatch.setattr(surrogate, "QUANTILES_MS", facts)
    cells = dict(zip(surrogate.KNOWN_MS, ms[surrogate.KNOWN_ROWS], strict=True))
    monkeypatch.setattr(surrogate, "KNOWN_MS", cells)
    assert surrogate.latency_parameters().tolist() == planted.tolist()


def test_scaled_latency():
    """Catches a line that is fitted the wrong way round: a device that is such a line."""
    of_device = np.random.default_rng(0).uniform(2, 20, N_CELLS)
    of_device[surrogate.KNOWN_ROWS] = (np.array(list(surrogate.KNOWN_MS.values())) - 3.5) / 1.25
    assert surrogate.scaled_latency(of_device) == pytest.approx(1.25 * of_device + 3.5, abs=1e-4)


def test_surrogate_is_rebuilt(tmp_path):
    """Catches a committed file that its command does not make, to the byte."""
    public("nats_bench.csv")
    out = tmp_path / "again.pkl"
    assert build_benchmark.main(["surrogate", "--from", str(TABLES), "--out", str(out)]) == 0
    assert out.read_bytes() == nas_benchmark.SURROGATE.read_bytes()


def test_surrogate_accuracy():
    """Catches a fit that is worse than promised, on the whole or at the top."""
    measured = measured_accuracy()
    residual = (SURROGATE.accuracy - measured)[CONNECTED]
    error = np.abs(residual).mean()
    r2 = 1 - residual.var() / measured[CONNECTED].var()
    assert error < 0.006
    assert 0.732 < SURROGATE.accuracy.max() < 0.737
    said = f"connected cells: R2 {r2:.4f}, mean error {100 * error:.2f} points; "
    assert SURROGATE.provenance["fit"].startswith(said)


@pytest.mark.parametrize("reward", ["mnasnet", "proposed"])
def test_surrogate_optimum(reward):
    """Catches a surrogate on which a reward asks for another kind of network than in reality."""
    real = Problem(modelled(measured_accuracy()), [reward], 17.0).optima()[reward]
    ours = Problem(SURROGATE, [reward], 17.0).optima()[reward]
    assert ours["latency_ms"] == pytest.approx(real["latency_ms"], abs=0.8)
    assert ours["accuracy"] == pytest.approx(real["accuracy"], abs=0.004)


@pytest.mark.parametrize(
    ("low", "high", "share"),
    [
        (0.5, 0.6, 0.05),
        (0.6, 0.7, 0.05),
        (0.7, 1.0, 0.15),
    ],
)
def test_surrogate_bands(low, high, share):
    """Catches too many or too few networks in a band of Fig. 6."""
    under = SURROGATE.latency_ms <= 17
    counts = [
        np.sum(under & (accuracy >= low) & (accuracy < high))
        for accuracy in (measured_accuracy(), SURROGATE.accuracy)
    ]
    assert counts[1] == pytest.approx(counts[0], rel=share)


def test_searches_on_the_surrogate_do_what_they_do_on_measured_accuracies():
    """Catches a surrogate whose conclusions are its own: the ledger, on both, with few seeds."""
    slow = dict(hidden=64, learning_rate=3e-4, entropy_weight=3e-3, baseline_decay=0.95)
    medians = []
    verdicts = []
    for accuracy in (measured_accuracy(), SURROGATE.accuracy):
        problem = Problem(modelled(accuracy), ["mnasnet", "proposed"], 17.0)
        runs = run_searches(problem, range(8), hyperparameters=slow)
        entries = claims.evaluate_claims(runs.points(), 17.0)
        medians.append({e["text"]: e["median"] for e in entries if e["reward"]})
        verdicts.append({e["text"]: e["verdict"] for e in entries if e["kind"] == "sign"})
    real, ours = medians
    for claim in real:
        if "networks" in claim:
            assert ours[claim] == pytest.approx(real[claim], rel=0.25, abs=10), claim
        if "settles" in claim:
            assert ours[claim] == pytest.approx(real[claim], abs=750), claim
    assert verdicts[1] == verdicts[0]
    assert "holds" in verdicts[0].values()


def built_by(opcodes, key="accuracy"):
    """A benchmark file in which pickle's opcodes build the value of one key."""
    name = b"X" + len(key).to_bytes(4, "little") + key.encode()
    return damaged()[:-1] + name + opcodes + b"s."


def laughs(levels=40):
    """A list of two lists, each of two lists, and so on: short to say, 2^40 long to walk."""
    laugh = [1.0] * 2
    for _ in range(levels):
        laugh = [laugh] * 2
    return laugh


def endless(kind):
    """A list or dict that contains itself."""
    value = kind()
    if kind is list:
        value.append(value)
    else:
        value["self"] = value
    return value


def announced(opcode, size, width):
    """An opcode that announces so many bytes, and one of them."""
    return opcode + size.to_bytes(width, "little") + b"x"


ONE_COLLISION = [b"\x8a\x0a" + (k * (2**61 - 1)).to_bytes(10, "little") for k in range(70_000)]
NOT_PLAIN = "may contain plain data only"
NOT_SHOWN = "short, printable texts and finite numbers only"

HOSTILE_BENCHMARKS = {  # name: (what makes the content of the file, words of the refusal)
    "bytes": (lambda: provenance(how=b"x"), NOT_PLAIN),
    "bytearray": (lambda: provenance(how=bytearray(b"x")), NOT_PLAIN),
    "set": (lambda: provenance(how={1}), NOT_PLAIN),
    "frozenset": (lambda: provenance(how=frozenset([1])), NOT_PLAIN),
    "tuple": (lambda: provenance(how=(1, 2)), NOT_PLAIN),
    "complex": (lambda: provenance(how=1j), NOT_PLAIN),
    "number of 80 bits": (lambda: provenance(how=2**80), NOT_PLAIN),
    "path": (lambda: provenance(how=Path("x")), NOT_PLAIN),
    "function": (lambda: provenance(how=print), NOT_PLAIN),
    "list": (lambda: provenance(how=["x"]), "unlike 'how'"),
    "nested twice": (lambda: provenance(sha256={"a": {"b": "c"}}), "unlike 'a'"),
    "nan": (lambda: provenance(how=math.nan), NOT_SHOWN),
    "inf": (lambda: provenance(how=math.inf), NOT_SHOWN),
    "-inf inside": (lambda: provenance(sha256={"a": -math.inf}), "unlike 'a'"),
    "key that is a number": (lambda: damaged(provenance={**SURROGATE.provenance, 5: "x"}), "5"),
    "key that is None": (lambda: damaged(provenance={**SURROGATE.provenance, None: 1}), "None"),
    "key with a newline": (lambda: provenance(**{"a\nb": "x"}), r"unlike 'a\nb'"),
    "key that is long": (lambda: provenance(**{"a" * 301: "x"}), "unlike 'aaa"),
    "newline": (lambda: provenance(how="a\nb"), "unlike 'how'"),
    "carriage return": (lambda: provenance(how="a\rb"), "unlike 'how'"),
    "tab": (lambda: provenance(how="a\tb"), "unlike 'how'"),
    "NUL": (lambda: provenance(how="a\0b"), "unlike 'how'"),
    "bell": (lambda: provenance(how="\a"), "unlike 'how'"),
    "escape": (lambda: provenance(name="\x1b[31mred\x1b[2J"), "unlike 'name'"),
    "C1 control": (lambda: provenance(name="\x9b31m"), "unlike 'name'"),
    "right to left": (lambda: provenance(name="\u202ekcab"), "unlike 'name'"),
    "line separator": (lambda: provenance(how="a\u2028b"), "unlike 'how'"),
    "half a character": (lambda: provenance(how="\ud800"), "unlike 'how'"),
    "not a character": (lambda: provenance(how="\uffff"), "unlike 'how'"),
    "100,000 letters": (lambda: provenance(source="x" * 100_000), "unlike 'source'"),
    "long name": (lambda: provenance(name="x" * 81), "at most 80 letters"),
    "name that is a number": (lambda: provenance(name=5), "name is not a text"),
    "name that is a dict": (lambda: provenance(name={"a": "b"}), "name is not a text"),
    "51 facts": (lambda: provenance(**dict.fromkeys(map(str, range(51)), 1)), "at most 50"),
    "51 inside": (lambda: provenance(how=dict.fromkeys(map(str, range(51)), 1)), "at most 50"),
    "provenance is a list": (lambda: damaged(provenance=["name"]), "not a dict"),
    "provenance is None": (lambda: damaged(provenance=None), "not a dict"),
    "provenance in itself": (lambda: damaged(provenance=endless(dict)), "unlike 'self'"),
    "laughing fact": (lambda: provenance(how=laughs()), "unlike 'how'"),
    "laughing provenance": (lambda: damaged(provenance=laughs()), "not a dict"),
    "laughing accuracy": (lambda: damaged(accuracy=laughs()), NOT_A_LIST),
    "laughing row": (lambda: damaged(accuracy=[laughs()] * N_CELLS), NOT_A_LIST),
    "accuracy in itself": (lambda: damaged(accuracy=endless(list)), NOT_A_LIST),
    "dict as a column": (lambda: damaged(accuracy=dict.fromkeys(range(N_CELLS), 0.5)), NOT_A_LIST),
    "rows are lists": (lambda: damaged(latency_ms=[[9.0]] * N_CELLS), NOT_A_LIST),
    "truth values": (lambda: damaged(latency_ms=[True] * N_CELLS), NOT_A_LIST),
    "one None": (lambda: damaged(latency_ms=with_value(LATENCY_MS, 3, None)), NOT_A_LIST),
    "one cell more": (lambda: damaged(latency_ms=[*LATENCY_MS, 9.0]), NOT_A_LIST),
    "a column more": (lambda: damaged(energy=LATENCY_MS), "energy"),
    "subnormal": (lambda: damaged(latency_ms=with_value(LATENCY_MS, 3, 5e-324)), "0.0001..1,000"),
    "too fast": (lambda: damaged(latency_ms=with_value(LATENCY_MS, 3, 9e-5)), "0.0001..1,000,000"),
    "too slow": (lambda: damaged(latency_ms=with_value(LATENCY_MS, 3, 1.1e6)), "..1.1e+06"),
    "infinitely slow": (lambda: damaged(latency_ms=with_value(LATENCY_MS, 3, 1e308)), "1e+308"),
    "deep lists": (lambda: built_by(b"]" * 100_000 + b"a" * 99_999), NOT_A_LIST),
    "deep dicts": (lambda: built_by(b"}" + b"K\x01}" * 90_000 + b"s" * 90_000), NOT_A_LIST),
    "deep provenance": (lambda: built_by(b"]" * 9999 + b"a" * 9998, "provenance"), "not a dict"),
    "deep tuples": (lambda: built_by(b"})" + b"\x85" * 500_000 + b"K\x01s"), "TUPLE"),
    "half a million lists": (lambda: built_by(b"](" + b"]" * 500_000 + b"e"), NOT_A_LIST),
    "half a million dicts": (lambda: built_by(b"](" + b"}" * 500_000 + b"e"), NOT_A_LIST),
    "keys that collide": (lambda: b"}(" + b"K\x01".join(ONE_COLLISION) + b"K\x01u.", "LONG1"),
    "a megabyte": (lambda: built_by(b"]" * 1_000_000), "more than 1,000,000 bytes"),
    "text of 1 TB": (lambda: built_by(announced(b"\x8d", 10**12, 8)), NOT_A_FILE),
    "text of 4 GB": (lambda: built_by(announced(b"X", 2**32 - 1, 4)), NOT_A_FILE),
    "bytes of 2 GB": (lambda: built_by(announced(b"B", 2**31 - 1, 4)), NOT_A_FILE),
    "bytes of 8 EB": (lambda: built_by(announced(b"\x8e", 2**63 - 1, 8)), NOT_A_FILE),
    "bytearray of 1 TB": (lambda: built_by(announced(b"\x96", 10**12, 8)), NOT_A_FILE),
    "number of 2 GB": (lambda: built_by(announced(b"\x8b", 2**31 - 1, 4)), NOT_A_FILE),
    "frame of 1 TB": (lambda: announced(b"\x80\x04\x95", 10**12, 8), NOT_A_FILE),
    "memo of 16 GB": (lambda: built_by(announced(b"]r", 2**31 - 1, 4)), "LONG_BINPUT"),
    "number of 900,000 digits": (lambda: built_by(b"I" + b"9" * 700_000 + b"\n"), NOT_A_FILE),
    "a call": (lambda: built_by(b"cos\nsystem\n(X\x0c\0\0\0touch hackedtR"), "GLOBAL"),
    "an instance": (lambda: built_by(b"(X\x0c\0\0\0touch hackedios\nsystem\n"), "INST"),
    "a persistent object": (lambda: built_by(b"Pid\n"), "PERSID"),
    "an extension": (lambda: built_by(b"\x82\x01"), "EXT1"),
    "a buffer": (lambda: built_by(b"\x97"), "NEXT_BUFFER"),
    "protocol 9": (lambda: b"\x80\x09" + damaged()[2:], "protocol"),
    "an empty stack": (lambda: b"\x80\x04.", NOT_A_FILE),
    "nothing to append to": (lambda: b"\x80\x04K\x01a.", NOT_A_FILE),
    "what was never kept": (lambda: b"\x80\x04h\x05.", NOT_A_FILE),
    "a list as a key": (lambda: b"\x80\x04}]K\x01s.", NOT_A_FILE),
    "half of it": (lambda: damaged()[:140_000], NOT_A_FILE),
    "a byte short": (lambda: damaged()[:-1], NOT_A_FILE),
    "zeros": (lambda: bytes(1000), NOT_A_FILE),
    "gzip": (lambda: gzip.compress(damaged()), NOT_A_FILE),
    "bzip2": (lambda: bz2.compress(damaged()), NOT_A_FILE),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", NOT_A_FILE),
    "JSON": (lambda: b'{"accuracy": [0.1]}', NOT_A_FILE),
}


@pytest.mark.parametrize("name", HOSTILE_BENCHMARKS)
def test_hostile_benchmarks(name, room, capfd):
    """Catches a file that runs code, hangs, takes all memory, or writes to the terminal."""
    make, words = HOSTILE_BENCHMARKS[name]
    Path("bad.pkl").write_bytes(make())
    arguments = ["--benchmark", "bad.pkl", "--out", "folder"]
    told(capfd, run_experiment.main, arguments, 2, "bad.pkl: ", words, "build_benchmark.py")
    with within(seconds=2), pytest.raises(command_line.UserError):
        nas_benchmark.load("bad.pkl")


def zipped(*members, compression=zipfile.ZIP_STORED):
    """The content of a zip of (name, content)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def latency(values):
    """What torch.save makes of a list, except that it may be any value."""
    return zipped(("archive/data.pkl", pickle.dumps(values, 2)))


def cell(content=None):
    """NATS-Bench's file of one cell, bz2-compressed."""
    return bz2.compress(content or pickle.dumps(made_up_cell(3, 77, 0.5, 10.0)))


NOT_A_LATENCY = "pixel3.pt: not a latency of all cells"
MANY = [(f"{k}/data.pkl", b"") for k in range(7000)]
HOSTILE_LATENCIES = {  # name: (what makes the content of latency/pixel3.pt, words)
    "empty": (lambda: b"", "not a zip file"),
    "not a zip": (lambda: pickle.dumps(LATENCY_MS), "not a zip file"),
    "an empty zip": (zipped, NOT_A_LATENCY),
    "another member": (lambda: zipped(("archive/version", b"3")), NOT_A_LATENCY),
    "two of them": (lambda: zipped(("a/data.pkl", b""), ("b/data.pkl", b"")), NOT_A_LATENCY),
    "thousands": (lambda: zipped(*MANY), NOT_A_LATENCY),
    "cut off": (lambda: latency(LATENCY_MS)[:-9], NOT_A_LATENCY),
    "damaged": (lambda: latency(LATENCY_MS).replace(b"]", b"}"), "Bad CRC-32"),
    "too many": (lambda: latency(LATENCY_MS * 8), "more than 1,000,000 bytes"),
    "ballast": (
        lambda: zipped(("a/data.pkl", pickle.dumps(LATENCY_MS)), ("b", bytes(10**6))),
        "more than 1,000,000 bytes",
    ),
    "a bomb": (
        lambda: zipped(("a/data.pkl", bytes(10**8)), compression=zipfile.ZIP_DEFLATED),
        "more than 1,000,000 bytes",
    ),
    "a bzip2 bomb": (
        lambda: zipped(("a/data.pkl", bytes(10**7)), compression=zipfile.ZIP_BZIP2),
        "more than 1,000,000 bytes",
    ),
    "a call": (lambda: latency(Hostile()), NOT_PLAIN),
    "laughs": (lambda: latency([laughs()] * N_CELLS), "latency_ms is not a list of 15,625"),
    "in itself": (lambda: latency(endless(list)), "latency_ms is not a list of 15,625"),
    "texts": (lambda: latency(["9"] * N_CELLS), "latency_ms is not a list of 15,625"),
    "negative": (lambda: latency([-9.0] * N_CELLS), "positive and finite, not -9.0 (row 0)"),
}


@pytest.mark.parametrize("name", HOSTILE_LATENCIES)
def test_hostile_latencies(name, room, capfd):
    """Catches a zip that is unpacked, or fills the memory, and values that are looked into."""
    make, words = HOSTILE_LATENCIES[name]
    Path("latency").mkdir()
    Path("latency/pixel3.pt").write_bytes(make())
    told(capfd, build_benchmark.main, ["tables", "--list", "--from", "."], 2, words)


@pytest.mark.parametrize("name", ["../../data.pkl", "/data.pkl", "C:/data.pkl", "a/../data.pkl"])
def test_zip_members_with_other_paths(name, room):
    """Catches a member that is written to where its path points."""
    Path("pixel3.pt").write_bytes(zipped((name, pickle.dumps(LATENCY_MS, 2))))
    before = everything_in("..")
    assert build_benchmark.read_latency(Path("pixel3.pt")).tolist() == LATENCY_MS
    assert everything_in("..") == before


NOT_A_CELL = "bad.pbz2: not a cell of NATS-Bench"
HOSTILE_CELLS = {  # name: (what makes the content of a cell's file, words)
    "empty": (lambda: b"", NOT_A_CELL),
    "not compressed": (lambda: pickle.dumps({"200": 1}), "Invalid data stream"),
    "cut off": (lambda: cell()[:-9], "ended before the end-of-stream marker"),
    "a bomb": (lambda: cell(bytes(10**7)), "more than 1,000,000 bytes"),
    "a list": (lambda: cell(pickle.dumps([1])), NOT_A_CELL),
    "another cell": (lambda: cell(pickle.dumps({"12": 1})), "KeyError: '200'"),
    "a call": (lambda: cell(pickle.dumps(Hostile())), "system, and may contain plain data only"),
    "an evaluation": (lambda: cell(b"cbuiltins\neval\n(X\x01\0\0\0atR."), "builtins.eval"),
    "a number of 2 GB": (lambda: cell(b"\x8b\xff\xff\xff\x7fx"), NOT_A_CELL),
}


@pytest.mark.parametrize("name", HOSTILE_CELLS)
def test_hostile_cells(name, room, capfd):
    """Catches a cell that runs code, fills the memory, or ends in a traceback."""
    make, words = HOSTILE_CELLS[name]
    Path("bad.pbz2").write_bytes(make())

    def read(arguments):
        return command_line.run(build_benchmark.read_natsbench_cell, Path("bad.pbz2"))

    told(capfd, read, [], 2, "bad.pbz2: not a cell of NATS-Bench", words)


def test_a_damaged_type_of_a_number():
    """Catches a NumPy type in an odd state, which ends the process: here, none is ever made."""
    number = pickle.dumps(np.float64(0.5), protocol=4)
    odd = number.replace(b"NNNJ", b"NN\x86J")
    assert odd != number
    assert build_benchmark.CellUnpickler(io.BytesIO(odd)).load() == 0.5


HOSTILE_BUILDS = [  # (what is typed, exit code, words of the refusal)
    (["surrogate", "--out", "folder"], 2, "--out folder is a folder: name the file to write"),
    (["surrogate", "--out", ""], 2, "--out . is a folder: name the file to write"),
    (["surrogate", "--out", "/"], 2, "is a folder: name the file to write"),
    (["surrogate", "--out", "folder/../."], 2, "is a folder: name the file to write"),
    (["surrogate", "--from", "nowhere"], 2, "nowhere/nats_bench.csv: missing"),
    (["surrogate", "--from", "precious.pkl"], 2, "precious.pkl/nats_bench.csv: missing"),
    (["tables", "--device", ""], 2, " is not a device of build_benchmark.py tables --list"),
    (["tables", "--device", "../../etc/passwd"], 2, "passwd is not a device"),
    (["tables", "--device", "pixel3\n"], 2, "pixel3 is not a device"),
    (["tables", "--device", "\x1b[2J"], 2, "?[2J is not a device"),
    (["tables", "--dataset", "cifar-100"], 2, "invalid choice: 'cifar-100'"),
    (["natsbench", "nowhere"], 2, "000000.pickle.pbz2: not a cell of NATS-Bench"),
    (["natsbench", "precious.pkl"], 2, "000000.pickle.pbz2: not a cell of NATS-Bench"),
    (["nasbench201", "nowhere.pth"], 1, "nowhere.pth: No such file or directory"),
    ([], 2, "the following arguments are required: SOURCE"),
    (["torrent"], 2, "invalid choice: 'torrent'"),
]


@POSIX
@pytest.mark.parametrize(("typed", "code", "words"), HOSTILE_BUILDS)
def test_hostile_builds(typed, code, words, room, capfd):
    """Catches minutes of work before a wrong --out is seen, and paths in place of names."""
    told(capfd, build_benchmark.main, typed, code, words)


# Downloads


class Replies(socketserver.BaseRequestHandler):
    """Answers whatever is asked with `parts`, an iterable of bytes."""

    def handle(self):
        self.request.recv(1 << 16)
        with contextlib.suppress(OSError):
            for part in self.server.parts:
                self.request.sendall(part)


def dripping(*parts):
    """The parts, and then a byte each 20 ms."""
    yield from parts
    while True:
        time.sleep(0.02)
        yield b"x"


def silent():
    """Nothing, for longer than anybody waits."""
    time.sleep(1)
    yield b""


def flood(head, part=bytes(1 << 16)):
    """`head`, and then `part` for ever."""
    return itertools.chain([head], itertools.repeat(part))


OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: "
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = gzip.compress(b"x")
ENCODED = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED)

HOSTILE_REPLIES = {  # name: (what the server sends, words of the refusal)
    "redirect": ([MOVED + b"/elsewhere\r\n\r\n"], "302"),
    "redirect to a file": ([MOVED + b"file:///etc/passwd\r\n\r\n"], "302"),
    "redirect to itself": ([MOVED + b".\r\n\r\n"], "302"),
    "redirect without end": (flood(MOVED + b"/\r\n\r\n"), "302"),
    "endless": (flood(OK + b"\r\n"), "more than 3,000,000 bytes"),
    "endless chunks": (flood(CHUNKS, b"ffff\r\n" + bytes(65535) + b"\r\n"), "more than 3,000,000"),
    "dripping": (dripping(OK + b"\r\n"), "bytes came in 0.4 s"),
    "dripping chunks": (dripping(CHUNKS + b"ffff\r\n"), "bytes came in 0.4 s"),
    "silent": (silent(), "timed out"),
    "silent later": (itertools.chain([OK + b"\r\nx"], silent()), "timed out"),
    "a terabyte": ([OK + b"Content-Length: 1000000000000\r\n\r\nx"], "more than 3,000,000 bytes"),
    "a chunk of exabytes": ([CHUNKS + b"ffffffffffffffff\r\nx"], "not a complete download"),
    "a chunk of no size": ([CHUNKS + b"zz\r\nx"], "not a complete download"),
    "too short": ([OK + b"Content-Length: 9\r\n\r\nabc"], "3 of 9 bytes arrived"),
    "too long": ([OK + b"Content-Length: 3\r\n\r\nabcdefghi"], "SHA-256 differs, after 3 bytes"),
    "a length in words": ([OK + b"Content-Length: many\r\n\r\nx"], "invalid literal for int"),
    "a negative length": ([OK + b"Content-Length: -9\r\n\r\nx"], "SHA-256 differs"),
    "nothing": ([OK + b"Content-Length: 0\r\n\r\n"], "SHA-256 differs, after 0 bytes"),
    "gzip": ([ENCODED + PACKED], "SHA-256 differs"),
    "no reply": ([], "RemoteDisconnected"),
    "another protocol": ([b"SSH-2.0-OpenSSH_9\r\n"], "BadStatusLine"),
    "terminal control": ([b"HTTP/1.1 500 \x1b[2J\r\n\r\n"], "500 ?[2J"),
    "a long header": ([OK + b"X: " + b"x" * 70_000], "LineTooLong"),
    "many headers": ([OK + b"X: x\r\n" * 200], "got more than 100 headers"),
    "forbidden": ([b"HTTP/1.1 403 Forbidden\r\n\r\n"], "403"),
}


@pytest.mark.parametrize("name", HOSTILE_REPLIES)
def test_hostile_downloads(name, room, capfd, monkeypatch):
    """Catches a download that never ends, fills the memory, or leaves something behind."""
    parts, words = HOSTILE_REPLIES[name]
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Replies) as web:
        web.daemon_threads = True
        web.parts = parts
        threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(build_benchmark, "CACHE", Path("cache"))
        monkeypatch.setattr(build_benchmark, "SERVER", f"http://127.0.0.1:{web.server_address[1]}")
        monkeypatch.setattr(build_benchmark, "TIMEOUT_S", 0.3)
        monkeypatch.setattr(build_benchmark, "MAX_S", 0.4)
        monkeypatch.setattr(build_benchmark, "MAX_DOWNLOAD", 3_000_000)
        arguments = ["tables", "--device", "pixel3", "--out", "out.pkl"]
        told(capfd, build_benchmark.main, arguments, 2, words, "by hand, save it as")
        web.shutdown()


@pytest.mark.parametrize("address", ["file:///etc", "ftp://127.0.0.1", "data:,x#", "", "/etc"])
def test_addresses_that_are_not_in_the_web(address, room, capfd, monkeypatch):
    """Catches a download that reads a file of this machine."""
    monkeypatch.setattr(build_benchmark, "CACHE", Path("cache"))
    monkeypatch.setattr(build_benchmark, "SERVER", address)
    arguments = ["tables", "--device", "pixel3", "--out", "out.pkl"]
    told(capfd, build_benchmark.main, arguments, 2, "not an address in the web")


@POSIX
def test_a_cache_that_is_a_link(server, tmp_path):
    """Catches a cache that is exchanged for a folder where the user put a link."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").symlink_to("elsewhere")
    arguments = ["tables", "--device", "pixel3", "--out", str(tmp_path / "out.pkl")]
    assert build_benchmark.main(arguments) == 0
    assert (tmp_path / "cache").is_symlink()
    assert (tmp_path / "elsewhere" / "latency" / "pixel3.pt").exists()


@POSIX
def test_a_full_disk_under_stdout(room):
    """Catches a second error, as the program ends, of what could not be printed before."""
    with open("/dev/full", "w") as full:
        command = [sys.executable, HERE / "data" / "build_benchmark.py", "tables", "--list"]
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert process.stderr.endswith("No space left on device\n")
    assert process.stderr.count("\n") == 1
    assert process.returncode == 1
