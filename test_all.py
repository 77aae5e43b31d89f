"""Why you can believe it. Each test's docstring names the bug that it catches.

    python test_all.py                     all tests; a minute
    python -m pytest -q test_all.py        the same
    python test_all.py -k table_1          some of them; any option of pytest

    you are asked to believe              the oracle                                      section
    Eq. 2-5 are the paper's               Table 1: 11 of its 12 entries, digit by digit   I
    the LSTM's forward pass               one step, worked in the head; PyTorch           II
    its gradient                          central differences, of every parameter         II
    the fast controller                   the plain one: same networks, same gradient     II
    the draws follow the policy           the exact policy, over all 15,625 cells         II
    REINFORCE climbs E[R]                 the gradient of the exact E[R]                  III
    the verdicts                          our own runs in the paper's place; binomials    IV
    every number of the ledger            plain Python, from samples.csv.gz               IV
    searches do not mix                   alone, in company, on 1, 2 and 8 workers        IV
    the tables are those of their owners  known cells, 341 disconnected, best 73.51 %     V
    the figures show what was found       their lines and numbers, read off again         VI
    it survives failures                  full disk, Ctrl-C, kill -9, hostile files       VII
    what is said beyond the paper         published numbers, programs of the docs         VIII

A class reads I to IV; the rest is for whoever runs the program. Who tests the tests? .ci/mutate.py
plants bugs, one at a time: 1,219 of 1,253 are caught. Nearly all others change nothing that anybody
would see: 1.1e-30 for 1e-30 in a logarithm, say, or another indent in summary.json.

Tests against the public tables run where these are in data/cache/, or in the folder that the
environment variable NAS_TABLES names, and are skipped elsewhere; so is what needs PyTorch."""

import ast
import collections
import contextlib
import csv
import functools
import gzip
import importlib
import io
import itertools
import json
import math
import multiprocessing
import os
import pickle
import pickletools
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import matplotlib.image
import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgba

import claims
import command_line
import controller_numpy
import controller_plain as plain
import figures
import nas_benchmark
import nas_reward
import nas_search
import run_experiment
from controller_numpy import Adam, Controller, Reinforce
from controller_plain import K, S, V
from nas_benchmark import CELLS, N_CELLS
from nas_reward import REWARDS, latency_reward, mnasnet, mnasnet_hard, proposed
from nas_search import Problem, run_searches

HERE = Path(__file__).resolve().parent
TABLES = Path(os.environ.get("NAS_TABLES") or HERE / "data" / "cache")  # the public tables
SURROGATE = nas_benchmark.load(nas_benchmark.SURROGATE)
COLUMNS = (SURROGATE.accuracy, SURROGATE.latency_ms)
LIGHT = nas_search.HYPERPARAMETERS | dict(hidden=8)  # where it does not matter what is learnt
ACCURACIES = st.floats(0.01, 1.0)
LATENCIES_MS = st.floats(1.0, 60.0)
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
# A shell that runs the tests in the background, and nohup, let signals be ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def refused(capfd, main, arguments, *words):
    """main(arguments) says what is wrong in one line that holds `words`, and returns 1 or 2."""
    capfd.readouterr()
    code = main([str(argument) for argument in arguments])
    error = capfd.readouterr().err
    assert "Traceback" not in error
    assert error.count("\n") == 1
    for word in ("error: ", *words):
        assert word in error
    assert code in (1, 2)


