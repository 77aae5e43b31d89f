"""Tests of data/: where benchmark files come from, and the surrogate that ships."""

import ast
import bz2
import hashlib
import io
import itertools
import os
import pickle
import re
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data")]

import build_benchmark
import numpy as np
import pytest
import surrogate

import claims
import command_line
import nas_benchmark
from nas_benchmark import CELLS, CONNECTED, N_CELLS
from nas_search import Problem
from test_all import SURROGATE, TABLES, Hostile, cases, files_of, public, refused, small_space

main = build_benchmark.main
NAMES = [nas_benchmark.cell_to_string(cell) for cell in CELLS.tolist()]

# --- Where tables come from: build_benchmark.py -----------------------------------------------

ORDER = np.random.default_rng(0).permutation(N_CELLS)  # row of each NAS-Bench-201 index
ACCURACY = 0.9 * SURROGATE.accuracy  # in the made-up tables
OWN = (SURROGATE.latency_ms + 1).tolist()
COLUMN = "TestAccuracy200Epochs"
TABLE = [f"CIFAR10{COLUMN},CIFAR100{COLUMN},ImageNet{COLUMN},ArchitectureString"]
TABLE += [f"99,{100 * ACCURACY[row]},5,{NAMES[row]}" for row in ORDER]


def latency_file(values):
    """What torch.save makes of a list."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(values, 2))
    return file.getvalue()


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A web of made-up tables, {url: its bytes}: the CSV, and two devices of one latency."""
    devices = build_benchmark.devices()
    table = "\n".join(TABLE).encode()
    latency = latency_file([OWN[row] for row in ORDER])
    server = build_benchmark.SERVER
    pages = {f"{server}/{build_benchmark.CSV_REPOSITORY}/nats_bench.csv": table}
    for name in ("pixel3", "1080ti_32"):
        url = f"{server}/{build_benchmark.LATENCY_REPOSITORY}/latency/{name}.pt"
        pages[url] = latency
        devices[name]["sha256"] = hashlib.sha256(latency).hexdigest()

    def urlopen(url, timeout):
        if not pages.get(url):
            raise TimeoutError("timed out")
        return io.BytesIO(pages[url])

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr(build_benchmark, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build_benchmark, "devices", lambda: devices)
    monkeypatch.setattr(build_benchmark, "CSV_SHA256", hashlib.sha256(table).hexdigest())
    return pages


def test_tables_are_downloaded_joined_and_kept(web, tmp_path, capfd):
    """Catches a join by the wrong index, percent or datasets mixed up, a cache unused, and a --from
    folder that is trusted blindly, or asks the network after all."""
    out = tmp_path / "pixel3.pkl"
    command = ["tables", "--device", "pixel3", "--out", str(out)]
    assert main(command) == 0
    benchmark = nas_benchmark.load(out)
    assert benchmark.accuracy == pytest.approx(ACCURACY)
    assert benchmark.latency_ms.tolist() == OWN
    assert benchmark.name == "cifar100 accuracy, pixel3 latency"
    assert benchmark.provenance["device"] == "pixel3 (phone Pixel 3)"
    assert benchmark.provenance["built"] == time.strftime("%Y-%m-%d")
    assert list(benchmark.provenance["sha256"]) == ["nats_bench.csv", "latency/pixel3.pt"]
    printed = capfd.readouterr().out
    assert printed.count("downloading") == 2
    assert f"\n  written  {out}\n" in printed
    assert printed.endswith(f"  next     python run_experiment.py --benchmark {out}\n")
    web.clear()  # from here on, the cache serves
    assert main([*command, "--dataset", "cifar10"]) == 0
    assert nas_benchmark.load(out).accuracy.tolist() == [0.99] * N_CELLS
    assert "downloading" not in capfd.readouterr().out
    folder = (tmp_path / "cache").rename(tmp_path / "folder")
    command += ["--from", str(folder)]
    assert main(command) == 0
    for text in ("", "spoilt"):
        (folder / "latency" / "pixel3.pt").write_text(text)
        words = "pixel3.pt: missing, or its SHA-256 differs; fetch http"
        refused(capfd, main, command, words)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (None, "timed out"),
        (b"x" * 1000, "SHA-256 differs, after 1,000 bytes"),
        (bytes(20_000_001), "SHA-256 differs, after 20,000,000 bytes"),
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_downloads_that_fail(page, words, at, web, tmp_path, capfd):
    """Catches a damaged or endless download that is used or kept, and no next step."""
    url = list(web)[at]
    web[url] = page
    arguments = ["tables", "--device", "pixel3", "--out", tmp_path / "out.pkl"]
    refused(capfd, main, arguments, words, "by hand, save it as")
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left == ["nats_bench.csv"][:at]


