"""Why to believe it. Each test's docstring names the bug that it catches.

    python -m pytest -q test_all.py        half a minute

Three oracles stand behind the fast LSTM: controller_plain, which computes one network at a time in
textbook formulas, central differences of its loss, and the exact policy, which can be written down
because the space is small. PyTorch is a fourth where it is installed.
Tests against the public tables run where these are in data/cache/, or in the folder that the
environment variable NAS_TABLES names, and are skipped elsewhere."""

import ast
import bz2
import contextlib
import csv
import functools
import gzip
import http.server
import itertools
import json
import math
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build_benchmark
import claims
import command_line
import controller_numpy
import controller_plain as plain
import figures
import nas_benchmark
import nas_reward
import run_experiment
import surrogate
from controller_numpy import Adam, Controller, Reinforce
from controller_plain import K, S, V
from nas_benchmark import CELLS, N_CELLS
from nas_reward import REWARDS, latency_reward, mnasnet, proposed

HERE = Path(__file__).resolve().parent
TABLES = Path(os.environ.get("NAS_TABLES") or HERE / "data" / "cache")  # the public tables
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
accuracies, latencies = st.floats(0.01, 1.0), st.floats(1.0, 60.0)
SURROGATE = nas_benchmark.load(nas_benchmark.SURROGATE)
COLUMNS = (SURROGATE.accuracy, SURROGATE.latency_ms)


def refused(capfd, main, arguments, *words):
    """main(arguments) says what is wrong in one line that holds `words`, and returns 1 or 2."""
    capfd.readouterr()
    assert main(list(map(str, arguments))) in (1, 2)
    error = capfd.readouterr().err
    assert (error.count("\n"), "Traceback" in error) == (1, False), error
    assert all(word in error for word in ("error: ", *words)), error