def files_of(folder):
    """{name: bytes} of everything in a folder."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def public(name):
    """The path of a public table; where it is not, the test is skipped."""
    if not (TABLES / name).exists():
        pytest.skip(f"{name} is not in {TABLES}: download it, or set NAS_TABLES")
    return TABLES / name


class Hostile:
    """A pickle of it runs a command when it is read."""

    def __reduce__(self):
        return os.system, ("touch hacked",)


# --- I. The rewards: Eq. 2-5, Table 1, and what the text says of them -------------------------


def test_table_1():
    """Catches any slip in Eq. 2-5: all entries once more, by `math` instead of NumPy."""
    entries = nas_reward.table_1()
    assert len(entries) == 12
    for e in entries:
        if e["reward"] == "mnasnet":
            by_hand = e["accuracy"] * math.exp(-0.07 * math.log(e["latency_ms"] / 17))
        else:
            by_hand = 0.9 * e["accuracy"] + 0.1 * math.log(25.5 - e["latency_ms"], 17)
        assert e["formula"] == pytest.approx(by_hand, abs=1e-12)
        assert e["formula"] == pytest.approx(float(e["printed"]), abs=6e-5)


def test_table_1_agrees_but_for_one_entry():
    """Catches a wrong printed value, and rounding where the paper cuts."""
    unlike = {
        (e["case"], e["reward"], e["network"], e["printed"]): e["agrees"]
        for e in nas_reward.table_1()
        if e["agrees"] != "yes"
    }
    assert unlike == {
        ("a", "mnasnet", 2, "0.84352"): "no",
        ("c", "mnasnet", 2, "0.833527"): "factor cut first",
    }


def test_what_table_1_prefers():
    """Catches a pair read the wrong way round: what the paper reads off Table 1."""
    prefers = {(e["case"], e["reward"]): e["prefers"] for e in nas_reward.table_1()}
    assert prefers == {
        ("a", "mnasnet"): "nearly equal",
        ("a", "proposed"): "the second",
        ("b", "mnasnet"): "nearly equal",
        ("b", "proposed"): "the first",
        ("c", "mnasnet"): "the first",
        ("c", "proposed"): "the second",
    }


def test_preference():
    """Catches "nearly equal" for what differs by 0.001, or by the sign of the difference."""
    assert nas_reward.preference(0.5, 0.5009) == "nearly equal"
    assert nas_reward.preference(0.5009, 0.5) == "nearly equal"
    assert nas_reward.preference(0.0, 0.001) == "the second"
    assert nas_reward.preference(0.001, 0.0) == "the first"


@pytest.mark.parametrize(
    ("value", "cut"),
    [
        (0.8433446, "0.84334"),
        (0.82999, "0.829"),
        (0.5, "0.5000"),
        (0.19, "0.1"),
        (0.29, "0.29"),
    ],
)
def test_truncation(value, cut):
    """Catches rounding, lost zeros, and 0.29 cut to 0.28 because it is 0.28999... in binary."""
    assert nas_reward.truncate(value, len(cut) - 2) == cut


def test_table_1_contradicts_itself():
    """Catches the wrong two entries, or their ratio upside down."""
    must_be, as_printed = nas_reward.contradiction()
    assert must_be == pytest.approx(84 / 83)
    assert as_printed == pytest.approx(0.84352 / 0.833527)


def test_table_1_as_printed():
    """Catches a number in another pair, row or column of what is printed, and a mark forgotten."""
    lines = nas_reward.table_1_report().splitlines()
    assert lines[2:5] == [
        "  (a)              80%,  8 ms               84%, 16 ms",
        "        mnasnet    0.84334    0.8433447     0.84352 !  0.8435723    "
        "nearly equal, by 0.0002",
        "        proposed   0.82102    0.8210231     0.83546    0.8354607    the second, by 0.0144",
    ]
    assert lines[9] == (
        "        mnasnet    0.843344   0.8433447     0.833527*  0.8335298    the first, by 0.0098"
    )
    text = " ".join(lines[11:])
    assert "10 of 12 entries are the formula" in text
    assert "11 are, if the factor" in text
    assert "84 : 83 = 1.01205; printed they stand as 1.01199." in text


def test_latency_reward_as_table_1_determines_it():
    """Catches a different reading of the illegible Eq. 4."""
    ms = np.array([8, 8.5, 12, 16, 24])
    expected = [1.0102, 1.0, 0.9186, 0.7946, 0.1431]
    assert latency_reward(ms) == pytest.approx(expected, abs=5e-5)


def test_no_other_constants_fit_table_1():
    """Catches the claim that Table 1 fixes Eq. 4 at T = 17, if another log_b(c - LAT) fits."""
    entries = [e for e in nas_reward.table_1() if e["reward"] == "proposed"]

    def fits(c, b):
        for e in entries:
            L = math.log(c - e["latency_ms"], b)
            R = 0.9 * e["accuracy"] + 0.1 * L
            if nas_reward.truncate(R, len(e["printed"]) - 2) != e["printed"]:
                return False
        return True

    grid = np.arange(-0.1, 0.1005, 0.001)
    found = [(c, b) for c in 25.5 + grid for b in 17 + grid if fits(c, b)]
    assert found == [pytest.approx((25.5, 17))]


def test_claims_of_the_text():
    """Catches rewards that agree with Table 1 and still miss what the text says about them."""
    said = nas_reward.comparisons()
    assert [(e["reward"], e["finds"]) for e in said] == [
        ("mnasnet", "nearly equal"),  # 60 %, 8 ms against 63 %, 16 ms
        ("proposed", "the second"),
        ("mnasnet", "more below 15 ms"),  # 15 -> 5 ms against 20 -> 10 ms, at 50 %
        ("proposed", "more above 10 ms"),
    ]
    values = [e["values"] for e in said]
    assert values[0] == pytest.approx((0.6325, 0.6327), abs=5e-5)
    assert values[1] == pytest.approx((0.6410, 0.6465), abs=5e-5)
    assert values[2] == pytest.approx((0.0403, 0.0246), abs=5e-5)
    assert values[3] == pytest.approx((0.0236, 0.0366), abs=5e-5)


def test_run_as_a_script():
    """Catches `python nas_reward.py` that prints less than Table 1 and the text's comparisons."""
    script = [sys.executable, HERE / "nas_reward.py"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Table 1: rewards as printed in the paper")
    assert nas_reward.table_1_report() in done.stdout
    assert "\nWhat the text says of the rewards (T = 17 ms)\n" in done.stdout
    worth = "  worth of 15 -> 5 ms against 20 -> 10 ms, at 50 %  proposed  0.0236, 0.0366: "
    assert worth in done.stdout


@pytest.mark.parametrize("module", [nas_reward, plain])
def test_scripts_that_take_no_options(module):
    """Catches a script whose --help says nothing, or that passes over what is typed."""
    script = [sys.executable, module.__file__]
    helped = subprocess.run([*script, "--help"], capture_output=True, text=True, check=True)
    first_line = module.__doc__.partition("\n")[0]
    assert " ".join(first_line.split()) in " ".join(helped.stdout.split())
    asked = subprocess.run([*script, "--rewards", "mine"], capture_output=True, text=True)
    assert asked.stdout == ""
    assert "error: unrecognized arguments: --rewards mine (see --help)" in asked.stderr
    assert asked.returncode == 2


@pytest.mark.parametrize("target", [1.5, 17.0, 100.0])
def test_eq_4_is_continuous_and_ends_at_0(target):
    """Catches the branch at 1.5 T - 1 in the wrong place, or a logarithm of nothing beyond it."""
    edge = 1.5 * target - 1
    assert latency_reward(target / 2, target) == pytest.approx(1)
    assert latency_reward(edge - 0.5, target) > 0
    assert latency_reward([edge - 1e-9, edge], target) == pytest.approx(0, abs=1e-7)
    beyond = [edge + 1e-9, edge + 1, 1.5 * target, 10 * target]
    assert latency_reward(beyond, target).tolist() == [0, 0, 0, 0]


@given(ACCURACIES, LATENCIES_MS, st.floats(3, 50))
def test_slopes_are_the_derivatives(accuracy, ms, target):
    """Catches a wrong derivative in Fig. 2: sign, missing 1 / ln T, wrong exponent above T."""
    step = 1e-5

    def derivative(reward):
        return (reward(accuracy, ms + step) - reward(accuracy, ms - step)) / (2 * step)

    if abs(ms - target) > 1e-3:  # not at the kink
        settings = dict(target_ms=target, alpha=-0.07, beta=-0.3)
        expected = derivative(functools.partial(mnasnet, **settings))
        assert nas_reward.mnasnet_slope(accuracy, ms, **settings) == pytest.approx(
            expected, abs=1e-6
        )
    if abs(ms - (1.5 * target - 1)) > 1e-3:
        expected = derivative(functools.partial(proposed, target_ms=target))
        slope = nas_reward.proposed_slope(accuracy, ms, target)
        assert slope == pytest.approx(expected, abs=1e-6)


def test_slopes_at_the_kinks():
    """Catches a slope that belongs to the other side of T or of 1.5 T - 1."""
    ms = np.array([8.5, 17, 34])
    slopes = nas_reward.mnasnet_slope(0.5, ms, 17, alpha=0, beta=-1)
    assert slopes == pytest.approx([0, 0, -0.25 / 34])
    slopes = nas_reward.proposed_slope(0.7, [24.5, 24.6], y=0.2)
    assert slopes == pytest.approx([-0.2 / math.log(17), 0])


@pytest.mark.parametrize("reward", [mnasnet, proposed, mnasnet_hard])
@given(accuracy=ACCURACIES, ms=LATENCIES_MS, other_ms=LATENCIES_MS)
def test_rewards_are_monotonic(reward, accuracy, ms, other_ms):
    """Catches a reward that prefers slower or less accurate networks anywhere."""
    fast = min(ms, other_ms)
    slow = max(ms, other_ms)
    assert reward(accuracy, fast) >= reward(accuracy, slow) - 1e-12
    assert reward(accuracy, ms) > reward(accuracy * 0.9, ms)


def test_branches_of_mnasnet():
    """Catches alpha and beta exchanged. At T itself the two agree; their slopes do not."""
    ms = np.array([8.5, 17, 34])
    assert mnasnet(0.5, ms, 17, alpha=-1, beta=0) == pytest.approx([1.0, 0.5, 0.5])
    assert mnasnet(0.5, ms, 17, alpha=0, beta=-1) == pytest.approx([0.5, 0.5, 0.25])
    assert mnasnet_hard(0.5, ms, 17) == pytest.approx([0.5, 0.5, 0.25])


def test_tunas():
    """Catches a network faster than T that gains by it: both sides cost the same."""
    ms = np.array([8.5, 17, 34])
    rewards = nas_reward.tunas(0.5, ms, 17)
    assert rewards == pytest.approx([0.5 - 0.07 / 2, 0.5, 0.5 - 0.07])


def test_names_of_rewards():
    """Catches a name on the command line that stands for another reward."""
    expected = dict(
        mnasnet=mnasnet,
        proposed=proposed,
        mnasnet_hard=mnasnet_hard,
        tunas=nas_reward.tunas,
    )
    assert expected == REWARDS


@pytest.mark.parametrize(
    "function", [*REWARDS.values(), nas_reward.mnasnet_slope, nas_reward.proposed_slope]
)
def test_arrays_equal_scalars(function):
    """Catches a function that is right for one network and wrong for many, or the reverse."""
    accuracy = [0.2, 0.7]
    ms = [3.0, 17.0, 24.5, 40.0]
    table = function(np.array(accuracy)[:, None], np.array(ms), 17.0)  # (2, 4)
    one_by_one = [[function(a, m, 17.0) for m in ms] for a in accuracy]
    assert np.array_equal(table, one_by_one)


@pytest.mark.parametrize(
    ("words", "function", "arguments"),
    [
        ("milliseconds, not seconds", proposed, (0.7, 0.008, 0.017)),
        ("milliseconds, not seconds", latency_reward, (8, 1.0)),
        ("milliseconds, not seconds", nas_reward.proposed_slope, (0.7, 8, 1.0)),
        ("x + y = 1", proposed, (0.7, 8, 17.0, 0.9, 0.2)),
        ("divide percent by 100", mnasnet, (70, 8)),
        ("divide percent by 100", proposed, (1.01, 8)),
        ("divide percent by 100", nas_reward.tunas, (-0.1, 8)),
        ("divide percent by 100", nas_reward.proposed_slope, (math.nan, 8)),
        ("positive, finite number", mnasnet, (0.7, 0)),
        ("positive, finite number", nas_reward.mnasnet_slope, (0.7, [8, math.inf])),
        ("positive, finite number", nas_reward.tunas, (0.7, math.nan)),
        ("target latency", nas_reward.tunas, (0.7, 8, 0)),
        ("target latency", mnasnet, (0.7, 8, -17)),
        ("target latency", proposed, (0.7, 8, math.inf)),
        ("target latency", latency_reward, (8, math.nan)),
    ],
)
def test_rewards_refuse_wrong_units(words, function, arguments):
    """Catches seconds, percent and nonsense passing through as plausible rewards."""
    with pytest.raises(ValueError, match=re.escape(words)):
        function(*arguments)


def test_rewards_at_the_limits():
    """Catches a refusal of numbers that make sense: accuracy 0 and 1, any T for MnasNet."""
    assert mnasnet(0, 8) == 0
    assert proposed(1, 8.5) == pytest.approx(1)
    assert mnasnet(0.7, 0.008, 0.017) == pytest.approx(mnasnet(0.7, 8, 17))


# --- II. The controller on the board: controller_plain.py -------------------------------------

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
    noise = plain.teacher_forcing_noise(cell)
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


def test_lesson():
    """Catches a lesson whose lines do not fit the screen, or whose numbers do not fit together."""
    lines = plain.first_updates().splitlines()
    assert max(len(line) for line in lines) <= 100
    number = re.compile(r"[-+]?\d+\.\d+(?:e-\d+)?")
    table = [number.findall(line) for line in lines[-3:]]  # its last lines
    percent, latency_ms, R, b, A, before, after = np.array(table, float).T
    assert proposed(percent / 100, latency_ms) == pytest.approx(R, abs=2e-4)
    assert b + A == pytest.approx(R, abs=2e-4)
    assert b[0] == R[0]
    decay = plain.LESSON["baseline_decay"]
    average = decay * b[:-1] + (1 - decay) * R[:-1]
    assert b[1:] == pytest.approx(average, abs=2e-4)
    assert before[0] == after[0]  # A = 0: nothing is learnt
    assert A[1] < 0
    assert before[1] > after[1]
    blocks = [line for line in lines if line.startswith("Network")]
    assert blocks == ["Network 1", "Network 2", "Network 3"]
    assert [line[0] for line in lines[-3:]] == ["1", "2", "3"]
    assert lines[1] == "hidden 64, learning_rate 0.003, entropy_weight 0, baseline_decay 0.9"
    assert f"0.9 * {b[1]:.4f} + 0.1 * {R[1]:.4f}: b and R above" in "\n".join(lines)
    first = plain.Reinforce(seed=0, **plain.LESSON).sample()
    assert lines[-3].split()[1:7] == [plain.SHORT[op] for op in first]
    script = [sys.executable, HERE / "controller_plain.py"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == lines


def test_lesson_judges_an_advantage():
    """Catches "draw it more often" said of a network that is worse than usual."""
    assert plain.judgement(0.1).endswith("more often")
    assert plain.judgement(-0.1).endswith("less often")
    assert plain.judgement(0.0) == "nothing to learn from"


def test_lesson_shows_one_softmax():
    """Catches a lesson that shows another edge than 0->1, or columns that stand under others."""
    search = plain.Reinforce(seed=0, **plain.LESSON)
    search.baseline = 0.5  # so that A is not 0
    twin = plain.Reinforce(seed=0, **plain.LESSON)
    cell = twin.sample()
    p = twin.tensors["p"][0]
    update = plain.one_update(search, SURROGATE)
    one_hot = np.eye(K)[cell[0]]
    assert update["operations"].split() == list(plain.SHORT)
    assert np.array(update["p"].split(), float) == pytest.approx(p, abs=5e-5)
    assert np.array(update["one_hot"].split(), float).tolist() == one_hot.tolist()
    dlogits = np.array(update["dlogits"].split(), float)
    assert dlogits == pytest.approx(update["A"] * (p - one_hot), abs=5e-5)


# --- II. The same, many at a time: controller_numpy.py ----------------------------------------


def random_controller(runs=3, hidden=3, dtype=np.float64, state=True):
    """A Controller with large random parameters, biases and, unless told not to, start states."""
    rng = np.random.default_rng(0)
    controller = Controller([rng] * runs, hidden, dtype)
    controller.theta[:] = rng.normal(0, 0.7, controller.theta.shape)
    if state:
        shape = (runs, hidden)
        controller.h[:, -1] = rng.normal(0, 0.5, shape)
        controller.c[:, -1] = rng.normal(0, 0.5, shape)
    return controller


def gumbel(runs, seed=1):
    return np.random.default_rng(seed).gumbel(size=(runs, S, K))


def on_the_board(controller, run, noise):
    """What controller_plain makes of one run of a Controller: its tensors and weights."""
    weights = plain.from_vector(controller.theta[run], controller.H)
    tensors = plain.forward(
        noise,
        **weights,
        h_start=controller.h[run, -1],
        c_start=controller.c[run, -1],
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
    table = np.stack([reward(*COLUMNS) for reward in rewards])
    fast = Reinforce(seeds, **options, dtype=np.float64)
    parts = [fast.search(table, samples) for samples in (100, 200)]
    rows = np.concatenate(parts, axis=1)
    for run, seed in enumerate(seeds):
        board = plain.Reinforce(seed, **options)
        assert rows[run].tolist() == board.search(table[run], 300)
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
    assert (controller.h[:, -1] == 0).all()
    assert (controller.c[:, -1] == 0).all()
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
    assert np.array_equal(single.sample(plain.teacher_forcing_noise(actions)), actions)
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
        h = torch.tensor(controller.h[[run], -1])
        c = torch.tensor(controller.c[[run], -1])
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


# --- II. The exact policy: controller_numpy.py ------------------------------------------------


def test_enumeration_equals_the_board():
    """Catches a cell whose probability stands in another cell's row."""
    controller = random_controller(runs=2)
    p = controller.probabilities()
    assert p.shape == (2, N_CELLS)
    assert p.sum(axis=1) == pytest.approx(1, abs=1e-12)
    rows = (0, 1, 7, 3125, 9876, 15624)
    for run, row in itertools.product(range(2), rows):
        noise = plain.teacher_forcing_noise(CELLS[row])
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


# --- III. REINFORCE: controller_numpy.py ------------------------------------------------------


def test_reinforce_follows_the_exact_expected_reward():
    """Catches a biased estimator: E[(R - b) grad log pi] must be grad E[R], whatever b is."""
    reward = np.random.default_rng(3).normal(size=N_CELLS)
    one = random_controller(runs=1, hidden=2, state=False)
    p = one.probabilities()[0]
    rng = np.random.default_rng(0)
    every = Controller([rng] * N_CELLS, 2, np.float64)  # a run per cell
    every.theta[:] = one.theta
    assert np.array_equal(every.sample(plain.teacher_forcing_noise(CELLS)), CELLS)

    def expected_reward(theta):
        one.theta[0] = theta
        return one.probabilities()[0] @ reward

    expected = -central_differences(expected_reward, one.theta[0].copy())
    assert np.abs(expected).max() > 1e-3
    for baseline in (0.0, 5.0):
        gradient = p @ every.gradient(reward - baseline, 0.0)
        assert gradient == pytest.approx(expected, abs=1e-8)


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
    table = np.random.default_rng(0).random((5, N_CELLS))
    together = Reinforce([1, 3, 3, 8, 2], **SETTINGS)
    alone = Reinforce([3], **SETTINGS)
    parts = [together.search(table, samples=30) for _ in range(2)]
    rows = np.concatenate(parts, axis=1)
    rows_alone = alone.search(table[1:2], samples=60)
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
    table = np.stack([own_row, -own_row])
    rows = search.search(table, 20)
    first, second = np.transpose(paid)
    assert np.array_equal(first, rows[0])
    assert np.array_equal(second, -rows[1])


# --- IV. The claims and their verdicts: claims.py ---------------------------------------------


def test_windows_and_settling():
    """Catches windows that are shifted, or "settled" at the first dip instead of the last miss."""
    latency_ms = np.full((4, 1000), 18.0)
    latency_ms[0, 500:] = 16.0  # settles at 500
    latency_ms[1, 250:500] = 16.0  # dips only
    latency_ms[2] = 17.0  # at T from the start
    latency_ms[3, 750:] = 17.0
    short = latency_ms[:, :600]  # the last window is short
    assert claims.window_means(latency_ms)[0].tolist() == [18, 18, 16, 16]
    assert claims.stays_under_from(None, latency_ms, 17.0).tolist() == [500, 1000, 0, 750]
    assert claims.stays_under_from(None, short, 17.0).tolist() == [500, 600, 0, 600]
    assert claims.first_window_under(None, latency_ms, 17.0).tolist() == [500, 250, 0, 750]
    assert claims.first_window_under(None, short, 17.0).tolist() == [500, 250, 0, 600]


def test_a_short_last_window():
    """Catches a last window that is divided by 250, though it holds fewer networks."""
    assert claims.window_means(np.arange(600.0)).tolist() == [124.5, 374.5, 549.5]
    accuracy = np.repeat([[0.2, 0.5, 0.4]], [250, 250, 100], axis=1)
    assert claims.accuracy_gain(accuracy, None, None) == pytest.approx([20.0])


def test_bands_are_half_open_and_under_target():
    """Catches a network counted twice, above T, or on the wrong side of a band's edge."""
    accuracy = np.array([[0.5, 0.599, 0.6, 0.7, 0.49, 0.55, 1.0]])
    latency_ms = np.array([[17.0, 16.0, 3.0, 3.0, 3.0, 17.1, 3.0]])
    assert claims.count_under(accuracy, latency_ms, 17.0).tolist() == [6]
    assert claims.count_under(accuracy, latency_ms, 17.0, 0.5, 0.6).tolist() == [2]
    assert claims.count_under(accuracy, latency_ms, 17.0, 0.6, 0.7).tolist() == [1]


def test_rank_p_by_hand():
    """Catches a p-value of one side, of our runs without the paper's, or above 1."""
    values = np.arange(1, 40)  # 39 runs
    assert claims.rank_p(0, values) == pytest.approx(2 / 40)
    assert claims.rank_p(1, values) == pytest.approx(4 / 40)  # equal counts on both sides
    assert claims.rank_p(40, values) == pytest.approx(2 / 40)
    assert claims.rank_p(37.5, values) == pytest.approx(6 / 40)
    assert claims.rank_p(20, values) == 1


def test_rank_p_of_bounds():
    """Catches a search that never settles counted as if it had settled at the end."""
    values = np.array([500, 600, 700])
    assert claims.rank_p(650, values, bounds=[0, 0, 0]) == pytest.approx(4 / 4)
    assert claims.rank_p(800, values) == pytest.approx(2 / 4)
    assert claims.rank_p(800, values, bounds=[1, 0, 0]) == pytest.approx(4 / 4)
    assert claims.rank_p(400, values, bounds=[-1, 0, 0]) == pytest.approx(4 / 4)


def test_numbers_are_judged():
    """Catches a verdict on fewer runs than can decide, or beside shorter runs than the paper's."""
    runs = np.arange(1.0, 40.0)  # 39: the fewest
    exact = np.zeros(39)
    assert claims.judge_value(0, runs, exact, 5000) == (0.05, "incompatible")
    assert claims.judge_value(1, runs, exact, 5000) == (0.1, "compatible")
    assert claims.judge_value(0, runs, -exact - 1, 5000) == (1, "compatible")
    assert claims.judge_value(0, runs[1:], exact[1:], 5000)[1] == "undecided"
    assert claims.judge_value(0, runs, exact, 4999)[1] == "undecided"


@pytest.fixture(scope="module")
def own_runs():
    """(accuracy, latency_ms) of 120 short searches, to put in the paper's place."""
    table = np.tile(proposed(*COLUMNS), (120, 1))
    rows = Reinforce(range(120), **LIGHT).search(table, 300)
    return SURROGATE.accuracy[rows], SURROGATE.latency_ms[rows]


@pytest.mark.parametrize("n", [40, 80])
def test_one_of_our_own_runs_in_the_papers_place(own_runs, n):
    """Catches a rule that calls perfect reproductions incompatible in more than 5 % of cases.

    400 times and more: of n + 1 runs, each in turn is "the paper's", beside the n others."""
    values = claims.accuracy_gain(*own_runs, 17.0)  # (120,)
    rng = np.random.default_rng(0)
    verdicts = []
    while len(verdicts) < 400:
        chosen = rng.permutation(values)[: n + 1]
        for k in range(n + 1):
            others = np.delete(chosen, k)
            _, verdict = claims.judge_value(chosen[k], others, np.zeros(n), 5000)
            verdicts.append(verdict)
    share = verdicts.count("incompatible") / len(verdicts)
    assert share <= 0.05
    assert share > 0.04  # no slack: 2 of 41, 4 of 81
    assert verdicts.count("compatible") == (1 - share) * len(verdicts)


def test_sign_test_by_hand():
    """Catches one tail instead of two, ties that count, and a p above 1: all signs, enumerated."""
    assert claims.sign_test_p(np.array([1, 2, 3, 4, 5, 0, 0, 6])) == 2 / 2**6
    assert claims.sign_test_p(np.array([-1, -2, -3, -4, 5])) == 2 * 6 / 2**5
    assert claims.sign_test_p(np.array([1, -1, 0])) == 1
    assert claims.sign_test_p(np.array([0, 0])) == 1
    for minus in range(10):
        signs = np.where(np.arange(9) < minus, -1, 1)
        at_least = abs(signs.sum())  # how far from balance
        patterns = np.array(list(itertools.product((-1, 1), repeat=9)))
        share = np.mean(np.abs(patterns.sum(axis=1)) >= at_least)
        assert claims.sign_test_p(signs) == pytest.approx(share)


@pytest.mark.parametrize("n", [1, 5, 6, 8, 39, 40, 80])
def test_false_alarms_of_the_sign_test(n):
    """Catches "holds" or "opposite" in more than 5 % where neither reward is better.

    Exactly: k of n differences are positive with the binomial distribution's probability."""
    alarms = 0.0
    for k in range(n + 1):
        differences = np.repeat([1, -1], [k, n - k])
        if claims.judge_sign(differences)[1] != "undecided":
            alarms += math.comb(n, k) / 2**n
    assert alarms <= 0.05
    assert (alarms > 0) == (n >= 6)


def test_directions_are_judged():
    """Catches "holds" for the other reward, and a verdict from five pairs."""
    assert claims.judge_sign(np.ones(6)) == (2 / 2**6, "holds")
    assert claims.judge_sign(-np.ones(6)) == (2 / 2**6, "opposite")
    assert claims.judge_sign(np.ones(5)) == (2 / 2**5, "undecided")
    with_ties = np.append(np.ones(6), np.zeros(9))
    assert claims.judge_sign(with_ties) == (2 / 2**6, "holds")
    assert claims.judge_sign(-with_ties) == (2 / 2**6, "opposite")
    assert claims.judge_sign(np.array([1, 1, 1, -1, -1, 1]))[1] == "undecided"


def made_up(slow_until):
    """Points of runs that rise from 55 to 65 %, and are slow until networks `slow_until` (n,)."""
    accuracy = np.tile(np.linspace(0.55, 0.65, 5000), (len(slow_until), 1))
    late = np.arange(5000) >= np.array(slow_until)[:, None]
    return accuracy, np.where(late, 16.0, 18.0)


def test_ledger_on_made_up_runs():
    """Catches claims tied to the wrong reward, band, sign or pairing."""
    points = {"mnasnet": made_up([4750] * 40), "proposed": made_up([4000] * 40)}
    entries = claims.evaluate_claims(points, 17.0)
    rise = pytest.approx(9.5, abs=0.01)
    judged = {e["text"]: (e["kind"], e["paper"], e["median"], e["verdict"]) for e in entries}
    assert judged == {
        "mnasnet: networks under T": ("value", None, 250, "no claim"),
        "proposed: networks under T": ("value", None, 1000, "no claim"),
        "proposed draws more networks under T": ("sign", None, 750, "holds"),
        "mnasnet: networks of 50-60 % under T": ("value", 659, 0, "incompatible"),
        "proposed: networks of 50-60 % under T": ("value", 780, 0, "incompatible"),
        "proposed draws more of 50-60 %": ("sign", None, 0, "undecided"),
        "how many more of 50-60 %": ("value", 121, 0, "incompatible"),
        "mnasnet: networks of 60-70 % under T": ("value", 781, 250, "incompatible"),
        "proposed: networks of 60-70 % under T": ("value", 1004, 1000, "incompatible"),
        "proposed draws more of 60-70 %": ("sign", None, 750, "holds"),
        "how many more of 60-70 %": ("value", 223, 750, "incompatible"),
        "mnasnet: settles at or under T": ("value", 4750, 4750, "compatible"),
        "proposed: settles at or under T": ("value", 4000, 4000, "compatible"),
        "proposed settles sooner": ("sign", None, 750, "holds"),
        "how much sooner (15 % of 5,000)": ("value", 750, 750, "compatible"),
        "mnasnet: first window under T": ("value", 4750, 4750, "compatible"),
        "proposed: first window under T": ("value", 4000, 4000, "compatible"),
        "mnasnet: accuracy rises": ("sign", None, rise, "holds"),
        "proposed: accuracy rises": ("sign", None, rise, "holds"),
    }


def test_ledger_of_other_rewards():
    """Catches the paper's numbers beside a reward that the paper does not have."""
    points = {"tunas": made_up([1000] * 40), "random": made_up([0] * 40)}
    entries = claims.evaluate_claims(points, 17.0)
    assert [(e["text"], e["verdict"]) for e in entries] == [
        ("tunas: networks under T", "no claim"),
        ("tunas: networks of 50-60 % under T", "no claim"),
        ("tunas: networks of 60-70 % under T", "no claim"),
        ("tunas: settles at or under T", "no claim"),
        ("tunas: first window under T", "no claim"),
        ("tunas: accuracy rises", "holds"),
    ]
    assert [e["paper"] for e in entries] == [None] * 6
    assert [e["random"] for e in entries[:4]] == [5000, 2500, 2500, 0]


def settling(mnasnet, proposed):
    """The ledger's line "proposed settles sooner" for runs that settle at these networks."""
    points = {"mnasnet": made_up(mnasnet), "proposed": made_up(proposed)}
    entries = {e["text"]: e for e in claims.evaluate_claims(points, 17.0)}
    return entries["proposed settles sooner"]


@pytest.mark.parametrize(
    ("mnasnet_settles", "proposed_settles", "bound"),
    [
        ([5000] * 6 + [3000] * 4, [4000] * 10, ">="),  # 1,000 or more, six times
        ([4000] * 10, [5000] * 6 + [3000] * 4, "<="),
        ([5000] * 2 + [3000] * 8, [4000] * 10, ""),  # the median run settles
        ([4000] * 10, [5000] * 2 + [3000] * 8, ""),
        ([5000] + [4750] * 2, [4250] * 3, ""),  # 750, 500, 500
        ([5000] + [4750] * 2, [4500] * 3, ""),  # 500 or more, 250, 250
        ([5000] + [4500] * 2, [4500, 4000, 4000], ""),  # 500 or more, 500, 500
    ],
)
def test_differences_to_runs_that_never_settle(mnasnet_settles, proposed_settles, bound):
    """Catches a bound printed as a number, or a number as a bound."""
    line = settling(mnasnet_settles, proposed_settles)
    assert line["censoring"] == bound
    never = mnasnet_settles.count(5000) + proposed_settles.count(5000)
    assert line["n_censored"] == never
    differences = np.subtract(mnasnet_settles, proposed_settles)
    assert line["median"] == np.median(differences)
    assert line["per_seed"] == differences.tolist()


def test_a_median_run_that_never_settles():
    """Catches "settles at 5,000" for a reward with which most runs never settle."""
    points = {"mnasnet": made_up([5000] * 3 + [1000] * 2)}
    entries = {e["text"]: e for e in claims.evaluate_claims(points, 17.0)}
    line = entries["mnasnet: settles at or under T"]
    assert (line["censoring"], line["median"], line["n_censored"]) == (">=", 5000, 3)
    line = entries["mnasnet: networks under T"]
    assert (line["censoring"], line["median"], line["n_censored"]) == ("", 0, 0)


def test_pairs_in_which_neither_settles():
    """Catches a tie, and so a verdict, made of two searches that never settle."""
    line = settling([5000] * 10, [5000] * 3 + [4000] * 7)
    assert line["per_seed"] == [1000] * 7  # the three others say nothing
    assert line["verdict"] == "holds"
    half = settling([5000] * 10, [5000] * 5 + [4000] * 5)
    assert half["verdict"] == "undecided"


def test_not_testable():
    """Catches a verdict where in most pairs neither search settles, or a crash where none does."""
    line = settling([5000] * 11, [5000] * 6 + [4000] * 5)
    assert line["verdict"] == "not testable"
    assert line["p"] is None
    assert line["median"] == 1000
    line = settling([5000] * 8, [5000] * 8)
    assert line["verdict"] == "not testable"
    assert line["median"] is None
    assert line["per_seed"] == []


# The ledger once more in plain Python: lists of floats in, numbers out.

PAPER = {
    "mnasnet: networks of 50-60 % under T": 659,
    "proposed: networks of 50-60 % under T": 780,
    "how many more of 50-60 %": 780 - 659,
    "mnasnet: networks of 60-70 % under T": 781,
    "proposed: networks of 60-70 % under T": 1004,
    "how many more of 60-70 %": 1004 - 781,
    "mnasnet: settles at or under T": 4750,
    "proposed: settles at or under T": 4000,
    "how much sooner (15 % of 5,000)": 4750 - 4000,
    "mnasnet: first window under T": 4750,
    "proposed: first window under T": 4000,
}
COMPARISONS = {  # claim: (what is compared, the sign of proposed - mnasnet)
    "proposed draws more networks under T": ("networks under T", 1),
    "proposed draws more of 50-60 %": ("networks of 50-60 % under T", 1),
    "how many more of 50-60 %": ("networks of 50-60 % under T", 1),
    "proposed draws more of 60-70 %": ("networks of 60-70 % under T", 1),
    "how many more of 60-70 %": ("networks of 60-70 % under T", 1),
    "proposed settles sooner": ("settles at or under T", -1),
    "how much sooner (15 % of 5,000)": ("settles at or under T", -1),
}


def statistics_by_hand(points, T):
    """What the ledger measures in one run, a list of (accuracy, latency_ms): {what: number}."""
    windows = [points[k : k + 250] for k in range(0, len(points), 250)]
    mean_accuracy = [sum(a for a, _ in window) / len(window) for window in windows]
    mean_ms = [sum(ms for _, ms in window) / len(window) for window in windows]
    misses = [k for k, ms in enumerate(mean_ms) if ms > T]
    hits = [k for k, ms in enumerate(mean_ms) if ms <= T]
    under = [a for a, ms in points if ms <= T]
    return {
        "networks under T": len(under),
        "networks of 50-60 % under T": sum(0.5 <= a < 0.6 for a in under),
        "networks of 60-70 % under T": sum(0.6 <= a < 0.7 for a in under),
        "settles at or under T": min(len(points), 250 * (misses[-1] + 1)) if misses else 0,
        "first window under T": 250 * hits[0] if hits else len(points),
        "accuracy rises": 100 * (mean_accuracy[-1] - mean_accuracy[0]),
    }


def quantile_by_hand(values, q):
    """The q-quantile of a list, on the line between its two neighbours."""
    values = sorted(values)
    place = q * (len(values) - 1)
    below = math.floor(place)
    above = math.ceil(place)
    return values[below] + (place - below) * (values[above] - values[below])


def p_by_hand(claim, values, bounds):
    """The p-value of a line of the ledger; None if the paper says nothing there."""
    if claim in PAPER:
        both = list(zip(values, bounds, strict=True))
        smaller = sum(v <= PAPER[claim] or bound < 0 for v, bound in both)
        larger = sum(v >= PAPER[claim] or bound > 0 for v, bound in both)
        return min(1.0, 2 * (1 + min(smaller, larger)) / (len(values) + 1))
    if claim in COMPARISONS or claim.endswith("accuracy rises"):
        plus = sum(v > 0 for v in values)
        minus = sum(v < 0 for v in values)
        tail = sum(math.comb(plus + minus, k) for k in range(min(plus, minus) + 1))
        return min(1.0, 2 * tail / 2 ** (plus + minus))
    return None


def line_by_hand(claim, values, bounds, samples):
    """A line of the ledger; values: a number per seed, bounds: 1 or -1 if it is one."""
    p = p_by_hand(claim, values, bounds)
    if p is None:
        verdict = "no claim"
    elif claim in PAPER and (len(values) < 39 or samples != 5000):
        verdict = "undecided"
    elif claim in PAPER:
        verdict = "compatible" if p > 0.05 else "incompatible"
    elif p > 0.05:
        verdict = "undecided"
    else:
        verdict = "holds" if sum(v > 0 for v in values) > len(values) / 2 else "opposite"
    return dict(
        per_seed=pytest.approx(values),
        paper=PAPER.get(claim),
        median=pytest.approx(quantile_by_hand(values, 0.5)),
        min=pytest.approx(min(values)),
        max=pytest.approx(max(values)),
        p=pytest.approx(p),
        verdict=verdict,
        n_censored=sum(bound != 0 for bound in bounds),
    )


def ledger_by_hand(runs, T):
    """{claim: its line} of runs {reward: a list per seed of [(accuracy, latency_ms), ...]}."""
    samples = len(runs["mnasnet"][0])
    measured = {
        name: [statistics_by_hand(points, T) for points in runs[name]]
        for name in ("mnasnet", "proposed", "random")
    }
    lines = {}
    for what in measured["random"][0]:
        censored = what in ("settles at or under T", "first window under T")
        at_random = quantile_by_hand([run[what] for run in measured["random"]], 0.5)
        for name in ("mnasnet", "proposed"):
            values = [run[what] for run in measured[name]]
            bounds = [int(censored and value == samples) for value in values]
            line = line_by_hand(f"{name}: {what}", values, bounds, samples)
            lines[f"{name}: {what}"] = line | dict(random=pytest.approx(at_random))
    for claim, (what, sign) in COMPARISONS.items():
        pairs = [
            (m[what], p[what])
            for m, p in zip(measured["mnasnet"], measured["proposed"], strict=True)
        ]
        settles = what == "settles at or under T"
        said = [pair for pair in pairs if not settles or min(pair) < samples]
        values = [sign * (p - m) for m, p in said]
        bounds = [settles * ((m == samples) - (p == samples)) for m, p in said]
        if len(said) >= len(pairs) / 2:
            lines[claim] = line_by_hand(claim, values, bounds, samples) | dict(random=None)
        else:
            lines[claim] = dict(per_seed=values, p=None, verdict="not testable")
    return lines


def compare_with_ledger_by_hand(entries, runs, T):
    """Assert that every number of every line is the one that plain Python finds."""
    lines = ledger_by_hand(runs, T)
    assert {e["text"] for e in entries} == set(lines)
    for e in entries:
        for key, expected in lines[e["text"]].items():
            assert e[key] == expected, (e["text"], key)


def test_ledger_by_hand():
    """Catches any slip in any number of the ledger: 40 made-up runs as long as the paper's.

    Rewards 60 and 15 settle early, late or never; no verdict is missing."""
    rng = np.random.default_rng(0)
    runs = {}
    for name, odds in dict(mnasnet=0.4, proposed=0.7, random=1.0).items():
        ends = np.where(rng.random(40) < odds, rng.integers(0, 20, 40) * 250, 5000)
        accuracy, latency_ms = made_up(ends)
        latency_ms += rng.normal(0, 1.0, latency_ms.shape)
        accuracy += rng.normal(0, 0.05, accuracy.shape)
        runs[name] = (accuracy, latency_ms)
    entries = claims.evaluate_claims(runs, 17.0)
    lists = {
        name: np.stack([accuracy, latency_ms], axis=-1).tolist()  # (seeds, samples, 2)
        for name, (accuracy, latency_ms) in runs.items()
    }
    compare_with_ledger_by_hand(entries, lists, 17.0)


def test_ledger_recomputed_from_the_samples(results):
    """Catches a ledger that says other than samples.csv.gz: recomputed here in plain Python."""
    folder, _, summary = results
    runs = {}
    for (name, _), rows in read_samples(folder).items():
        points = [(float(row["accuracy"]), float(row["latency_ms"])) for row in rows]
        runs.setdefault(name, []).append(points)
    compare_with_ledger_by_hand(summary["claims"], runs, 17.0)


# --- IV. The searches: nas_search.py ----------------------------------------------------------


def fastest(accuracy, latency_ms, target_ms):
    """A reward of one's own, which knows no accuracy."""
    return target_ms - latency_ms


def test_a_reward_of_ones_own():
    """Catches a Problem that takes names only, or mixes up what it hands to the function."""
    problem = Problem(SURROGATE, {"fastest": fastest}, 12.5)
    assert np.array_equal(problem.reward_tables["fastest"], 12.5 - SURROGATE.latency_ms)
    optimum = problem.optima()["fastest"]
    assert optimum["latency_ms"] == SURROGATE.latency_ms.min()
    assert optimum["reward"] == 12.5 - SURROGATE.latency_ms.min()
    runs = run_searches(problem, [3, 4], samples=300, workers=2, hyperparameters=LIGHT)
    assert list(runs.points()) == ["fastest", "random"]
    assert len(claims.evaluate_claims(runs.points(), 12.5)) == 6


def test_problem_pays_by_name():
    """Catches rewards of another reward, another T, or in another order of rewards."""
    problem = Problem(SURROGATE, ["proposed", "tunas"], 14.0)
    assert list(problem.reward_tables) == ["proposed", "tunas"]
    for name, table in problem.reward_tables.items():
        assert np.array_equal(table, REWARDS[name](*COLUMNS, 14.0))


def test_facts_of_a_cell():
    """Catches facts of another cell, and a network exactly at T that is above it."""
    row = 1234
    at_target = SURROGATE.latency_ms[row]
    problem = Problem(SURROGATE, [], at_target)
    assert problem.facts(row) == dict(
        arch=nas_benchmark.cell_to_string(CELLS[row]),
        accuracy=SURROGATE.accuracy[row],
        latency_ms=at_target,
        meets_target=True,
    )
    slower = int(np.argmax(SURROGATE.latency_ms))
    assert not problem.facts(slower)["meets_target"]


def test_best_under_target():
    """Catches a best network above T, or not among those asked for."""
    problem = Problem(SURROGATE, [], 17.0)
    fast = SURROGATE.accuracy[SURROGATE.latency_ms <= 17.0]
    assert problem.best_under_target(np.arange(N_CELLS))["accuracy"] == fast.max()
    slow = np.flatnonzero(SURROGATE.latency_ms > 17.0)
    assert problem.best_under_target(slow) is None
    best = problem.best_under_target(np.append(slow, 0))
    assert best["arch"] == nas_benchmark.cell_to_string(CELLS[0])


def test_random_search_is_uniform():
    """Catches random search that favours cells, or whose draws depend on how many are asked."""
    rows = nas_search.random_search(0, 200_000)
    counts = np.bincount(rows, minlength=N_CELLS)  # 12.8 each are expected
    chi_square = ((counts - 12.8) ** 2 / 12.8).sum()  # mean 15,624, sd 177
    assert chi_square == pytest.approx(15_624, abs=4 * 177)
    assert np.array_equal(rows[:300], nas_search.random_search(0, 300))
    assert not np.array_equal(rows[:300], nas_search.random_search(1, 300))


def test_random_search_has_a_stream_of_its_own():
    """Catches noise that random search and a controller of the same seed share."""
    drawn = nas_search.random_search(3, 100)
    rng = np.random.default_rng(3)
    assert not np.array_equal(drawn, rng.integers(N_CELLS, size=100))


@pytest.fixture(scope="module")
def problem():
    return Problem(SURROGATE, ["mnasnet", "proposed"], 17.0)


def test_any_number_of_workers_gives_the_same_bytes(problem, tmp_path):
    """Catches seeds that depend on the worker or the group of runs that they fall into."""
    written = []
    expected = []
    for workers in (1, 2, 8):
        runs = run_searches(problem, range(9), 251, workers, LIGHT)  # 18 runs: two groups
        run_experiment.write_samples(tmp_path / "samples.csv.gz", runs)
        written.append((tmp_path / "samples.csv.gz").read_bytes())
        expected.append(runs.expected)
    assert written[1] == written[0]
    assert written[2] == written[0]
    for name in problem.reward_tables:
        for quantity, values in expected[0][name].items():
            assert np.array_equal(expected[1][name][quantity], values)
            assert np.array_equal(expected[2][name][quantity], values)


def test_workers_that_are_started_anew(monkeypatch):
    """Catches a task that only a forked worker can be given: macOS and Windows start them anew."""
    own = {"own": lambda accuracy, latency_ms, target_ms: accuracy**2}
    problem = Problem(SURROGATE, own, 17.0)
    forked = run_searches(problem, [5], 20, 1, LIGHT)
    monkeypatch.setattr(nas_search, "WORKERS", multiprocessing.get_context("spawn"))
    spawned = run_searches(problem, [5], 20, 1, LIGHT)
    assert np.array_equal(spawned.rows["own"], forked.rows["own"])


def test_what_is_watched(problem):
    """Catches a watcher that sees another window than the results hold, or is called too late."""
    seen = []
    runs = run_searches(
        problem, [1, 2], 600, 2, LIGHT, on_window=lambda rows, end: seen.append((end, rows))
    )
    assert [end for end, _ in seen] == [250, 500, 600]
    for name in ("mnasnet", "proposed", "random"):
        parts = [rows[name] for _, rows in seen]
        assert [part.shape for part in parts] == [(2, 250), (2, 250), (2, 100)]
        assert np.array_equal(np.concatenate(parts, axis=1), runs.rows[name])


def test_shapes_of_runs(problem):
    """Catches seeds and windows exchanged, or one of them missing."""
    runs = run_searches(problem, [7, 3, 5], 251, 2, LIGHT)
    assert runs.seeds == [7, 3, 5]
    assert list(runs.rows) == ["mnasnet", "proposed", "random"]
    assert {drawn.shape for drawn in runs.rows.values()} == {(3, 251)}
    shapes = {values.shape for values in runs.expected["proposed"].values()}
    assert shapes == {(3, 2)}
    assert set(runs.seconds) == {"search", "enumeration"}
    assert all(0 < seconds < 60 for seconds in runs.seconds.values())
    accuracy, latency_ms = runs.points()["mnasnet"]
    assert np.array_equal(accuracy, SURROGATE.accuracy[runs.rows["mnasnet"]])
    assert np.array_equal(latency_ms, SURROGATE.latency_ms[runs.rows["mnasnet"]])


def test_exact_policy_and_a_network_exactly_at_the_target():
    """Catches expectations of another window, run or quantity, and < where the paper has <=.

    T is here a latency that many cells have, to the last bit; seed 1's search is done again."""
    at_target = float(np.median(SURROGATE.latency_ms))
    under = SURROGATE.latency_ms <= at_target
    assert np.sum(SURROGATE.latency_ms == at_target) > 10
    problem = Problem(SURROGATE, ["mnasnet", "proposed"], at_target)
    runs = run_searches(problem, [0, 1], 300, 2, LIGHT)
    for name, table in problem.reward_tables.items():
        search = Reinforce([1], **LIGHT)
        for window, samples in enumerate((250, 50)):
            search.search(table[None], samples)
            p = search.controller.probabilities()[0]  # (15625,)
            expected = dict(
                accuracy=p @ SURROGATE.accuracy,
                latency_ms=p @ SURROGATE.latency_ms,
                p_under_target=p[under].sum(),
                reward=p @ table,
                entropy=-sum(float(q) * math.log(q) for q in p if q > 0),
            )
            found = {what: values[1, window] for what, values in runs.expected[name].items()}
            assert found == pytest.approx(expected, rel=1e-4)


def test_a_worker_dies(tmp_path, monkeypatch, capfd):
    """Catches a run that waits for ever, or goes on without the results of a dead worker."""

    def windows(*task):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(nas_search, "windows", windows)
    arguments = [*SMALL, "--workers", "1", "--out", tmp_path / "out"]
    refused(capfd, run_experiment.main, arguments, "a worker process died")
    assert os.listdir(tmp_path / "out") == []


# --- V. The tables: nas_benchmark.py ----------------------------------------------------------


def test_rows_of_cells():
    """Catches another order of digits: every lookup would be of another network."""
    assert CELLS.shape == (15625, 6)
    assert nas_benchmark.cell_to_row(CELLS).tolist() == list(range(15625))
    assert nas_benchmark.cell_to_row([3, 1, 3, 0, 1, 3]) == 10383


def test_strings_of_cells():
    """Catches another order of edges or operations: names would be those of other networks."""
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|none~1|none~2|"
    assert nas_benchmark.string_to_cell(text) == [4, 2, 1, 3, 0, 0]
    for cell in CELLS.tolist():
        assert nas_benchmark.string_to_cell(nas_benchmark.cell_to_string(cell)) == cell


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|none~0|",
        " |none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~3|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_5x5~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|none~3|",
        "|none~0||none~0|none~1|+|none~0|none~1|none~2|",
    ],
)
def test_strings_that_are_refused(text):
    """Catches a misspelt network that is taken for another one."""
    with pytest.raises(ValueError, match="not an architecture string"):
        nas_benchmark.string_to_cell(text)


def test_disconnected_cells():
    """Catches live edges of another search space: 341 cells have no path, as is published."""
    connected = surrogate.live_edges(CELLS).any(axis=1)
    assert np.sum(~connected) == 341


def with_value(values, row, value):
    """A list like `values`, with another value in one row."""
    return [*values[:row], value, *values[row + 1 :]]


def damaged(**changes):
    """The content of a benchmark file in which some columns are exchanged."""
    good = dict(
        accuracy=ACCURACY,
        latency_ms=LATENCY_MS,
        provenance=SURROGATE.provenance,
    )
    return pickle.dumps(good | changes)


ACCURACY = SURROGATE.accuracy.tolist()
LATENCY_MS = SURROGATE.latency_ms.tolist()


def test_save_and_load(tmp_path):
    """Catches numbers or provenance that change on the way through a file."""
    nas_benchmark.save(SURROGATE, tmp_path / "folder" / "copy.pkl")
    again = nas_benchmark.load(tmp_path / "folder" / "copy.pkl")
    assert np.array_equal(again.accuracy, SURROGATE.accuracy)
    assert np.array_equal(again.latency_ms, SURROGATE.latency_ms)
    assert again.provenance == SURROGATE.provenance


def test_plausible_limits():
    """Catches a refusal of the best that can be: accuracy 1, and a median of half a ms."""
    ms = SURROGATE.latency_ms * 0.5 / np.median(SURROGATE.latency_ms)
    accuracy = with_value(ACCURACY, 7, 1.0)
    benchmark = nas_benchmark.Benchmark(accuracy, ms, SURROGATE.provenance)
    assert benchmark.accuracy[7] == 1.0


def test_a_spoilt_benchmark_is_not_saved(tmp_path):
    """Catches a file that is overwritten by a table which nobody could load."""
    path = tmp_path / "copy.pkl"
    nas_benchmark.save(SURROGATE, path)
    before = files_of(tmp_path)
    spoilt = nas_benchmark.load(path)
    spoilt.accuracy[7] = math.nan
    with pytest.raises(ValueError, match="row 7"):
        nas_benchmark.save(spoilt, path)
    assert files_of(tmp_path) == before


def test_the_users_own_table_comes_first(tmp_path, monkeypatch):
    """Catches the surrogate taken although the official table is there, or the reverse."""
    facts = SURROGATE.provenance | {"name": "own"}
    own = nas_benchmark.Benchmark(ACCURACY, LATENCY_MS, facts)
    monkeypatch.setattr(nas_benchmark, "OFFICIAL", tmp_path / "official.pkl")
    assert nas_benchmark.load().name == SURROGATE.name
    nas_benchmark.save(own, nas_benchmark.OFFICIAL)
    assert nas_benchmark.load().name == "own"
    assert nas_benchmark.load(nas_benchmark.SURROGATE).name == SURROGATE.name


def test_provenance_as_printed():
    """Catches lines too long for a terminal, and pages of hashes."""
    facts = SURROGATE.provenance | {"how": "word " * 40, "sha256": {"a.csv": "0" * 64}}
    lines = str(nas_benchmark.Benchmark(ACCURACY, LATENCY_MS, facts)).splitlines()
    assert lines[0] == f"  name     {SURROGATE.name}"
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("           word word") for line in lines) == 2
    assert not any("sha256" in line for line in lines)


