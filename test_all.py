"""Why to believe it. Each test's docstring names the bug that it catches.

    python -m pytest -q test_all.py        half a minute

Three oracles stand behind the hand-written LSTM: a plain twin (below) that computes one run in
loops over Python floats, central differences of that twin, and the exact policy, which can be
written down because the space is small. PyTorch is a fourth where it is installed.
Tests against the real tables run where ../shared/reference is, and say so where it is not.
"""

import ast
import bz2
import contextlib
import csv
import datetime
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

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build_benchmark
import claims
import command_line
import controller_numpy
import figures
import nas_benchmark
import nas_reward
import run_experiment
from controller_numpy import Adam, Controller, K, Reinforce, S, V
from nas_benchmark import CELLS, N_CELLS, BenchmarkError
from nas_reward import REWARDS, latency_reward, mnasnet, proposed

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent / "shared" / "reference"
needs_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason="the real tables (../shared/reference) are not here"
)
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
accuracies = st.floats(0.01, 1.0)
latencies = st.floats(0.5, 60.0)


# --- nas_reward.py ----------------------------------------------------------------------------


def test_table_1():
    """Catches any slip in Eq. 2-5 or in the printed values: wrong exponent, base, sign, weight."""
    entries = nas_reward.table_1()
    assert len(entries) == 12
    misprints = [e for e in entries if not e["agrees"]]
    assert [(e["printed"], e["truncated"]) for e in misprints] == [
        ("0.84352", "0.84357"),
        ("0.833527", "0.833529"),
    ]
    for e in entries:  # by hand, with math instead of NumPy
        acc, ms = e["accuracy"], e["latency_ms"]
        if e["reward"] == "mnasnet":
            by_hand = acc * math.exp(-0.07 * math.log(ms / 17))
        else:
            by_hand = 0.9 * acc + 0.1 * math.log(25.5 - ms, 17)
        assert e["formula"] == pytest.approx(by_hand, abs=1e-12)
        assert abs(e["formula"] - float(e["printed"])) < 6e-5  # even the misprints are near


def test_latency_reward_as_table_1_determines_it():
    """Catches a different reading of the illegible Eq. 4."""
    expected = [1.0102, 0.9186, 0.7946, 0.1431]
    assert latency_reward(np.array([8, 12, 16, 24])) == pytest.approx(expected, abs=5e-5)
    assert latency_reward(8.5) == pytest.approx(1.0)


def test_claims_of_the_text():
    """Catches rewards that agree with Table 1 and still miss what the paper says about them."""
    assert mnasnet(0.60, 8) == pytest.approx(mnasnet(0.63, 16), abs=1e-3)
    assert proposed(0.63, 16) > proposed(0.60, 8) + 1e-3
    for reward, fast_matters_more in ((mnasnet, True), (proposed, False)):
        fast = reward(0.7, 5) - reward(0.7, 15)
        slow = reward(0.7, 10) - reward(0.7, 20)
        assert (fast > slow) == fast_matters_more


def test_eq_4_is_continuous_and_ends_at_0():
    """Catches the branch at 1.5 T - 1 in the wrong place, or a logarithm of nothing beyond it."""
    for target in (1.5, 17.0, 100.0):
        edge = 1.5 * target - 1
        assert latency_reward(edge, target) == pytest.approx(0, abs=1e-12)
        assert latency_reward(edge - 1e-9, target) == pytest.approx(0, abs=1e-7)
        assert latency_reward(edge + 1e-9, target) == 0
        beyond = np.array([edge + 1, 1.5 * target, 10 * target])
        assert latency_reward(beyond, target).tolist() == [0, 0, 0]
        assert latency_reward(edge - 0.5, target) > 0


@given(accuracies, st.floats(1, 60), st.floats(3, 50))
def test_slopes_are_the_derivatives(accuracy, ms, target):
    """Catches a wrong derivative in Fig. 2: sign, missing 1/ln T, wrong exponent above T."""
    for reward, slope, kinks in (
        (mnasnet, nas_reward.mnasnet_slope, []),
        (proposed, nas_reward.proposed_slope, [1.5 * target - 1]),
    ):
        if all(abs(ms - kink) > 1e-3 for kink in kinks):
            step = 1e-5
            up, down = (reward(accuracy, ms + d, target) for d in (step, -step))
            assert slope(accuracy, ms, target) == pytest.approx((up - down) / (2 * step), abs=1e-6)


@given(accuracies, latencies, latencies, st.sampled_from(["mnasnet", "proposed", "mnasnet_hard"]))
def test_rewards_are_monotonic(accuracy, ms, other_ms, name):
    """Catches a reward that prefers slower or less accurate networks anywhere."""
    fast, slow = sorted((ms, other_ms))
    assert REWARDS[name](accuracy, fast, 17) >= REWARDS[name](accuracy, slow, 17) - 1e-12
    assert REWARDS[name](accuracy, ms, 17) > REWARDS[name](accuracy * 0.9, ms, 17)


def test_branches_of_mnasnet():
    """Catches alpha and beta exchanged, or T itself on the wrong side."""
    assert mnasnet(0.5, 8.5, 17, alpha=-1, beta=0) == pytest.approx(1.0)
    assert mnasnet(0.5, 34, 17, alpha=-1, beta=0) == pytest.approx(0.5)
    assert mnasnet(0.5, 34, 17, alpha=0, beta=-1) == pytest.approx(0.25)
    slopes = nas_reward.mnasnet_slope(0.5, np.array([16, 17, 18]), 17, alpha=0, beta=-1)
    assert (slopes == 0).tolist() == [True, True, False]
    ms = np.array([8.5, 17, 34])
    assert REWARDS["mnasnet_hard"](0.5, ms, 17) == pytest.approx([0.5, 0.5, 0.25])
    assert REWARDS["tunas"](0.5, ms, 17) == pytest.approx([0.5 - 0.07 / 2, 0.5, 0.5 - 0.07])


def test_arrays_equal_scalars():
    """Catches a function that is right for one network and wrong for many, or the reverse."""
    accuracy, ms = np.array([[0.2], [0.7]]), np.array([3.0, 17.0, 24.5, 40.0])
    functions = [*REWARDS.values(), nas_reward.mnasnet_slope, nas_reward.proposed_slope]
    for function in functions:
        table = np.broadcast_to(function(accuracy, ms, 17.0), (2, 4))
        one_by_one = [[function(float(a), float(m), 17.0) for m in ms] for a in accuracy[:, 0]]
        assert np.array_equal(table, one_by_one)
        assert isinstance(one_by_one[0][0], float)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: proposed(0.7, 0.008, 0.017), "milliseconds, not seconds"),
        (lambda: latency_reward(8, 1.0), "T > 1"),
        (lambda: nas_reward.proposed_slope(0.7, 8, 1.0), "T > 1"),
        (lambda: proposed(0.7, 8, x=0.9, y=0.2), "x + y = 1"),
        (lambda: mnasnet(70, 8), "divide percent by 100"),
        (lambda: mnasnet(1.01, 8), "divide percent by 100"),
        (lambda: mnasnet(-0.1, 8), "0..1"),
        (lambda: mnasnet(math.nan, 8), "0..1"),
        (lambda: mnasnet(0.7, 0), "positive"),
        (lambda: mnasnet(0.7, [8, math.inf]), "finite"),
        (lambda: mnasnet(0.7, 8, math.nan), "target"),
        (lambda: mnasnet(0.7, 8, 0), "target"),
        (lambda: REWARDS["tunas"](0.7, 8, -17), "target"),
    ],
)
def test_rewards_refuse_wrong_units(call, words):
    """Catches seconds, percent and nonsense passing through as plausible rewards."""
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


def test_limits_of_the_domain():
    """Catches limits that are refused although they make sense, or a slope beyond the edge."""
    assert mnasnet(0, 8) == 0
    assert proposed(1, 8.5) == pytest.approx(1)
    assert nas_reward.proposed_slope(0.7, 24.5) == pytest.approx(-0.1 / math.log(17))
    assert nas_reward.proposed_slope(0.7, 24.6) == 0
    assert latency_reward(1, 1.5) == pytest.approx(math.log(1.25, 1.5))


def test_truncate_cuts():
    """Catches rounding where the paper truncates."""
    assert nas_reward.truncate(0.8433446, 5) == "0.84334"
    assert nas_reward.truncate(0.82999, 3) == "0.829"
    assert nas_reward.truncate(0.5, 4) == "0.5000"
    assert nas_reward.truncate(0.19, 1) == "0.1"
    assert nas_reward.truncate(0.29, 2) == "0.29"  # 0.29 * 100 is 28.999... in binary


# --- nas_benchmark.py -------------------------------------------------------------------------


def test_cells_rows_and_strings():
    """Catches another order of edges, operations or digits: every lookup would be wrong."""
    assert CELLS.shape == (15625, 6)
    assert nas_benchmark.cell_to_row(CELLS).tolist() == list(range(15625))
    assert nas_benchmark.cell_to_row([0, 0, 0, 0, 0, 1]) == 1
    assert nas_benchmark.cell_to_row([1, 0, 0, 0, 0, 0]) == 3125
    names = ["avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_3x3", "none", "none"]
    text = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*names)
    assert nas_benchmark.string_to_cell(text) == [4, 2, 1, 3, 0, 0]
    for cell in CELLS.tolist():
        assert nas_benchmark.string_to_cell(nas_benchmark.cell_to_string(cell)) == cell


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|none~0|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~3|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_5x5~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|none~3|",
        " |none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    ],
)
def test_strings_that_name_no_cell(text):
    """Catches a parser that reads a cell out of anything."""
    with pytest.raises(ValueError, match="not an architecture string"):
        nas_benchmark.string_to_cell(text)