def files_of(folder):
    """{name: bytes} of everything in a folder."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def public(name):
    """The path of a public table; where it is not, the test is skipped."""
    if not (TABLES / name).exists():
        pytest.skip(f"{name} is not in {TABLES}: download it, or set NAS_TABLES")
    return TABLES / name


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


# --- nas_reward.py ----------------------------------------------------------------------------


def test_table_1():
    """Catches any slip in Eq. 2-5 or in the printed values, and rounding where the paper cuts."""
    entries = nas_reward.table_1()
    misprints = [(e["printed"], e["truncated"]) for e in entries if not e["agrees"]]
    assert misprints == [("0.84352", "0.84357"), ("0.833527", "0.833529")]
    assert len(entries) == 12
    for e in entries:  # by hand, with math instead of NumPy
        by_hand = e["accuracy"] * math.exp(-0.07 * math.log(e["latency_ms"] / 17))
        if e["reward"] == "proposed":
            by_hand = 0.9 * e["accuracy"] + 0.1 * math.log(25.5 - e["latency_ms"], 17)
        assert e["formula"] == pytest.approx(by_hand, abs=1e-12)
        assert abs(e["formula"] - float(e["printed"])) < 6e-5  # even the misprints are near
    for cut in ("0.84334 0.8433446", "0.829 0.82999", "0.5000 0.5", "0.1 0.19", "0.29 0.29"):
        text, value = cut.split()  # 0.29 * 100 is 28.999... in binary
        assert nas_reward.truncate(float(value), len(text) - 2) == text


def test_latency_reward_as_table_1_determines_it():
    """Catches a different reading of the illegible Eq. 4."""
    expected = [1.0102, 1.0, 0.9186, 0.7946, 0.1431]
    assert latency_reward(np.array([8, 8.5, 12, 16, 24])) == pytest.approx(expected, abs=5e-5)


def test_claims_of_the_text():
    """Catches rewards that agree with Table 1 and still miss what the paper says about them."""
    assert mnasnet(0.60, 8) == pytest.approx(mnasnet(0.63, 16), abs=1e-3)
    assert proposed(0.63, 16) > proposed(0.60, 8) + 1e-3
    for reward, fast_matters_more in ((mnasnet, True), (proposed, False)):
        R = {ms: reward(0.7, ms) for ms in (5, 10, 15, 20)}
        assert (R[5] - R[15] > R[10] - R[20]) == fast_matters_more


def test_eq_4_is_continuous_and_ends_at_0():
    """Catches the branch at 1.5 T - 1 in the wrong place, or a logarithm of nothing beyond it."""
    for target in (1.5, 17.0, 100.0):
        edge = 1.5 * target - 1
        assert latency_reward([edge - 1e-9, edge], target) == pytest.approx(0, abs=1e-7)
        beyond = [edge + 1e-9, edge + 1, 1.5 * target, 10 * target]
        assert latency_reward(beyond, target).tolist() == [0, 0, 0, 0]
        assert latency_reward(edge - 0.5, target) > 0
    slopes = nas_reward.proposed_slope(0.7, [24.5, 24.6])
    assert slopes == pytest.approx([-0.1 / math.log(17), 0])
    assert latency_reward(1, 1.5) == pytest.approx(math.log(1.25, 1.5))


@given(accuracies, latencies, st.floats(3, 50))
def test_slopes_are_the_derivatives(accuracy, ms, target):
    """Catches a wrong derivative in Fig. 2: sign, missing 1/ln T, wrong exponent above T."""
    slopes = {mnasnet: nas_reward.mnasnet_slope, proposed: nas_reward.proposed_slope}
    for reward, slope in slopes.items():
        if abs(ms - 1.5 * target + 1) > 1e-3:  # not at the kink
            up, down = (reward(accuracy, ms + d, target) for d in (1e-5, -1e-5))
            assert slope(accuracy, ms, target) == pytest.approx((up - down) / 2e-5, abs=1e-6)


@given(accuracies, latencies, latencies, st.sampled_from([mnasnet, proposed, "mnasnet_hard"]))
def test_rewards_are_monotonic(accuracy, ms, other_ms, reward):
    """Catches a reward that prefers slower or less accurate networks anywhere."""
    reward = REWARDS.get(reward, reward)
    fast, slow = sorted((ms, other_ms))
    assert reward(accuracy, fast) >= reward(accuracy, slow) - 1e-12
    assert reward(accuracy, ms) > reward(accuracy * 0.9, ms)


def test_branches_of_mnasnet():
    """Catches alpha and beta exchanged, or T itself on the wrong side."""
    ms = np.array([8.5, 17, 34])
    assert mnasnet(0.5, ms, 17, alpha=-1, beta=0) == pytest.approx([1.0, 0.5, 0.5])
    assert mnasnet(0.5, ms, 17, alpha=0, beta=-1) == pytest.approx([0.5, 0.5, 0.25])
    slopes = nas_reward.mnasnet_slope(0.5, ms, 17, alpha=0, beta=-1)
    assert (slopes == 0).tolist() == [True, True, False]
    assert REWARDS["mnasnet_hard"](0.5, ms, 17) == pytest.approx([0.5, 0.5, 0.25])
    assert REWARDS["tunas"](0.5, ms, 17) == pytest.approx([0.5 - 0.07 / 2, 0.5, 0.5 - 0.07])


def test_arrays_equal_scalars():
    """Catches a function that is right for one network and wrong for many, or the reverse."""
    accuracy, ms = [0.2, 0.7], [3.0, 17.0, 24.5, 40.0]
    for function in (*REWARDS.values(), nas_reward.mnasnet_slope, nas_reward.proposed_slope):
        table = np.broadcast_to(function(np.array(accuracy)[:, None], np.array(ms), 17.0), (2, 4))
        one_by_one = [[function(a, m, 17.0) for m in ms] for a in accuracy]
        assert np.array_equal(table, one_by_one)
        assert isinstance(one_by_one[0][0], float)


def test_rewards_refuse_wrong_units():
    """Catches seconds, percent and nonsense passing through as plausible rewards."""
    tunas, slope, inf, nan = REWARDS["tunas"], nas_reward.proposed_slope, math.inf, math.nan
    bad_units = [(proposed, 0.7, 0.008, 0.017), (latency_reward, 8, 1.0), (slope, 0.7, 8, 1.0)]
    for words, calls in {
        "milliseconds, not seconds": bad_units,
        "x + y = 1": [(proposed, 0.7, 8, 17.0, 0.9, 0.2)],
        "0..1 (a fraction; divide percent by 100)": [
            (mnasnet, a, 8) for a in (70, 1.01, -0.1, nan)
        ],
        "positive, finite number": [(mnasnet, 0.7, 0), (slope, 0.7, [8, inf])],
        "target": [(tunas, 0.7, 8, target) for target in (nan, 0, -17, inf)],
    }.items():
        for function, *arguments in calls:
            with pytest.raises(ValueError, match=re.escape(words)):
                function(*arguments)
    assert (mnasnet(0, 8), proposed(1, 8.5)) == (0, pytest.approx(1))  # the limits make sense


# --- nas_benchmark.py -------------------------------------------------------------------------


def test_cells_rows_and_strings():
    """Catches another order of edges, operations or digits: every lookup would be wrong."""
    assert CELLS.shape == (15625, 6)
    assert nas_benchmark.cell_to_row(CELLS).tolist() == list(range(15625))
    assert nas_benchmark.cell_to_row([[0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]]).tolist() == [1, 3125]
    names = ["avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_3x3", "none", "none"]
    text = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*names)
    assert nas_benchmark.string_to_cell(text) == [4, 2, 1, 3, 0, 0]
    for cell in CELLS.tolist():
        assert nas_benchmark.string_to_cell(nas_benchmark.cell_to_string(cell)) == cell
    good = nas_benchmark.cell_to_string(CELLS[0])
    changes = ("~2 ~3", "none~2 nor_conv_5x5~2", "~2| ~2|none~3|", "|none~0|+ +")
    for bad in ("", "|none~0|", " " + good, *(good.replace(*c.split()) for c in changes)):
        with pytest.raises(ValueError, match="not an architecture string"):
            nas_benchmark.string_to_cell(bad)


def test_live_edges():
    """Catches a missing or wrong path: 341 cells are disconnected, a fact of NAS-Bench-201."""
    assert (~nas_benchmark.live_edges(CELLS).any(axis=1)).sum() == 341
    for cell in CELLS[::37].tolist():  # against a walk through the graph
        edges = [e for e, op in zip(nas_benchmark.EDGES, cell, strict=True) if op]
        ahead, back = {0}, {3}
        for start, end in sorted(edges, key=lambda e: e[1]):
            ahead |= {end} if start in ahead else set()
        for start, end in sorted(edges, key=lambda e: -e[0]):
            back |= {start} if end in back else set()
        live = [e in edges and e[0] in ahead and e[1] in back for e in nas_benchmark.EDGES]
        assert nas_benchmark.live_edges(cell).tolist() == live, cell


def test_surrogate_is_what_it_says():
    """Catches a surrogate rebuilt wrongly: too good, unlabelled, or with percent or seconds."""
    accuracy, latency_ms = COLUMNS
    assert "not measured" in SURROGATE.name
    assert nas_benchmark.SURROGATE.stat().st_size < 400_000
    disconnected = ~nas_benchmark.live_edges(CELLS).any(axis=1)
    assert (accuracy[disconnected] == 0.01).all()
    assert 0.02 < accuracy[~disconnected].min() < accuracy.max() < 0.74
    off = np.quantile(latency_ms, surrogate.QUANTILES) - surrogate.LATENCY_MS
    assert np.abs(off).max() < 0.25
    counts = np.stack([(k == CELLS).sum(axis=1) for k in range(5)], axis=1)
    assert latency_ms == pytest.approx(7.66 + counts @ [0, 0.14, 3.05, 2.38, 0.66], abs=1e-3)


def test_surrogate_against_the_real_table(tmp_path):
    """Catches a fit worse than promised, and a committed file that its command does not make."""
    _, real = build_benchmark.read_accuracy(public("nats_bench.csv"), "cifar100")
    residual = SURROGATE.accuracy - real
    r2, error = 1 - (residual**2).sum() / ((real - real.mean()) ** 2).sum(), np.abs(residual).mean()
    assert (r2 >= 0.97, error <= 0.015) == (True, True)
    fit = f"accuracy: R2 {r2:.4f}, mean error {error:.4f}; latency: "
    assert SURROGATE.provenance["fit"].startswith(fit)
    signs = ((np.sign(x[k] - x[:k]) for x in (SURROGATE.accuracy, real)) for k in range(N_CELLS))
    agree, untied, untied_too = sum(np.array([a @ b, a @ a, b @ b]) for a, b in signs)
    assert agree / math.sqrt(untied * untied_too) >= 0.80  # Kendall's tau-b
    out = tmp_path / "again.pkl"
    assert build_benchmark.main(["surrogate", "--from", str(TABLES), "--out", str(out)]) == 0
    assert out.read_bytes() == nas_benchmark.SURROGATE.read_bytes()


def bad_benchmarks():
    """(name of the damage, content of the pickle, words of the refusal)."""
    names = ("accuracy", "latency_ms", "provenance")
    accuracy, ms, facts = COLUMNS[0].tolist(), COLUMNS[1].tolist(), SURROGATE.provenance

    def put(values, row, value):
        return [*values[:row], value, *values[row + 1 :]]

    for name, *columns, words in (
        ("a call", accuracy, ms, Hostile(), "plain data"),
        ("an array", np.array(accuracy), ms, facts, "plain data"),
        ("too short", accuracy[1:], ms, facts, "(accuracy is no list of 15,625 numbers)"),
        ("text", put(accuracy, 3, "0.7"), ms, facts, "no list of 15,625 numbers"),
        ("a number", 0.7, ms, facts, "no list"),
        ("nan", put(accuracy, 3, math.nan), ms, facts, "finite, not nan (row 3)"),
        ("infinite", accuracy, put(ms, 15624, math.inf), facts, "finite, not inf (row 15624)"),
        ("huge", accuracy, put(ms, 3, 10**400), facts, "no list"),
        ("zero", put(accuracy, 4, 0), ms, facts, "positive and finite, not 0.0 (row 4)"),
        ("negative", accuracy, put(ms, 5, -1.0), facts, "not -1.0 (row 5)"),
        ("above 1", put(accuracy, 6, 1.01), ms, facts, "percent?"),
        ("seconds", accuracy, [0.001 * value for value in ms], facts, "seconds?"),
        ("no source", accuracy, ms, {"name": "x"}, "lacks one of name, source"),
        ("odd provenance", accuracy, ms, "x", "no benchmark"),
    ):
        yield pytest.param(pickle.dumps(dict(zip(names, columns, strict=True))), words, id=name)
    yield pytest.param(pickle.dumps({"accuracy": accuracy}), "(TypeError: ", id="no latency")
    yield pytest.param(pickle.dumps([1, 2]), "no benchmark", id="a list")
    yield pytest.param(b"", "no benchmark", id="empty")
    yield pytest.param(b"accuracy,latency\n1,2\n", "no benchmark", id="a text")
    yield pytest.param(pickle.dumps(accuracy)[:50_000], "no benchmark", id="truncated")


@pytest.mark.parametrize(("content", "words"), list(bad_benchmarks()))
def test_bad_benchmarks_are_refused(content, words, tmp_path, capfd, monkeypatch):
    """Catches a bad table that is searched in silence, or a pickle that runs code."""
    monkeypatch.chdir(tmp_path)
    Path("bad.pkl").write_bytes(content)
    Path("summary.json").write_text("precious")
    arguments = ["--benchmark", "bad.pkl", "--out", "."]
    refused(capfd, run_experiment.main, arguments, "bad.pkl", words, "build_benchmark.py")
    assert files_of(".") == {"bad.pkl": content, "summary.json": b"precious"}


def test_save_and_load(tmp_path, monkeypatch):
    """Catches numbers that change on the way through a file, half-written files, limits refused."""
    path = tmp_path / "folder" / "copy.pkl"
    nas_benchmark.save(SURROGATE, path)
    again = nas_benchmark.load(path)
    assert np.array_equal([again.accuracy, again.latency_ms], COLUMNS)
    assert again.provenance == SURROGATE.provenance
    again.accuracy[7] = 1.0  # the limits of what is plausible
    again.latency_ms *= 0.5 / np.median(again.latency_ms)
    nas_benchmark.save(again, path)
    monkeypatch.setattr(nas_benchmark, "OFFICIAL", path)
    assert nas_benchmark.load().accuracy[7] == 1.0  # the user's own table comes first
    before = files_of(path.parent)
    again.accuracy[7] = math.nan
    with pytest.raises(ValueError, match="row 7"):
        nas_benchmark.save(again, path)
    assert files_of(path.parent) == before
    monkeypatch.setattr(nas_benchmark, "OFFICIAL", tmp_path / "none")
    assert nas_benchmark.load().name == SURROGATE.name


# --- controller_plain.py: the controller on the board -----------------------------------------

SETTINGS = dict(
    hidden=16,
    learning_rate=1e-2,
    entropy_weight=0.01,
    baseline_decay=0.9,
)


def relative_error(found, expected):
    """The largest error of any entry, relative to the entry, or to 1e-3 where that is larger."""
    scale = np.maximum(np.abs(expected), 1e-3)
    return (np.abs(found - expected) / scale).max()


def central_differences(function, theta, step=1e-5):
    """The gradient (P,) of a function of theta (P,), each number moved a little up and down."""
    gradient = np.empty_like(theta)
    for j in range(len(theta)):
        move = np.zeros_like(theta)
        move[j] = step
        up = function(theta + move)
        down = function(theta - move)
        gradient[j] = (up - down) / (2 * step)
    return gradient


def flat(gradient):
    """The gradient that controller_plain returns, as controller_numpy has it: (P,)."""
    names = ("dWx", "dWh", "db", "dWo", "dbo")
    return np.concatenate([gradient[name].ravel() for name in names])


def written(cell, weights, **start):
    """The board's tensors when it is made to write this cell (6,)."""
    noise = plain.forcing(cell)
    return plain.forward(noise, **weights, **start)