# --- VI. The command: run_experiment.py -------------------------------------------------------

SMALL = ["--seeds", "2", "--samples", "600"]
FILES = ["claims.png", "fig2.png", "fig3.png", "fig6.png", "fig7.png", "landscape.png"]
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
    options = ["--seeds", 7, "--samples", 600, "--workers", 2]
    process = start(*options, "--out", folder)
    printed, error = process.communicate()
    assert error == ""
    assert process.returncode == 0
    return folder, printed, json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--seeds 0", "--seeds must be at least 1"),
        ("--seeds many", "invalid int value: 'many'"),
        ("--seeds 1.5", "invalid int value: '1.5'"),
        ("--samples 0", "--samples must be at least 1"),
        ("--samples -5", "--samples must be at least 1"),
        ("--samples 1000000000000000", "at most 1,000,000"),
        ("--workers 0", "--workers must be at least 1"),
        ("--first-seed -1", "--first-seed must be at least 0"),
        ("--target-ms 0", "above 1 ms"),
        ("--target-ms -17", "above 1 ms"),
        ("--target-ms 0.017", "above 1 ms"),
        ("--target-ms 1", "above 1 ms"),
        ("--target-ms nan", "above 1 ms"),
        ("--target-ms inf", "above 1 ms"),
        ("--target-quantile 0", "between 0 and 1"),
        ("--target-quantile 1", "between 0 and 1"),
        ("--target-quantile 75", "between 0 and 1"),
        ("--target-quantile -0.5", "between 0 and 1"),
        ("--target-quantile nan", "between 0 and 1"),
        ("--target-quantile 0.7 --target-ms 9", "not allowed with"),
        ("--rewards mnasnet,best", "--rewards must be some of mnasnet"),
        ("--rewards tunas,tunas", "each once"),
        ("--rewards ,", "--rewards must be some of mnasnet"),
        ("--reward-me", "unrecognized arguments"),
        ("--benchmark missing.pkl", "missing.pkl"),
        ("--benchmark results", "results"),
        ("--out results/summary.json", "summary.json"),  # found before the search
        ("--out results/summary.json/below", "summary.json"),
    ],
)
def test_absurd_arguments(text, words, tmp_path, capfd, monkeypatch):
    """Catches an absurd setting that runs, or that answers with a traceback; results stay."""
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    Path("results/summary.json").write_text("precious")
    refused(capfd, run_experiment.main, [*SMALL, *text.split()], words)
    assert files_of("results") == {"summary.json": b"precious"}