def test_live_edges():
    """Catches a missing or wrong path: 341 cells are disconnected, a fact of NAS-Bench-201."""
    assert (~nas_benchmark.live_edges(CELLS).any(axis=1)).sum() == 341
    for cell in CELLS[::37].tolist():  # against a walk through the graph
        edges = [e for e, op in zip(nas_benchmark.EDGES, cell, strict=True) if op]
        ahead = {0}
        for start, end in sorted(edges, key=lambda e: e[1]):
            ahead |= {end} if start in ahead else set()
        back = {3}
        for start, end in sorted(edges, key=lambda e: -e[0]):
            back |= {start} if end in back else set()
        expected = [
            bool(op) and a in ahead and b in back
            for (a, b), op in zip(nas_benchmark.EDGES, cell, strict=True)
        ]
        assert nas_benchmark.live_edges(cell).tolist() == expected, cell


def test_surrogate_is_what_it_says():
    """Catches a surrogate rebuilt wrongly: too good, unlabelled, or with percent or seconds."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    assert "not measured" in benchmark.name
    assert nas_benchmark.SURROGATE.stat().st_size < 400_000
    disconnected = ~nas_benchmark.live_edges(CELLS).any(axis=1)
    assert (benchmark.accuracy[disconnected] == 0.01).all()
    assert benchmark.accuracy.max() < 0.74
    assert benchmark.accuracy[~disconnected].min() > 0.02
    wanted = build_benchmark.LATENCY_QUANTILES_MS
    got = np.quantile(benchmark.latency_ms, list(wanted))
    assert np.abs(got - list(wanted.values())).max() < 0.25
    counts = np.stack([(k == CELLS).sum(axis=1) for k in range(5)], axis=1)
    by_hand = 7.66 + counts @ [0, 0.14, 3.05, 2.38, 0.66]
    assert benchmark.latency_ms == pytest.approx(by_hand, abs=1e-3)


@needs_reference
def test_surrogate_against_the_real_table(tmp_path):
    """Catches a fit worse than promised, and a committed file that its command does not make."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    _, real = build_benchmark.read_accuracy(REFERENCE / "nats_bench.csv", "cifar100")
    residual = benchmark.accuracy - real
    assert 1 - (residual**2).sum() / ((real - real.mean()) ** 2).sum() >= 0.97
    assert np.abs(residual).mean() <= 0.015
    assert benchmark.provenance["fit"]["accuracy_kendall_tau"] >= 0.80
    out = tmp_path / "again.pkl"
    assert build_benchmark.main(["surrogate", "--from", str(REFERENCE), "--out", str(out)]) == 0
    assert out.read_bytes() == nas_benchmark.SURROGATE.read_bytes()


def test_kendall_tau_by_hand():
    """Catches a tau that ignores ties or counts pairs twice."""
    assert build_benchmark.kendall_tau(np.arange(9), np.arange(9)) == 1
    assert build_benchmark.kendall_tau(np.arange(9), -np.arange(9)) == -1
    a, b = np.array([1, 2, 2, 3]), np.array([1, 3, 2, 2])  # 3 up, 1 down, 1 tie each
    assert build_benchmark.kendall_tau(a, b) == pytest.approx((3 - 1) / 5)