def test_one_step_in_the_head():
    """Catches any other LSTM or softmax: one step of one unit, whose numbers need no computer."""
    ln2 = math.log(2)
    ln3 = math.log(3)
    weights = dict(
        Wx=np.zeros((V, 4)),
        Wh=np.full((1, 4), 2.0),
        b=np.full(4, -1.0),  # cancels h_start * Wh
        Wo=np.zeros((1, K)),
        bo=np.zeros(K),
    )
    weights["Wx"][K] = [0.0, ln3, ln2, 2 * ln2]  # the start token; i, f, g, o
    weights["Wo"][0, 0] = ln2 / 0.48
    cell = [4, 0, 0, 0, 0, 0]
    c_start = (ln2 - 0.5 * 0.6) / 0.75
    step = written(cell, weights, h_start=0.5, c_start=c_start)
    assert step["i"][0] == pytest.approx(1 / 2)
    assert step["f"][0] == pytest.approx(3 / 4)
    assert step["g"][0] == pytest.approx(0.6)  # tanh(ln 2)
    assert step["o"][0] == pytest.approx(4 / 5)
    assert step["c"][0] == pytest.approx(ln2)  # 0.75 c_start + 0.5 * 0.6
    assert step["h"][0] == pytest.approx(0.48)  # 0.8 tanh(ln 2)
    assert step["p"][0] * 6 == pytest.approx([2, 1, 1, 1, 1])  # logits: ln 2, 0, 0, 0, 0
    assert step["a"].tolist() == [*cell, K]


def test_loss_by_hand():
    """Catches a wrong sign or a forgotten step in the loss, for a policy that ignores its state."""
    weights = plain.start_weights(np.random.default_rng(0), 2)
    p = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
    weights["Wo"][:] = 0.0
    weights["bo"][:] = np.log(p)
    tensors = written([0, 0, 0, 1, 1, 2], weights)
    log_p = math.log(0.5 * 0.5 * 0.5 * 0.2 * 0.2 * 0.1)
    E = -sum(p * np.log(p))
    assert plain.log_probability(**tensors) == pytest.approx(log_p)
    assert plain.entropy(**tensors) == pytest.approx([E] * 6)
    loss = plain.loss(2.0, 0.3, **tensors)
    assert loss == pytest.approx(-2 * log_p - 0.3 * 6 * E)


@pytest.mark.parametrize("A", [0.8, -1.3, 0.0])
@pytest.mark.parametrize("w", [0.0, 0.3])
def test_plain_backward_equals_central_differences(A, w):
    """Catches every wrong derivative on the board: each parameter, and states that are not 0."""
    cell = [3, 0, 4, 3, 3, 1]
    rng = np.random.default_rng(0)
    theta = rng.normal(0, 0.7, 140)  # H = 3
    h_start = rng.normal(0, 0.5, 3)
    c_start = rng.normal(0, 0.5, 3)

    def tensors_at(numbers):
        """numbers (146,): theta, h_start and c_start in one row."""
        theta, h_start, c_start = np.split(numbers, [140, 143])
        weights = plain.from_vector(theta, 3)
        return written(cell, weights, h_start=h_start, c_start=c_start)

    def loss_at(numbers):
        return plain.loss(A, w, **tensors_at(numbers))

    numbers = np.concatenate([theta, h_start, c_start])
    expected = central_differences(loss_at, numbers)
    weights = plain.from_vector(theta, 3)
    gradient = plain.backward(A, w, **tensors_at(numbers), **weights)
    starts = [gradient["dh"][-1], gradient["dc"][-1]]
    found = np.concatenate([flat(gradient), *starts])
    assert relative_error(found, expected) < 1e-6


@pytest.mark.parametrize(
    ("decay", "advantages"),
    [
        (0.9, [0.0, 0.4, -0.74]),
        (None, [0.5, 0.9, -0.2]),
    ],
)
def test_plain_updates_equal_central_differences(decay, advantages):
    """Catches an update by another loss, or with weights of before, with and without baseline."""
    rewards = [0.5, 0.9, -0.2]
    search = plain.Reinforce(
        seed=0,
        hidden=3,
        learning_rate=0.1,
        entropy_weight=0.3,
        baseline_decay=decay,
    )
    for R, A in zip(rewards, advantages, strict=True):
        cell = search.sample()
        theta = plain.to_vector(search.weights)
        search.learn(R)

        def loss_at(theta, A=A, cell=cell):
            tensors = written(cell, plain.from_vector(theta, 3))
            return plain.loss(A, 0.3, **tensors)

        expected = central_differences(loss_at, theta)
        assert relative_error(flat(search.gradient), expected) < 1e-6


def test_adam_by_hand():
    """Catches a wrong moment, bias correction, epsilon or step count."""
    options = dict(learning_rate=0.3, beta1=0.5, beta2=0.75, epsilon=1.0)
    theta = 1.0
    m = v = 0.0
    thetas = []
    for t, g in enumerate([2.0, -1.0, 4.0], start=1):
        theta, m, v = plain.adam(theta, g, m, v, t, **options)
        thetas.append(theta)
    # m = 1, 0, 2 and v = 1, 1, 4.75
    m_hat = 2 / (1 - 0.5**3)
    v_hat = 4.75 / (1 - 0.75**3)
    last_step = 0.3 * m_hat / (v_hat**0.5 + 1)
    assert thetas[0] == pytest.approx(0.8)  # m^ = 2, v^ = 4: 1 - 0.3 * 2 / (2 + 1)
    assert thetas[1] == pytest.approx(0.8)  # m^ = 0
    assert thetas[2] == pytest.approx(0.8 - last_step)