def test_modelled_latency(web):
    """Catches the latency of another model, accuracies that are not measured, and a line that is
    fitted the wrong way round."""
    own_ms = np.array(OWN)
    known_ms = list(surrogate.KNOWN_MS.values())
    line = np.polynomial.Polynomial.fit(own_ms[surrogate.KNOWN_ROWS], known_ms, 1)
    for device, latency_ms, files in (
        ("modelled", SURROGATE.latency_ms, ["nats_bench.csv"]),
        ("modelled_1080ti_32", line(own_ms), ["nats_bench.csv", "latency/1080ti_32.pt"]),
    ):
        benchmark = build_benchmark.build_tables(None, device, "cifar100")
        assert benchmark.accuracy == pytest.approx(ACCURACY)
        assert benchmark.latency_ms == pytest.approx(latency_ms, abs=6e-5)
        assert benchmark.provenance["device"] == "GTX 1080 Ti (modelled)"
        assert benchmark.provenance["epochs"] == 200
        assert list(benchmark.provenance["sha256"]) == files


def own_csv(latency_ms, **changes):
    """A latency file of the user's own, as text; changes: {line number: what stands there}."""
    lines = ["architecture,ms"]
    lines += [f"{name},{ms}" for name, ms in zip(NAMES, latency_ms, strict=False)]
    for number, line in changes.items():
        lines[int(number.removeprefix("line_")) - 1] = line
    return "\n".join(lines) + "\n"


def test_own_latency(web, tmp_path, capfd, monkeypatch):
    """Catches an own latency joined by the order of its lines, or that is overwritten by another;
    a name that is too long; a next step with a T that forbids nothing."""
    monkeypatch.setattr(build_benchmark, "DATA", tmp_path)
    header, *lines = own_csv([ms / 2 for ms in OWN]).splitlines()
    shuffled = "\r\n".join([header, *(lines[row] for row in ORDER), "", ""])
    path = tmp_path / f"my {'board' * 24}.csv"
    path.write_bytes(b"\xef\xbb\xbf" + shuffled.encode())  # as a spreadsheet on Windows does
    command = ["tables", "--latency", str(path)]
    for _ in range(2):
        assert main(command) == 0
    out = tmp_path / f"cifar100_own_{path.stem[:100]}.pkl"
    assert capfd.readouterr().out.endswith(f' --benchmark "{out}" --target-quantile 0.75\n')
    benchmark = nas_benchmark.load(out)
    assert benchmark.latency_ms.tolist() == [ms / 2 for ms in OWN]
    assert benchmark.accuracy == pytest.approx(ACCURACY)
    assert benchmark.name == f"cifar100 accuracy, {path.stem[:40]} latency"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert benchmark.provenance["sha256"][path.name] == sha256
    path.write_text(own_csv(OWN))
    refused(capfd, main, command, "was made from another file; to replace it, add --out")
    assert main([*command, "--out", str(out)]) == 0
    assert nas_benchmark.load(out).latency_ms.tolist() == OWN


def test_next_command():
    """Catches a T = 17 ms that is advised although it forbids more than 90% of the cells, or less
    than 10%; a cell of just 17 ms is under T."""
    for under, option in ((9, True), (10, False), (90, False), (91, True)):
        latency_ms = np.array([17.0] * under + [17.1] * (100 - under))
        benchmark = SimpleNamespace(latency_ms=latency_ms)
        command = build_benchmark.next_command(benchmark, Path("out.pkl"))
        assert command.endswith(" --target-quantile 0.75") == option