def test_defaults():
    """Catches other defaults than README promises: the paper's 5,000 networks, 40 seeds, 17 ms."""
    args = run_experiment.parse([])
    assert args.rewards == ["mnasnet", "proposed"]
    assert args.seeds == 40
    assert args.seeds >= claims.MIN_RUNS  # every claim can be decided
    assert args.first_seed == 0
    assert args.samples == 5000
    assert args.out == "results"
    assert run_experiment.target_of(args, SURROGATE) == 17.0


def test_the_most_that_can_be_asked_for():
    """Catches a limit of one too few: all rewards at once, and the largest numbers."""
    numbers = ["--samples", "1000000", "--workers", "1024", "--first-seed", "1000000000"]
    args = run_experiment.parse([*numbers, "--seeds", "10000", "--rewards", ",".join(REWARDS)])
    assert args.rewards == list(REWARDS)
    assert args.samples == 1_000_000
    assert args.seeds == 10_000


def test_hyperparameters():
    """Catches other settings than those that the rule of study/hyperparameters.md leads to."""
    chosen = dict(
        hidden=64,
        learning_rate=0.001,
        entropy_weight=0.005,
        baseline_decay=0.95,
    )
    assert chosen == nas_search.HYPERPARAMETERS


def test_quick():
    """Catches --quick that overrides what was asked for, or that is not quick."""
    args = run_experiment.parse(["--quick", "--seeds", "3"])
    assert args.seeds == 3
    assert args.samples == 1000
    assert run_experiment.parse(["--quick"]).seeds == 2