@pytest.mark.parametrize(
    ("decay", "advantages"),
    [
        # b = R1 = 1; then 0.9 * 1 + 0.1 * 2 = 1.1; then 0.9 * 1.1 + 0.1 * 0 = 0.99
        (0.9, [0.0, 1.0, -1.1, 1.01]),
        (None, [1.0, 2.0, 0.0, 2.0]),
    ],
)
def test_baseline_by_hand(decay, advantages):
    """Catches a baseline that includes the present reward, or decays the wrong way."""
    options = SETTINGS | dict(baseline_decay=decay)
    rewards = np.array([1.0, 2.0, 0.0, 2.0])

    board = plain.Reinforce(0, **options)
    seen = []
    for R in rewards:
        board.sample()
        board.learn(R)
        seen.append(board.A)
    assert seen == pytest.approx(advantages)

    fast = Reinforce([0, 1], **options)
    seen = []
    fast.controller.gradient = lambda advantage, w: seen.append(advantage)
    fast.adam.step = lambda gradient: None
    for R in rewards:
        fast.learn(np.array([R, -2 * R]))
    first, second = np.transpose(seen)
    assert first == pytest.approx(advantages)
    assert second == pytest.approx(-2 * np.array(advantages))


def test_lesson():
    """Catches a lesson whose lines do not fit the screen, or whose numbers do not fit together."""
    lines = plain.lesson().splitlines()
    assert max(len(line) for line in lines) <= 100
    number = re.compile(r"[-+]?\d+\.\d+(?:e-\d+)?")
    table = [number.findall(line) for line in lines[-3:]]  # its last lines
    percent, latency_ms, R, b, A, before, after = np.array(table, float).T
    assert proposed(percent / 100, latency_ms) == pytest.approx(R, abs=2e-4)
    assert b + A == pytest.approx(R, abs=2e-4)
    assert b[0] == R[0]
    assert b[1:] == pytest.approx(0.9 * b[:-1] + 0.1 * R[:-1], abs=2e-4)
    assert before[0] == after[0]  # A = 0: nothing is learnt
    assert A[1] < 0
    assert before[1] > after[1]


# --- controller_numpy.py: the same, many at a time --------------------------------------------


def random_controller(runs=3, hidden=3, dtype=np.float64, state=True):
    """A Controller with large random parameters, biases and, unless told not to, start states."""
    rng = np.random.default_rng(0)
    controller = Controller([rng] * runs, hidden, dtype)
    controller.theta[:] = rng.normal(0, 0.7, controller.theta.shape)
    if state:
        shape = (runs, hidden)
        controller.h[:, 0] = rng.normal(0, 0.5, shape)
        controller.c[:, 0] = rng.normal(0, 0.5, shape)
    return controller


def gumbel(runs, seed=1):
    return np.random.default_rng(seed).gumbel(size=(runs, S, K))


def on_the_board(controller, run, noise):
    """What controller_plain makes of one run of a Controller: its tensors and weights."""
    weights = plain.from_vector(controller.theta[run], controller.H)
    tensors = plain.forward(
        noise,
        **weights,
        h_start=controller.h[run, 0],
        c_start=controller.c[run, 0],
    )
    return tensors, weights


def test_both_controllers_have_the_same_gradient():
    """Catches any slip in the fast controller: order of gates, bias, token, a mixing of runs.

    And buffers that carry something over from one update to the next."""
    controller = random_controller()
    adam = Adam(controller.theta, 0.05)
    advantages = np.array([0.8, -1.3, 0.1])
    for update in range(4):
        noise = gumbel(3, seed=update)
        cells = controller.sample(noise)
        gradient = controller.gradient(advantages, 0.3)
        for run in range(3):
            A = advantages[run]
            tensors, weights = on_the_board(controller, run, noise[run])
            expected = plain.backward(A, 0.3, **tensors, **weights)
            assert np.array_equal(cells[run], tensors["a"][:S])
            assert gradient[run] == pytest.approx(flat(expected), abs=1e-9)
        adam.step(gradient)


def test_both_adams_agree():
    """Catches a factor lost where the fast Adam moves them about; its defaults are the paper's."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(2, 3))
    expected = theta.copy()
    options = dict(
        learning_rate=0.1,
        beta1=0.7,
        beta2=0.9,
        epsilon=0.01,
    )
    adam = Adam(theta, **options)
    m = v = 0.0
    for t in range(1, 6):
        g = rng.normal(size=(2, 3))
        adam.step(g)
        expected, m, v = plain.adam(expected, g, m, v, t, **options)
        assert theta == pytest.approx(expected, abs=1e-12)
    standard = Adam(theta, 0.1)
    assert standard.beta1 == 0.9
    assert standard.beta2 == 0.999
    assert standard.epsilon == 1e-8


@pytest.mark.parametrize("decay", [0.9, None])
def test_both_controllers_draw_the_same_networks(decay):
    """Catches whatever sets the fast search apart: start, noise, token, update or baseline."""
    options = SETTINGS | dict(baseline_decay=decay)
    seeds = [0, 1, 1]
    rewards = [mnasnet, proposed, mnasnet]
    pay = np.stack([reward(*COLUMNS) for reward in rewards])
    fast = Reinforce(seeds, **options, dtype=np.float64)
    parts = [fast.search(pay, samples) for samples in (100, 200)]
    rows = np.concatenate(parts, axis=1)
    for run, seed in enumerate(seeds):
        board = plain.Reinforce(seed, **options)
        assert rows[run].tolist() == board.search(pay[run], 300)
        theta = plain.to_vector(board.weights)
        assert fast.controller.theta[run] == pytest.approx(theta, abs=1e-9)


def test_start_of_training():
    """Catches other starting weights: range 0.1, no bias but the forget gate's 1, states 0."""
    rngs = [np.random.default_rng(seed) for seed in range(4)]
    controller = Controller(rngs, 16)
    assert controller.theta.dtype == np.float32
    weights = controller.W[:, :-1]
    output = controller.Wo[:, :-1]
    assert np.abs(weights).max() <= 0.1
    assert np.abs(output).max() <= 0.1
    assert weights.std() == pytest.approx(0.2 / math.sqrt(12), rel=0.05)
    assert np.abs(output).min() > 0
    bias = np.repeat([0.0, 1.0, 0.0, 0.0], 16)  # i, f, g, o
    assert (controller.W[:, -1] == bias).all()
    assert (controller.Wo[:, -1] == 0).all()
    assert (controller.h[:, 0] == 0).all()
    assert (controller.c[:, 0] == 0).all()
    for seed, theta in enumerate(controller.theta):
        rng = np.random.default_rng(seed)
        board = plain.to_vector(plain.start_weights(rng, 16))
        assert np.array_equal(theta, board.astype(np.float32))
    assert not np.array_equal(controller.theta[0], controller.theta[1])
    assert Controller(rngs).H == 64


def test_float32_agrees_with_float64():
    """Catches a computation that falls into the wrong precision or needs more than it has."""
    rngs = [np.random.default_rng(s) for s in range(2)]
    single = Controller(rngs, 64)
    double = Controller(rngs, 64, np.float64)
    double.theta[:] = single.theta
    actions = double.sample(gumbel(2))
    assert np.array_equal(single.sample(plain.forcing(actions)), actions)
    advantage = np.array([0.02, -0.01])
    gradient = single.gradient(advantage, 0.01)
    expected = double.gradient(advantage, 0.01)
    assert gradient.dtype == np.float32
    assert expected.dtype == np.float64
    error = np.abs(gradient - expected).max()
    assert error < 1e-5 * np.abs(expected).max()
    p = double.probabilities()
    assert single.probabilities() == pytest.approx(p, rel=1e-3)


def test_large_logits():
    """Catches an overflow, which a policy that is sure of itself would meet."""
    log_p = controller_numpy.log_softmax(np.array([[1e4, 0.0, -1e4]]))
    assert log_p.tolist() == [[0.0, -1e4, -2e4]]