def plain():
    """The content of a benchmark pickle, good as it stands."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    return {
        "accuracy": benchmark.accuracy.tolist(),
        "latency_ms": benchmark.latency_ms.tolist(),
        "provenance": dict(benchmark.provenance),
    }


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def with_value(key, row, value):
    content = plain()
    content[key][row] = value
    return content


def scaled(key, factor):
    content = plain()
    content[key] = [factor * value for value in content[key]]
    return content


BAD_CONTENTS = {
    "a call": (lambda: {**plain(), "extra": Hostile()}, "plain data"),
    "an array": (lambda: {**plain(), "accuracy": np.ones(N_CELLS)}, "plain data"),
    "a list": (lambda: [1, 2], "list instead of a dict"),
    "no latency": (lambda: {"accuracy": [], "provenance": {}}, "no 'latency_ms'"),
    "too short": (lambda: {**plain(), "accuracy": plain()["accuracy"][1:]}, "15,624 values"),
    "text": (lambda: with_value("accuracy", 3, "0.7"), "not a list of numbers"),
    "a number": (lambda: {**plain(), "accuracy": 0.7}, "not a list of numbers"),
    "nan": (lambda: with_value("accuracy", 3, math.nan), "not finite (row 3)"),
    "infinite": (lambda: with_value("latency_ms", 15624, math.inf), "not finite (row 15624)"),
    "huge": (lambda: with_value("latency_ms", 3, 10**400), "too large"),
    "zero": (lambda: with_value("accuracy", 4, 0), "not positive (row 4)"),
    "negative": (lambda: with_value("latency_ms", 5, -1.0), "not positive (row 5)"),
    "above 1": (lambda: with_value("accuracy", 6, 1.5), "percent"),
    "percent": (lambda: scaled("accuracy", 100), "percent"),
    "seconds": (lambda: scaled("latency_ms", 0.001), "seconds"),
    "no provenance": (lambda: {**plain(), "provenance": {"name": "x"}}, "lacks source"),
    "odd provenance": (lambda: {**plain(), "provenance": "x"}, "str instead of a dict"),
}


@pytest.mark.parametrize("kind", BAD_CONTENTS)
def test_bad_benchmarks_are_refused(kind, tmp_path, capfd, monkeypatch):
    """Catches a bad table that is searched in silence, or a pickle that runs code."""
    monkeypatch.chdir(tmp_path)
    content, words = BAD_CONTENTS[kind]
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps(content()))
    check_refusal(capfd, ["--benchmark", str(path)], "bad.pkl", words, "build_benchmark.py")
    assert not (tmp_path / "hacked").exists()


BAD_FILES = {
    "empty": (lambda path: path.write_bytes(b""), "not a benchmark pickle"),
    "a text": (lambda path: path.write_text("accuracy,latency\n1,2\n"), "not a benchmark pickle"),
    "truncated": (lambda path: path.write_bytes(pickle.dumps(plain())[:50_000]), "not a benchmark"),
    "a folder": (lambda path: path.mkdir(), "directory"),
    "missing": (lambda path: None, "no such file"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_are_refused(kind, tmp_path, capfd, monkeypatch):
    """Catches a traceback where a file is not there or not a pickle."""
    monkeypatch.chdir(tmp_path)
    make, words = BAD_FILES[kind]
    make(tmp_path / "bad.pkl")
    check_refusal(capfd, ["--benchmark", "bad.pkl"], "bad.pkl", words)


def test_save_and_load(tmp_path):
    """Catches numbers that change on the way through a file, and half-written files."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    path = tmp_path / "folder" / "copy.pkl"
    nas_benchmark.save(benchmark, path)
    again = nas_benchmark.load(path)
    assert np.array_equal(again.accuracy, benchmark.accuracy)
    assert np.array_equal(again.latency_ms, benchmark.latency_ms)
    assert again.provenance == benchmark.provenance
    again.accuracy[7] = 1.0  # the limits of what is plausible
    again.latency_ms *= 0.5 / np.median(again.latency_ms)
    nas_benchmark.save(again, path)
    assert nas_benchmark.load(path).accuracy[7] == 1.0
    before = path.read_bytes()
    benchmark.accuracy[7] = math.nan
    with pytest.raises(BenchmarkError, match="not written"):
        nas_benchmark.save(benchmark, path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["copy.pkl"]


def test_load_prefers_the_users_own_table(tmp_path, monkeypatch):
    """Catches a user's official table that is ignored in favour of the surrogate."""
    assert "surrogate" in nas_benchmark.load().name or nas_benchmark.OFFICIAL.exists()
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    benchmark.provenance["name"] = "mine"
    monkeypatch.setattr(nas_benchmark, "OFFICIAL", tmp_path / "mine.pkl")
    nas_benchmark.save(benchmark, tmp_path / "mine.pkl")
    assert nas_benchmark.load().name == "mine"


# --- controller_numpy.py: a plain twin --------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def twin(theta, H, h, c, actions):
    """One run's LSTM in loops over floats: the logits (S lists of K) for the given actions.

    theta: the P parameters of one run; h, c: initial states, H floats each.
    """
    W = [theta[r * 4 * H : (r + 1) * 4 * H] for r in range(V + H + 1)]
    start = (V + H + 1) * 4 * H
    Wo = [theta[start + r * K : start + (r + 1) * K] for r in range(H + 1)]
    token, logits = K, []
    for action in actions:
        z = [
            W[token][j] + sum(h[r] * W[V + r][j] for r in range(H)) + W[V + H][j]
            for j in range(4 * H)
        ]
        i = [sigmoid(z[j]) for j in range(H)]
        f = [sigmoid(z[H + j]) for j in range(H)]
        g = [math.tanh(z[2 * H + j]) for j in range(H)]
        o = [sigmoid(z[3 * H + j]) for j in range(H)]
        c = [f[j] * c[j] + i[j] * g[j] for j in range(H)]
        h = [o[j] * math.tanh(c[j]) for j in range(H)]
        logits.append([sum(h[r] * Wo[r][k] for r in range(H)) + Wo[H][k] for k in range(K)])
        token = action
    return logits


def twin_loss(theta, H, h, c, actions, advantage, entropy_weight):
    """-A sum_t log pi(a_t) - c_ent sum_t H_t of one run, in loops over floats."""
    loss = 0.0
    for action, logits in zip(actions, twin(theta, H, h, c, actions), strict=True):
        log_z = math.log(sum(math.exp(v) for v in logits))
        entropy = -sum(math.exp(v - log_z) * (v - log_z) for v in logits)
        loss -= advantage * (logits[action] - log_z) + entropy_weight * entropy
    return loss


def random_controller(runs=3, hidden=3, dtype=np.float64, seed=0, state=True):
    """A Controller with large random parameters, biases and, unless told not to, initial states."""
    rng = np.random.default_rng(seed)
    controller = Controller([rng] * runs, hidden, dtype)
    controller.theta[:] = rng.normal(0, 0.7, controller.theta.shape)
    if state:
        controller.h[:, 0] = rng.normal(0, 0.5, (runs, hidden))
        controller.c[:, 0] = rng.normal(0, 0.5, (runs, hidden))
    return controller


def gumbel(runs, seed=1):
    return np.random.default_rng(seed).gumbel(size=(runs, S, K))


def forcing(actions):
    """Noise (N, S, K) that makes `sample` choose `actions` (N, S)."""
    return np.where(np.eye(K)[actions] > 0, 1e6, 0.0)


def numeric_gradient(controller, run, advantage, entropy_weight):
    """Central differences of the twin's loss for one run of a controller that has just sampled."""
    h, c = controller.h[run, 0].tolist(), controller.c[run, 0].tolist()
    fixed = (controller.H, h, c, controller.a[run].tolist(), advantage, entropy_weight)
    theta, gradient, step = controller.theta[run].tolist(), [], 1e-5
    for j in range(len(theta)):
        up, down = (theta[:j] + [theta[j] + d] + theta[j + 1 :] for d in (step, -step))
        gradient.append((twin_loss(up, *fixed) - twin_loss(down, *fixed)) / (2 * step))
    return np.array(gradient)


def test_forward_equals_the_twin():
    """Catches any slip in the forward pass: gate order, bias, token, state of another run."""
    controller = random_controller()
    actions = controller.sample(gumbel(3))
    for run in range(3):
        h, c = controller.h[run, 0].tolist(), controller.c[run, 0].tolist()
        expected = twin(controller.theta[run].tolist(), 3, h, c, actions[run].tolist())
        assert controller.logits[run] == pytest.approx(np.array(expected), abs=1e-12)


def test_backward_equals_central_differences():
    """Catches every wrong gradient: each parameter, all steps, states not 0, both signs of A."""
    controller = random_controller()
    advantages = np.array([0.8, -1.3, 0.1])
    controller.sample(gumbel(3))
    gradient = controller.gradient(advantages, 0.3)
    for run in range(3):
        expected = numeric_gradient(controller, run, advantages[run], 0.3)
        error = np.abs(gradient[run] - expected) / np.maximum(np.abs(expected), 1e-3)
        assert error.max() < 1e-6


def test_two_updates_in_a_row():
    """Catches buffers that carry something over from one update to the next."""
    controller = random_controller(runs=2)
    adam = Adam(controller.theta, 0.05)
    for seed in (1, 2, 3):
        controller.sample(gumbel(2, seed))
        gradient = controller.gradient(np.array([1.0, -0.5]), 0.1)
        expected = numeric_gradient(controller, 1, -0.5, 0.1)
        assert gradient[1] == pytest.approx(expected, abs=1e-8)
        adam.step(gradient)


def test_entropy_gradient_alone():
    """Catches a bonus with the wrong sign: with A = 0, a step downhill must raise the entropy."""
    controller = random_controller(runs=1)
    noise = gumbel(1)

    def entropy():
        controller.sample(noise)
        p = np.exp(controller.logits) / np.exp(controller.logits).sum(axis=2, keepdims=True)
        return -(p * np.log(p)).sum()

    before = entropy()
    controller.theta -= 0.01 * controller.gradient(np.zeros(1), 1.0)
    noise = forcing(controller.a)
    assert entropy() > before


def test_start_of_training():
    """Catches other starting weights: range 0.1, no bias but the forget gate's 1, states 0."""
    assert Controller([np.random.default_rng(0)]).H == 64
    controller = Controller([np.random.default_rng(s) for s in range(4)], 16)
    H = controller.H
    weights, bias = controller.W[:, :-1], controller.W[:, -1]
    assert np.abs(weights).max() <= 0.1
    assert weights.std() == pytest.approx(0.2 / math.sqrt(12), rel=0.05)
    assert (bias[:, H : 2 * H] == 1).all()
    assert (np.delete(bias, slice(H, 2 * H), axis=1) == 0).all()
    assert np.abs(controller.Wo[:, :-1]).max() <= 0.1
    assert np.abs(controller.Wo[:, :-1]).min() > 0
    assert (controller.Wo[:, -1] == 0).all()
    assert (controller.h[:, 0] == 0).all()
    assert (controller.c[:, 0] == 0).all()
    assert controller.theta.dtype == np.float32
    assert not np.array_equal(controller.theta[0], controller.theta[1])


def test_float32_agrees_with_float64():
    """Catches a computation that falls into the wrong precision or needs more than it has."""
    rngs = [np.random.default_rng(s) for s in range(2)]
    single, double = Controller(rngs, 64), Controller(rngs, 64, np.float64)
    double.theta[:] = single.theta
    advantages = np.array([0.02, -0.01])
    actions = double.sample(gumbel(2))
    assert np.array_equal(single.sample(forcing(actions).astype(np.float32)), actions)
    expected = double.gradient(advantages, 0.01)
    gradient = single.gradient(advantages, 0.01)
    assert gradient.dtype == np.float32
    assert expected.dtype == np.float64
    assert np.abs(gradient - expected).max() < 1e-5 * np.abs(expected).max()
    assert single.enumerate() == pytest.approx(double.enumerate(), rel=1e-3)


def test_softmax_of_large_logits():
    """Catches a softmax that overflows where a policy has become very sure."""
    logits = np.array([[1e4, 0.0, -1e4]])
    assert controller_numpy._log_softmax(logits).tolist() == [[0.0, -1e4, -2e4]]


def test_agrees_with_pytorch():
    """Catches what our own oracles could share: an LSTM, softmax or Adam unlike the world's."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; it is never needed")
    torch.set_default_dtype(torch.float64)
    N, H = 3, 8
    controller = random_controller(N, H)
    adam = Adam(controller.theta, 1e-2)
    ours = []
    for run in range(N):
        cell, out = torch.nn.LSTMCell(V, H), torch.nn.Linear(H, K)
        with torch.no_grad():
            W, Wo = torch.tensor(controller.W[run]), torch.tensor(controller.Wo[run])
            cell.weight_ih.copy_(W[:V].T)
            cell.weight_hh.copy_(W[V:-1].T)
            cell.bias_ih.copy_(W[-1])
            cell.bias_hh.zero_()
            out.weight.copy_(Wo[:-1].T)
            out.bias.copy_(Wo[-1])
        cell.bias_hh.requires_grad = False
        parameters = [p for p in [*cell.parameters(), *out.parameters()] if p.requires_grad]
        ours.append((cell, out, torch.optim.Adam(parameters, 1e-2)))
    advantages = np.array([0.5, -2.0, 1.0])
    for update in range(3):
        actions = controller.sample(gumbel(N, update))
        gradient = controller.gradient(advantages, 0.2)
        dW, dWo = controller.dW.copy(), controller.dWo.copy()
        adam.step(gradient)
        for run, (cell, out, optimiser) in enumerate(ours):
            h, c = (torch.tensor(s[run : run + 1, 0]) for s in (controller.h, controller.c))
            token, loss = K, 0
            for action in actions[run].tolist():
                one_hot = torch.nn.functional.one_hot(torch.tensor([token]), V).double()
                h, c = cell(one_hot, (h, c))
                policy = torch.distributions.Categorical(logits=out(h)[0])
                loss = loss - advantages[run] * policy.log_prob(torch.tensor(action))
                loss = loss - 0.2 * policy.entropy()
                token = action
            optimiser.zero_grad()
            loss.backward()
            assert dW[run, V:-1] == pytest.approx(cell.weight_hh.grad.T.numpy(), abs=1e-9)
            assert dW[run, :V] == pytest.approx(cell.weight_ih.grad.T.numpy(), abs=1e-9)
            assert dW[run, -1] == pytest.approx(cell.bias_ih.grad.numpy(), abs=1e-9)
            assert dWo[run, :-1] == pytest.approx(out.weight.grad.T.numpy(), abs=1e-9)
            assert dWo[run, -1] == pytest.approx(out.bias.grad.numpy(), abs=1e-9)
            optimiser.step()
            hidden_weights = cell.weight_hh.detach().T.numpy()
            assert controller.W[run, V:-1] == pytest.approx(hidden_weights, abs=1e-9)
            assert controller.Wo[run, -1] == pytest.approx(out.bias.detach().numpy(), abs=1e-9)
    torch.set_default_dtype(torch.float32)


def test_adam_by_hand():
    """Catches a wrong moment, bias correction, epsilon or step count, against Algorithm 1."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(2, 3))
    adam = Adam(theta, 0.1, beta1=0.7, beta2=0.9, epsilon=0.01)
    expected, m, v = theta.copy(), np.zeros((2, 3)), np.zeros((2, 3))
    for t in range(1, 6):
        g = rng.normal(size=(2, 3))
        adam.step(g)
        m, v = 0.7 * m + 0.3 * g, 0.9 * v + 0.1 * g * g
        m_hat, v_hat = m / (1 - 0.7**t), v / (1 - 0.9**t)
        expected = expected - 0.1 * m_hat / (np.sqrt(v_hat) + 0.01)
        assert theta == pytest.approx(expected, abs=1e-12)
    standard = Adam(theta, 0.1)
    assert (standard.beta1, standard.beta2, standard.epsilon) == (0.9, 0.999, 1e-8)


# --- controller_numpy.py: the exact policy ----------------------------------------------------


def test_enumeration_equals_the_twin():
    """Catches a cell whose probability stands in another cell's row."""
    controller = random_controller(runs=2, state=True)
    p = controller.enumerate()
    assert p.shape == (2, N_CELLS)
    assert p.sum(axis=1) == pytest.approx(1, abs=1e-12)
    for run, row in itertools.product(range(2), (0, 1, 7, 3125, 9876, 15624)):
        h, c = controller.h[run, 0].tolist(), controller.c[run, 0].tolist()
        theta = controller.theta[run].tolist()
        loss = twin_loss(theta, controller.H, h, c, CELLS[row].tolist(), 1.0, 0.0)
        assert p[run, row] == pytest.approx(math.exp(-loss), rel=1e-9)


def test_samples_follow_the_policy():
    """Catches a biased draw: 200,000 samples, expectations within 4 standard errors."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    controller = random_controller(runs=1, hidden=8, dtype=np.float32, state=False)
    p = controller.enumerate()[0]
    assert p.sum() == pytest.approx(1, abs=1e-6)
    copies = 2000
    many = Controller([np.random.default_rng(0)] * copies, 8)
    many.theta[:] = controller.theta
    rng = np.random.default_rng(5)
    rows = np.concatenate(
        [
            nas_benchmark.cell_to_row(many.sample(rng.gumbel(size=(copies, S, K))))
            for _ in range(100)
        ]
    )
    first = CELLS[:, 0] == 2
    last = (CELLS[:, 4] == 1) & (CELLS[:, 5] == 3)
    for column in (benchmark.accuracy, benchmark.latency_ms, first, last):
        expected = p @ column
        error = math.sqrt(p @ (column - expected) ** 2 / len(rows))
        assert column[rows].mean() == pytest.approx(expected, abs=4 * error)


def exact_gradients(reward, baseline):
    """(controller, mean REINFORCE gradient under its policy), one run per cell of the space."""
    one = random_controller(runs=1, hidden=2, state=False)
    p = one.enumerate()[0]
    every = Controller([np.random.default_rng(0)] * N_CELLS, 2, np.float64)
    every.theta[:] = one.theta
    assert np.array_equal(every.sample(forcing(CELLS)), CELLS)
    gradient = every.gradient(reward - baseline, 0.0)  # of -(R - b) log pi, cell by cell
    return one, p @ gradient


def test_reinforce_follows_the_exact_expected_reward():
    """Catches a biased estimator: E[(R - b) grad log pi] must be grad E[R], whatever b is."""
    reward = np.random.default_rng(3).normal(size=N_CELLS)
    controller, gradient = exact_gradients(reward, 0.0)
    step, expected = 1e-5, []
    for j in range(controller.theta.shape[1]):
        values = []
        for d in (step, -step):
            controller.theta[0, j] += d
            values.append(controller.enumerate()[0] @ reward)
            controller.theta[0, j] -= d
        expected.append(-(values[0] - values[1]) / (2 * step))
    assert gradient == pytest.approx(np.array(expected), abs=1e-8)
    assert np.abs(gradient).max() > 1e-3
    _, with_baseline = exact_gradients(reward, 5.0)
    assert with_baseline == pytest.approx(gradient, abs=1e-10)


# --- controller_numpy.py: REINFORCE -----------------------------------------------------------

SETTINGS = {"hidden": 16, "learning_rate": 1e-2, "entropy_weight": 0.01, "baseline_decay": 0.9}


def test_baseline_by_hand():
    """Catches a baseline that includes the present reward, or decays the wrong way."""
    search = Reinforce([0, 1], **SETTINGS)
    seen = []
    search.controller.gradient = lambda advantage, weight: seen.append(advantage) or np.zeros(1)
    search.adam.step = lambda gradient: None
    for R in ([1.0, 0.0], [2.0, 0.0], [0.0, 1.0]):
        search.learn(np.array(R))
    # b = R1 = 1; then 0.9 * 1 + 0.1 * 2 = 1.1; then 0.9 * 1.1 + 0.1 * 0 = 0.99
    assert np.array(seen)[:, 0] == pytest.approx([0.0, 1.0, -1.1])
    assert np.array(seen)[:, 1] == pytest.approx([0.0, 0.0, 1.0])
    assert search.baseline == pytest.approx([0.99, 0.1])


def test_learning_finds_a_known_optimum():
    """Catches learning in the wrong direction: reward = share of convolutions 3x3, optimum 1."""
    reward = np.tile((CELLS == 3).mean(axis=1), (2, 1))
    search = Reinforce([0, 1], **SETTINGS)
    assert (search.controller.enumerate() * reward).sum(axis=1) == pytest.approx(0.2, abs=0.05)
    search.search(reward, 800)
    assert (search.controller.enumerate() * reward).sum(axis=1).min() > 0.95


def test_one_step_favours_the_better_than_average():
    """Catches the advantage's sign: a reward above the baseline makes its cell more likely."""
    for better in (True, False):
        search = Reinforce([0], **{**SETTINGS, "entropy_weight": 0.0})
        row = nas_benchmark.cell_to_row(search.controller.sample(gumbel(1)))[0]
        before = search.controller.enumerate()[0, row]
        search.baseline = np.array([0.5])
        search.learn(np.array([0.9 if better else 0.1]))
        assert (search.controller.enumerate()[0, row] > before) == better


def test_runs_do_not_depend_on_each_other():
    """Catches any mixing of runs: seed 3 alone, among others, or in another place is the same."""
    rng = np.random.default_rng(0)
    reward = rng.random((5, N_CELLS))
    together = Reinforce([1, 3, 3, 8, 2], **SETTINGS)
    rows = np.concatenate([together.search(reward, 30), together.search(reward, 30)], axis=1)
    alone = Reinforce([3], **SETTINGS)
    assert np.array_equal(alone.search(reward[1:2], 60)[0], rows[1])
    assert np.array_equal(alone.controller.theta[0], together.controller.theta[1])
    assert np.array_equal(alone.controller.enumerate()[0], together.controller.enumerate()[1])
    assert not np.array_equal(rows[1], rows[2])  # same seed, another reward: they part


def test_the_chosen_cells_are_paid():
    """Catches a lookup in another run's row, or of another cell than the one drawn."""
    search = Reinforce([4, 4], **SETTINGS)
    paid = []
    search.learn = lambda R: paid.append(R.copy())
    reward = np.stack([np.arange(N_CELLS), -np.arange(N_CELLS)])
    rows = search.search(reward, 20)
    assert np.array_equal(np.array(paid).T, rows * np.array([[1], [-1]]))


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
    ramp = np.arange(600.0)
    assert claims.window_means(ramp).tolist() == [124.5, 374.5, 549.5]


def test_bands_are_half_open_and_under_target():
    """Catches a network counted twice, above T, or on the wrong side of a band's edge."""
    accuracy = np.array([[0.5, 0.599, 0.6, 0.7, 0.49, 0.55]])
    latency = np.array([[17.0, 16.0, 3.0, 3.0, 3.0, 17.1]])
    assert claims.count_band(0.5, 0.6)(accuracy, latency, 17.0).tolist() == [2]
    assert claims.count_band(0.6, 0.7)(accuracy, latency, 17.0).tolist() == [1]


def test_bootstrap():
    """Catches an interval of the mean, of single seeds, or of the wrong width."""
    values = np.random.default_rng(1).normal(10, 2, 40)
    median, low, high = claims.bootstrap_median(values)
    assert median == np.median(values)
    assert low < median < high
    assert 0.4 < high - low < 2.8  # theory: 2 * 1.96 * 1.2533 * 2 / sqrt(40) = 1.55
    assert claims.bootstrap_median([3, 3, 3]) == (3, 3, 3)
    # Median of resamples of 0 .. 40, exactly: at most k if 21 of 41 draws are, each with (k+1)/41.
    tail = [
        sum(math.comb(41, n) * (k + 1) ** n * (40 - k) ** (41 - n) for n in range(21, 42))
        for k in range(41)
    ]
    expected = [next(k for k in range(41) if tail[k] / 41**41 >= q) for q in (0.025, 0.975)]
    assert claims.bootstrap_median(np.arange(41))[1:] == tuple(expected)
    assert claims.bootstrap_median([0, 0, 0, 0, 100])[0] == 0


def test_verdicts():
    """Catches a verdict that is kinder than its rule."""
    seeds = [1, 2, 3, 4, 5, 6]
    assert claims.verdict_number(3, seeds, 2.5, 4.5) == "reproduced"
    assert claims.verdict_number(2.5, seeds, 2.5, 4.5) == "reproduced"
    assert claims.verdict_number(6, seeds, 2.5, 4.5) == "undecided"
    assert claims.verdict_number(1, seeds, 2.5, 4.5) == "undecided"
    assert claims.verdict_number(7, seeds, 2.5, 4.5) == "not reproduced"
    assert claims.verdict_number(3, seeds[:5], 2.5, 4.5) == "reproduced"
    assert claims.verdict_number(3, seeds[:4], 2.5, 4.5) == "undecided"
    assert claims.verdict_direction(seeds, 0.5, 2) == "reproduced"
    assert claims.verdict_direction(seeds, 0, 2) == "undecided"
    assert claims.verdict_direction(seeds, -1, 0.5) == "undecided"
    assert claims.verdict_direction(seeds, -2, 0) == "not reproduced"
    assert claims.verdict_direction(seeds[:5], 1, 2) == "reproduced"
    assert claims.verdict_direction(seeds[:4], 1, 2) == "undecided"


def test_ledger_on_made_up_runs():
    """Catches claims tied to the wrong reward, band, sign or pairing."""
    rng = np.random.default_rng(0)
    seeds, n = 6, claims.SAMPLES
    slow = np.where(np.arange(n) < 4750, 18.0, 16.0) * np.ones((seeds, 1))
    quick = np.where(np.arange(n) < 4000, 18.0, 16.0) * np.ones((seeds, 1))
    accuracy = np.sort(rng.uniform(0.55, 0.65, (seeds, n)), axis=1)
    found = {"mnasnet": (accuracy, slow), "proposed": (accuracy, quick)}
    entries = {e["claim"]: e for e in claims.ledger(found, 17.0)}
    assert entries["mnasnet: settles at or under T"]["ours"] == 4750
    assert entries["mnasnet: settles at or under T"]["verdict"] == "reproduced"
    assert entries["proposed: settles at or under T"]["paper"] == 4000
    assert entries["proposed settles sooner"]["per_seed"] == [750.0] * seeds
    assert entries["proposed settles sooner"]["verdict"] == "reproduced"
    assert entries["proposed finds more of 60-70 %"]["per_seed"] == [750.0] * seeds
    assert entries["proposed finds more of 50-60 %"]["verdict"] == "not reproduced"
    assert entries["mnasnet: networks of 60-70 % under T"]["paper"] == 781
    assert entries["mnasnet: networks of 60-70 % under T"]["ours"] == 250
    assert entries["proposed: networks of 50-60 % under T"]["paper"] == 780
    assert entries["mnasnet: accuracy rises"]["ours"] == pytest.approx(9.5, abs=0.2)
    papers = [e["paper"] for e in claims.ledger(found, 17.0)]
    assert papers == [659, 780, 121, 781, 1004, 223, 4750, 4000, 750, None, None]
    never = claims.ledger({"mnasnet": (accuracy, slow + 5)}, 17.0)
    assert [e["ours"] for e in never if "settles" in e["claim"]] == [n]
    short = {name: (a[:, :500], b[:, :500]) for name, (a, b) in found.items()}
    for e in claims.ledger(short, 17.0):
        assert e["kind"] == "direction" or e["verdict"] == "undecided"


# --- run_experiment.py ------------------------------------------------------------------------

SMALL = ["--seeds", "2", "--samples", "600"]
FILES = ["claims.png", "fig2.png", "fig3.png", "fig6.png", "fig7.png"]
FILES += ["samples.csv.gz", "summary.json", "table1.csv"]


def files_of(folder):
    """{name: bytes} of everything in a folder."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def read_samples(folder):
    """samples.csv.gz as a list of dicts of text."""
    with gzip.open(Path(folder) / "samples.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def start(arguments, **options):
    """run_experiment.py as a process of its own."""
    command = [sys.executable, HERE / "run_experiment.py", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **options)


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """The folder of one small run with default rewards, two workers, and what it printed."""
    folder = tmp_path_factory.mktemp("results")
    process = start([*SMALL, "--workers", "2", "--out", folder])
    printed, error = process.communicate()
    assert (process.returncode, error) == (0, "")
    return folder, printed


@pytest.fixture(scope="session")
def summary(results):
    """summary.json of that run."""
    return json.loads((results[0] / "summary.json").read_text())


def check_refusal(capfd, arguments, *words):
    """run_experiment.main refuses: exit code, one line with `words`, earlier results untouched."""
    out = Path("earlier")
    out.mkdir()
    (out / "summary.json").write_text("precious")
    code = run_experiment.main([*SMALL, "--out", str(out), *arguments])
    printed = capfd.readouterr()
    assert code in (1, 2)
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    for word in ("error: ", *words):
        assert word in printed.err
    assert files_of(out) == {"summary.json": b"precious"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--samples", "-5"], "--samples must be at least 1"),
        (["--workers", "0"], "--workers must be at least 1"),
        (["--seeds", "many"], "invalid int value: 'many'"),
        (["--target-ms", "0"], "above 1"),
        (["--target-ms", "1"], "above 1"),
        (["--target-ms", "0.017"], "above 1 ms"),
        (["--target-quantile", "75"], "between 0 and 1"),
        (["--target-quantile", "0.7", "--target-ms", "9"], "not allowed with"),
        (["--target-ms", "nan"], "above 1"),
        (["--target-ms", "inf"], "above 1"),
        (["--rewards", "mnasnet,best"], "--rewards must be some of mnasnet"),
        (["--rewards", ""], "--rewards must be some of"),
        (["--rewards", "tunas,tunas"], "different from each other"),
        (["--reward-me"], "unrecognized arguments"),
    ],
)
def test_absurd_arguments(arguments, words, tmp_path, capfd, monkeypatch):
    """Catches an absurd setting that runs, or that answers with a traceback."""
    monkeypatch.chdir(tmp_path)
    check_refusal(capfd, arguments, words)


def test_writes_everything_it_promises(results, summary):
    """Catches a missing file, a summary without its keys, and a wrong Table 1 in the CSV."""
    folder, _ = results
    assert sorted(os.listdir(folder)) == FILES
    assert {*["benchmark", "settings", "table1", "optimum", "claims", "best_found", "timing"]} <= {
        *summary
    }
    assert summary["timing"]["us_per_sample"] > 1
    assert summary["settings"]["seeds"] == 2
    table = list(csv.DictReader((folder / "table1.csv").open()))
    assert [row["agrees"] for row in table].count("False") == 2


@pytest.mark.parametrize(("name", "panels"), [("fig2", 1), ("fig3", 2), ("fig6", 3), ("fig7", 2)])
def test_figures_show_the_data(name, panels, results):
    """Catches an empty picture: the panels' axes and both rewards' colours must be seen."""
    pixels = matplotlib.image.imread(results[0] / f"{name}.png")[:, :, :3]  # (height, width, 3)
    black = (pixels < 0.1).all(axis=2)
    left_spines = np.diff((black.mean(axis=0) > 0.25).astype(int)) == 1
    bottom_spines = np.diff((black.mean(axis=1) > 0.25).astype(int)) == 1
    assert max(left_spines.sum(), bottom_spines.sum()) >= panels
    for reward in ("mnasnet", "proposed"):
        wanted = matplotlib.colors.to_rgb(figures.colour(reward))
        assert (np.abs(pixels - wanted) < 0.02).all(axis=2).sum() > 100


def test_prints_its_sections_in_order(results):
    """Catches a section that is lost or moved, and lines too long for a terminal."""
    _, printed = results
    sections = ["Benchmark: surrogate", "Table 1", "Optimum", "Search", "Claim ledger"]
    places = [printed.index(section) for section in [*sections, "Best network", "Time"]]
    assert places == sorted(places)
    assert printed.count("misprint: ") == 2
    assert "us per sample and run" in printed
    assert max(len(line) for line in printed.splitlines()) <= 100
    assert len(re.findall(r"^ +(250|500|600) ", printed, re.MULTILINE)) == 3


def test_same_bytes_again_and_with_other_company(results, tmp_path):
    """Catches results that depend on chance, workers, or on other seeds and rewards in the run."""
    folder, _ = results
    again = [*SMALL, "--workers", "1", "--out", str(tmp_path / "again")]
    assert run_experiment.main(again) == 0
    name = "samples.csv.gz"
    assert files_of(tmp_path / "again")[name] == files_of(folder)[name]
    more = ["--seeds", "2", "--first-seed", "1", "--samples", "600"]
    more += ["--rewards", "tunas,proposed", "--out", str(tmp_path / "more")]
    assert run_experiment.main(more) == 0
    rows = read_samples(tmp_path / "more")
    assert len(rows) == 3 * 2 * 600
    for reward in ("proposed", "random"):
        before, after = (
            [row for row in some if (row["reward"], row["seed"]) == (reward, "1")]
            for some in (read_samples(folder), rows)
        )
        assert before == after


def test_blocks_and_workers_change_nothing():
    """Catches seeds that depend on the block or worker that they fall into: 9 seeds, 18 runs."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    columns = (benchmark.accuracy, benchmark.latency_ms)
    rewards = {name: REWARDS[name](*columns) for name in ("mnasnet", "proposed")}
    outcomes = []
    for workers in ("1", "2", "4"):
        args = run_experiment.parse(["--seeds", "9", "--samples", "60", "--workers", workers])
        args.target_ms = run_experiment.choose_target(args, benchmark)
        rows, exact, seconds = run_experiment.run_searches(benchmark, rewards, args)
        assert {name: drawn.shape for name, drawn in rows.items()}["mnasnet"] == (9, 60)
        assert exact["proposed"].shape == (5, 9, 1)
        assert (seconds > 0).all()
        outcomes.append((rows, exact))
    for rows, exact in outcomes[1:]:
        assert all(np.array_equal(rows[name], outcomes[0][0][name]) for name in rows)
        assert all(np.array_equal(exact[name], outcomes[0][1][name]) for name in exact)


def test_samples_are_true(results):
    """Catches rows whose accuracy, latency or reward is another cell's, or seeds that are alike."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    rows = read_samples(results[0])
    assert len(rows) == 3 * 2 * 600
    drawn = {}
    for row in rows:
        archs = drawn.setdefault((row["reward"], row["seed"]), [])
        archs.append(row["arch"])
        assert int(row["sample"]) == len(archs)
    assert len({tuple(archs) for archs in drawn.values()}) == 6
    for row in rows[::7]:
        cell = nas_benchmark.cell_to_row(nas_benchmark.string_to_cell(row["arch"]))
        accuracy, ms = benchmark.accuracy[cell], benchmark.latency_ms[cell]
        assert (float(row["accuracy"]), float(row["latency_ms"])) == (accuracy, ms)
        value = "" if row["reward"] == "random" else REWARDS[row["reward"]](accuracy, ms)
        assert row["reward_value"] == str(value)


def test_ledger_recomputed_from_the_samples(results, summary):
    """Catches a ledger that says other than the samples: recomputed here in plain Python."""
    ledger = {e["claim"]: e for e in summary["claims"]}
    runs = {}
    for row in read_samples(results[0]):
        point = (float(row["accuracy"]), float(row["latency_ms"]))
        runs.setdefault(row["reward"], {}).setdefault(row["seed"], []).append(point)

    def mean(points, k):
        return sum(point[k] for point in points) / len(points)

    all_settled, all_counts = {}, {50: [], 60: []}
    for name in ("mnasnet", "proposed"):
        for low in (50, 60):
            counts = [
                sum(low / 100 <= a < (low + 10) / 100 and ms <= 17 for a, ms in points)
                for points in runs[name].values()
            ]
            all_counts[low].append(counts)
            entry = ledger[f"{name}: networks of {low}-{low + 10} % under T"]
            assert entry["per_seed"] == counts
            assert entry["ours"] == sum(counts) / 2  # the median of two
            assert (entry["low"], entry["high"]) == (min(counts), max(counts))
        settled, rises = [], []
        for points in runs[name].values():
            windows = [points[k : k + 250] for k in range(0, 600, 250)]
            slow = [k for k, window in enumerate(windows) if mean(window, 1) > 17]
            settled.append(min(600, 250 * (slow[-1] + 1)) if slow else 0)
            rises.append(100 * (mean(windows[-1], 0) - mean(windows[0], 0)))
        assert ledger[f"{name}: settles at or under T"]["per_seed"] == settled
        assert ledger[f"{name}: accuracy rises"]["per_seed"] == pytest.approx(rises)
        all_settled[name] = settled
    sooner = [a - b for a, b in zip(all_settled["mnasnet"], all_settled["proposed"], strict=True)]
    assert ledger["proposed settles sooner"]["per_seed"] == sooner
    for low, (mnasnet_counts, proposed_counts) in all_counts.items():
        more = [b - a for a, b in zip(mnasnet_counts, proposed_counts, strict=True)]
        assert ledger[f"proposed finds more of {low}-{low + 10} %"]["per_seed"] == more


def test_optimum_and_best_found(results, summary):
    """Catches a best network above T, or one that was never drawn."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    rows = read_samples(results[0])
    assert list(summary["best_found"]) == ["mnasnet", "proposed", "random"]
    for name, best in summary["best_found"].items():
        mine = [row for row in rows if row["reward"] == name]
        under = [row for row in mine if float(row["latency_ms"]) <= 17]
        assert best["accuracy"] == max(float(row["accuracy"]) for row in under)
        assert best["latency_ms"] <= 17
        per_seed = [
            max(float(row["accuracy"]) for row in under if row["seed"] == seed) for seed in "01"
        ]
        assert best["accuracy_per_seed"] == per_seed
        if name != "random":
            top = [max(float(r["reward_value"]) for r in mine if r["seed"] == s) for s in "01"]
            regret = summary["optimum"][name]["reward"] - sum(top) / 2
            assert best["reward_regret"] == pytest.approx(regret)
    for name in ("mnasnet", "proposed"):
        values = REWARDS[name](benchmark.accuracy, benchmark.latency_ms, 17.0)
        optimum = summary["optimum"][name]
        assert optimum["reward"] == values.max()
        cell = nas_benchmark.string_to_cell(optimum["arch"])
        assert values[nas_benchmark.cell_to_row(cell)] == values.max()
    fast = benchmark.accuracy[benchmark.latency_ms <= 17]
    assert summary["optimum"]["target"]["accuracy"] == fast.max()


def test_exact_policy_in_the_summary(summary):
    """Catches expectations of another window, run or quantity: seed 1's search, done again."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    for name in ("mnasnet", "proposed"):
        reward = REWARDS[name](benchmark.accuracy, benchmark.latency_ms)
        search = Reinforce([1], **run_experiment.HYPERPARAMETERS)
        for window in (0, 1):
            search.search(reward[None], 250)
            p = search.controller.enumerate()[0]
            expected = {
                "accuracy": p @ benchmark.accuracy,
                "latency_ms": p @ benchmark.latency_ms,
                "p_under_target": p[benchmark.latency_ms <= 17].sum(),
                "reward": p @ reward,
                "entropy": -sum(float(q) * math.log(q) for q in p if q > 0),
            }
            for key, value in expected.items():
                got = summary["policy"][name][key][1][window]
                assert got == pytest.approx(value, rel=1e-4), key


def test_a_network_exactly_at_the_target_meets_it():
    """Catches < where the paper has <=: T is a latency that many cells have, to the last bit."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    target_ms = float(np.median(benchmark.latency_ms))
    at_target = np.flatnonzero(benchmark.latency_ms == target_ms)
    assert len(at_target) > 10
    row = int(at_target[0])
    assert run_experiment.most_accurate_under(benchmark, at_target[:1], target_ms) == row
    assert run_experiment.cell_facts(benchmark, row, target_ms)["meets_target"]
    assert run_experiment.cell_facts(benchmark, None, target_ms) is None
    args = run_experiment.parse(["--seeds", "1", "--samples", "5", "--target-ms", str(target_ms)])
    args.target_ms = run_experiment.choose_target(args, benchmark)
    rewards = {"tunas": REWARDS["tunas"](benchmark.accuracy, benchmark.latency_ms, target_ms)}
    _, exact, _ = run_experiment.run_searches(benchmark, rewards, args)
    search = Reinforce([0], **run_experiment.HYPERPARAMETERS)
    search.search(rewards["tunas"][None], 5)
    under = search.controller.enumerate()[0] @ (benchmark.latency_ms <= target_ms)
    assert exact["tunas"][2, 0, 0] == pytest.approx(under, rel=1e-6)


def test_choice_of_target():
    """Catches a quantile of something else, or a T between 1 and 2 ms refused."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    for arguments, target_ms in (
        ([], 17.0),
        (["--target-ms", "1.5"], 1.5),
        (["--target-quantile", "0.75"], np.quantile(benchmark.latency_ms, 0.75)),
    ):
        args = run_experiment.parse(arguments)
        assert run_experiment.choose_target(args, benchmark) == target_ms


def test_no_network_is_fast_enough(tmp_path, capfd):
    """Catches a crash where nothing can meet T; the output must say so."""
    arguments = ["--seeds", "1", "--samples", "50", "--target-ms", "5", "--out", str(tmp_path)]
    assert run_experiment.main(arguments) == 0
    assert "no cell under T" in capfd.readouterr().out
    assert json.loads((tmp_path / "summary.json").read_text())["optimum"]["target"] is None


def test_a_reward_that_the_paper_does_not_know(tmp_path, capfd):
    """Catches a run that fails where the ledger has nothing to say."""
    arguments = ["--seeds", "1", "--samples", "50", "--rewards", "tunas", "--out", str(tmp_path)]
    assert run_experiment.main(arguments) == 0
    assert "Claim ledger" in capfd.readouterr().out
    assert sorted(os.listdir(tmp_path)) == FILES


def test_help_names_every_option(capsys):
    """Catches an option without help."""
    with pytest.raises(SystemExit) as stopped:
        run_experiment.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for option in [
        "benchmark",
        "rewards",
        "seeds",
        "samples",
        "target-ms",
        "out",
        "quick",
        "workers",
    ]:
        assert f"--{option}" in text


# --- bad days ---------------------------------------------------------------------------------


def test_out_cannot_be_written(tmp_path, capfd, monkeypatch):
    """Catches a search that runs for a while before it finds that it cannot save."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("a file, not a folder")
    for out in ("file", "file/below"):
        assert run_experiment.main([*SMALL, "--out", out]) == 1
        printed = capfd.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert "file" in printed.err
    assert Path("file").read_text() == "a file, not a folder"


def test_disk_full(tmp_path):
    """Catches half-written files when the disk is full: here, files may have 20 kB at most."""
    resource = pytest.importorskip("resource")
    (tmp_path / "summary.json").write_text("precious")
    process = start(
        [*SMALL, "--out", tmp_path],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    _, error = process.communicate()
    assert process.returncode == 1
    assert error.count("\n") == 1
    assert "File too large" in error
    assert files_of(tmp_path) == {"summary.json": b"precious"}


@pytest.mark.skipif(os.name == "nt", reason="signals as on Unix")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_stopped_on_the_way(name, tmp_path):
    """Catches results that are half new after Ctrl-C or kill -9, and workers that live on."""
    (tmp_path / "summary.json").write_text("precious")
    process = start(
        ["--seeds", "4", "--workers", "2", "--out", tmp_path],
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # if we run under nohup
    )
    while not process.stdout.readline().strip().startswith("250"):  # the first window
        assert process.poll() is None
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=20)
    assert "Traceback" not in error
    assert (tmp_path / "summary.json").read_text() == "precious"
    if name == "SIGINT":
        assert process.returncode == 130
        assert error.count("\n") == 1
        assert os.listdir(tmp_path) == ["summary.json"]
    for _ in range(100):  # the whole process group ends
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a worker lives on")


def test_killed_while_writing(tmp_path):
    """Catches files that appear one by one: nothing is published before all is written."""
    (tmp_path / "a").write_text("old")

    def interrupted():
        with command_line.whole_files(tmp_path) as folder:
            (folder / "a").write_text("new")
            (folder / "b").write_text("new")
            assert (tmp_path / "a").read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files_of(tmp_path) == {"a": b"old"}
    with command_line.whole_files(tmp_path) as folder:
        (folder / "a").write_text("new")
    assert files_of(tmp_path) == {"a": b"new"}


def test_progress_in_a_pipe(capfd):
    """Catches minutes of silence where there is no terminal, or a line for every window."""
    for k in range(1, 101):
        command_line.progress(k, 100, 0.3 * k)  # 30 s in all
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "40%, 18 s left"
    assert len(lines) == 7


def test_two_runs_into_one_folder(tmp_path):
    """Catches two runs that trip over each other's unfinished files."""
    both = [start(["--seeds", "1", "--samples", "300", "--out", tmp_path]) for _ in range(2)]
    for process in both:
        _, error = process.communicate()
        assert (process.returncode, error) == (0, "")
    assert sorted(os.listdir(tmp_path)) == FILES
    json.loads((tmp_path / "summary.json").read_text())


def test_other_folder_and_a_reader_that_leaves(tmp_path):
    """Catches paths relative to the working folder, non-ASCII trouble, and a broken pipe."""
    folder = tmp_path / "한글 폴더"
    folder.mkdir()
    arguments = ["--seeds", "1", "--samples", "300", "--out", "새 결과"]
    process = start(arguments, cwd=folder, env={**os.environ, "LC_ALL": "C"})
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0


# --- build_benchmark.py -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """A folder with made-up public tables: the CSV in shuffled order, and one device's latency.

    Returns (folder, index order of the rows, accuracy by row, latency by row).
    """
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    order = rng.permutation(N_CELLS)  # row of each NAS-Bench-201 index
    accuracy, latency_ms = rng.uniform(0.1, 0.7, N_CELLS), rng.uniform(2, 30, N_CELLS)
    with open(folder / "nats_bench.csv", "w") as file:
        file.write("CIFAR10TestAccuracy200Epochs,CIFAR100TestAccuracy200Epochs,")
        file.write("ImageNetTestAccuracy200Epochs,ArchitectureString\n")
        for row in order:
            text = nas_benchmark.cell_to_string(CELLS[row])
            file.write(f"99,{100 * accuracy[row]},5,{text}\n")
    (folder / "latency").mkdir()
    with zipfile.ZipFile(folder / "latency" / "pixel3.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(latency_ms[order].tolist()))
        archive.writestr("archive/version", "3")
    return folder, order, accuracy, latency_ms


class Server(http.server.BaseHTTPRequestHandler):
    """Serves the made-up tables at their public paths, or misbehaves as `fault` says."""

    folder = fault = None

    def do_GET(self):
        name = "latency/pixel3.pt" if self.path.endswith("latency/pixel3.pt") else "nats_bench.csv"
        assert self.path.split("/")[1:3] in (
            ["v-tao", "nats-bench-landscape"],
            ["HayeonLee", "HELP"],
        )
        body = (self.folder / name).read_bytes()
        if self.fault == "404" and name != "nats_bench.csv":
            self.send_error(404)
            return
        if self.fault == "slow":
            time.sleep(2)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body[::-1] if self.fault == "other bytes" else body
        with contextlib.suppress(OSError):
            self.wfile.write(body[: len(body) // 2] if self.fault == "broken off" else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tables, tmp_path, monkeypatch):
    """A local server of the made-up tables; the cache is a folder of the test's own."""
    folder = tables[0]
    monkeypatch.setattr(Server, "folder", folder)
    monkeypatch.setattr(Server, "fault", None)
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    sha = {name: build_benchmark.sha256_of(folder / name) for name in TABLE_NAMES}
    monkeypatch.setattr(build_benchmark, "SERVER", f"http://127.0.0.1:{web.server_port}")
    monkeypatch.setattr(build_benchmark, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build_benchmark, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(build_benchmark, "CSV_SHA256", sha["nats_bench.csv"])
    monkeypatch.setitem(build_benchmark.DEVICES, "pixel3", (sha["latency/pixel3.pt"], "phone"))
    yield web
    web.shutdown()
    web.server_close()


TABLE_NAMES = ("nats_bench.csv", "latency/pixel3.pt")


def test_tables_are_downloaded_joined_and_kept(server, tables, tmp_path, capfd):
    """Catches a join by the wrong index, percent or datasets mixed up, and a cache unused."""
    _, _, accuracy, latency_ms = tables
    out = tmp_path / "pixel3.pkl"
    command = ["tables", "--device", "pixel3", "--out", str(out)]
    assert build_benchmark.main(command) == 0
    benchmark = nas_benchmark.load(out)
    assert benchmark.accuracy == pytest.approx(accuracy)
    assert np.array_equal(benchmark.latency_ms, latency_ms)
    assert benchmark.provenance["device"] == "pixel3 (phone)"
    assert benchmark.provenance["built"] == datetime.date.today().isoformat()
    assert len(benchmark.provenance["sha256"]) == 2
    assert capfd.readouterr().out.count("downloading") == 2
    server.shutdown()  # from here on, the cache serves
    assert build_benchmark.main([*command, "--dataset", "cifar10"]) == 0
    assert nas_benchmark.load(out).accuracy.tolist() == [0.99] * N_CELLS
    assert "downloading" not in capfd.readouterr().out
    (tmp_path / "cache" / "latency" / "pixel3.pt").write_text("spoilt")
    assert build_benchmark.main(command) == 2  # it notices, and finds no server


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("404", "404"),
        ("other bytes", "SHA-256 differs"),
        ("broken off", "broke off after"),
        ("slow", "no answer within 0.5 s"),
        ("no server", "no answer"),
    ],
)
def test_downloads_that_fail(fault, words, server, tmp_path, capfd, monkeypatch):
    """Catches a damaged download that is used or kept, and a user left without a next step."""
    if fault == "no server":
        monkeypatch.setattr(build_benchmark, "SERVER", "http://127.0.0.1:9")
    monkeypatch.setattr(Server, "fault", fault)
    out = tmp_path / "out.pkl"
    assert build_benchmark.main(["tables", "--device", "pixel3", "--out", str(out)]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert words in error
    assert "fetch it by hand, save it as" in error
    assert not out.exists()
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == (["nats_bench.csv"] if fault == "404" else [])


def test_tables_from_a_folder(server, tables, tmp_path, capfd):
    """Catches a --from folder that is trusted blindly, or asks the network after all."""
    folder = tables[0]
    server.shutdown()
    out = tmp_path / "out.pkl"
    command = ["tables", "--device", "pixel3", "--out", str(out), "--from"]
    assert build_benchmark.main([*command, str(folder)]) == 0
    capfd.readouterr()
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    with open(other / "nats_bench.csv", "a") as file:
        file.write("\n")
    assert build_benchmark.main([*command, str(other)]) == 2
    assert "nats_bench.csv: missing, or its SHA-256 differs" in capfd.readouterr().err
    (other / "nats_bench.csv").unlink()
    assert build_benchmark.main([*command, str(other)]) == 2
    assert "nats_bench.csv: missing, or its SHA-256 differs" in capfd.readouterr().err


def test_damaged_tables(tables, tmp_path):
    """Catches tables that are read although a cell is missing, twice there, or no number."""
    text = (tables[0] / "nats_bench.csv").read_text()
    lines = text.splitlines(keepends=True)
    path = tmp_path / "t.csv"
    for damaged, words in (
        (lines[:-1], "15,624 networks"),
        (lines[:-1] + lines[1:2], "15,624 networks"),
        ([*lines, "1,x,1,|none~0|\n"], "not the table"),
        (["a,b\n", "1,2\n"], "not the table"),
    ):
        path.write_text("".join(damaged))
        with pytest.raises(BenchmarkError, match=words):
            build_benchmark.read_accuracy(path, "cifar100")
    for content in (pickle.dumps([1.0, 2.0]), pickle.dumps(Hostile()), b"", pickle.dumps("text")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", content)
        with pytest.raises(BenchmarkError, match=r"latencies|latency file"):
            build_benchmark.read_latency(path)


def test_devices(tables, capfd):
    """Catches a device without description, a wrong batch size, and a --list that needs a file."""
    assert build_benchmark.main(["tables", "--list", "--from", str(tables[0])]) == 0
    text = re.sub(" +", " ", capfd.readouterr().out)
    assert text.count("\n") == 28
    assert re.search(r"\npixel3 phone Pixel 3 2\.00 1\d\.\d\d 30\.00\n", text)
    assert "\n1080ti_256 GPU GTX 1080 Ti (256) once downloaded\n" in text
    assert "\nessential_ph_1 phone Essential PH-1 once downloaded\n" in text
    assert all(len(sha256) == 64 for sha256, _ in build_benchmark.DEVICES.values())
    for arguments, words in (
        (["tables", "--device", "pixel9"], "no device 'pixel9'"),
        (["tables"], "--list shows the names"),
    ):
        assert build_benchmark.main(arguments) == 2
        assert words in capfd.readouterr().err


@needs_reference
@pytest.mark.parametrize("device", ["1080ti_256", "1080ti_32", "pixel3", "raspi4", "titan_rtx_256"])
def test_real_tables(device, tmp_path):
    """Catches hashes, formats or facts that are not those of the real files."""
    out = tmp_path / "real.pkl"
    command = ["tables", "--from", str(REFERENCE), "--device", device, "--out", str(out)]
    assert build_benchmark.main(command) == 0
    benchmark = nas_benchmark.load(out)
    disconnected = ~nas_benchmark.live_edges(CELLS).any(axis=1)
    assert np.array_equal(benchmark.accuracy < 0.02, disconnected)
    best = int(np.argmax(benchmark.accuracy))
    assert CELLS[best].tolist() == [3, 3, 3, 1, 3, 3]
    assert benchmark.accuracy[best] == pytest.approx(0.7351, abs=1e-4)


def made_up_cell(index, row, accuracy, latency_ms):
    """The content of NATS-Bench's file of one cell, with decoys wherever a reader could slip."""

    def trial(shift, test, seconds):
        tests = {
            f"{name}@{k}": 1.0 for name in ("ori-test", "x-valid", "x-test") for k in range(200)
        }
        tests["x-test@199"] = test + shift
        return {
            "epochs": 200,
            "eval_acc1es": tests,
            "latency": [np.float64(seconds), np.float64(seconds)],
            "params": np.float32(0.3),
            "train_times": OrderedDict({0: 1.0}),
        }

    seeds = [777, 888]
    results = {
        ("cifar100", 777): trial(+1, 100 * accuracy, latency_ms / 1000),
        ("cifar100", 888): trial(-1, 100 * accuracy, latency_ms / 1000),
        ("cifar10", 777): trial(0, 50.0, 1.0),
    }
    arch = nas_benchmark.cell_to_string(CELLS[row])
    full = {"arch_index": index, "arch_str": arch, "all_results": results}
    full["dataset_seed"] = {"cifar100": seeds, "cifar10": [777]}
    short = {**full, "all_results": {key: trial(0, 7.0, 2.0) for key in results}}
    return OrderedDict({"12": short, "200": full})


def write_cell(folder, index, *facts):
    content = pickle.dumps(made_up_cell(index, *facts))
    (folder / f"{index:06d}.pickle.pbz2").write_bytes(bz2.compress(content, 1))


@needs_reference
def test_real_natsbench_cells():
    """Catches the wrong epochs, trials, test set or unit: cells 0 and 11 are known."""
    for name, accuracy, latency_ms in (("000000", 0.52913, 13.183), ("000011", 0.67607, 16.139)):
        path = REFERENCE / "natsbench" / f"{name}.pickle.pbz2"
        got = build_benchmark.read_natsbench_cell(path)
        assert got == pytest.approx((accuracy, latency_ms), abs=5e-4)


def test_natsbench_folder(tables, tmp_path, capfd, monkeypatch):
    """Catches cells in the wrong row, and a folder that is converted although a cell is bad."""
    _, order, accuracy, latency_ms = tables
    for index in range(40):
        row = order[index]
        write_cell(tmp_path, index, row, accuracy[row], latency_ms[row])
    rows, got_accuracy, got_latency = build_benchmark.build_natsbench(
        tmp_path, "cifar100", cells=40
    )
    assert rows == order[:40].tolist()
    assert got_accuracy == pytest.approx(accuracy[rows])
    assert got_latency == pytest.approx(latency_ms[rows])
    hostile = tmp_path / "000007.pickle.pbz2"
    good, out = hostile.read_bytes(), tmp_path / "out.pkl"
    monkeypatch.chdir(tmp_path)
    for content in (bz2.compress(pickle.dumps(Hostile())), good[:100], b""):
        hostile.write_bytes(content)
        assert build_benchmark.main(["natsbench", str(tmp_path), "--out", str(out)]) == 2
        error = capfd.readouterr().err
        assert "000007.pickle.pbz2: not a cell of NATS-Bench" in error
        assert error.count("\n") == 1
    hostile.write_bytes(good)
    assert build_benchmark.main(["natsbench", str(tmp_path), "--out", str(out)]) == 2
    assert "000040.pickle.pbz2: no such file" in capfd.readouterr().err
    assert not out.exists()
    assert not (tmp_path / "hacked").exists()


def test_official_numbers_go_to_their_rows(tables, tmp_path):
    """Catches official tables stored in NAS-Bench-201's index order instead of by row."""
    _, order, accuracy, latency_ms = tables
    columns = (order.tolist(), accuracy[order].tolist(), latency_ms[order].tolist())
    benchmark = build_benchmark.official(*columns, "NATS-Bench", "folder/x", "cifar100")
    assert np.array_equal(benchmark.accuracy, accuracy)
    assert np.array_equal(benchmark.latency_ms, latency_ms)
    nas_benchmark.save(benchmark, tmp_path / "official.pkl")
    with pytest.raises(BenchmarkError, match="15,624 different cells"):
        build_benchmark.official([0, *columns[0][1:]], *columns[1:], "x", "x", "cifar100")


def write_pth(path, cells=30):
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
                trial.update(more, latency=[float(s) for s in trial["latency"]])
                trial["net_state_dict"] = OrderedDict(weight=torch.zeros(2))
            infos[index][name] = ArchResults.create_from_state_dict(state).state_dict()
        archs.append(content["200"]["arch_str"])
    content = {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": list(range(cells))}
    torch.save(content, path)


def test_nasbench201_file(tmp_path, monkeypatch, capfd):
    """Catches the API's defaults (12 epochs, one trial, seconds), and a file that runs code."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; it is never needed")
    pytest.importorskip("nas_201_api", reason="the package nas-bench-201 is not installed")
    monkeypatch.setattr(build_benchmark, "N_CELLS", 30)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mini.pth"
    write_pth(path)
    benchmark = build_benchmark.build_nasbench201(path, "cifar100")
    assert benchmark.accuracy == pytest.approx(0.5 + np.arange(30) / 100)
    assert benchmark.latency_ms == pytest.approx(10.0 + np.arange(30))
    assert benchmark.provenance["sha256"] == build_benchmark.sha256_of(path)
    torch.save({"x": Hostile()}, path)
    with pytest.raises(BenchmarkError, match="if you trust the file"):
        build_benchmark.build_nasbench201(path, "cifar100")
    assert not (tmp_path / "hacked").exists()
    path.write_text("no torch file")
    with pytest.raises(BenchmarkError, match=r"mini\.pth"):
        build_benchmark.build_nasbench201(path, "cifar100")


def test_nasbench201_memory_and_packages(tmp_path, monkeypatch, capfd):
    """Catches a machine that is driven into swap, and a missing package without advice."""
    path = tmp_path / "big.pth"
    path.write_bytes(b"x" * 1_000_000)
    monkeypatch.setattr(build_benchmark, "available_memory", lambda: 4e6)
    with pytest.raises(command_line.UserError, match="--force"):
        build_benchmark.check_memory(path, force=False)
    build_benchmark.check_memory(path, force=True)
    monkeypatch.setattr(build_benchmark, "available_memory", lambda: 5e6)
    build_benchmark.check_memory(path, force=False)
    assert "about 0.0 GB" in capfd.readouterr().out
    monkeypatch.setitem(sys.modules, "nas_201_api", None)
    assert build_benchmark.main(["nasbench201", str(path)]) == 2
    error = capfd.readouterr().err
    assert "pip install torch nas-bench-201" in error
    assert error.count("\n") == 1


# --- the project itself -----------------------------------------------------------------------


def test_imports_go_one_way():
    """Catches imports that run in a circle or against the order in which the files are read."""
    order = "command_line nas_reward nas_benchmark controller_numpy claims figures".split()
    order += ["run_experiment", "build_benchmark"]
    for k, name in enumerate(order):
        for node in ast.walk(ast.parse((HERE / f"{name}.py").read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            for module in set(modules) & set(order):
                assert order.index(module) < k, f"{name} imports {module}"


def test_docstrings():
    """Catches a file without its contract, and a test that does not say what it catches."""
    for path in HERE.glob("*.py"):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node).startswith("Catches "), node.name


def test_readme_names_what_exists():
    """Catches a README that points to functions, tests, files or options that are not there."""
    text = (HERE / "README.md").read_text()
    for module, name in re.findall(r"`(\w+)\.(\w+)`", text):
        if name not in ("py", "md"):
            assert hasattr(sys.modules[module], name), f"{module}.{name}"
    for name in re.findall(r"`(test_\w+)`", text):
        assert name == "test_all" or name in globals(), name
    for name in re.findall(r"[`(]((?:docs/|data/)?\w+\.(?:py|md|png))[`)]", text):
        assert (HERE / name).exists(), name
    source = "".join(
        (HERE / f"{name}.py").read_text() for name in ("run_experiment", "build_benchmark")
    )
    for option in re.findall(r"--([a-z][a-z-]+)", text):
        assert re.search(rf"""["']--{option}["']""", source), option