def test_choice_of_target():
    """Catches a quantile of something else, or a T between 1 and 2 ms refused."""

    def target_of(text):
        return run_experiment.target_of(run_experiment.parse(text.split()), SURROGATE)

    assert target_of("--target-ms 1.5") == 1.5
    quantile = np.quantile(SURROGATE.latency_ms, 0.75)
    assert target_of("--target-quantile 0.75") == quantile


def test_files(results):
    """Catches a missing file, a summary that lacks a key, and lines too long for a terminal."""
    folder, printed, summary = results
    assert sorted(os.listdir(folder)) == FILES
    assert list(summary) == [
        *("benchmark", "settings", "table1", "comparisons", "optimum", "claims"),
        *("best_found", "timing", "versions", "policy"),
    ]
    assert max(len(line) for line in printed.splitlines()) <= 100


def test_summary(results):
    """Catches a summary of other settings, or one that does not say what made it."""
    _, _, summary = results
    settings = summary["settings"]
    assert settings["seeds"] == 7
    assert settings["samples"] == 600
    assert settings["target_ms"] == 17.0
    assert settings["hyperparameters"] == nas_search.HYPERPARAMETERS
    assert summary["versions"]["numpy"] == np.__version__
    assert summary["timing"]["searches"] == 14
    assert set(summary["timing"]["wall_s"]) == {"search", "figures", "files"}
    assert np.shape(summary["policy"]["proposed"]["accuracy"]) == (7, 3)


def test_time_per_sample(results):
    """Catches a speed that counts random search, one reward, or the enumeration."""
    timing = results[2]["timing"]
    us = 1e6 * timing["core_s"]["search"] / (2 * 7 * 600)
    assert timing["us_per_sample"] == pytest.approx(us)
    assert f"; {us:.1f} us per sample and run, on one core\n" in results[1]
    assert "  14 searches of 600 networks; results in " in results[1]


def test_table_1_file(results):
    """Catches a column or an entry that is missing from table1.csv."""
    with open(results[0] / "table1.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = nas_reward.table_1()
    assert rows == [{key: str(value) for key, value in e.items()} for e in expected]
    assert results[2]["table1"] == expected


def test_sections_in_order(results):
    """Catches a section that is not printed, or not where a reader expects it."""
    printed = results[1]
    sections = [
        "\nBenchmark: surrogate (fitted, not measured)\n",
        "\n  source ",
        f"\n  T        17 ms; {np.mean(SURROGATE.latency_ms <= 17):.1%} of the 15,625 cells",
        "\nTable 1: ",
        nas_reward.table_1_report(),
        "\nWhat the text says of the rewards (T = 17 ms)\n",
        nas_reward.comparisons_report(),
        "\nOptimum: ",
        "\nSearch: ",
        "\nThe paper's claims: its one run beside our 7 seeds\n",
        "\nBest network found under T = 17 ms, on surrogate (fitted, not measured)\n",
        "\nTime\n",
    ]
    places = [printed.index(section) for section in sections]
    assert places == sorted(places)


def test_prints_the_means_of_the_windows(results):
    """Catches a printed row that is not what the samples say: shifted, other seeds, other units."""
    folder, printed, _ = results
    runs = read_samples(folder)
    lines = re.findall(r"^ +(250|500|600) (.*)$", printed, re.MULTILINE)
    assert [end for end, _ in lines] == ["250", "500", "600"]
    for begin, (end, line) in zip((0, 250, 500), lines, strict=True):
        expected = []
        for name in ("mnasnet", "proposed", "random"):
            seeds = [runs[name, str(seed)][begin : int(end)] for seed in range(7)]
            accuracy = [np.mean([float(row["accuracy"]) for row in rows]) for rows in seeds]
            ms = [np.mean([float(row["latency_ms"]) for row in rows]) for rows in seeds]
            share = sum(mean <= 17 for mean in ms) / 7
            expected += [100 * np.mean(accuracy), np.mean(ms), round(100 * share)]
        numbers = [float(number) for number in re.findall(r"[\d.]+", line)]
        assert numbers == pytest.approx(expected, abs=6e-3)


def section(printed, title):
    """The lines between a heading that begins so and the next blank line."""
    below = printed.split(f"\n{title}")[1]
    return below.split("\n\n")[0].splitlines()[2:]


def test_tables_as_printed(results):
    """Catches a table without its head, or with the rows of another."""
    _, printed, summary = results
    optimum = summary["optimum"]
    best = summary["best_found"] | {"of all cells": optimum["best_under_T"]}
    for title, cells in {"Optimum: ": optimum, "Best network found ": best}.items():
        head, *lines = section(printed, title)
        assert head.split()[:4] == ["accuracy", "latency", "meets", "T"]
        for line, (name, cell) in zip(lines, cells.items(), strict=True):
            facts = f"{cell['accuracy']:.2%}  {cell['latency_ms']:5.2f} ms"
            assert line.startswith(f"  {name} ")
            assert facts in line
    names, columns, *_ = section(printed, "Search: ")
    assert names.split() == ["mnasnet", "proposed", "random"]
    assert columns.startswith("  networks" + "  acc %    ms  <=T" * 3)
    head = section(printed, "The paper's claims: ")[0]
    assert " ".join(head.split()) == "paper ours 95 % of runs p random verdict"


def test_rows_and_the_bar(monkeypatch, capsys):
    """Catches a row printed over the bar, a wrong time left, and a mean of exactly T missed."""
    calls = []
    monkeypatch.setattr(run_experiment, "clear_progress", lambda: calls.append("cleared"))
    monkeypatch.setattr(run_experiment, "progress", lambda *numbers: calls.append(numbers))
    rows = {"random": np.full((1, 250), 10383)}
    target_ms = SURROGATE.latency_ms[rows["random"]].mean(axis=1)[0]
    on_window = run_experiment.ProgressPrinter(Problem(SURROGATE, ["proposed"], target_ms), 500)
    on_window(rows, 250)
    assert capsys.readouterr().out.split()[-1] == "100%"
    cleared, (end, samples, seconds) = calls
    assert cleared == "cleared"
    assert (end, samples) == (250, 500)
    assert 0 <= seconds < 60


def test_claims_as_printed(results):
    """Catches a number of another line or column, and a verdict that this run cannot give."""
    _, printed, summary = results
    for e in summary["claims"]:
        paper = "" if e["paper"] is None else f"{e['paper']:,}"
        p = "" if e["p"] is None else f"{e['p']:.2g}"
        ours = "-"
        spread = "-"
        if e["median"] is not None:
            ours = f"{e['censoring']} {e['median']:,.4g}"
            spread = "[{:,.4g}, {:,.4g}]".format(*claims.range_95(e["per_seed"]))
        random = "" if e["random"] is None else f"{e['random']:,.4g}"
        too_few = e["kind"] == "value" and e["verdict"] == "undecided"
        verdict = "" if too_few else e["verdict"]
        words = f"{e['text']} {paper} {ours} {spread} {p} {random} {verdict}".split()
        assert words in [line.split() for line in printed.splitlines()], e["text"]
    excuse = "  no verdict where this run is too small for one: a number takes"
    sizes = "  39 seeds of 5,000 networks, a direction 6 seeds"
    assert section(printed, "The paper's claims: ")[-2:] == [excuse, sizes]


def claims_printed(capsys, points):
    """The lines that a run of 40 seeds prints for these points, {claim: the rest of its line}."""
    entries = claims.evaluate_claims(points, 17.0)
    run_experiment.print_claims(entries, 40, 5000)
    printed = capsys.readouterr().out
    return {e["text"]: printed.split(f"  {e['text']}  ")[1].splitlines()[0] for e in entries}


def test_censored_claims_as_printed(capsys):
    """Catches ">=" forgotten, and a number where there is none."""
    points = {"mnasnet": made_up([5000] * 40), "proposed": made_up([4000] * 40)}
    lines = claims_printed(capsys, points)
    ours = lines["mnasnet: settles at or under T"].split()
    assert ours == ["4,750", ">=", "5,000", "[5,000,", "5,000]", "0.049", "incompatible"]
    assert lines["proposed settles sooner"].split()[:2] == [">=", "1,000"]
    assert lines["proposed: settles at or under T"].split()[1] == "4,000"
    points = {"mnasnet": made_up([5000] * 40), "proposed": made_up([5000] * 40)}
    lines = claims_printed(capsys, points)
    assert lines["proposed settles sooner"].split() == ["-", "-", "not", "testable"]


def test_verdicts_of_a_large_run(capsys):
    """Catches a verdict left out, or an excuse printed, although the run is large enough."""
    points = {"mnasnet": made_up([4750] * 40), "proposed": made_up([4000] * 40)}
    entries = claims.evaluate_claims(points, 17.0)
    run_experiment.print_claims(entries, 40, 5000)
    printed = capsys.readouterr().out
    assert "too small" not in printed
    assert "counts as 5,000, and so >=" in printed
    for line, e in zip(printed.splitlines()[4:-1], entries, strict=True):
        assert line.endswith(f"  {e['verdict']}")


@pytest.mark.parametrize(
    ("seeds", "samples", "kind", "left_out"),
    [
        (38, 5000, "value", True),
        (39, 5000, "value", False),
        (39, 4999, "value", True),
        (5, 5000, "sign", True),
        (6, 250, "sign", False),
    ],
)
def test_runs_too_small_for_a_verdict(seeds, samples, kind, left_out):
    """Catches "undecided" printed of a run that could decide nothing, or hidden where it could."""
    entry = dict(kind=kind, verdict="undecided")
    assert claims.too_small(entry, seeds, samples) == left_out
    assert not claims.too_small(entry | {"verdict": "not testable"}, seeds, samples)


def test_cells_as_printed(capsys):
    """Catches operations in another order, and a crash where no network is under T."""
    problem = Problem(SURROGATE, [], 17.0)
    row = nas_benchmark.cell_to_row([3, 1, 2, 0, 4, 3])
    run_experiment.print_cells({"mine": problem.facts(row), "theirs": None})
    _, mine, theirs = capsys.readouterr().out.splitlines()
    facts = f"{SURROGATE.accuracy[row]:.2%} {SURROGATE.latency_ms[row]:.2f} ms"
    meets = "yes" if SURROGATE.latency_ms[row] <= 17 else "no"
    assert mine.split() == f"mine {facts} {meets} 3x3 skip 1x1 none pool 3x3".split()
    assert theirs == "  theirs        no cell under T"


def test_same_again_and_in_other_company(results, tmp_path):
    """Catches results that depend on chance, or on other seeds and rewards in the run."""
    before = read_samples(results[0])
    problem = Problem(SURROGATE, ["tunas", "proposed"], 17.0)
    runs = run_searches(problem, [1, 2], 600)
    run_experiment.write_samples(tmp_path / "samples.csv.gz", runs)
    after = read_samples(tmp_path)
    assert [len(rows) for rows in after.values()] == [600] * 6
    for run in (("proposed", "1"), ("proposed", "2"), ("random", "1")):
        assert after[run] == before[run]


def test_samples_are_true(results):
    """Catches rows whose accuracy, latency or reward is another cell's."""
    for (reward, _), rows in read_samples(results[0]).items():
        assert [int(row["sample"]) for row in rows] == list(range(1, 601))
        for row in rows[::7]:
            cell = nas_benchmark.string_to_cell(row["arch"])
            cell = nas_benchmark.cell_to_row(cell)
            accuracy = float(SURROGATE.accuracy[cell])
            latency_ms = float(SURROGATE.latency_ms[cell])
            assert row["accuracy"] == str(accuracy)
            assert row["latency_ms"] == str(latency_ms)
            value = ""
            if reward != "random":
                value = str(REWARDS[reward](accuracy, latency_ms))
            assert row["reward_value"] == value


def test_searches_are_all_different(results):
    """Catches two seeds, or two rewards, that draw the same networks."""
    runs = read_samples(results[0])
    assert len({tuple(row["arch"] for row in rows) for rows in runs.values()}) == 21


def test_optimum(results):
    """Catches an optimum of another reward, or above T where it must be under T."""
    optimum = results[2]["optimum"]
    assert list(optimum) == ["best_under_T", "mnasnet", "proposed"]
    fast = SURROGATE.accuracy[SURROGATE.latency_ms <= 17]
    assert optimum["best_under_T"]["accuracy"] == fast.max()
    for name in ("mnasnet", "proposed"):
        table = REWARDS[name](*COLUMNS)
        cell = nas_benchmark.string_to_cell(optimum[name]["arch"])
        assert optimum[name]["reward"] == table.max()
        assert table[nas_benchmark.cell_to_row(cell)] == table.max()


def test_best_found(results):
    """Catches a best network above T, one that was never drawn, or the regret of another seed."""
    folder, _, summary = results
    runs = read_samples(folder)
    best = summary["best_found"]
    assert list(best) == ["mnasnet", "proposed", "random"]
    for name in best:
        seeds = [runs[name, str(seed)] for seed in range(7)]
        under = [row for rows in seeds for row in rows if float(row["latency_ms"]) <= 17]
        assert best[name]["accuracy"] == max(float(row["accuracy"]) for row in under)
        assert best[name]["meets_target"]
        if name != "random":
            top = [max(float(row["reward_value"]) for row in rows) for rows in seeds]
            regret = REWARDS[name](*COLUMNS).max() - sorted(top)[3]  # the median of seven
            assert best[name]["reward_regret"] == pytest.approx(regret)


def test_the_least_run(tmp_path, capfd):
    """Catches a crash where no network meets T, and where there is nothing to compare.

    One seed, one window, and one reward that the paper does not have."""
    options = ["--seeds", "1", "--samples", "50", "--rewards", "tunas", "--target-ms", "5"]
    assert run_experiment.main([*options, "--out", str(tmp_path)]) == 0
    assert "no cell under T" in capfd.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["optimum"]["best_under_T"] is None
    assert sorted(os.listdir(tmp_path)) == FILES


# --- VI. What people look at: figures.py ------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved while the test runs, as objects."""
    saved = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda figure, path: saved.append(figure))
    return saved