def test_agrees_with_pytorch():
    """Catches what our own oracles could share: an LSTM, softmax or Adam unlike the world's."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; never needed")
    advantages = np.array([0.5, -2.0, 1.0])
    H = 8
    controller = random_controller(runs=3, hidden=H)
    adam = Adam(controller.theta, 1e-2)
    one_hot = torch.eye(V, dtype=torch.double)
    thetas = [torch.tensor(theta, requires_grad=True) for theta in controller.theta]
    optimisers = [torch.optim.Adam([theta], 1e-2) for theta in thetas]

    def loss(theta, run):
        """-A log P(cell) - w sum_t E_t of the cell that this run has drawn."""
        sizes = [V * 4 * H, H * 4 * H, 4 * H, H * K, K]
        Wx, Wh, b, Wo, bo = torch.split(theta, sizes)
        Wx = Wx.view(V, 4 * H)
        Wh = Wh.view(H, 4 * H)
        Wo = Wo.view(H, K)
        h = torch.tensor(controller.h[[run], 0])
        c = torch.tensor(controller.c[[run], 0])
        token = K
        total = 0.0
        for action in controller.a[run].tolist():
            x = one_hot[[token]]
            h, c = torch.lstm_cell(x, (h, c), Wx.T, Wh.T, b, 0 * b)  # torch has two biases
            policy = torch.distributions.Categorical(logits=h[0] @ Wo + bo)
            log_p = policy.log_prob(torch.tensor(action))
            total = total - advantages[run] * log_p
            total = total - 0.2 * policy.entropy()
            token = action
        return total

    for update in range(3):
        controller.sample(gumbel(3, update))
        gradient = controller.gradient(advantages, 0.2)
        adam.step(gradient)
        for run, theta in enumerate(thetas):
            optimisers[run].zero_grad()
            loss(theta, run).backward()
            optimisers[run].step()
            expected = theta.grad.numpy()
            assert gradient[run] == pytest.approx(expected, abs=1e-9)
            stepped = theta.detach().numpy()
            assert controller.theta[run] == pytest.approx(stepped, abs=1e-9)


# --- controller_numpy.py: the exact policy ----------------------------------------------------


def test_enumeration_equals_the_board():
    """Catches a cell whose probability stands in another cell's row."""
    controller = random_controller(runs=2)
    p = controller.probabilities()
    assert p.shape == (2, N_CELLS)
    assert p.sum(axis=1) == pytest.approx(1, abs=1e-12)
    rows = (0, 1, 7, 3125, 9876, 15624)
    for run, row in itertools.product(range(2), rows):
        noise = plain.forcing(CELLS[row])
        tensors, _ = on_the_board(controller, run, noise)
        log_p = plain.log_probability(**tensors)
        assert p[run, row] == pytest.approx(math.exp(log_p), rel=1e-9)


def test_samples_follow_the_policy():
    """Catches a biased draw: 200,000 samples, expectations within 4 standard errors."""
    controller = random_controller(runs=1, hidden=8, dtype=np.float32, state=False)
    p = controller.probabilities()[0]
    assert p.sum() == pytest.approx(1, abs=1e-6)
    rng = np.random.default_rng(5)
    many = Controller([rng] * 2000, 8)
    many.theta[:] = controller.theta
    rows = []
    for _ in range(100):
        noise = rng.gumbel(size=(2000, S, K))
        cells = many.sample(noise)
        rows.append(nas_benchmark.cell_to_row(cells))
    rows = np.array(rows)
    begins_with_1x1 = CELLS[:, 0] == 2
    ends_with_skip_3x3 = (CELLS[:, 4:] == [1, 3]).all(axis=1)
    for column in (*COLUMNS, begins_with_1x1, ends_with_skip_3x3):
        expected = p @ column
        variance = p @ (column - expected) ** 2
        error = math.sqrt(variance / 200_000)
        assert column[rows].mean() == pytest.approx(expected, abs=4 * error)


def test_reinforce_follows_the_exact_expected_reward():
    """Catches a biased estimator: E[(R - b) grad log pi] must be grad E[R], whatever b is."""
    reward = np.random.default_rng(3).normal(size=N_CELLS)
    one = random_controller(runs=1, hidden=2, state=False)
    p = one.probabilities()[0]
    rng = np.random.default_rng(0)
    every = Controller([rng] * N_CELLS, 2, np.float64)  # a run per cell
    every.theta[:] = one.theta
    assert np.array_equal(every.sample(plain.forcing(CELLS)), CELLS)

    def expected_reward(theta):
        one.theta[0] = theta
        return one.probabilities()[0] @ reward

    expected = -central_differences(expected_reward, one.theta[0].copy())
    assert np.abs(expected).max() > 1e-3
    for baseline in (0.0, 5.0):
        gradient = p @ every.gradient(reward - baseline, 0.0)
        assert gradient == pytest.approx(expected, abs=1e-8)


# --- controller_numpy.py: REINFORCE -----------------------------------------------------------


def test_learning_finds_a_known_optimum():
    """Catches learning in the wrong direction: reward = share of convolutions 3x3, optimum 1."""
    share = (CELLS == 3).mean(axis=1)  # (15625,)
    search = Reinforce([0, 1], **SETTINGS)
    expected = search.controller.probabilities() @ share  # (runs,)
    assert expected == pytest.approx(0.2, abs=0.05)
    search.search(np.stack([share, share]), 800)
    expected = search.controller.probabilities() @ share
    assert expected.min() > 0.95


def test_runs_do_not_depend_on_each_other():
    """Catches any mixing of runs: seed 3 alone, among others, or in another place is the same."""
    pay = np.random.default_rng(0).random((5, N_CELLS))
    together = Reinforce([1, 3, 3, 8, 2], **SETTINGS)
    alone = Reinforce([3], **SETTINGS)
    parts = [together.search(pay, samples=30) for _ in range(2)]
    rows = np.concatenate(parts, axis=1)
    rows_alone = alone.search(pay[1:2], samples=60)
    assert np.array_equal(rows_alone[0], rows[1])
    theta = together.controller.theta
    assert np.array_equal(alone.controller.theta[0], theta[1])
    p = together.controller.probabilities()
    p_alone = alone.controller.probabilities()
    assert np.array_equal(p_alone[0], p[1])
    assert not np.array_equal(rows[1], rows[2])  # the same seed, another reward


def test_the_chosen_cells_are_paid():
    """Catches a lookup in another run's row, or of another cell than the one drawn."""
    search = Reinforce([4, 4], **SETTINGS)
    paid = []
    search.learn = lambda R: paid.append(R.copy())
    own_row = np.arange(N_CELLS)
    pay = np.stack([own_row, -own_row])
    rows = search.search(pay, 20)
    first, second = np.transpose(paid)
    assert np.array_equal(first, rows[0])
    assert np.array_equal(second, -rows[1])


# --- claims.py --------------------------------------------------------------------------------


def test_windows_and_settling():
    """Catches windows that are shifted, or "settled" at the first dip instead of the last miss."""
    latency = np.full((4, 1000), 18.0)
    latency[0, 500:] = 16.0  # settles at 500
    latency[1, 250:500] = 16.0  # dips only
    latency[2] = 17.0  # at T from the start
    latency[3, 1000 - 250 :] = 17.0
    assert claims.window_means(latency).tolist()[0] == [18, 18, 16, 16]
    assert claims.settles_at(None, latency, 17.0).tolist() == [500, 1000, 0, 750]
    assert claims.settles_at(None, latency[:, :600], 17.0).tolist() == [500, 600, 0, 600]
    assert claims.window_means(np.arange(600.0)).tolist() == [124.5, 374.5, 549.5]


def test_bands_are_half_open_and_under_target():
    """Catches a network counted twice, above T, or on the wrong side of a band's edge."""
    accuracy = np.array([[0.5, 0.599, 0.6, 0.7, 0.49, 0.55]])
    latency = np.array([[17.0, 16.0, 3.0, 3.0, 3.0, 17.1]])
    assert claims.count_band(0.5, 0.6, accuracy, latency, 17.0).tolist() == [2]
    assert claims.count_band(0.6, 0.7, accuracy, latency, 17.0).tolist() == [1]


def test_bootstrap():
    """Catches an interval of the mean, of single seeds, or of the wrong width."""
    assert claims.bootstrap_median([3, 3, 3]) == (3, 3, 3)
    assert claims.bootstrap_median([0, 0, 0, 0, 100])[0] == 0
    # Median of resamples of 0 .. 40, exactly: at most k if 21 of 41 draws are, each with (k+1)/41.
    tail = [
        sum(math.comb(41, n) * (k + 1) ** n * (40 - k) ** (41 - n) for n in range(21, 42))
        for k in range(41)
    ]
    expected = [next(k for k in range(41) if tail[k] / 41**41 >= q) for q in (0.025, 0.975)]
    assert claims.bootstrap_median(np.arange(41)) == (20, *expected)