FIRST = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"  # row 0, in line 2 of own_csv
BAD_OWN = [  # (the file's text, words of the refusal)
    ("", "line 1 is not a header of two columns"),
    (own_csv(OWN, line_1=f"{FIRST},5"), "line 1 is not a header"),
    (own_csv(OWN, line_3="a,b,c"), "line 3: it has 3 columns, not 2"),
    (own_csv(OWN, line_9="|a~0|,5"), "line 9: not an architecture string"),
    (own_csv(OWN, line_3=f"{FIRST},5"), f"line 3: {FIRST} is there twice"),
    (own_csv(OWN, line_2=f"{FIRST},fast"), "line 2: could not convert string to float"),
    (own_csv(OWN, line_2=f"{FIRST},-2"), "line 2: -2 ms is not positive"),
    (own_csv([ms / 1000 for ms in OWN]), "is 0.01597 ms; was it seconds?"),
    (own_csv([1000 / ms for ms in OWN]), "are faster; was it frames per second?"),
    (own_csv(OWN[:9000]), "6,625 are not there, and 3,756 of these are like no"),
    (own_csv(OWN, line_1="cell,latency_us"), "is not in ms: divide by 1,000, and"),
    (own_csv(OWN, line_1="cell,time [\u00b5s]"), "divide by 1,000, and"),
    (own_csv(OWN, line_1="cell,latencyNs"), "divide by 1,000,000, and"),
    (own_csv(OWN, line_1="cell,Seconds"), "multiply by 1,000, and call it ms"),
    (own_csv(OWN, line_1="cell,images/s"), "write 1000 / value"),
    (own_csv(OWN, line_1="cell,MFLOPs"), "give the latency"),
    ("x" * 10_000_001, "it has more than 10,000,000 bytes"),
    (bytes(range(129, 256)), "utf-8"),
    (b"\x1f\x8b\x08", "it is a gzip file: unpack it"),
    ("PK\3\4", "it is a zip archive, as .pt"),
    (b"\x80\4.", "it is a pickle"),
    (b"\xff\xfea\0,\0", "it is text in UTF-16: save it as UTF-8"),
    ('{"a": 1}', "it is JSON"),
]


@pytest.mark.parametrize(("text", "words"), BAD_OWN, ids=range(len(BAD_OWN)))
def test_bad_own_latencies(text, words, web, tmp_path, capfd):
    """Catches an own latency that is used although it is not one, or refused without a reason."""
    path = tmp_path / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    arguments = ["tables", "--latency", path, "--out", tmp_path / "out.pkl"]
    refused(capfd, main, arguments, "mine.csv", words, "write a header line")
    assert not (tmp_path / "out.pkl").exists()


def test_own_latency_that_is_not_complete(tmp_path):
    """Catches a cell that failed, or is not there, with the latency of another network; a refusal
    of what public sets look like, and of cells that compute nothing in 75 ns or in 0 ms."""
    path = tmp_path / "own.csv"
    networks = [surrogate.network_of(cell) for cell in CELLS.tolist()]
    rows_of = {}
    for row, network in enumerate(networks):
        rows_of.setdefault(network, []).append(row)
    one_each = [f"{NAMES[first]},{OWN[first]}" for first, *_ in rows_of.values()]
    path.write_text("\n".join(["architecture,ms per image", *one_each]))
    latency_ms, facts = build_benchmark.own_latency(path)
    assert latency_ms.tolist() == [OWN[rows_of[network][0]] for network in networks]
    assert "; 0 cells failed, 10,695 are not there: they have" in facts["how"]

    expected = list(OWN)
    changes = {}
    threes = [rows for rows in rows_of.values() if len(rows) == 3]
    words = ("-1", "nan", "", "failed", "0.0", " N/A ", "inf", "-inf")
    for word, (one, two, three) in zip(words, threes, strict=False):
        changes[f"line_{two + 2}"] = f"{NAMES[two]},{word}"
        expected[two] = (OWN[one] + OWN[three]) / 2
    path.write_text(own_csv(OWN, **changes))
    latency_ms, facts = build_benchmark.own_latency(path)
    assert latency_ms.tolist() == expected
    assert "; 8 cells failed, 0 are not there" in facts["how"]

    for ms, read in ((7.5e-5, 7.5e-5), (0.0, 1e-4)):
        path.write_text(own_csv(np.where(CONNECTED, OWN, ms)))
        latency_ms, facts = build_benchmark.own_latency(path)
        assert nas_benchmark.Benchmark(ACCURACY, latency_ms, SURROGATE.provenance)
        assert latency_ms.tolist() == np.where(CONNECTED, OWN, read).tolist()
        assert facts["how"].endswith("your own file")