def mine(accuracy, latency_ms, target_ms):
    """A reward of one's own."""
    return accuracy - 0.1 * latency_ms / target_ms


MINE = {"mnasnet": mnasnet, "mine": mine, "proposed": proposed}


@pytest.fixture(scope="session")
def runs():
    """A small search with three rewards: 5 seeds, 600 networks, so that one window is short."""
    problem = Problem(SURROGATE, MINE, 17.0)
    return run_searches(problem, range(5), 600, hyperparameters=LIGHT)


@pytest.fixture(scope="session")
def entries(runs):
    return claims.evaluate_claims(runs.points(), 17.0)


def texts_of(figure):
    """All that is written on a figure."""
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def mnasnet_by_hand(ms, T):
    """f and f' at accuracy 50 %."""
    f = 0.5 * (ms / T) ** -0.07
    return f, -0.07 * f / ms


def proposed_by_hand(ms, T):
    """f and f' at accuracy 50 %."""
    paid = ms <= 1.5 * T - 1
    left = np.where(paid, 1.5 * T - ms, 1)
    f = 0.45 + 0.1 * np.log(left) / np.log(T)
    return f, np.where(paid, -0.1 / left / np.log(T), 0)


@pytest.mark.parametrize("T", [17.0, 9.0])
def test_fig_2_is_f_and_its_slope(T, drawn):
    """Catches a curve of the other reward, another accuracy or unit, and arrows turned round."""
    figures.fig2("fig2.png", MINE, T)
    panels = drawn[0].axes[:3]
    slopes = drawn[0].axes[3:]
    by_hand = {"mnasnet": mnasnet_by_hand, "proposed": proposed_by_hand}
    assert [axes.get_title() for axes in panels] == list(MINE)
    for axes, right in zip(panels, slopes, strict=True):
        ms, f = axes.lines[0].get_data()
        assert np.array_equal(right.lines[0].get_xdata(), ms)
        assert ms[0] < T / 16
        assert ms[-1] > 1.5 * T
        if axes.get_title() in by_hand:
            expected_f, expected_slope = by_hand[axes.get_title()](ms, T)
        else:
            expected_f = 0.5 - 0.1 * ms / T
            expected_slope = np.full_like(ms, -0.1 / T)
        assert f == pytest.approx(expected_f)
        assert right.lines[0].get_ydata() == pytest.approx(expected_slope)
        assert axes.lines[1].get_xdata() == [T, T]
        arrows = [text for text in axes.texts if text.get_text() == ""]
        to_the_left, to_the_right = (text.xy[0] - text.xyann[0] for text in arrows)
        assert to_the_left < 0 < to_the_right
        written = [text.get_text() for text in axes.texts]
        names = [text for text in written if text.endswith("er")]
        assert names == ["A: faster", "B: slower"]
        assert axes.get_ylim() == panels[0].get_ylim()
        assert right.get_ylim() == slopes[0].get_ylim()


def test_fig_3_is_both_rewards(drawn):
    """Catches a curve of another reward or accuracy, and names beside the wrong line."""
    figures.fig3("fig3.png", MINE, 17.0)
    [axes] = drawn[0].axes
    names = {text.get_color(): text for text in axes.texts}
    ms = axes.lines[0].get_xdata()
    expected = {
        "mnasnet": mnasnet_by_hand(ms, 17)[0],
        "proposed": proposed_by_hand(ms, 17)[0],
        "mine": 0.5 - 0.1 * ms / 17,
    }
    for line in axes.lines[:3]:
        name = names[line.get_color()]
        R = expected.pop(name.get_text().strip())
        assert line.get_ydata() == pytest.approx(R)
        assert name.xy == (ms[-1], pytest.approx(R[-1]))
    assert expected == {}


def test_slopes_at_two_accuracies(drawn):
    """Catches a cost per ms of another sign, unit or accuracy."""
    figures.slopes("slopes.png")
    [axes] = drawn[0].axes
    lines = {line.get_label(): line for line in axes.lines}
    ms = axes.lines[0].get_xdata()
    half = lines["mnasnet, accuracy 50 %"].get_ydata()
    assert half == pytest.approx(-1000 * mnasnet_by_hand(ms, 17)[1])
    assert lines["mnasnet, accuracy 70 %"].get_ydata() == pytest.approx(1.4 * half)
    cost = lines["proposed, any accuracy"].get_ydata()
    assert cost == pytest.approx(-1000 * proposed_by_hand(ms, 17)[1])


def test_table_1_as_lines(drawn):
    """Catches a pair joined wrongly: a line must rise where the reward prefers the second."""
    figures.table_1("table1.png")
    rises = {}
    for axes in drawn[0].axes:
        for pair, line in zip(nas_reward.TABLE_1, axes.lines, strict=True):
            printed = [float(entry) for entry in pair[axes.get_title()]]
            assert line.get_ydata() == pytest.approx(printed, abs=6e-5)
            assert list(line.get_xdata()) == [ms for _, ms in pair["networks"]]
            rises[axes.get_title(), pair["case"]] = np.diff(line.get_ydata()).item()
    assert {key for key, rise in rises.items() if abs(rise) < 0.001} == {
        ("mnasnet", "a"),
        ("mnasnet", "b"),
    }
    assert rises["mnasnet", "c"] < 0
    assert rises["proposed", "a"] > 0
    assert rises["proposed", "b"] < 0
    assert rises["proposed", "c"] > 0


def test_fig_6_counts(runs, entries, drawn):
    """Catches a count in another box, of other runs, or summed instead of averaged."""
    figures.fig6("fig6.png", runs, entries)
    rows = [int(label.get_text()) for label in drawn[0].axes[0].get_yticklabels()]
    assert rows[0] == int(SURROGATE.latency_ms.min())
    assert rows[-1] == int(SURROGATE.latency_ms.max())
    assert set(np.diff(rows)) == {1}
    for axes, (name, points) in zip(drawn[0].axes, runs.points().items(), strict=True):
        assert axes.get_title() == name
        counts = collections.Counter()
        for accuracy, ms in zip(points[0].flat, points[1].flat, strict=True):
            column = 10 * int(10 * accuracy)
            counts[max(column, 30) + 5, int(ms) + 0.5] += 1 / 5  # 5 runs
        expected = {place: round(n) for place, n in counts.items() if round(n)}
        numbers = [text for text in axes.texts if text.get_position()[1] > 1]
        written = {text.get_position(): int(text.get_text()) for text in numbers}
        assert written == expected


def test_fig_6_shares_a_scale_and_marks_the_boxes(runs, entries, drawn):
    """Catches panels that cannot be compared, and the paper's counts at another box."""
    figures.fig6("fig6.png", runs, entries)
    scales = {axes.collections[0].get_clim() for axes in drawn[0].axes}
    assert len(scales) == 1
    paper = {"mnasnet": ("659", "781"), "proposed": ("780", "1,004")}
    for axes, (name, (accuracy, latency_ms)) in zip(
        drawn[0].axes, runs.points().items(), strict=True
    ):
        written = {text.get_position(): text.get_text() for text in axes.texts}
        below = {x: (written[x, -0.09], written[x, -0.15]) for x in (55, 65)}
        boxes = [line for line in axes.lines if len(line.get_xdata()) == 5]
        for k, (low, box) in enumerate(zip((0.5, 0.6), boxes, strict=True)):
            inside = (accuracy >= low) & (accuracy < low + 0.1) & (latency_ms <= 17)
            median = float(np.median(inside.sum(axis=1)))
            expected = paper[name][k] if name in paper else "-"
            assert below[55 + 10 * k] == (expected, f"{median:,.4g}")
            assert set(box.get_xdata()) == {100 * low, 100 * low + 10}
            assert max(box.get_ydata()) == 17.0


def test_fig_7_means(runs, entries, drawn):
    """Catches other means, a window that stands elsewhere, and a band of another width."""
    figures.fig7("fig7.png", runs, entries)
    windows = (slice(0, 250), slice(250, 500), slice(500, 600))
    for k, (axes, unit) in enumerate(zip(drawn[0].axes, (100, 1), strict=True)):
        bands = axes.patches[::2]
        lines = axes.patches[1::2]
        for band, line, (name, points) in zip(bands, lines, runs.points().items(), strict=True):
            means = [unit * points[k][:, window].mean(axis=1) for window in windows]
            low, middle, high = np.quantile(means, [0.1, 0.5, 0.9], axis=1)
            assert line.get_label() == name
            assert line.get_data().values == pytest.approx(middle)
            assert list(line.get_data().edges) == [0, 250, 500, 600]
            assert band.get_data().values == pytest.approx(high)
            assert band.get_data().baseline == pytest.approx(low)


def test_fig_7_marks_what_the_paper_reports(runs, entries, drawn):
    """Catches the paper's 4,750 and 4,000 at the other reward, or away from the line of T."""
    figures.fig7("fig7.png", runs, entries)
    _, latency = drawn[0].axes
    marks = [line for line in latency.lines if line.get_marker() == "v"]
    places = {mark.get_color(): (*mark.get_xdata(), *mark.get_ydata()) for mark in marks}
    colours = figures.palette(MINE)
    assert places == {colours["mnasnet"]: (4750, 17), colours["proposed"]: (4000, 17)}
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert "paper: mnasnet settles, 4,750" in legend
    assert "paper: proposed settles, 4,000" in legend
    assert {"mnasnet", "proposed", "mine", "random", "10 % to 90 % of runs"} < set(legend)


def test_claims_picture(runs, entries, drawn):
    """Catches a row with another line's numbers or verdict, and a verdict in a reward's colour."""
    figures.claims_picture("claims.png", entries, "surrogate")
    claimed = {e["text"]: e for e in entries}
    colours = figures.palette(MINE) | {None: "black"}
    found = 0
    for axes in drawn[0].axes:
        verdicts = {text.get_position()[1]: text for text in axes.texts}
        for y, name in enumerate(axes.get_yticklabels()):
            e = claimed[name.get_text()]
            found += 1
            assert name.get_color() == colours[e["reward"]]
            in_row = [line for line in axes.lines if set(line.get_ydata()) == {y}]
            here = {line.get_marker(): line for line in in_row}
            assert verdicts[y].get_text() == e["verdict"]
            background = verdicts[y].get_bbox_patch().get_fc()
            assert background not in map(to_rgba, figures.COLOURS)
            if e["median"] is not None:
                median = here[{"": "o", ">=": ">", "<=": "<"}[e["censoring"]]]
                assert list(median.get_xdata()) == [e["median"]]
                assert list(here["None"].get_xdata()) == claims.range_95(e["per_seed"])
                assert list(here["|"].get_xdata()) == e["per_seed"]
            assert ("D" in here) == (e["paper"] is not None)
            if "D" in here:
                assert list(here["D"].get_xdata()) == [e["paper"]]
    assert found == len(entries)
    for background, _ in figures.VERDICTS.values():
        assert background not in (*figures.COLOURS, figures.GREY)


def test_landscape(runs, drawn):
    """Catches a star on another cell, a line of unequal reward, a search that ended elsewhere."""
    figures.landscape("landscape.png", runs)
    for axes, (name, reward) in zip(drawn[0].axes, MINE.items(), strict=True):
        table = reward(*COLUMNS, 17.0)
        best = table.argmax()
        lines = {line.get_label(): line for line in axes.lines}
        star = lines["best cell, thick line: as good"]
        ends = lines["where a run ends: mean of its last 250"]
        accuracy, latency_ms = runs.points()[name]
        assert axes.get_title() == name
        assert list(star.get_xdata()) == [SURROGATE.latency_ms[best]]
        assert list(star.get_ydata()) == [100 * SURROGATE.accuracy[best]]
        assert ends.get_xdata() == pytest.approx(latency_ms[:, 500:].mean(axis=1))
        assert ends.get_ydata() == pytest.approx(100 * accuracy[:, 500:].mean(axis=1))
        assert any(list(line.get_xdata()) == [17.0, 17.0] for line in axes.lines)
        equal, through_star = axes.collections
        assert list(through_star.levels) == [table.max()]
        drawn_levels = 0
        for contours in (equal, through_star):
            for level, path in zip(contours.levels, contours.get_paths(), strict=True):
                ms, percent = path.vertices.T
                paid = reward(percent / 100, ms, 17.0)
                assert paid == pytest.approx(level, abs=2e-3)  # kinks bend them a bit
                drawn_levels += len(ms) > 0
        assert drawn_levels > 4


def test_pareto_front():
    """Catches a cell that another beats, or a missing one; also among equals."""
    front = figures.pareto_front(SURROGATE)
    accuracy, ms = COLUMNS
    for row in range(0, N_CELLS, 25):
        beaten = (accuracy >= accuracy[row]) & (ms <= ms[row])
        beaten &= (accuracy > accuracy[row]) | (ms < ms[row])
        if row in front:
            assert not beaten.any()
    for row in front:
        beaten = (accuracy > accuracy[row]) & (ms <= ms[row])
        assert not beaten.any()
    best_within = [accuracy[ms <= limit].max() for limit in ms[front]]
    assert best_within == pytest.approx(accuracy[front])
    assert accuracy.max() in accuracy[front]
    assert ms.min() in ms[front]


def test_a_reward_of_ones_own_is_in_every_figure(runs, entries, drawn, tmp_path):
    """Catches a picture of the paper's rewards only, and two rewards of one colour."""
    figures.write_figures(tmp_path, runs, entries)
    assert len(drawn) == 6
    for figure in drawn:
        written = " ".join(texts_of(figure))
        for name in MINE:
            assert name in written
    colours = figures.palette([*REWARDS, "mine"])
    assert len(set(colours.values())) == len(REWARDS) + 2  # and random search
    assert figures.palette(["mine", "proposed"])["proposed"] == colours["proposed"]
    assert figures.palette(["proposed"])["proposed"] == colours["proposed"]