def test_verdicts():
    """Catches a verdict that is kinder than its rule."""
    cases = {  # paper's number, or None for a direction; number of seeds; interval
        "reproduced": [(3, 6, 2.5, 4.5), (2.5, 6, 2.5, 4.5), (3, 5, 2.5, 4.5), (None, 6, 0.5, 2)],
        "not reproduced": [(7, 6, 2.5, 4.5), (None, 6, -2, 0)],
        "undecided": [(6, 6, 2.5, 4.5), (1, 6, 2.5, 4.5), (3, 4, 2.5, 4.5)],
    }
    cases["undecided"] += [(None, 6, 0, 2), (None, 6, -1, 0.5), (None, 4, 1, 2)]
    for expected, rows in cases.items():
        for paper, seeds, *interval in rows:
            assert claims.verdict(paper, range(1, seeds + 1), *interval) == expected


def test_ledger_on_made_up_runs():
    """Catches claims tied to the wrong reward, band, sign or pairing."""
    n = claims.SAMPLES
    accuracy = np.sort(np.random.default_rng(0).uniform(0.55, 0.65, (6, n)), axis=1)
    slow, quick = (np.where(np.arange(n) < k, 18.0, 16.0) * np.ones((6, 1)) for k in (4750, 4000))
    found = {"mnasnet": (accuracy, slow), "proposed": (accuracy, quick)}
    entries = claims.ledger(found, 17.0)
    said = [(e["kind"], e["paper"], e["ours"], e["verdict"]) for e in entries]
    no, yes, rise = "not reproduced", "reproduced", pytest.approx(9.5, abs=0.2)
    assert said[:3] == [("number", 659, 0, no), ("number", 780, 0, no), ("direction", 121, 0, no)]
    assert said[3:5] == [("number", 781, 250, no), ("number", 1004, 1000, no)]
    assert said[5:7] == [("direction", 223, 750, yes), ("number", 4750, 4750, yes)]
    assert said[7:9] == [("number", 4000, 4000, yes), ("direction", 750, 750, yes)]
    assert said[9:] == [("direction", None, rise, yes)] * 2
    assert [e["per_seed"] for e in entries][8] == [750.0] * 6
    never = claims.ledger({"mnasnet": (accuracy, slow + 5)}, 17.0)
    assert [e["ours"] for e in never if "settles" in e["claim"]] == [n]
    short = {name: (a[:, :500], b[:, :500]) for name, (a, b) in found.items()}
    for e in claims.ledger(short, 17.0):
        assert e["kind"] == "direction" or e["verdict"] == "undecided"


# --- run_experiment.py ------------------------------------------------------------------------

SMALL = ["--seeds", "2", "--samples", "600"]
FILES = ["claims.png", "fig2.png", "fig3.png", "fig6.png", "fig7.png"]
FILES += ["samples.csv.gz", "summary.json", "table1.csv"]


def start(*arguments, **options):
    """run_experiment.py as a process of its own."""
    command = [sys.executable, HERE / "run_experiment.py", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **options)