def test_networks():
    """Catches cells taken for one network that compute different things, and the reverse: the
    output at random inputs, with a random function in place of each operation with weights."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 8, 8)) / 3
    networks, outputs = [], []
    nodes = np.empty((4, 8))
    x = rng.normal(size=8)
    for cell in CELLS.tolist():
        nodes[:] = [x, 0 * x, 0 * x, 0 * x]
        for (start, end), operation in zip(nas_benchmark.EDGES, cell, strict=True):
            if operation == 1:
                nodes[end] += nodes[start]
            elif operation:
                nodes[end] += np.sin(weights[operation - 2] @ nodes[start])
        outputs.append((nodes[3].round(9) + 0.0).tobytes())
        networks.append(surrogate.network_of(cell))
    assert len(set(networks)) == len(set(outputs)) == 4930
    assert len(set(zip(networks, outputs, strict=True))) == 4930
    assert [network != () for network in networks] == CONNECTED.tolist()


def test_devices(capfd):
    """Catches a device without description, and a wrong batch size."""
    assert main(["tables", "--list"]) == 0
    text = re.sub(" +", " ", capfd.readouterr().out)
    assert text.count("\n") == 30
    assert "\nmodelled the official GTX 1080 Ti latency, by a base" in text
    assert "\npixel3 phone Pixel 3 (?)\n" in text
    assert "\n1080ti_256 GPU GTX 1080 Ti (256)\n" in text
    assert all(len(line["sha256"]) == 64 for line in build_benchmark.devices().values())


@pytest.mark.parametrize("device", ["1080ti_256", "1080ti_32", "pixel3", "raspi4"])
def test_real_tables(device):
    """Catches hashes, formats or facts that are not those of the real files."""
    public("nats_bench.csv")
    public(f"latency/{device}.pt")
    benchmark = build_benchmark.build_tables(TABLES, device, "cifar100")
    assert np.array_equal(benchmark.accuracy < 0.02, ~CONNECTED)
    best = int(np.argmax(benchmark.accuracy))
    assert CELLS[best].tolist() == [3, 3, 3, 1, 3, 3]
    assert benchmark.accuracy[best] == pytest.approx(0.7351, abs=1e-4)


BUILDS = """
surrogate --out folder                | 2 | --out folder is a folder: name the file to write
surrogate --from nowhere              | 2 | nats_bench.csv: missing
tables                                | 2 | one of the arguments --device --latency --list is
tables --device ../../etc/passwd      | 2 | invalid choice: '../../etc/passwd' (choose from
tables --device pixel3 --latency x    | 2 | not allowed with argument --device
tables --latency no.csv               | 2 | no.csv: not a latency of all cells (there is no such
tables --list --dataset cifar-100     | 2 | invalid choice: 'cifar-100'
natsbench folder                      | 2 | folder holds the folder inner: give that one
natsbench nowhere                     | 2 | 000000.pickle.pbz2: not a cell of NATS-Bench
nasbench201 nowhere.pth               | 1 | nowhere.pth:
"""


@pytest.mark.parametrize(("typed", "code", "words"), cases(BUILDS))
def test_what_is_typed_to_build(typed, code, words, tmp_path, capfd, monkeypatch):
    """Catches minutes of work before a wrong --out is seen, and paths in place of names."""
    monkeypatch.chdir(tmp_path)
    Path("folder/inner").mkdir(parents=True)
    Path("folder/inner/000000.pickle.pbz2").touch()
    before = files_of(".")
    refused(capfd, main, typed.split(), words, code=int(code))
    refused(capfd, main, [], "the following arguments are required: SOURCE")
    assert files_of(".") == before


def test_run_as_a_script(tmp_path):
    """Catches a script that finds the program from one folder only, or loses its exit code, and one
    that an older Python cannot read as far as the line that names the version."""
    command = [sys.executable, build_benchmark.__file__, "tables", "--device", "pixel9"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr.startswith("build_benchmark.py: error: argument --device: invalid")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2
    ast.parse(Path(build_benchmark.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))


# --- The official files: build_benchmark.py ---------------------------------------------------


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


def packed(content=None):
    """NATS-Bench's file of one cell, bz2-compressed."""
    return bz2.compress(content or pickle.dumps(made_up_cell(3, 77, 0.5, 10.0)), 1)


BAD_CELLS = [  # (content of a cell's file, words)
    (b"text", "Invalid data stream"),
    (packed(pickle.dumps({"01": 1, "12": 1, "90": 1})), "is of the size space (sss)"),
    (packed()[:-9], "ended before the end-of-stream marker"),
    (packed(pickle.dumps({"12": 1})), "not a cell of NATS-Bench (KeyError: '200')"),
    (packed(pickle.dumps(Hostile())), "system, and may contain plain data only"),
]


@pytest.mark.parametrize(("content", "words"), BAD_CELLS, ids=range(len(BAD_CELLS)))
def test_bad_cells(content, words, tmp_path, monkeypatch):
    """Catches a cell that runs code, or ends in a traceback."""
    monkeypatch.chdir(tmp_path)
    path = Path("000000.pickle.pbz2")
    path.write_bytes(content)
    with pytest.raises(command_line.UserError, match=f"{path}.*{re.escape(words)}"):
        build_benchmark.read_natsbench_cell(path)
    assert list(Path().iterdir()) == [path]


@pytest.mark.parametrize(
    ("index", "known"), [("000000", [0.52913, 13.183]), ("000011", [0.67607, 16.139])]
)
def test_real_natsbench_cells(index, known):
    """Catches the wrong epochs, trials, test set or unit: cells 0 and 11 are known."""
    path = public(f"natsbench/{index}.pickle.pbz2")
    _, *numbers = build_benchmark.read_natsbench_cell(path)
    assert numbers == pytest.approx(known, abs=5e-4)


def test_natsbench_folder(tmp_path, capfd, monkeypatch):
    """Catches cells in the wrong row, and a folder that is converted although a cell is bad."""
    monkeypatch.setattr(build_benchmark, "N_CELLS", 40)
    small_space(monkeypatch, 40)
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.1, 0.7, 40)
    latency_ms = rng.uniform(2, 30, 40)
    for index, row in enumerate(rng.permutation(40)):
        content = pickle.dumps(made_up_cell(index, row, accuracy[row], latency_ms[row]))
        (tmp_path / f"{index:06d}.pickle.pbz2").write_bytes(bz2.compress(content, 1))
    third = tmp_path / "000003.pickle.pbz2"
    _, *cifar10 = build_benchmark.read_natsbench_cell(third, "cifar10")
    assert cifar10 == pytest.approx([0.5, 1000.0])  # its test set has another name
    out = tmp_path / "out.pkl"
    command = ["natsbench", str(tmp_path), "--out", str(out)]
    assert main(command) == 0
    benchmark = nas_benchmark.load(out)
    assert benchmark.accuracy == pytest.approx(accuracy)
    assert benchmark.latency_ms == pytest.approx(latency_ms)
    out.unlink()
    monkeypatch.chdir(tmp_path)
    twice = Path("000006.pickle.pbz2").read_bytes()
    Path("000007.pickle.pbz2").unlink()
    refused(capfd, main, command, "000007.pickle.pbz2: not a cell of NATS-Bench")
    Path("000007.pickle.pbz2").write_bytes(twice)
    refused(capfd, main, command, "it holds 39 different cells, not 40")
    assert not out.exists()


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
            for key, trial in content[epochs]["all_results"].items():
                times = dict.fromkeys(trial["eval_acc1es"], 1.0)
                losses = dict.fromkeys(range(200), 1.0)
                trial |= {"name": key[0], "seed": key[1], "flop": 1.0, "train_times": None}
                trial |= {"train_losses": losses, "train_acc1es": losses}
                trial |= {"eval_losses": times, "eval_times": times}
                trial |= {"net_state_dict": OrderedDict(weight=torch.zeros(2))}
            infos[index][name] = ArchResults.create_from_state_dict(content[epochs]).state_dict()
        archs.append(content["200"]["arch_str"])
    content = {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": list(range(cells))}
    torch.save(content, path)


def test_nasbench201_file(tmp_path, monkeypatch):
    """Catches the API's defaults (12 epochs, one trial, seconds), and a file that runs code."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; it is never needed")
    pytest.importorskip("nas_201_api", reason="the package nas-bench-201 is not installed")
    monkeypatch.setattr(build_benchmark, "N_CELLS", 30)
    small_space(monkeypatch, 30)
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
    missing = "is missing: pip install torch nas-bench-201"
    too_little = ((5_900, [], "too little memory; --force"), (5_900, ["--force"], missing))
    for pages, option, words in (*too_little, (6_000, [], missing)):
        memory = {"SC_PHYS_PAGES": pages, "SC_PAGE_SIZE": 1000}
        monkeypatch.setattr(os, "sysconf", memory.get, raising=False)
        refused(capfd, main, ["nasbench201", path, *option], words)


# --- The embedded surrogate: surrogate.py -----------------------------------------------------


def test_latency_of_the_surrogate():
    """Catches a latency that misses what is published of the official one, a cost on the wrong
    operation, a committed file of another model, and data/README.md, which says that T lies within
    what the facts leave open."""
    cells = [[4, 2, 1, 2, 1, 1], [3, 3, 4, 0, 3, 4], [1, 1, 1, 0, 2, 0], [3, 3, 3, 1, 3, 3]]
    known_ms = SURROGATE.latency_ms[nas_benchmark.cell_to_row(cells)]
    assert known_ms == pytest.approx([13.183, 16.139, 11.145, 19.92], abs=0.4)
    quantiles = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1]
    published = [8.561, 8.934, 10.308, 11.435, 12.502, 13.637, 14.299, 15.0, 16.606, 26.141]
    ours = np.quantile(SURROGATE.latency_ms, quantiles)
    assert ours == pytest.approx(published, abs=0.25)
    assert np.array_equal(surrogate.model_latency(), SURROGATE.latency_ms)
    best = nas_benchmark.cell_to_row([3, 3, 3, 1, 1, 3])
    others_ms = surrogate.latencies(np.array([634, 83, 327, 267, 53]))
    assert np.abs(np.concatenate(surrogate.latency_errors(others_ms))).max() < 0.24
    assert others_ms[best] == pytest.approx(17.02)
    assert SURROGATE.latency_ms[best] == pytest.approx(17.18)


def test_surrogate_is_rebuilt(tmp_path):
    """Catches a committed file that its command does not make, to the byte."""
    public("nats_bench.csv")
    out = tmp_path / "again.pkl"
    assert main(["surrogate", "--from", str(TABLES), "--out", str(out)]) == 0
    assert out.read_bytes() == nas_benchmark.SURROGATE.read_bytes()


def test_surrogate_beside_measured_accuracies():
    """Catches a fit that is worse than promised, on the whole, at the top or in a band of Fig. 6,
    and one with other best cells."""
    folder = public("nats_bench.csv").parent
    _, measured = build_benchmark.measured_accuracy(folder, "cifar100")
    both = np.stack([measured, SURROGATE.accuracy])
    error = np.abs(SURROGATE.accuracy - measured)[CONNECTED].mean()
    assert error < 0.006
    assert 0.732 < SURROGATE.accuracy.max() < 0.737
    latency_ms = SURROGATE.latency_ms
    latencies_ms = np.stack([latency_ms] * 2)
    for low, high, share in ((0.5, 0.6, 0.05), (0.6, 0.7, 0.05), (0.7, 1.0, 0.15)):
        real, ours = claims.count_under(both, latencies_ms, 17.0, low, high)
        assert ours == pytest.approx(real, rel=share)
    optima = []
    for accuracy in both:
        benchmark = nas_benchmark.Benchmark(accuracy, latency_ms, SURROGATE.provenance)
        optima.append(Problem(benchmark, ["mnasnet", "proposed"], 17.0).optima())
    for name in ("mnasnet", "proposed"):
        real, ours = (found[name] for found in optima)
        assert ours["latency_ms"] == pytest.approx(real["latency_ms"], abs=0.8)
        assert ours["accuracy"] == pytest.approx(real["accuracy"], abs=0.004)