def test_text_can_be_read_from_the_back_row(drawn, tmp_path):
    """Catches text below 1/40 of the height, or a picture that is not 16:9."""
    problem = Problem(SURROGATE, nas_reward.PAIR, 17.0)
    runs = run_searches(problem, [0, 1], 300, hyperparameters=LIGHT)
    figures.write_figures(tmp_path, runs, claims.evaluate_claims(runs.points(), 17.0))
    figures.write_drawings(tmp_path)
    assert len(drawn) == 10
    for figure in drawn:
        width, height = figure.get_size_inches()
        assert width == 16
        assert height == pytest.approx(9)
        for text in figure.findobj(matplotlib.text.Text):
            assert text.get_fontsize() / 72 >= height / 40 or not text.get_text()


def test_pictures_are_written(runs, entries, tmp_path):
    """Catches a file that is missing, empty or called otherwise."""
    figures.write_figures(tmp_path, runs, entries)
    figures.write_drawings(tmp_path)
    names = ["cell", "claims", "fig2", "fig3", "fig6", "fig7"]
    names += ["landscape", "loop", "slopes", "table1"]
    assert sorted(os.listdir(tmp_path)) == [f"{name}.png" for name in names]
    for name in names:
        pixels = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert pixels.shape[0] >= 900
        assert pixels.shape[1] >= 1600
        assert pixels.std() > 0.05


def test_the_cell_and_the_loop(drawn):
    """Catches an edge between other nodes, or another cell than the docstring's example."""
    figures.draw_cell("cell.png")
    figures.draw_loop("loop.png")
    [axes] = drawn[0].axes
    arrows = [text for text in axes.texts if text.get_text() == ""]
    ends = [(figures.NODES.index(a.xyann), figures.NODES.index(a.xy)) for a in arrows]
    assert ends == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    written = texts_of(drawn[0])
    places = {text.get_text(): np.array(text.get_position()) for text in axes.texts}
    for edge, operation in enumerate((3, 1, 3, 0, 1, 3)):
        start, end = (np.array(figures.NODES[node]) for node in ends[edge])
        way = (places[f"edge {edge}: {operation}"] - start) / (end - start + 1e-12)
        assert 0.2 < way[0] < 0.8
    assert "row 10,383 of 15,625; where edges meet, they are added" in written
    for word in ("controller", "benchmark", "reward"):
        assert word in texts_of(drawn[1])


def test_policies_are_those_of_the_search(runs):
    """Catches an animation of another search than the one that the run reports."""
    steps = list(nas_search.policies(runs.problem, 3, 600, LIGHT))
    assert len(steps) == 3
    for window, p in enumerate(steps):
        for name in MINE:
            expected = runs.expected[name]["accuracy"][3, window]
            assert p[name] @ SURROGATE.accuracy == pytest.approx(expected, rel=1e-5)


def test_a_policy_on_the_landscape():
    """Catches dots on other cells, or of another area; a mean that is not the policy's."""
    rng = np.random.default_rng(0)
    history = rng.dirichlet(np.full(N_CELLS, 0.1), size=2)  # (windows, 15625)
    accuracy, ms = COLUMNS
    axes = figures.Figure().subplots()
    dots, trail, mean = figures.draw_policy(axes, SURROGATE, list(history), "black")
    likely = history[1] > 1 / 15_625
    cells = np.stack([ms, 100 * accuracy], axis=1)  # (15625, 2)
    assert np.array(dots.get_offsets()) == pytest.approx(cells[likely])
    area = dots.get_sizes() / history[1][likely]
    assert area == pytest.approx(area[0])
    assert trail.get_xdata() == pytest.approx(history @ ms)
    assert trail.get_ydata() == pytest.approx(100 * history @ accuracy)
    assert mean.get_xydata() == pytest.approx(trail.get_xydata()[1:])


def test_animation(tmp_path):
    """Catches a film that does not move, shows one reward only, or is too large for README."""
    problem = Problem(SURROGATE, ["mnasnet", "proposed"], 17.0)
    path = tmp_path / "search.gif"
    figures.animate(path, problem, 0, 600, LIGHT)
    with PIL.Image.open(path) as film:
        assert film.n_frames == 3
        stills = PIL.ImageSequence.Iterator(film)
        frames = [np.array(still.convert("RGB")) for still in stills]
    assert frames[0].shape == (540, 960, 3)
    for half in (slice(0, 480), slice(480, 960)):
        assert (frames[0][:, half] != frames[2][:, half]).any()
    assert path.stat().st_size < 3 * 150_000  # 20 frames of a whole search: 3 MB


# --- VII. Failures: full disk, Ctrl-C, kill -9, a reader that leaves --------------------------


def test_disk_full(tmp_path):
    """Catches half the files, or half a file, when the disk is full.

    Here, files may have 150 kB at most: Figs 2 and 3 can be written, Fig. 6 cannot."""
    resource = pytest.importorskip("resource")
    (tmp_path / "summary.json").write_text("precious")
    limit = (resource.RLIMIT_FSIZE, (150_000, 150_000))
    limited = dict(preexec_fn=lambda: resource.setrlimit(*limit))
    process = start(*SMALL, "--out", tmp_path, **limited)
    _, error = process.communicate()
    assert "File too large" in error
    assert error.count("\n") == 1
    assert process.returncode == 1
    assert files_of(tmp_path) == {"summary.json": b"precious"}


def interrupted(folder, signal_name):
    """(exit code, stderr) of a run that is sent a signal after its first window.

    Fails if its workers live on; undisturbed, they would search for a minute."""
    process = start(
        *("--seeds", 4, "--samples", 100_000, "--workers", 2, "--out", folder),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # under nohup, too
    )
    while not process.stdout.readline().strip().startswith("250"):
        assert process.poll() is None
    process.send_signal(getattr(signal, signal_name))
    _, error = process.communicate(timeout=20)
    with contextlib.suppress(ProcessLookupError):
        for _ in range(200):  # until the whole process group has ended
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        pytest.fail("a worker lives on")
    return process.returncode, error


def test_ctrl_c(tmp_path):
    """Catches results that are half new after Ctrl-C, a traceback, and workers that live on."""
    (tmp_path / "summary.json").write_text("precious")
    code, error = interrupted(tmp_path, "SIGINT")
    assert error == "run_experiment.py: error: interrupted; earlier results were not touched\n"
    assert code == 130
    assert files_of(tmp_path) == {"summary.json": b"precious"}


def test_kill_9(tmp_path):
    """Catches results that are half new after kill -9, and workers that live on."""
    (tmp_path / "summary.json").write_text("precious")
    _, error = interrupted(tmp_path, "SIGKILL")
    assert "Traceback" not in error
    assert (tmp_path / "summary.json").read_text() == "precious"


def test_stopped_while_writing(tmp_path):
    """Catches files that appear one by one: nothing is published before all is written."""
    (tmp_path / "a").write_text("old")
    with contextlib.suppress(KeyboardInterrupt), command_line.atomic_output(tmp_path) as folder:
        (folder / "a").write_text("new")
        raise KeyboardInterrupt
    assert files_of(tmp_path) == {"a": b"old"}
    with command_line.atomic_output(tmp_path) as folder:
        (folder / "a").write_text("new")
        (folder / "b").write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert files_of(tmp_path) == {"a": b"new", "b": b"new"}


def test_progress_in_a_pipe(capfd):
    """Catches minutes of silence where there is no terminal, or a line for every window."""
    for k in range(1, 101):
        command_line.progress(k, 100, 0.3 * k)  # 30 s in all
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "40%, 18 s left"
    assert len(lines) == 6


def test_two_runs_in_one_folder_with_an_odd_name(tmp_path):
    """Catches runs that trip over each other, paths relative to ours, non-ASCII, a broken pipe."""
    folder = tmp_path / "한글 폴더"
    folder.mkdir()
    options = ["--seeds", 1, "--samples", 300, "--out", "새 결과"]
    environment = {**os.environ, "LC_ALL": "C"}
    leaving = start(*options, cwd=folder, env=environment)
    leaving.stdout.readline()
    leaving.stdout.close()  # a reader that leaves
    staying = start(*options, cwd=folder, env=environment)
    with leaving, staying:  # closes their pipes
        assert leaving.stderr.read() == ""
        assert staying.stderr.read() == ""
    assert leaving.returncode == 0
    assert staying.returncode == 0
    assert sorted(os.listdir(folder / "새 결과")) == FILES


# --- VII. Hostile inputs: each is refused in one line, or simply works ------------------------


POSIX = pytest.mark.skipif(os.name != "posix", reason="pipes, links, signals: not on Windows")


def everything_in(folder):
    """{path: its bytes, or None if it is a folder, a pipe or a link} of all below a folder."""
    return {
        path: path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in Path(folder).rglob("*")
    }


@contextlib.contextmanager
def within(seconds=2, megabytes=200):
    """Fail if the inside takes longer; let it have only so much memory more, on Linux."""
    limits = contextlib.ExitStack()
    if Path("/proc/self/statm").exists():
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        before = resource.getrlimit(resource.RLIMIT_AS)
        most = pages * resource.getpagesize() + megabytes * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
        limits.callback(resource.setrlimit, resource.RLIMIT_AS, before)
    start = time.process_time()  # which other programs on this machine do not lengthen
    with limits:
        yield
    assert time.process_time() - start < seconds


def told(capfd, main, arguments, code, *words):
    """main(arguments) returns this exit code, after one line on stderr that holds `words`."""
    capfd.readouterr()
    before = everything_in(".")
    with within(seconds=10):
        assert main(arguments) == code
    error = capfd.readouterr().err
    assert error.endswith("\n")
    assert error[:-1].isprintable()
    assert len(error) < 600
    assert "MemoryError" not in error
    for word in ("error: ", *words):
        assert word in error
    assert everything_in(".") == before


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A working folder with what a hostile input could spoil, or could trip over."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("folder/summary.json").write_text("precious")
    Path("precious.pkl").write_text("precious")
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe")
    with contextlib.suppress(OSError):  # Windows lets administrators only
        Path("dangling").symlink_to("nowhere")
        Path("loop").symlink_to("loop")
        Path("zero").symlink_to("/dev/zero")


# Benchmark files


def provenance(**changes):
    """A benchmark file with other entries in its provenance."""
    return damaged(provenance=SURROGATE.provenance | changes)


@pytest.mark.parametrize(
    "name",
    [
        "$x^2$",
        "$",
        r"\frac{1}{0}",
        "{0} %s %(a)d",
        "한글 🙂",
        SURROGATE.name,
        "' OR 1",
        "x" * 80,
    ],
)
def test_harmless_names(name, room):
    """Catches a name that is refused, or changed, although it can be shown as it is."""
    Path("odd.pkl").write_bytes(provenance(name=name))
    assert nas_benchmark.load("odd.pkl").name == name


def test_the_largest_provenance(room):
    """Catches limits of one too few: as many facts, and as many letters, as data/README.md says."""
    more = {str(k): "x" * 300 for k in range(50 - len(SURROGATE.provenance))}
    inside = {str(k): k for k in range(50)}
    Path("odd.pkl").write_bytes(provenance(**more, how=inside))
    facts = nas_benchmark.load("odd.pkl").provenance
    assert len(facts) == 50
    assert facts["how"] == inside


SPREAD = np.where(np.arange(N_CELLS) % 2 == 1, 1e-4, np.linspace(1.0, 1e6, N_CELLS))  # ms