def read_samples(folder):
    """samples.csv.gz as {(reward, seed): its rows, dicts of text}."""
    runs = {}
    with gzip.open(Path(folder) / "samples.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            runs.setdefault((row["reward"], row["seed"]), []).append(row)
    return runs


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """(folder, what it printed, summary.json) of one small run with two workers."""
    folder = tmp_path_factory.mktemp("results")
    process = start(*SMALL, "--workers", 2, "--out", folder)
    printed, error = process.communicate()
    assert (process.returncode, error) == (0, "")
    return folder, printed, json.loads((folder / "summary.json").read_text())


def test_absurd_arguments(tmp_path, capfd, monkeypatch):
    """Catches an absurd setting that runs, or that answers with a traceback; results stay."""
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    Path("results/summary.json").write_text("precious")
    for text, words in (
        ("--seeds 0", "--seeds must be at least 1"),
        ("--samples -5", "--samples must be at least 1"),
        ("--workers 0", "--workers must be at least 1"),
        ("--first-seed -1", "--first-seed must be at least 0"),
        ("--seeds many", "invalid int value: 'many'"),
        *((f"--target-ms {T}", "above 1 ms") for T in ("0", "0.017", "1", "nan", "inf")),
        ("--target-quantile 75", "between 0 and 1"),
        ("--target-quantile 0.7 --target-ms 9", "not allowed with"),
        ("--rewards mnasnet,best", "--rewards must be some of mnasnet"),
        ("--rewards tunas,tunas", "each once"),
        ("--reward-me", "unrecognized arguments"),
        ("--benchmark missing.pkl", "missing.pkl"),
        ("--benchmark results", "results"),
        ("--out results/summary.json", "summary.json"),  # found before the search, not after
        ("--out results/summary.json/below", "summary.json"),
    ):
        refused(capfd, run_experiment.main, [*SMALL, *text.split()], words)
    assert files_of("results") == {"summary.json": b"precious"}


def test_writes_and_prints_what_it_promises(results):
    """Catches a missing file, key or section, a wrong Table 1, lines too long for a terminal."""
    folder, printed, summary = results
    assert sorted(os.listdir(folder)) == FILES
    keys = ["benchmark", "settings", "table1", "optimum", "claims", "best_found", "timing"]
    assert set(keys) <= set(summary)
    assert (summary["timing"]["us_per_sample"] > 1, summary["settings"]["seeds"]) == (True, 2)
    table = list(csv.DictReader((folder / "table1.csv").open()))
    assert [row["agrees"] for row in table].count("False") == printed.count("misprint: ") == 2
    sections = [
        "Benchmark: surrogate",
        "  source   fitted",
        "Table 1",
        "Optimum",
        "Search",
        "Claim ledger",
    ]
    sections += ["Best network", "Time", "us per sample and run"]
    places = [printed.index(section) for section in sections]
    assert places == sorted(places)
    assert max(len(line) for line in printed.splitlines()) <= 100
    assert printed.count("0.84334    0.843345\n") == 1  # the first row of Table 1
    settled = [e["per_seed"] for e in summary["claims"] if "settles at" in e["claim"]]
    assert printed.count("never, in ") == sum(600.0 in per_seed for per_seed in settled) > 0
    assert "undecided, as the paper's need --samples 5000" in printed
    assert re.search(r"paper +ours +95 % interval +random +verdict\n", printed)
    for e in summary["claims"]:
        row = rf"^  {e['item']} {re.escape(e['claim'])} .* {e['ours']:,.4g} .* {e['verdict']}$"
        assert re.search(row, printed, re.MULTILINE), row


def test_prints_the_means_of_the_windows(results):
    """Catches a printed row that is not what the samples say: shifted, other seeds, other units."""
    lines = re.findall(r"^ +(250|500|600) (.*)$", results[1], re.MULTILINE)
    assert [int(end) for end, _ in lines] == [250, 500, 600]
    for begin, (end, line) in zip((0, 250, 500), lines, strict=True):
        expected, runs = [], read_samples(results[0])
        for name in ("mnasnet", "proposed", "random"):
            rows = [runs[name, seed][begin : int(end)] for seed in "01"]
            acc, ms = (
                [np.mean([float(row[key]) for row in seed]) for seed in rows]
                for key in ("accuracy", "latency_ms")
            )
            expected += [100 * np.mean(acc), np.mean(ms), 100 * np.mean(np.array(ms) <= 17)]
        assert [float(n) for n in re.findall(r"[\d.]+", line)] == pytest.approx(expected, abs=6e-3)


@pytest.mark.parametrize(("name", "panels"), [("fig2", 1), ("fig3", 2), ("fig6", 3), ("fig7", 2)])
def test_figures_show_the_data(name, panels, results):
    """Catches an empty picture: the panels' axes and both rewards' colours must be seen."""
    pixels = matplotlib.image.imread(results[0] / f"{name}.png")[:, :, :3]  # (height, width, 3)
    black = (pixels < 0.1).all(axis=2)
    spines = [np.diff((black.mean(axis=k) > 0.25).astype(int)) == 1 for k in (0, 1)]
    assert max(spine.sum() for spine in spines) >= panels
    for reward in ("mnasnet", "proposed"):
        wanted = matplotlib.colors.to_rgb(figures.colour(reward))
        assert (np.abs(pixels - wanted) < 0.02).all(axis=2).sum() > 100


def test_figures_draw_what_was_found(monkeypatch):
    """Catches curves and counts of other data than the title says: read off the drawn figures."""
    drawn, rng = [], np.random.default_rng(0)
    monkeypatch.setattr(figures.Figure, "savefig", lambda figure, path: drawn.append(figure))
    accuracy, latency_ms = rng.uniform(0.1, 0.7, (3, 500)), rng.uniform(10, 25, (3, 500))
    found = {"random": (accuracy, latency_ms)}
    figures.fig7("fig7.png", found, {}, 17.0, "x")
    for axes, values in zip(drawn[0].axes, (100 * accuracy, latency_ms), strict=True):
        medians = np.median(values.reshape(3, 2, 250).mean(axis=2), axis=0)
        assert any(np.allclose(line.get_ydata(), medians) for line in axes.lines)
    figures.fig6("fig6.png", {"random": (accuracy[:1], latency_ms[:1])}, 17.0, "x")
    counts = {text.get_position(): text.get_text() for text in drawn[1].axes[0].texts}
    inside = (accuracy[0] >= 0.4) & (accuracy[0] < 0.5) & (np.floor(latency_ms[0]) == 20)
    assert counts[45, 20.5] == str(inside.sum())


def test_same_again_and_in_other_company(results, tmp_path):
    """Catches results that depend on chance, workers, or on other seeds and rewards in the run."""
    out = ["--out", str(tmp_path)]
    assert run_experiment.main([*SMALL, "--workers", "1", *out]) == 0
    name, before = "samples.csv.gz", read_samples(results[0])
    assert files_of(tmp_path)[name] == files_of(results[0])[name]
    more = ["--seeds", "2", "--first-seed", "1", "--samples", "600", "--rewards", "tunas,proposed"]
    assert run_experiment.main([*more, *out]) == 0
    after = read_samples(tmp_path)
    assert [len(rows) for rows in after.values()] == [600] * 6
    for run in (("proposed", "1"), ("random", "1")):
        assert before[run] == after[run]


def searches(*options):
    """What run_searches returns for both rewards on the surrogate, T in ms, and the rewards."""
    args = run_experiment.parse(options)
    run_experiment.choose_target(args, SURROGATE)
    rewards = {name: REWARDS[name](*COLUMNS, args.target_ms) for name in args.rewards}
    return *run_experiment.run_searches(SURROGATE, rewards, args), args.target_ms, rewards


def test_blocks_and_workers_change_nothing():
    """Catches seeds that depend on the block or worker that they fall into: 9 seeds, 18 runs."""
    options = ["--seeds", "9", "--samples", "251", "--workers"]
    expected_rows, expected, *_ = searches(*options, "1")
    assert {name: drawn.shape for name, drawn in expected_rows.items()}["mnasnet"] == (9, 251)
    assert expected["proposed"].shape == (5, 9, 2)
    for workers in ("2", "4"):
        rows, exact, seconds, *_ = searches(*options, workers)
        assert all(0 < s < 60 for s in seconds)
        assert all(np.array_equal(rows[name], expected_rows[name]) for name in rows)
        assert all(np.array_equal(exact[name], expected[name]) for name in exact)


def test_exact_policy_and_a_network_exactly_at_the_target():
    """Catches expectations of another window, run or quantity, and < where the paper has <=.

    T is here a latency that many cells have, to the last bit; seed 1's search is done again."""
    at_target = float(np.median(SURROGATE.latency_ms))
    under = SURROGATE.latency_ms <= at_target
    assert (SURROGATE.latency_ms == at_target).sum() > 10
    row = np.flatnonzero(SURROGATE.latency_ms == at_target)[:1]
    assert run_experiment.best_under(SURROGATE, row, at_target)["meets_target"]
    target = ["--target-ms", str(at_target)]
    _, exact, _, T, rewards = searches("--seeds", "2", "--samples", "300", *target)
    assert at_target == T
    for name, reward in rewards.items():
        search = Reinforce([1], **run_experiment.HYPERPARAMETERS)
        for window, samples in enumerate((250, 50)):
            search.search(reward[None], samples)
            p = search.controller.enumerate()[0]
            entropy = -sum(float(q) * math.log(q) for q in p if q > 0)
            expected = [p @ COLUMNS[0], p @ COLUMNS[1], p[under].sum(), p @ reward, entropy]
            assert exact[name][:, 1, window] == pytest.approx(expected, rel=1e-4)


def test_choice_of_target():
    """Catches a quantile of something else, or a T between 1 and 2 ms refused."""
    quantile = np.quantile(SURROGATE.latency_ms, 0.75)
    for text, T in (("", 17.0), ("--target-ms 1.5", 1.5), ("--target-quantile 0.75", quantile)):
        assert run_experiment.choose_target(run_experiment.parse(text.split()), SURROGATE) == T


def test_samples_are_true(results):
    """Catches rows whose accuracy, latency or reward is another cell's, or seeds that are alike."""
    runs = read_samples(results[0])
    assert len({tuple(row["arch"] for row in rows) for rows in runs.values()}) == 6
    for (reward, _), rows in runs.items():
        assert [int(row["sample"]) for row in rows] == list(range(1, 601))
        for row in rows[::7]:
            cell = nas_benchmark.cell_to_row(nas_benchmark.string_to_cell(row["arch"]))
            point = [column[cell] for column in COLUMNS]
            value = "" if reward == "random" else REWARDS[reward](*point)
            assert list(row.values())[4:] == [*map(str, map(float, point)), str(value)]


def test_ledger_recomputed_from_the_samples(results):
    """Catches a ledger that says other than the samples: recomputed here in plain Python."""
    mine = {}
    for (name, _), rows in read_samples(results[0]).items():
        points = [(float(row["accuracy"]), float(row["latency_ms"])) for row in rows]
        windows = [list(zip(*points[k : k + 250], strict=True)) for k in range(0, 600, 250)]
        means = [[sum(column) / len(column) for column in window] for window in windows]
        slow = [250 * (k + 1) for k, (_, latency_ms) in enumerate(means) if latency_ms > 17]
        fast = [accuracy for accuracy, latency_ms in points if latency_ms <= 17]
        for what, value in {
            "networks of 50-60 % under T": sum(0.5 <= a < 0.6 for a in fast),
            "networks of 60-70 % under T": sum(0.6 <= a < 0.7 for a in fast),
            "settles at or under T": min(600, max([0, *slow])),
            "accuracy rises": 100 * (means[-1][0] - means[0][0]),
        }.items():
            mine.setdefault(f"{name}: {what}", []).append(value)
    for claim, what, sign in (
        ("finds more of 50-60 %", "networks of 50-60 % under T", 1),
        ("finds more of 60-70 %", "networks of 60-70 % under T", 1),
        ("settles sooner", "settles at or under T", -1),
    ):
        pairs = zip(mine[f"mnasnet: {what}"], mine[f"proposed: {what}"], strict=True)
        mine[f"proposed {claim}"] = [sign * (b - a) for a, b in pairs]
    for e in results[2]["claims"]:
        ours = mine[e["claim"]]
        assert e["per_seed"] == pytest.approx(ours)
        assert [e["low"], e["ours"], e["high"]] == pytest.approx(
            [min(ours), sum(ours) / 2, max(ours)]
        )
        if ": " in e["claim"]:
            random = mine[re.sub(r"^\w+", "random", e["claim"])]
            assert e["random"] == pytest.approx(sum(random) / 2)  # the median of two


def test_optimum_and_best_found(results):
    """Catches a best network above T, or one that was never drawn."""
    summary, runs = results[2], read_samples(results[0])
    assert list(summary["best_found"]) == ["mnasnet", "proposed", "random"]
    for name, best in summary["best_found"].items():
        both = [runs[name, seed] for seed in "01"]
        under = [row for row in itertools.chain(*both) if float(row["latency_ms"]) <= 17]
        assert best["accuracy"] == max(float(row["accuracy"]) for row in under)
        assert best["latency_ms"] <= 17
        if name != "random":
            optimum, values = summary["optimum"][name], REWARDS[name](*COLUMNS)
            cell = nas_benchmark.string_to_cell(optimum["arch"])
            assert optimum["reward"] == values.max() == values[nas_benchmark.cell_to_row(cell)]
            top = [max(float(row["reward_value"]) for row in rows) for rows in both]
            assert best["reward_regret"] == pytest.approx(values.max() - sum(top) / 2)
    fast = SURROGATE.accuracy[SURROGATE.latency_ms <= 17]
    assert summary["optimum"]["best_under_T"]["accuracy"] == fast.max()


def test_unusual_runs(tmp_path, capfd):
    """Catches a crash where nothing can meet T, or where the ledger has nothing to say."""
    small = ["--seeds", "1", "--samples", "50", "--out", str(tmp_path)]
    assert run_experiment.main([*small, "--target-ms", "5"]) == 0
    assert "no cell under T" in capfd.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["optimum"]["best_under_T"] is None
    assert run_experiment.main([*small, "--rewards", "tunas"]) == 0
    assert sorted(os.listdir(tmp_path)) == FILES


# --- bad days ---------------------------------------------------------------------------------


def test_disk_full(tmp_path):
    """Catches half-written files when the disk is full: here, files may have 20 kB at most."""
    resource = pytest.importorskip("resource")
    (tmp_path / "summary.json").write_text("precious")
    limit = (resource.RLIMIT_FSIZE, (20_000, 20_000))
    process = start(*SMALL, "--out", tmp_path, preexec_fn=lambda: resource.setrlimit(*limit))
    _, error = process.communicate()
    assert (process.returncode, error.count("\n"), "File too large" in error) == (1, 1, True)
    assert files_of(tmp_path) == {"summary.json": b"precious"}


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_stopped_on_the_way(name, tmp_path):
    """Catches results that are half new after Ctrl-C or kill -9, and workers that live on."""
    (tmp_path / "summary.json").write_text("precious")
    default = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # under nohup
    options = ["--seeds", 4, "--workers", 2, "--out", tmp_path]
    process = start(*options, start_new_session=True, **default)
    while not process.stdout.readline().strip().startswith("250"):  # the first window
        assert process.poll() is None
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=20)
    assert "Traceback" not in error
    assert (tmp_path / "summary.json").read_text() == "precious"
    if name == "SIGINT":
        assert (process.returncode, error.count("\n")) == (130, 1)
        assert os.listdir(tmp_path) == ["summary.json"]
    with contextlib.suppress(ProcessLookupError):
        for _ in range(100):  # the whole process group ends
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        pytest.fail("a worker lives on")


def test_a_worker_dies(tmp_path, monkeypatch, capfd):
    """Catches a run that waits for ever, or goes on without the results of a dead worker."""
    monkeypatch.setattr(run_experiment, "search", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    arguments = [*SMALL, "--workers", "1", "--out", tmp_path / "out"]
    refused(capfd, run_experiment.main, arguments, "a worker process died")
    assert os.listdir(tmp_path / "out") == []


def test_killed_while_writing(tmp_path):
    """Catches files that appear one by one: nothing is published before all is written."""
    (tmp_path / "a").write_text("old")
    for failure in (KeyboardInterrupt, None):
        with contextlib.suppress(KeyboardInterrupt), command_line.whole_files(tmp_path) as folder:
            (folder / "a").write_text("new")
            assert (tmp_path / "a").read_text() == "old"
            if failure:
                raise failure
        assert files_of(tmp_path) == {"a": b"old" if failure else b"new"}


def test_progress_in_a_pipe(capfd):
    """Catches minutes of silence where there is no terminal, or a line for every window."""
    for k in range(1, 101):
        command_line.progress(k, 100, 0.3 * k)  # 30 s in all
    lines = capfd.readouterr().err.splitlines()
    assert (lines[0], len(lines)) == ("40%, 18 s left", 7)


def test_two_runs_in_one_folder_with_an_odd_name(tmp_path):
    """Catches runs that trip over each other, paths relative to ours, non-ASCII, a broken pipe."""
    folder = tmp_path / "한글 폴더"
    folder.mkdir()
    options = ["--seeds", 1, "--samples", 300, "--out", "새 결과"]
    both = [start(*options, cwd=folder, env={**os.environ, "LC_ALL": "C"}) for _ in range(2)]
    both[0].stdout.readline()
    both[0].stdout.close()  # a reader that leaves
    assert [process.stderr.read() for process in both] == ["", ""]
    assert [process.wait() for process in both] == [0, 0]
    assert sorted(os.listdir(folder / "새 결과")) == FILES


# --- build_benchmark.py -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """A folder with made-up public tables: the CSV in shuffled order, and one device's latency.

    Returns (folder, index order of the rows, accuracy by row, latency by row)."""
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
    write_latency(folder / "latency" / "pixel3.pt", pickle.dumps(latency_ms[order].tolist()))
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
    devices["pixel3"]["sha256"] = build_benchmark.sha256_of(tables[0] / "latency" / "pixel3.pt")
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
    assert left == (["pixel3.pt"] if name == "CSV_SHA256" else [])
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


def test_damaged_tables(tables, tmp_path):
    """Catches tables that are read although a cell is missing, twice there, or no number."""
    lines = (tables[0] / "nats_bench.csv").read_text().splitlines(keepends=True)
    path = tmp_path / "damaged"
    for damaged, words in (
        (lines[:-1], "15,624 cells, 15,624 values"),
        (lines[:-1] + lines[1:2], "15,624 cells, 15,625 values"),
        ([*lines, "1,x,1,|none~0|\n"], "not a table of NAS-Bench-201"),
        (["a,b\n", "1,2\n"], "not a table of NAS-Bench-201"),
    ):
        path.write_text("".join(damaged))
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
    assert text.count("\n") == 28
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
    disconnected = ~nas_benchmark.live_edges(CELLS).any(axis=1)
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


# --- the project itself -----------------------------------------------------------------------


def test_imports_go_one_way():
    """Catches imports that run in a circle or against the order in which the files are read."""
    order = "command_line nas_reward nas_benchmark controller_numpy claims figures".split()
    order += ["run_experiment", "build_benchmark"]
    for k, name in enumerate(order):
        lines = (HERE / f"{name}.py").read_text().splitlines()
        modules = {m[1] for m in map(re.compile(r" *(?:from|import) (\w+)").match, lines) if m}
        assert modules & set(order) <= set(order[:k]), name


def test_docstrings():
    """Catches a file without its contract, and a test that does not say what it catches."""
    for path in HERE.glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    for test in tests:
        text = getattr(test, "hypothesis", None) and test.hypothesis.inner_test.__doc__
        assert (text or test.__doc__).startswith("Catches "), test


def test_readme_names_what_exists():
    """Catches a README that points to functions, tests, files or options that are not there."""
    text = (HERE / "README.md").read_text()
    for module, name in re.findall(r"`(\w+)\.(\w+)`", text):
        assert name in ("py", "md") or hasattr(sys.modules[module], name), f"{module}.{name}"
    for name in re.findall(r"`(test_\w+)`", text):
        assert name == "test_all" or name in globals(), name
    for name in re.findall(r"[`(]((?:docs/|data/)?\w+\.(?:py|md|png))[`)]", text):
        assert (HERE / name).exists(), name
    files = ("run_experiment", "build_benchmark")
    source = "".join((HERE / f"{name}.py").read_text() for name in files)
    for option in re.findall(r"--([a-z][a-z-]+)", text):
        assert re.search(rf"""["']--{option}["']""", source), option