@pytest.mark.parametrize(
    ("columns", "target_ms"),
    [
        (dict(latency_ms=[17.0] * N_CELLS, accuracy=[5e-324] * N_CELLS), "1000000"),
        (dict(latency_ms=SPREAD.tolist()), "1.0000000000000002"),
    ],
)
def test_odd_benchmarks_that_are_good(columns, target_ms, room, capfd):
    """Catches a warning or a traceback in a figure whose cells are all alike, or far from T."""
    Path("odd.pkl").write_bytes(damaged(**columns))
    arguments = ["--benchmark", "odd.pkl", "--out", "new", "--seeds", "1", "--samples", "251"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run_experiment.main([*arguments, "--target-ms", target_ms]) == 0
    assert capfd.readouterr().err == ""
    assert sorted(os.listdir("new")) == FILES


SMALL_SPACE = 8  # cells, so that a mutation hits more than numbers


def small_benchmark():
    """A good benchmark file of 8 cells."""
    facts = dict.fromkeys(nas_benchmark.PROVENANCE, "x") | {"sha256": {"a": "b"}, "epochs": 200}
    columns = dict(accuracy=[0.5] * SMALL_SPACE, latency_ms=[9] * SMALL_SPACE)
    return pickle.dumps(columns | {"provenance": facts}, protocol=4)


GOOD = small_benchmark()
EVERY_OPCODE = sorted(opcode.code.encode("latin-1") for opcode in pickletools.opcodes)
PIECES = st.one_of(
    st.sampled_from(EVERY_OPCODE),
    st.sampled_from([b"K\x01", b"G?\xe0\0\0\0\0\0\0", b"h\x00", b"X\x01\0\0\0a", b"](e"]),
    st.binary(max_size=9),
)
PLACES = st.integers(0, len(GOOD) - 1)
MUTATIONS = st.lists(st.tuples(PLACES, PLACES, PIECES), min_size=1, max_size=4)


def outcome(content):
    """What load makes of a file of this content: "read" or "refused", in time and in memory."""
    Path("fuzz.pkl").write_bytes(content)
    refusal = ""
    with within(seconds=2, megabytes=200):
        try:
            benchmark = nas_benchmark.load("fuzz.pkl")
        except command_line.UserError as error:
            refusal = str(error)
    if refusal:
        assert "MemoryError" not in refusal
        return "refused"
    assert json.loads(json.dumps(benchmark.provenance, allow_nan=False)) == benchmark.provenance
    assert str(benchmark).replace("\n", "").isprintable()
    return "read"


def test_fuzz_mutations(room, monkeypatch):
    """Catches anything but a valid Benchmark or a UserError, for files that were once good."""
    monkeypatch.setattr(nas_benchmark, "N_CELLS", SMALL_SPACE)
    outcomes = []

    @settings(max_examples=1000)
    @given(MUTATIONS)
    def fuzz(mutations):
        content = GOOD
        for begin, end, piece in mutations:
            content = content[:begin] + piece + content[end:]
        outcomes.append(outcome(content))

    fuzz()
    assert len(outcomes) >= 1000
    assert outcomes.count("read") > 5
    assert outcomes.count("refused") > 500


def test_fuzz_opcodes(room, monkeypatch):
    """Catches anything but a valid Benchmark or a UserError, for opcodes in any order."""
    monkeypatch.setattr(nas_benchmark, "N_CELLS", SMALL_SPACE)
    outcomes = []

    @settings(max_examples=1000)
    @given(st.lists(PIECES, max_size=40))
    def fuzz(pieces):
        opcodes = b"\x80\x04" + b"".join(pieces) + b"."
        outcomes.append(outcome(opcodes))

    fuzz()
    assert len(outcomes) >= 1000


# Options, files and folders

HOSTILE_OPTIONS = [  # (what is typed, words of the refusal)
    (["--samples", str(10**30)], "--samples must be at least 1 and at most 1,000,000"),
    (["--samples", "1000001"], "at most 1,000,000"),
    (["--samples", "9" * 5000], "invalid int value"),
    (["--samples", "1e3"], "invalid int value: '1e3'"),
    (["--samples", ""], "invalid int value: ''"),
    (["--samples", "5\x1b[2J"], "invalid int value"),
    (["--samples", "-0"], "at least 1"),
    (["--seeds", str(10**30)], "--seeds must be at least 1 and at most 10,000"),
    (["--seeds", "1000000"], "at most 10,000"),
    (["--seeds", "0x10"], "invalid int value"),
    (["--seeds", "10000", "--samples", "1000000"], "GB of memory: ask for fewer --seeds"),
    (["--first-seed", str(10**30)], "at most 1,000,000,000"),
    (["--workers", str(10**30)], "at most 1,024"),
    (["--workers", "-1"], "at least 1"),
    (["--target-ms", "1.8e308"], "at most 1,000,000 ms"),
    (["--target-ms", "1e300"], "at most 1,000,000 ms"),
    (["--target-ms", "1000000.1"], "at most 1,000,000 ms"),
    (["--target-ms=-1e-320"], "above 1 ms"),
    (["--target-ms", "17ms"], "invalid float value: '17ms'"),
    (["--target-ms", "17,0"], "invalid float value"),
    (["--target-ms", "0x11"], "invalid float value"),
    (["--target-quantile", "1e-400"], "between 0 and 1"),
    (["--target-quantile", "75%"], "invalid float value"),
    (["--target-quantile", "inf"], "between 0 and 1"),
    (["--rewards", ""], "--rewards must be some of mnasnet"),
    (["--rewards", "mnasnet,"], "--rewards must be some of mnasnet"),
    (["--rewards", "mnasnet proposed"], "--rewards must be some of mnasnet"),
    (["--rewards", "__class__"], "--rewards must be some of mnasnet"),
    (["--rewards", "보상\n"], "--rewards must be some of mnasnet"),
    (["--rewards=mnasnet", "--animate=yes"], "ignored explicit argument 'yes'"),
    (["stray"], "unrecognized arguments: stray"),
    (["--\x1b[31m"], "unrecognized arguments: --?[31m"),
    (["x" * 100_000], "unrecognized arguments: xxx"),
    (["--seeds"], "expected one argument"),
    (["--benchmark", ""], ".: not a benchmark file (it is not a file, or not there)"),
    (["--benchmark", "folder"], "folder: not a benchmark file (it is not a file, or not there)"),
    (["--benchmark", "없는 파일.pkl"], "없는 파일.pkl: not a benchmark file (it is not"),
    (["--benchmark", "new\nline"], "new line: not a benchmark file"),
    (["--benchmark", "\udcff"], "?: not a benchmark file"),
    (["--benchmark", "\x1b[2J"], "?[2J: not a benchmark file"),
    (["--benchmark", "x" * 5000], "not a benchmark file"),
]


@pytest.mark.parametrize(("typed", "words"), HOSTILE_OPTIONS)
def test_hostile_options(typed, words, room, capfd):
    """Catches a traceback, a hang, or a line that does not say which limit was missed."""
    told(capfd, run_experiment.main, [*SMALL, *typed], 2, words)


HOSTILE_PLACES = [  # (what is typed, exit code, words of the refusal)
    (["--benchmark", "pipe"], 2, "pipe: not a benchmark file (it is not a file, or not there)"),
    (["--benchmark", "zero"], 2, "zero: not a benchmark file (it is not a file, or not there)"),
    (["--benchmark", "dangling"], 2, "dangling: not a benchmark file"),
    (["--benchmark", "loop"], 2, "loop: not a benchmark file"),
    (["--benchmark", "precious.pkl/x"], 2, "not a benchmark file"),
    (["--out", "precious.pkl"], 2, "precious.pkl is not a folder"),
    (["--out", "/dev/null"], 2, "null is not a folder"),
    (["--out", "zero"], 2, "zero is not a folder"),
    (["--out", "precious.pkl/below"], 1, "precious.pkl/below: Not a directory"),
    (["--out", "dangling"], 1, "dangling: File exists"),
    (["--out", "loop"], 1, "loop: "),
    (["--out", "x" * 300], 1, "xxx: File name too long"),
    (["--out", "/proc/nowhere"], 1, "/proc/nowhere: "),
]


@POSIX
@pytest.mark.parametrize(("typed", "code", "words"), HOSTILE_PLACES)
def test_hostile_places(typed, code, words, room, capfd):
    """Catches a wait for a pipe, or a message of the system that names a file of ours."""
    told(capfd, run_experiment.main, [*SMALL, *typed], code, words)


# Terminals


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "cp949", "utf-8"])
def test_terminals_that_lack_letters(encoding, room, monkeypatch):
    """Catches a UnicodeEncodeError where a Korean path meets a terminal of another country."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run_experiment.main(["--benchmark", "한글 🙂.pkl"]) == 2
    terminal.flush()
    expected = "한글 🙂.pkl: not a benchmark file".encode(encoding, errors="replace")
    assert expected in terminal.buffer.getvalue()


def test_a_terminal_that_can_do_nothing(room):
    """Catches warnings, lost letters that end a run, and titles that matplotlib takes for TeX."""
    Path("odd.pkl").write_bytes(provenance(name=r"$\frac{1$ 한글 🙂 \x"))
    options = {"PYTHONIOENCODING": "ascii", "PYTHONWARNINGS": "error", "COLUMNS": "40"}
    options |= {"TERM": "dumb", "NO_COLOR": "1", "LC_ALL": "C"}
    arguments = [*SMALL, "--benchmark", "odd.pkl", "--out", "결과 $x$"]
    process = start(*arguments, env={**os.environ, **options})
    printed, error = process.communicate()
    assert error == ""
    assert process.returncode == 0
    assert r"Benchmark: $\frac{1$ ?? ? \x" in printed
    assert sorted(os.listdir("결과 $x$")) == FILES


@POSIX
@pytest.mark.parametrize("closed", [[1], [2], [0, 1, 2]])
def test_closed_streams(closed, room):
    """Catches an AttributeError where stdout or stderr is None, and another exit code."""
    process = start("--benchmark", "nowhere", preexec_fn=lambda: [os.close(n) for n in closed])
    printed, error = process.communicate()
    assert "Traceback" not in printed + error
    assert process.returncode == 2


# Signals, and files that appear together


@pytest.mark.parametrize("phase", ["run_searches", "draw", "write_samples", "write_summary"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_in_each_phase(name, phase, room, capfd, monkeypatch):
    """Catches results half new, a folder left behind, or a traceback, whenever a signal comes."""
    number = getattr(signal, name, None) or pytest.skip(f"there is not a {name} here")
    monkeypatch.setattr(run_experiment, "draw", lambda *_: None)
    monkeypatch.setattr(run_experiment, phase, lambda *_, **__: signal.raise_signal(number))
    arguments = ["--seeds", "1", "--samples", "9", "--out", "folder"]
    words = "interrupted; earlier results were not touched"
    told(capfd, run_experiment.main, arguments, 128 + number, words)
    assert getattr(signal.getsignal(number), "__module__", "") != "command_line"


@POSIX
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_killed_or_left_alone(name, code, tmp_path):
    """Catches workers that live on and a folder left behind after kill, or a closed terminal."""
    (tmp_path / "summary.json").write_text("precious")
    status, error = interrupted(tmp_path, name)
    assert error == "run_experiment.py: error: interrupted; earlier results were not touched\n"
    assert status == code
    assert files_of(tmp_path) == {"summary.json": b"precious"}


@POSIX
def test_the_next_run_clears_what_kill_9_left(tmp_path):
    """Catches folders that pile up, and a run that removes the folder of another that runs."""
    interrupted(tmp_path, "SIGKILL")
    (left,) = os.listdir(tmp_path)
    assert left.startswith(command_line.UNFINISHED)
    kept = [
        f"{command_line.UNFINISHED}-{os.getppid()}-x",  # it runs
        f"{command_line.UNFINISHED}-{os.getpid()}-x",
        ".unfinished-another.machine-1-x",
        f"{command_line.UNFINISHED}-x-y",
        f"{command_line.UNFINISHED}-{10**30}-x",
    ]
    for name in kept:
        (tmp_path / name).mkdir()
    with command_line.atomic_output(tmp_path):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


@POSIX
def test_a_worker_dies_while_it_sends():
    """Catches a message that blames the results folder where half a message arrived."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    os.write(sender.fileno(), (256).to_bytes(4, "big") + b"half")
    sender.close()
    refusal = pytest.raises(command_line.UserError, match="a worker process died")
    with receiver, refusal, nas_search.linked():
        receiver.recv()


CARELESS = """
import multiprocessing, nas_benchmark, nas_search
nas_search.WORKERS = multiprocessing.get_context("spawn")
problem = nas_search.Problem(nas_benchmark.load(), ["proposed"], 17.0)
nas_search.run_searches(problem, [0], 9, 1)
"""


def test_a_script_that_its_workers_run_again(room):
    """Catches a wait for ever on macOS and Windows, where a script lacks its __main__."""
    Path("careless.py").write_text(CARELESS)
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "careless.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert "UserError: a worker process died" in done.stderr
    assert "if __name__ == '__main__':" in done.stderr


def test_a_file_that_cannot_be_replaced(room, capfd):
    """Catches some files new and others old, where one of them may not be written over."""
    Path("folder/table.csv").mkdir()

    def write(folder):
        with command_line.atomic_output(folder) as unfinished:
            (unfinished / "summary.json").write_text("new")
            (unfinished / "table.csv").write_text("new")

    words = str(Path("folder/table.csv"))
    told(capfd, lambda _: command_line.run(write, "folder"), [], 2, f"{words} cannot be replaced")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (lambda _: OSError(28, "No space left"), "error: folder: No space left"),
        (lambda path: OSError(13, "Denied", str(path / "a")), f"error: {Path('folder/a')}: Denied"),
        (lambda path: OSError(5, "Denied", str(path / "a"), None, "folder/b"), "folder/b: Denied"),
    ],
)
def test_messages_of_the_system(failure, words, room, capfd):
    """Catches a message that names our temporary file instead of the user's, or none."""

    def write(folder):
        with command_line.atomic_output(folder) as unfinished:
            raise failure(unfinished)

    told(capfd, lambda _: command_line.run(write, "folder"), [], 1, words)


# --- The project itself -----------------------------------------------------------------------

ORDER = (  # in which the files are read, and imported
    "command_line",
    "nas_reward",
    "nas_benchmark",
    "controller_plain",
    "controller_numpy",
    "claims",
    "nas_search",
    "figures",
    "run_experiment",
)


def modules_of(name):
    """The first names of all modules that one of our files imports."""
    found = set()
    for node in ast.walk(ast.parse((HERE / f"{name}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("name", ORDER)
def test_imports_go_one_way(name):
    """Catches imports that run in a circle or against the order in which the files are read."""
    assert modules_of(name) & set(ORDER) <= set(ORDER[: ORDER.index(name)])


@pytest.mark.parametrize("name", ORDER)
def test_numpy_and_matplotlib_are_enough(name):
    """Catches a package that requirements.txt does not name."""
    packages = modules_of(name) - set(ORDER) - set(sys.stdlib_module_names)
    assert packages <= {"numpy", "matplotlib"}


def prints(node):
    """Whether something below a node of a syntax tree calls print or writes to a stream."""
    names = {getattr(n, "id", getattr(n, "attr", None)) for n in ast.walk(node)}
    return not names.isdisjoint({"print", "stdout", "stderr"})


COMPUTING = ("nas_search", "claims", "controller_numpy")


@pytest.mark.parametrize("name", COMPUTING)
def test_computing_does_not_print(name):
    """Catches a print where numbers are computed: what is said is the caller's business."""
    assert not prints(ast.parse((HERE / f"{name}.py").read_text()))


def test_the_plain_controller_does_not_print():
    """Catches a print in the plain controller's classes; only its lesson speaks."""
    tree = ast.parse((HERE / "controller_plain.py").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert classes
    assert not any(prints(node) for node in classes)


def test_every_file_says_what_it_is():
    """Catches a file without its contract."""
    for path in [*HERE.glob("*.py"), *HERE.glob("[ds]*/*.py")]:
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_every_test_says_what_it_catches():
    """Catches a test that nobody knows the use of."""
    tree = ast.parse(Path(__file__).read_text())
    tests = [n for n in tree.body if getattr(n, "name", "").startswith("test_")]
    assert len(tests) == len({test.name for test in tests})  # none hides another
    for test in tests:
        assert (ast.get_docstring(test) or "").startswith("Catches "), test.name


def test_this_file_run_as_a_script():
    """Catches `python test_all.py` that runs no pytest, with a warning, or loses its exit code."""
    command = [sys.executable, __file__, "--no-such-option"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    assert "unrecognized arguments: --no-such-option" in done.stderr
    assert "Warning" not in done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR


def test_readme_names_what_exists():
    """Catches a README that points to functions, tests, files or options that are not there."""
    text = (HERE / "README.md").read_text()
    for module, name in re.findall(r"`(\w+)\.(\w+)`", text):
        if name not in ("py", "md", "png", "gif", "csv", "gz", "json"):
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
    for name in re.findall(r"`(test_\w+)`", text):
        assert name == "test_all" or name in globals(), name
    for name in re.findall(r"(?:`|\]\()((?:docs/|data/|study/)?\w+\.(?:py|md|png|gif))[`)]", text):
        assert (HERE / name).exists(), name
    files = [*HERE.glob("*.py"), *HERE.glob("[ds]*/*.py")]
    source = "".join(path.read_text() for path in files)
    for option in re.findall(r"--([a-z][a-z-]+)", text):
        assert f'"--{option}"' in source, option


if __name__ == "__main__":
    known = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is imported already
    sys.exit(pytest.main(["-q", "-W", known, str(HERE), *sys.argv[1:]]))
