"""Tests of the programs at the root. Each test's docstring names the bug that it catches.

    python test_all.py                 all tests, those of data/, docs/ and study/ too; a minute
    python -m pytest -q                the same
    python test_all.py -k table_1      some of them; any option of pytest

    you are asked to believe              the oracle                                      section
    Eq. 2-5 are the paper's               Table 1: 11 of its 12 entries, digit by digit   I
    the LSTM's forward pass               one step, worked in the head; PyTorch           II
    its gradient                          central differences, of every parameter         II
    the fast controller                   the plain one: same networks, same gradient     II
    the draws follow the policy           the exact policy, over all 15,625 cells         II
    REINFORCE climbs E[R]                 the gradient of the exact E[R]                  III
    the verdicts                          our own runs in the paper's place; binomials    IV
    every number of a claim               plain Python, from samples.csv.gz               IV
    searches do not mix                   alone, in company, on 1, 2 and 8 workers        IV
    the cells are NAS-Bench-201's         its strings, there and back                     V
    the figures show what was found       their numbers, recomputed; docs/pictures.txt    VI
    it survives failures                  full disk, Ctrl-C, kill -9, hostile files       VII

A class reads I to IV; the rest is for whoever runs the program. Who tests the tests? .ci/mutate.py
plants bugs, one at a time, and counts how many are caught.

Tests against the public tables run where these are in data/cache/, or in the folder that the
environment variable NAS_TABLES names, and are skipped elsewhere; so is what needs PyTorch."""

import collections
import contextlib
import copy
import csv
import functools
import gzip
import itertools
import json
import math
import multiprocessing
import operator
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from unittest import mock

import command_line  # first: is Python new enough?  # isort: skip
import numpy as np
import PIL.Image
import pytest
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.text import Text

import claims
import controller_numpy
import controller_plain as plain
import figures
import nas_benchmark
import nas_reward
import nas_search
import run_experiment
from claims import evaluate_claims
from command_line import UserError, atomic_output
from controller_numpy import Adam, Controller, Reinforce
from controller_plain import K, S, V
from nas_benchmark import CELLS, N_CELLS, cell_to_row, load, string_to_cell
from nas_reward import REWARDS, latency_reward, mnasnet, proposed
from nas_search import HYPERPARAMETERS, Problem, run_searches

HERE = Path(__file__).resolve().parent
README = (HERE / "README.md").read_text(encoding="utf-8")
SHOWN = (HERE / "docs" / "results.md").read_text(encoding="utf-8").partition("```text\n")[2]
SHOWN = SHOWN.partition("\n```")[0]  # what the default run prints
TABLES = Path(os.environ.get("NAS_TABLES") or HERE / "data" / "cache")  # the public tables
SURROGATE = load(nas_benchmark.SURROGATE)
COLUMNS = (SURROGATE.accuracy, SURROGATE.latency_ms)
LIGHT = HYPERPARAMETERS | dict(hidden=8)  # where it does not matter what is learnt
approx = pytest.approx
WORKER_MAIN = nas_search.worker_main
POSIX = pytest.mark.skipif(os.name != "posix", reason="pipes, links, signals: not on Windows")
# A shell that runs the tests in the background, and nohup, let signals be ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def refused(capfd, main, arguments, *words, code=2):
    """main(arguments) says in one printable line on stderr what is wrong, and returns `code`."""
    capfd.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    error = capfd.readouterr().err
    assert error.endswith("\n")
    assert error[:-1].isprintable()
    assert len(error) < 600
    assert "MemoryError" not in error
    for word in ("error: ", *words):
        assert word in error


def files_of(folder):
    """{path: its bytes, or None if it is a folder, a pipe or a link} of all below a folder."""
    found = {}
    for path in Path(folder).rglob("*"):
        is_file = path.is_file() and not path.is_symlink()
        found[str(path.relative_to(folder))] = path.read_bytes() if is_file else None
    return found


def cases(text):
    """Lines of cells between bars, as tuples of text."""
    lines = text.strip().split("\n")
    return [tuple(map(str.strip, line.split(" | "))) for line in lines]


def public(name):
    """The path of a public table; where it is not, the test is skipped."""
    if not (TABLES / name).exists():
        pytest.skip(f"{name} is not in {TABLES}: download it, or set NAS_TABLES")
    return TABLES / name


# --- I. The rewards: Eq. 2-5, Table 1, and what the text says of them -------------------------


def printed_by(module, *arguments, code=0):
    """(stdout, stderr) of a script with these arguments, which ends with `code`."""
    command = [sys.executable, module.__file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    return done.stdout, done.stderr


def test_table_1():
    """Catches any slip in Eq. 2-5: all entries once more, by `math` instead of NumPy."""
    entries = nas_reward.table_1()
    assert [e["network"] for e in entries] == [1, 2] * 6
    for e in entries:
        if e["reward"] == "mnasnet":
            by_hand = e["accuracy"] * math.exp(-0.07 * math.log(e["latency_ms"] / 17))
        else:
            by_hand = 0.9 * e["accuracy"] + 0.1 * math.log(25.5 - e["latency_ms"], 17)
        assert e["formula"] == approx(by_hand, abs=1e-12)
        assert e["formula"] == approx(float(e["printed"]), abs=6e-5)


def test_readme_shows_what_nas_reward_prints():
    """Catches any digit, mark or sentence of Table 1 that is not what was read beside the paper."""
    shown = SHOWN.partition("\n\nTable 1: ")[2].partition("\n\nBest of all ")[0]
    printed, _ = printed_by(nas_reward)
    lines = re.compile(r".*[^-\n].*").findall  # all but rules and empty ones
    assert lines(printed) == lines(f"Table 1: {shown}")


def test_latency_reward_as_table_1_determines_it():
    """Catches another reading of the illegible Eq. 4, and another log_b(c - LAT) that fits."""
    expected = [1.0102, 1.0, 0.9186, 0.7946, 0.1431]
    assert latency_reward([8, 8.5, 12, 16, 24]) == approx(expected, abs=5e-5)
    entries = [e for e in nas_reward.table_1() if e["reward"] == "proposed"]

    def fits(c, b, accuracy, latency_ms, printed, **_):
        R = 0.9 * accuracy + 0.1 * math.log(c - latency_ms, b)
        return nas_reward.truncate(R, len(printed) - 2) == printed

    near = np.arange(-0.1, 0.1005, 0.001)
    pairs = itertools.product(25.5 + near, 17 + near)
    found = [(c, b) for c, b in pairs if all(fits(c, b, **e) for e in entries)]
    assert found == [approx((25.5, 17))]


@pytest.mark.parametrize("module", [nas_reward, plain])
def test_scripts_that_take_no_options(module):
    """Catches a script whose --help says nothing, or that passes over what is typed."""
    helped, _ = printed_by(module, "--help")
    assert module.__doc__.partition("\n")[0] in " ".join(helped.split())
    printed, error = printed_by(module, "--rewards", "mine", code=2)
    assert printed == ""
    assert "error: unrecognized arguments: --rewards mine (see --help)" in error


@pytest.mark.parametrize("target", [3.0, 17.0, 50.0])
def test_slopes_are_the_derivatives(target):
    """Catches a wrong derivative in Fig. 2: sign, missing 1 / ln T, exponent above T."""
    ms = np.linspace(1, 60, 1000)
    for reward, kink, options in (
        (mnasnet, target, dict(alpha=-0.07, beta=-0.3)),
        (proposed, 1.5 * target - 1, {}),
    ):
        smooth = ms[np.abs(ms - kink) > 1e-3]
        up, down = (reward(0.7, smooth + step, target, **options) for step in (1e-5, -1e-5))
        slope = nas_reward.SLOPES[reward](0.7, smooth, target, **options)
        assert slope == approx((up - down) / 2e-5, abs=1e-6)


BY_HAND = """
latency_reward([8.5, 24.5, 24.6, 25.5, 170])            | 1, 0, 0, 0, 0
latency_reward([0.75, 1.0, 1.25, 2], 1.5)               | 1, math.log(1.25, 1.5), 0, 0
preference(0.5, 0.5009), preference(0.5009, 0.5)        | "nearly equal", "nearly equal"
preference(0.0, 0.001), preference(0.001, 0.0)          | "the second", "the first"
truncate(0.8433446, 5), truncate(0.19, 1)               | "0.84334", "0.1"
truncate(0.5, 4), truncate(0.29, 2)                     | "0.5000", "0.29"
mnasnet(0.5, [8.5, 17, 34], 17, alpha=-1, beta=0)       | 1.0, 0.5, 0.5
mnasnet(0.5, [8.5, 17, 34], 17, alpha=0, beta=-1)       | 0.5, 0.5, 0.25
mnasnet_slope(0.5, [8.5, 17, 34], 17, alpha=0, beta=-1) | 0, 0, -0.25 / 34
mnasnet_hard(0.5, [8.5, 17, 34], 17)                    | 0.5, 0.5, 0.25
tunas(0.5, [8.5, 17, 34], 17)                           | 0.5 - 0.07 / 2, 0.5, 0.5 - 0.07
proposed_slope(0.7, [24.5, 24.6], y=0.2)                | -0.2 / math.log(17), 0
[mnasnet(0, 8), proposed(1, 8.5)]                       | 0, 1
[mnasnet(0.7, 0.008, 0.017)]                            | [mnasnet(0.7, 8, 17)]
equal_strength(0.1, 0.72, 17.0)                         | -2 / (9 * 0.72 * math.log(17))
[function.__name__ for function in REWARDS.values()]    | list(REWARDS)
"""


@pytest.mark.parametrize(("call", "values"), cases(BY_HAND))
def test_rewards_by_hand(call, values):
    """Catches alpha and beta exchanged, a slope of the other side of a kink, Eq. 4 beyond its end;
    a preference by the sign of the difference, rounding, and 0.29 cut to 0.28."""
    found, by_hand = (eval(text, vars(nas_reward)) for text in (call, values))
    assert found == approx(by_hand)


UNITS = """
proposed(0.7, 0.008, 0.017)       | milliseconds, not seconds
latency_reward(8, 1.0)            | milliseconds, not seconds
proposed_slope(0.7, 8, 1.0)       | milliseconds, not seconds
proposed(0.7, 8, 17.0, 0.9, 0.2)  | x + y = 1
mnasnet(70, 8)                    | divide percent by 100
proposed(1.01, 8)                 | divide percent by 100
tunas(-0.1, 8)                    | divide percent by 100
proposed_slope(nan, 8)            | divide percent by 100
mnasnet(0.7, 0)                   | positive, finite number
mnasnet_slope(0.7, [8, inf])      | positive, finite number
tunas(0.7, 8, 0)                  | target latency
proposed(0.7, 8, inf)             | target latency
latency_reward(8, nan)            | target latency
"""


@pytest.mark.parametrize(("call", "words"), cases(UNITS))
def test_rewards_refuse_wrong_units(call, words):
    """Catches seconds, percent and nonsense passing through as plausible rewards."""
    with pytest.raises(ValueError, match=re.escape(words)):
        eval(call, vars(nas_reward) | dict(nan=math.nan, inf=math.inf))


OWN_REWARDS = """
accuracy * (latency_ms / target_ms) ** -0.07 | taken
(accuracy > 0.7).astype(int) | taken
np.float16(accuracy) | taken
-accuracy | taken
[a - max(l - target_ms, 0) for a, l in zip(accuracy, latency_ms)] | taken
np.where(latency_ms < target_ms, np.log(target_ms - latency_ms), 0) | taken
accuracy.__imul__(2) | taken
np.divide(latency_ms, target_ms, out=latency_ms) | taken
np.log(target_ms - latency_ms)                 | R of row 62 (62.20%, 18.61 ms) is nan
accuracy / (latency_ms > 9)                    | R of row 31 (58.31%, 8.89 ms) is inf
np.where(latency_ms > target_ms, -np.inf, 0)   | is -inf
np.where(np.arange(15625) == 77, np.nan, 0.5)  | R of row 77
1e25 * accuracy                                | up to 1e+09; R of row 0 (1.00%
None                                           | not None; is there a `return`?
0.5                                            | an array of shape (15625,), not ()
accuracy[:, None]                              | not (15625, 1)
accuracy[1:]                                   | not (15624,)
np.ma.masked_less(accuracy, 0.5)               | masked array; return R.filled(0)
(target_ms - latency_ms + 0j) ** 0.1           | finite numbers, not complex128
accuracy.astype(str)                           | finite numbers, not <U
[None] * 15625                                 | finite numbers, not object
max(accuracy - latency_ms, 0)                  | np.where in place of if
math.log(latency_ms)                           | fails (TypeError:
acuracy                                        | fails (NameError: name 'acuracy'
proposed(100 * accuracy, latency_ms)           | accuracy must lie in 0..1
"""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("code", "refusal"), cases(OWN_REWARDS))
def test_a_reward_of_your_own(code, refusal):
    """Catches a reward that changes the benchmark, or is searched without being 15,625 numbers."""
    reward = eval(f"lambda accuracy, latency_ms, target_ms: {code}", vars(nas_reward))
    before = np.copy(COLUMNS)
    if refusal == "taken":
        R = Problem(SURROGATE, {"mine": reward}, 17.0).reward_tables["mine"]
        with np.errstate(all="ignore"):
            again = reward(*before.copy(), 17.0)
        assert np.array_equal(R, np.array(again, float))
    else:
        words = f"^reward 'mine'.*{re.escape(refusal)}"
        with pytest.raises(UserError, match=words):
            Problem(SURROGATE, {"mine": reward}, 17.0)
    assert np.array_equal(COLUMNS, before)


def test_rewards_that_cannot_be_called():
    """Catches a reward that hides a row of the report, or is unknown; T = 1 refused to all."""
    for rewards, target, words in (
        ({"random": mnasnet}, 17, "cannot be called 'random'"),
        ({"best_under_T": mnasnet}, 17, "cannot be called 'best_under_T'"),
        (["mnasnt"], 17, "rewards must be some of mnasnet, "),
        ({"mine": lambda a, b: a}, 17, r"'mine' fails \(TypeError: .*3 were given"),
        (["mnasnet", "proposed"], 1, r"reward 'proposed': Eq\. 4 takes"),
    ):
        with pytest.raises(UserError, match=words):
            Problem(SURROGATE, rewards, target)
    assert Problem(SURROGATE, ["mnasnet", "tunas"], 1).under.sum() == 0


# --- II. The controller on the board: controller_plain.py -------------------------------------

SETTINGS = dict(hidden=16, learning_rate=1e-2, entropy_weight=0.01, baseline_decay=0.9)


def central_differences(function, theta, step=1e-5):
    """The gradient (P,) of a function of theta (P,), each number moved a little up and down."""
    moves = step * np.eye(len(theta))
    differences = [function(theta + move) - function(theta - move) for move in moves]
    return np.array(differences) / (2 * step)


def to_vector(tensors, d=""):
    """Wx, Wh, b, Wo and bo, or with d="d" their gradient, as one vector (P,), as theta has them."""
    names = ("Wx", "Wh", "b", "Wo", "bo")
    return np.concatenate([tensors[d + name].ravel() for name in names])


def written(cell, weights, **start):
    """The board when it is made to write this cell (6,): a dict of tensors and weights."""
    noise = plain.teacher_forcing_noise(cell)
    return plain.forward(noise, **weights, **start) | weights


def test_one_step_in_the_head():
    """Catches any other LSTM or softmax: one step of one unit, whose numbers need no computer."""
    ln2 = math.log(2)
    weights = plain.from_vector(np.zeros(42), 1)
    weights["Wh"] += 2.0
    weights["b"] -= 1.0  # cancels h_start * Wh
    weights["Wx"][K] = [0.0, math.log(3), ln2, 2 * ln2]  # the start token; i, f, g, o
    weights["Wo"][0, 0] = ln2 / 0.48
    cell = [4, 0, 0, 0, 0, 0]
    c_start = (ln2 - 0.5 * 0.6) / 0.75
    step = written(cell, weights, h_start=0.5, c_start=c_start)
    assert step["i"][0] == approx(1 / 2)
    assert step["f"][0] == approx(3 / 4)
    assert step["g"][0] == approx(0.6)  # tanh(ln 2)
    assert step["o"][0] == approx(4 / 5)
    assert step["c"][0] == approx(ln2)  # 0.75 c_start + 0.5 * 0.6
    assert step["h"][0] == approx(0.48)  # 0.8 tanh(ln 2)
    assert step["p"][0] * 6 == approx([2, 1, 1, 1, 1])  # logits: ln 2, 0, 0, 0, 0
    assert step["a"].tolist() == [*cell, K]


def test_loss_by_hand():
    """Catches a wrong sign or a forgotten step in the loss, for a policy that ignores its state."""
    weights = plain.start_weights(np.random.default_rng(0), 2)
    p = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
    weights["Wo"][:] = 0.0
    weights["bo"][:] = np.log(p)
    board = written([0, 0, 0, 1, 1, 2], weights)
    log_p = math.log(0.5 * 0.5 * 0.5 * 0.2 * 0.2 * 0.1)
    E = -sum(p * np.log(p))
    assert plain.log_probability(**board) == approx(log_p)
    assert plain.entropy(**board) == approx([E] * 6)
    loss = -2 * log_p - 0.3 * 6 * E
    assert plain.loss(2.0, 0.3, **board) == approx(loss)


@pytest.mark.parametrize("A", [0.8, -1.3, 0.0])
def test_plain_backward_equals_central_differences(A):
    """Catches every wrong derivative on the board: each parameter, and states that are not 0."""
    numbers = np.random.default_rng(0).normal(0, 0.6, 146)  # theta for H = 3, h_start, c_start

    def board_at(numbers):
        theta, h_start, c_start = np.split(numbers, [140, 143])
        weights = plain.from_vector(theta, 3)
        return written([3, 0, 4, 3, 3, 1], weights, h_start=h_start, c_start=c_start)

    expected = central_differences(lambda at: plain.loss(A, 0.3, **board_at(at)), numbers)
    gradient = plain.backward(A, 0.3, **board_at(numbers))
    starts = (gradient["dh"][-1], gradient["dc"][-1])
    found = np.concatenate([to_vector(gradient, "d"), *starts])
    assert found == approx(expected, rel=1e-6, abs=1e-9)


# b = R1 = 1; then 0.9 * 1 + 0.1 * 2 = 1.1; then 0.9 * 1.1 + 0.1 * 0 = 0.99
ADVANTAGES = {0.9: [0.0, 1.0, -1.1, 1.01], None: [1.0, 2.0, 0.0, 2.0]}


@pytest.mark.parametrize(("decay", "advantages"), ADVANTAGES.items())
def test_plain_updates_equal_central_differences(decay, advantages):
    """Catches an update by another loss or older weights; a baseline with the present reward."""
    search = plain.Reinforce(0, 3, 0.1, entropy_weight=0.3, baseline_decay=decay)
    rewards = [1.0, 2.0, 0.0, 2.0]
    for R, A in zip(rewards, advantages, strict=True):
        cell = search.sample()
        theta = to_vector(search.weights)
        search.learn(R)
        assert abs(search.A - A) < 1e-12

        def loss_at(theta, A=A, cell=cell):
            board = written(cell, plain.from_vector(theta, 3))
            return plain.loss(A, 0.3, **board)

        expected = central_differences(loss_at, theta)
        gradient = to_vector(search.gradient, "d")
        assert gradient == approx(expected, rel=1e-6, abs=1e-9)


def test_a_batch_of_networks_per_update():
    """Catches a gradient_of that already moves the weights, and a step that uses another one."""
    search = plain.Reinforce(0, **SETTINGS)
    theta = to_vector(search.weights)
    for R in (0.5, 0.9):
        search.sample()
        last = search.gradient_of(R)
    assert np.array_equal(to_vector(search.weights), theta)
    other = {name: gradient + 1.0 for name, gradient in last.items()}
    search.step(other)
    g = to_vector(other, "d")
    moved, _, _ = plain.adam(theta, g, 0.0, 0.0, 1, learning_rate=1e-2)
    assert to_vector(search.weights) == approx(moved, abs=1e-12)


def test_both_adams_by_hand():
    """Catches a wrong moment, bias correction, epsilon, step count or default."""
    options = dict(learning_rate=0.3, beta1=0.5, beta2=0.75, epsilon=1.0)
    gradients = [2.0, -1.0, 4.0]  # so m = 1, 0, 2 and v = 1, 1, 4.75
    second = 0.8  # the first step has m^ = 2, v^ = 4: 1 - 0.3 * 2 / (2 + 1); the second, m^ = 0
    m_hat = 2 / (1 - 0.5**3)
    v_hat = 4.75 / (1 - 0.75**3)
    by_hand = [0.8, second, second - 0.3 * m_hat / (v_hat**0.5 + 1)]
    board, m, v = 1.0, 0.0, 0.0
    theta = np.ones((2, 3))
    adam = Adam(theta, **options)
    for t, g in enumerate(gradients, start=1):
        board, m, v = plain.adam(board, g, m, v, t, **options)
        adam.step(np.full((2, 3), g))
        assert board == approx(by_hand[t - 1], abs=1e-12)
        assert theta == approx(board, abs=1e-12)
    standard = Adam(theta, 0.1)
    assert (standard.beta1, standard.beta2, standard.epsilon) == (0.9, 0.999, 1e-8)


JUDGED = ["nothing to learn from", "better than usual: draw it more often"]
JUDGED += ["worse than usual: draw it less often"]


def test_lesson():
    """Catches numbers that do not fit together, or are explained as their reverse."""
    printed, _ = printed_by(plain)
    assert printed == plain.first_updates()
    page = (HERE / "docs" / "lesson.md").read_text(encoding="utf-8")
    shown = r"<!-- block part_of_the_lesson\(\d\) -->\n```text\n(.*?)\n```"
    update, table = re.findall(shown, page, re.S)
    assert update in printed
    assert table in printed
    said = re.findall("(?:b = R|R - b, .*)$", printed, re.M)
    assert said == ["b = R", *(f"R - b, {words}" for words in JUDGED)]
    numbers = re.compile(r"[-+]?\d+\.\d+(?:e-\d+)?").findall
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    table = np.array([numbers(line) for line in lines[-3:]], float)
    percent, latency_ms, R, b, A, before, after = table.T
    assert proposed(percent / 100, latency_ms) == approx(R, abs=2e-4)
    assert b + A == approx(R, abs=2e-4)
    average = 0.9 * b[:-1] + 0.1 * R[:-1]
    assert b == approx([R[0], *average], abs=2e-4)
    assert np.sign(after - before).tolist() == np.sign(A).tolist()


# --- II. The same, many at a time, and the exact policy: controller_numpy.py ------------------


def random_controller(runs=3, hidden=3, dtype=np.float64, state=0.5):
    """A Controller with large random parameters, biases and, unless `state` is 0, start states."""
    rng = np.random.default_rng(0)
    controller = Controller([rng] * runs, hidden, dtype)
    controller.theta[:] = rng.normal(0, 0.7, controller.theta.shape)
    controller.h[:, -1] = rng.normal(0, state, (runs, hidden))
    controller.c[:, -1] = rng.normal(0, state, (runs, hidden))
    return controller


def gumbel(runs, seed=1):
    return np.random.default_rng(seed).gumbel(size=(runs, S, K))


def on_the_board(controller, run, cell):
    """The board when it is made to write this cell with the weights of one run of a Controller."""
    weights = plain.from_vector(controller.theta[run], controller.H)
    h_start = controller.h[run, -1]
    c_start = controller.c[run, -1]
    return written(cell, weights, h_start=h_start, c_start=c_start)


def test_both_controllers_have_the_same_gradient():
    """Catches another order of gates, bias or token, a mixing of runs, a buffer that keeps."""
    controller = random_controller()
    adam = Adam(controller.theta, 0.05)
    advantages = np.array([0.8, -1.3, 0.1])
    for update in range(4):
        cells = controller.sample(gumbel(3, seed=update))
        gradient = controller.gradient(advantages, 0.3)
        for run, A in enumerate(advantages):
            board = on_the_board(controller, run, cells[run])
            expected = plain.backward(A, 0.3, **board)
            assert gradient[run] == approx(to_vector(expected, "d"), abs=1e-9)
        adam.step(gradient)


@pytest.mark.parametrize("decay", [0.9, None])
def test_both_controllers_draw_the_same_networks(decay):
    """Catches another start, noise, token, update or baseline; R of another run or cell."""
    options = SETTINGS | dict(baseline_decay=decay)
    seeds = [0, 1, 1]
    rewards = (mnasnet, proposed, nas_reward.tunas)
    table = np.stack([reward(*COLUMNS) for reward in rewards])
    fast = Reinforce(seeds, **options, dtype=np.float64)
    parts = [fast.search(table, samples) for samples in (100, 200)]
    rows = np.concatenate(parts, axis=1)
    for run, seed in enumerate(seeds):
        board = plain.Reinforce(seed, **options)
        assert rows[run].tolist() == board.search(table[run], 300)
        theta = to_vector(board.weights)
        assert fast.controller.theta[run] == approx(theta, abs=1e-9)


def test_start_of_training():
    """Catches other starting weights: range 0.1, float32, no bias but the forget gate's 1."""
    rngs = [np.random.default_rng(seed) for seed in range(4)]
    controller = Controller(rngs, 16)
    for seed, theta in enumerate(controller.theta):
        board = plain.start_weights(np.random.default_rng(seed), 16)
        assert np.array_equal(theta, to_vector(board).astype(np.float32))
    for weights in (controller.W, controller.Wo):
        drawn = weights[:, :-1]
        assert np.abs(drawn).max() <= 0.1
        assert drawn.std() == approx(0.2 / math.sqrt(12), rel=0.05)
    bias = np.repeat([0.0, 1.0, 0.0, 0.0], 16)  # i, f, g, o
    assert (controller.W[:, -1] == bias).all()
    assert not controller.Wo[:, -1].any()
    assert Controller(rngs).H == 64


def test_float32_agrees_with_float64():
    """Catches a computation that falls into the wrong precision, or needs more; an overflow."""
    rngs = [np.random.default_rng(s) for s in range(2)]
    single = Controller(rngs, 64)
    double = Controller(rngs, 64, np.float64)
    double.theta[:] = single.theta
    noise = gumbel(2)
    assert np.array_equal(single.sample(noise), double.sample(noise))
    advantage = np.array([0.02, -0.01])
    gradient = single.gradient(advantage, 0.01)
    expected = double.gradient(advantage, 0.01)
    assert (gradient.dtype, expected.dtype) == (np.float32, np.float64)
    error = np.abs(gradient - expected).max()
    assert error < 1e-5 * np.abs(expected).max()
    assert single.probabilities() == approx(double.probabilities(), rel=1e-3)
    log_p = controller_numpy.log_softmax(np.array([[1e4, 0.0, -1e4]]))
    assert log_p.tolist() == [[0.0, -1e4, -2e4]]


def test_a_copied_search_goes_on_as_the_original():
    """Catches a copy whose weights are no longer those that Adam moves, or that its views show."""
    tables = np.stack([proposed(*COLUMNS), mnasnet(*COLUMNS)])
    search = Reinforce([0, 1], **LIGHT)
    search.search(tables, 100)
    twins = [copy.deepcopy(search), pickle.loads(pickle.dumps(search))]
    rows = search.search(tables, 200)
    for twin in twins:
        assert np.array_equal(twin.search(tables, 200), rows)
        assert np.array_equal(twin.controller.theta, search.controller.theta)


def test_agrees_with_pytorch():
    """Catches what our own oracles could share: an LSTM, softmax or Adam unlike the world's."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; never needed")
    advantages = np.array([0.5, -2.0, 1.0])
    H = 8
    controller = random_controller(runs=3, hidden=H)
    adam = Adam(controller.theta, 1e-2)
    one_hot = torch.eye(V, dtype=torch.double)
    thetas = [torch.tensor(theta, requires_grad=True) for theta in controller.theta]
    optimiser = torch.optim.Adam(thetas, 1e-2)

    def loss(theta, run):
        """-A log P(cell) - w sum_t E_t of the cell that this run has drawn."""
        sizes = [V * 4 * H, H * 4 * H, 4 * H, H * K, K]
        Wx, Wh, b, Wo, bo = torch.split(theta, sizes)
        Wx = Wx.view(V, 4 * H)
        Wh = Wh.view(H, 4 * H)
        Wo = Wo.view(H, K)
        h = torch.tensor(controller.h[[run], -1])
        c = torch.tensor(controller.c[[run], -1])
        total = 0.0
        for token, action in itertools.pairwise([K, *controller.a[run].tolist()]):
            x = one_hot[[token]]
            h, c = torch.lstm_cell(x, (h, c), Wx.T, Wh.T, b, 0 * b)  # torch has two biases
            policy = torch.distributions.Categorical(logits=h[0] @ Wo + bo)
            total = total - advantages[run] * policy.log_prob(torch.tensor(action))
            total = total - 0.2 * policy.entropy()
        return total

    for update in range(3):
        controller.sample(gumbel(3, update))
        gradient = controller.gradient(advantages, 0.2)
        adam.step(gradient)
        optimiser.zero_grad()
        sum(map(loss, thetas, range(3))).backward()
        optimiser.step()
        for run, theta in enumerate(thetas):
            assert gradient[run] == approx(theta.grad.numpy(), abs=1e-9)
            stepped = theta.detach().numpy()
            assert controller.theta[run] == approx(stepped, abs=1e-9)


def test_enumeration_equals_the_board():
    """Catches a cell whose probability stands in another cell's row."""
    controller = random_controller(runs=2)
    p = controller.probabilities()
    assert p.shape == (2, N_CELLS)
    assert p.sum(axis=1) == approx(1, abs=1e-12)
    rows = (0, 1, 7, 3125, 9876, 15624)
    for run, row in itertools.product(range(2), rows):
        log_p = plain.log_probability(**on_the_board(controller, run, CELLS[row]))
        assert p[run, row] == approx(math.exp(log_p), rel=1e-9)


def test_samples_follow_the_policy():
    """Catches a biased draw: 200,000 samples, expectations within 4 standard errors."""
    controller = random_controller(runs=1, hidden=8, dtype=np.float32, state=0)
    p = controller.probabilities()[0]
    assert p.sum() == approx(1, abs=1e-6)
    rng = np.random.default_rng(5)
    many = Controller([rng] * 2000, 8)
    many.theta[:] = controller.theta
    noise = rng.gumbel(size=(100, 2000, S, K))
    cells = [many.sample(of_one).copy() for of_one in noise]
    rows = cell_to_row(cells)
    begins_with_1x1 = CELLS[:, 0] == 2
    ends_with_skip_3x3 = (CELLS[:, 4:] == [1, 3]).all(axis=1)
    for column in (*COLUMNS, begins_with_1x1, ends_with_skip_3x3):
        expected = p @ column
        variance = p @ (column - expected) ** 2
        error = math.sqrt(variance / 200_000)
        assert column[rows].mean() == approx(expected, abs=4 * error)


# --- III. REINFORCE: controller_numpy.py ------------------------------------------------------


def test_reinforce_follows_the_exact_expected_reward():
    """Catches a biased estimator: E[(R - b) grad log pi] must be grad E[R], whatever b is."""
    reward = np.random.default_rng(3).normal(size=N_CELLS)
    one = random_controller(runs=1, hidden=2, state=0)
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
        assert gradient == approx(expected, abs=1e-8)


# --- IV. The claims and their verdicts: claims.py ---------------------------------------------


def measured_by_hand(columns, T):
    """What the claims measure, in plain Python: {id: (seeds,)} of (accuracy, latency_ms)."""
    runs = []
    for points in np.stack(columns, axis=-1).tolist():
        windows = [points[k : k + 250] for k in range(0, len(points), 250)]
        mean_accuracy = [sum(a for a, _ in window) / len(window) for window in windows]
        mean_ms = [sum(ms for _, ms in window) / len(window) for window in windows]
        misses = [k for k, ms in enumerate(mean_ms) if ms > T]
        hits = [k for k, ms in enumerate(mean_ms) if ms <= T]
        under = [a for a, ms in points if ms <= T]
        run = {
            "fig6_under_T": len(under),
            "fig6_50_60": sum(0.5 <= a < 0.6 for a in under),
            "fig6_60_70": sum(0.6 <= a < 0.7 for a in under),
            "fig7_stays_under": min(len(points), 250 * (misses[-1] + 1)) if misses else 0,
            "fig7_first_under": 250 * hits[0] if hits else len(points),
            "fig7_accuracy": 100 * (mean_accuracy[-1] - mean_accuracy[0]),
        }
        runs.append(run)
    return {id: np.array([run[id] for run in runs]) for id in runs[0]}


def test_windows_under_the_target():
    """Catches shifted windows, "from then on" at the first dip, a network across an edge."""
    windows = list(itertools.product([16.0, 17.0, 18.0], repeat=3))  # of 27 runs
    ms = np.repeat(windows, [250, 250, 100], axis=1)
    accuracy = np.random.default_rng(0).choice([0.49, 0.5, 0.599, 0.6, 0.7, 1.0], ms.shape)
    expected = measured_by_hand((accuracy, ms), 17.0)
    for claim in claims.CLAIMS:
        assert claim.measure(accuracy, ms, 17.0) == approx(expected[claim.id])


def test_values_are_judged():
    """Catches a p of one side, or above 1; a bound taken as exact; a verdict on too few runs."""
    judge = claims.judge_value
    runs = np.arange(1, 40)  # 39: the fewest
    for paper, p in {0: 2, 1: 4, 40: 2, 37.5: 6, 20: 40}.items():
        assert claims.rank_p(paper, runs) == p / 40
    three = np.array([500, 600, 700])
    assert claims.rank_p(800, three) == 0.5
    assert claims.rank_p(650, three) == 1
    assert claims.rank_p(800, three, [1, 0, 0]) == 1
    assert claims.rank_p(400, three, [-1, 0, 0]) == 1
    assert judge(0, runs, 0, True) == (0.05, "outside")
    assert judge(1, runs, 0, True) == (0.1, "inside")
    assert judge(0, runs, -np.ones(39), True) == (1, "inside")
    assert judge(0, runs[1:], 0, True)[1] == "too few seeds"
    assert judge(0, runs, 0, False) == (None, "not comparable")


@pytest.fixture(scope="module")
def own_runs():
    """(accuracy, latency_ms) of 120 short searches, to put in the paper's place."""
    tables = np.tile(proposed(*COLUMNS), (120, 1))
    rows = Reinforce(range(120), **LIGHT).search(tables, 300)
    return SURROGATE.accuracy[rows], SURROGATE.latency_ms[rows]


def in_turn(runs, n):
    """Yield (run, n others), 400 times and more: of n + 1 of ours, each in turn as the paper's."""
    rng = np.random.default_rng(0)
    for _ in range(400 // n):
        chosen = rng.permutation(runs)[: n + 1]
        for k in range(n + 1):
            yield chosen[k], np.delete(chosen, k, axis=0)


@pytest.mark.parametrize("n", [40, 80])
def test_one_of_our_own_runs_in_the_papers_place(own_runs, n):
    """Catches a rule that calls perfect reproductions outside in more than 5 % of cases."""
    values = claims.accuracy_gain(*own_runs, 17.0)  # (120,)
    found = [claims.judge_value(*pair, 0, True)[1] for pair in in_turn(values, n)]
    assert 0.04 < found.count("outside") / len(found) <= 0.05  # no slack: 2 of 41, 4 of 81
    assert set(found) == {"inside", "outside"}


def test_the_run_as_a_whole(own_runs):
    """Catches a p that is not exact; a run far from all that is missed; one sample as large."""
    bands = [claims.count_under(*own_runs, 17.0, low, low + 0.1) for low in (0.5, 0.6)]
    both = np.repeat(bands, 2, axis=0) + np.arange(4)[:, None]  # as if of two rewards
    settled = np.random.default_rng(0).choice([0, 250, 500], size=(2, 120))
    six = np.vstack([both, settled]).T  # (120, 6)
    found = [claims.whole_run(others, run) for run, others in in_turn(six, 40)]
    p = np.array([e["p"] for e in found])
    assert np.mean(p <= 0.05) <= 0.05 + 1 / 41
    line = np.linspace(0, 1000, 40)  # two values that grow together
    runs = np.stack([line, line, *np.zeros((4, 40))], axis=1)
    found = claims.whole_run(runs, [200, 800, 0, 0, 0, 0])
    assert found["p"] == 1 / 41
    assert claims.rank_p(200, line) > 0.3
    scale = np.std([*line, 200])
    assert found["typical"] == approx(1000 / 39 / scale * 2**0.5, rel=0.01)
    assert found["distance"] == approx(600 / scale / 2**0.5, rel=0.02)
    for paper in np.diag([0.1, 0.1, 0.1, 0.1, 25, 25]):
        found = claims.whole_run(np.zeros((40, 6)), paper)
        assert found["distance"] == approx(0.1)


def test_runs_unlike_the_papers():
    """Catches a number of the paper judged at another T or length, or beside too few runs."""
    rng = np.random.default_rng(0)
    for samples, T, alike in ((5000, 17.0, 1), (5000, 16.9, 0), (4999, 17.0, 0)):
        accuracy = rng.uniform(0.4, 0.8, (40, samples))
        ms = rng.uniform(9, 20, (40, samples))
        points = dict.fromkeys(("mnasnet", "proposed"), (accuracy, ms))
        found = evaluate_claims(points, T)
        assert bool(claims.whole_run_of(found)) == alike
        judged = [e for e in found if e["paper"] is not None]
        assert len(judged) == 11
        for e in judged:
            assert (e["verdict"] == "not comparable") == (e["p"] is None)
            if e["reward"]:
                assert (e["p"] is not None) == alike
    enough = evaluated(mnasnet=[4750] * 19, proposed=[4000] * 19)
    assert claims.whole_run_of(enough.values())["p"] == 1 / 20
    few = evaluated(mnasnet=[4750] * 18, proposed=[4000] * 18)
    assert claims.whole_run_of(few.values()) is None


SIGNS = """
++++++          |  2 / 2**6 | supported
++++++000000000 |  2 / 2**6 | supported
------000000000 |  2 / 2**6 | reversed
+++--+          | 44 / 2**6 | inconclusive
+++++           |  2 / 2**5 | too few seeds
----+           | 12 / 2**5 | too few seeds
+-0             |         1 | too few seeds
00              |         1 | too few seeds
"""  # of the differences | p | verdict


def test_signs_are_judged():
    """Catches one tail instead of two, ties or sizes that count, a verdict from five pairs."""
    for signs, p, verdict in cases(SIGNS):
        values = np.array(["-0+".index(sign) - 1 for sign in signs])
        for size in (1, 7):
            assert claims.judge_sign(size * values) == (eval(p), verdict)
    patterns = np.array(list(itertools.product((-1, 1), repeat=9)))
    away = np.abs(patterns.sum(axis=1))  # from balance
    for k, signs in enumerate(patterns):
        assert claims.sign_test_p(signs) == approx(np.mean(away >= away[k]))


@pytest.mark.parametrize("n", [1, 5, 6, 8, 39, 40, 80])
def test_false_alarms_of_the_sign_test(n):
    """Catches "supported" or "reversed" in more than 5 % where no reward is better: binomials."""
    alarms = 0.0
    for k in range(n + 1):
        _, verdict = claims.judge_sign(np.repeat([1, -1], [k, n - k]))
        if verdict in ("supported", "reversed"):
            alarms += math.comb(n, k) / 2**n
    assert alarms <= 0.05
    assert (alarms > 0) == (n >= 6)


def made_up(slow_until):
    """Points of runs that rise from 55 to 65 %, and are slow until networks `slow_until` (n,)."""
    rising = np.linspace(0.55, 0.65, 5000)
    accuracy = np.tile(rising, (len(slow_until), 1))
    late = np.arange(5000) >= np.array(slow_until)[:, None]
    return accuracy, np.where(late, 16.0, 18.0)


def evaluated(**slow_until):
    """{key: result} of made-up runs {reward: `slow_until`}."""
    points = {name: made_up(networks) for name, networks in slow_until.items()}
    return {claims.key(e): e for e in evaluate_claims(points, 17.0)}


MADE_UP = """
fig6_under_T     | 250 - no claim    | 1000 - no claim     | 750 - supported
fig6_50_60       | 0 659 outside     | 0 780 outside       | 0 - inconclusive | 0 121 outside
fig6_60_70       | 250 781 outside   | 1000 1004 outside   | 750 - supported  | 750 223 outside
fig7_stays_under | 4750 4750 inside  | 4000 4000 inside    | 750 - supported  | 750 750 inside
fig7_first_under | 4750 4750 inside  | 4000 4000 inside
fig7_accuracy    | 9.502 - supported | 9.502 - supported
"""  # claim | of MnasNet's reward: our median, the paper's number, verdict | proposed | sign | size


def test_claims_on_made_up_runs():
    """Catches claims tied to the wrong reward, band, sign or pairing, and keys that are not one."""
    found = evaluated(mnasnet=[4750] * 40, proposed=[4000] * 40)
    assert len({e["text"] for e in found.values()}) == len(found)
    expected = {}
    for id, *cells in cases(MADE_UP):
        kinds = ("mnasnet", "proposed", "sign", "value")[: len(cells)]
        expected |= {f"{id}.{kind}": cell for kind, cell in zip(kinds, cells, strict=True)}
    assert list(found) == list(expected)
    for key, e in found.items():
        assert f"{e['median']:.4g} {e['paper'] or '-'} {e['verdict']}" == expected[key]


def test_claims_of_other_rewards():
    """Catches the paper's numbers beside a reward that the paper does not have."""
    found = evaluated(tunas=[1000] * 40, random=[0] * 40)
    assert list(found) == [f"{id}.tunas" for id, *_ in cases(MADE_UP)]
    *values, rise = found.values()
    assert {e["verdict"] for e in values} == {"no claim"}
    assert rise["verdict"] == "supported"
    assert {e["paper"] for e in found.values()} == {None}
    assert [e["random"] for e in values] == [5000, 2500, 2500, 0, 0]


CENSORED = """
[5000] * 6 + [3000] * 4 | [4000] * 10             | >= | inconclusive
[4000] * 10             | [5000] * 6 + [3000] * 4 | <= | inconclusive
[5000] * 2 + [3000] * 8 | [4000] * 10             |    | inconclusive
[4000] * 10             | [5000] * 2 + [3000] * 8 |    | inconclusive
[5000] * 1 + [4750] * 2 | [4250] * 3              |    | too few seeds
[5000] * 1 + [4500] * 2 | [4500] * 1 + [4000] * 2 |    | too few seeds
[5000] * 10             | [5000] * 3 + [4000] * 7 | >= | supported
[5000] * 10             | [5000] * 5 + [4000] * 5 | >= | too few seeds
[5000] * 11             | [5000] * 6 + [4000] * 5 | >= | not testable
[5000] * 8              | [5000] * 8              |    | not testable
[5000] * 6              | [0] * 6                 | >= | supported
"""  # where MnasNet's and the proposed reward's searches settle | bound | verdict


@pytest.mark.parametrize(("first", "second", "bound", "verdict"), cases(CENSORED))
def test_differences_to_runs_that_never_settle(first, second, bound, verdict):
    """Catches a bound printed as a number; a tie of two that never settle; never as "5,000"."""
    one, other = np.array([eval(first), eval(second)])
    found = evaluated(mnasnet=one, proposed=other)
    assert found["fig6_under_T.proposed"]["n_censored"] == 0
    for name, runs in (("mnasnet", one), ("proposed", other)):
        line = found[f"fig7_stays_under.{name}"]
        never = np.sum(runs == 5000)
        assert (line["n_censored"], line["median"]) == (never, np.median(runs))
        assert (line["min"], line["max"]) == (runs.min(), runs.max())
        assert line["censoring"] == (">=" if 2 * never >= len(runs) else "")
    line = found["fig7_stays_under.sign"]
    some = np.minimum(one, other) < 5000
    differences = (one - other)[some]
    assert line["per_seed"] == differences.tolist()
    assert line["n_censored"] == np.sum(np.maximum(one, other)[some] == 5000)
    assert line["median"] == (np.median(differences) if some.any() else None)
    assert (line["censoring"], line["verdict"]) == (bound, verdict)
    assert (line["p"] is None) == (verdict == "not testable")


def test_claims_recomputed_from_the_samples(results):
    """Catches claims that say other than samples.csv.gz: recomputed here in plain Python."""
    folder, _, summary = results
    measured = {name: measured_by_hand(x, 17.0) for name, x in read_samples(folder).items()}
    assert len(summary["claims"]) == 19
    for e in summary["claims"]:
        of = {name: by_id[e["id"]] for name, by_id in measured.items()}
        if e["reward"]:
            per_seed = of[e["reward"]]
            assert e["median"] == approx(np.median(per_seed))
            assert e["random"] == approx(np.median(of["random"]))
        elif e["id"] == "fig7_stays_under":
            some = np.minimum(of["mnasnet"], of["proposed"]) < 600
            per_seed = (of["mnasnet"] - of["proposed"])[some]
        else:
            per_seed = of["proposed"] - of["mnasnet"]
        assert e["per_seed"] == approx(per_seed.tolist())


# --- IV. The searches, and where one of unlimited length goes: nas_search.py ------------------


def largest_update(R, p, w):
    """The largest |expected update| of a logit, of a policy with a softmax per prefix: the formula
    of `dlogits`, A (pi - onehot(a)) + w pi (log pi + H), with the reward as A, summed over all
    15,625 cells, each weighed by its probability."""
    largest = 0.0
    for t in range(S):
        reached = p.reshape(K**t, K, -1).sum(axis=2)  # p(prefix, a): (prefixes, 5)
        earned = (p * R).reshape(K**t, K, -1).sum(axis=2)
        pi = reached / reached.sum(axis=1, keepdims=True)  # p(a | prefix)
        H = -np.sum(pi * np.log(pi), axis=1, keepdims=True)
        update = earned.sum(axis=1, keepdims=True) * pi - earned
        update += w * reached * (np.log(pi) + H)
        largest = max(largest, np.abs(update).max())
    return largest


@pytest.fixture(scope="module")
def problem():
    return Problem(SURROGATE, ["mnasnet", "proposed"], 17.0)


def test_the_fixed_point(problem):
    """Catches a policy whose expected update is not 0: Q of another edge, later entropy, 1 / w."""
    uniform = np.full(N_CELLS, 1 / N_CELLS)
    for R, w in itertools.product(problem.reward_tables.values(), (0.003, 0.005, 0.03)):
        p = nas_search.fixed_point_policy(R, w)
        assert p.sum() == approx(1)
        assert largest_update(R, p, w) < 1e-12
        softmax = np.exp((R - R.max()) / w)  # maximises R + w H of the whole cell
        for other in (uniform, softmax / softmax.sum()):
            assert largest_update(R, other, w) > 1e-5
        assert nas_search.fixed_point_policy(R, 1e-6)[R.argmax()] == approx(1)
        assert nas_search.fixed_point_policy(R, 1e6) == approx(uniform, rel=1e-4)
    assert problem.fixed_points(0) == {}


def test_a_problem():
    """Catches rewards of another T or order; facts of another cell; a cell at T taken as above."""
    problem = Problem(SURROGATE, [*reversed(REWARDS)], 14.0)
    assert list(problem.reward_tables) == [*reversed(REWARDS)]
    for name, table in problem.reward_tables.items():
        assert np.array_equal(table, REWARDS[name](*COLUMNS, 14.0))
    accuracy, ms = COLUMNS
    problem = Problem(SURROGATE, {"fastest": lambda accuracy, ms, T: T - ms}, ms[1234])
    optima = problem.optima()
    assert optima["fastest"]["reward"] == ms[1234] - ms.min()
    assert optima["best_under_T"]["accuracy"] == accuracy[ms <= ms[1234]].max()
    assert problem.facts(1234) == dict(
        arch=nas_benchmark.cell_to_string(CELLS[1234]),
        accuracy=accuracy[1234],
        latency_ms=ms[1234],
        meets_target=True,
    )
    assert not problem.facts(np.argmax(ms > ms[1234]))["meets_target"]


SLIPS_OF_CALLS = """
run_searches(problem, 8)              | seeds, as range(8), must be whole numbers from 0
run_searches(problem, [0.5])          | not [0.5], 5000 and
run_searches(problem, [0], 9, "2")    | not [0], 9 and '2'
run_searches(problem, [])             | not [], 5000 and
run_searches(problem, [3, -1])        | not [3, -1], 5000 and
run_searches(problem, [0], samples=0) | samples and workers from 1: not [0], 0 and
run_searches(problem, [0], workers=0) | not [0], 5000 and 0
Problem(SURROGATE, "tunas", 17.0)     | rewards must be a list of names or a dict
Problem(SURROGATE, ["tunas"], "17")   | T must be a number of ms, not '17'
"""


def test_slips_in_calls(problem):
    """Catches NumPy's words for a usual slip, or an empty run."""
    for call, words in cases(SLIPS_OF_CALLS):
        with pytest.raises(UserError, match=re.escape(words)):
            eval(call)
    with pytest.raises(TypeError, match="missing 3 required"):
        run_searches(problem, [0], hyperparameters={"hidden": 8})
    shortest = run_searches(problem, [0], samples=1, workers=1)
    assert shortest.rows["proposed"].shape == (1, 1)


def test_cores_of_a_container(tmp_path, monkeypatch):
    """Catches a quota that is ignored, rounded to none, or not there; another process's cores."""
    monkeypatch.setattr(nas_search, "CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", [range(8)].__getitem__, raising=False)
    assert nas_search.cores() == 8
    for text, count in (("max 100000", 8), ("250000 100000", 3), ("1 100000", 1)):
        (tmp_path / "cpu.max").write_text(text)
        assert nas_search.cores() == count


def test_no_worker_outlives_an_exception(problem):
    """Catches workers that live on when a window is not wanted, or an interrupt comes."""
    for workers in (1, 2):
        with pytest.raises(KeyboardInterrupt):  # `stop` is what Ctrl-C calls
            run_searches(problem, range(4), 100_000, workers, LIGHT, command_line.stop)
        assert not nas_search.multiprocessing.active_children()


def test_settings_of_the_user_change_no_picture(tmp_path):
    """Catches a picture that depends on the user's matplotlibrc, or on a notebook's backend."""
    own = {"font.family": "no such font", "savefig.bbox": "tight", "text.usetex": True}
    figures.fig2(tmp_path / "usual.png", {"mnasnet": mnasnet})
    with figures.matplotlib.rc_context(own):
        figures.fig2(tmp_path / "own.png", {"mnasnet": mnasnet})
    assert (tmp_path / "usual.png").read_bytes() == (tmp_path / "own.png").read_bytes()
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    command = [sys.executable, HERE / "figures.py", "--from", tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "not a folder of results" in done.stderr
    assert done.stderr.count("\n") == 1


def test_random_search_is_uniform():
    """Catches random search that favours cells, or depends on how many samples are asked."""
    rows = nas_search.random_search(0, 200_000)
    counts = np.bincount(rows, minlength=N_CELLS)  # 12.8 each are expected
    chi_square = ((counts - 12.8) ** 2 / 12.8).sum()  # mean 15,624, sd 177
    assert chi_square == approx(15_624, abs=4 * 177)
    assert np.array_equal(rows[:300], nas_search.random_search(0, 300))
    assert rows[:4].tolist() == [8158, 13902, 15514, 8705]  # as in README's run


def test_any_number_of_workers_gives_the_same_bytes(problem, tmp_path):
    """Catches seeds that depend on the worker or the group of runs that they fall into."""
    path = tmp_path / "samples.csv.gz"
    found = []
    for workers in (1, 2, 8):
        runs = run_searches(problem, range(9), 251, workers, LIGHT)  # 18 runs: two groups
        run_experiment.write_samples(path, runs)
        found.append((path.read_bytes(), pickle.dumps(runs.expected)))
    assert found[0] == found[1] == found[2]


def test_workers_that_are_started_anew(monkeypatch):
    """Catches a task that only a forked worker can be given: macOS and Windows start them anew."""
    problem = Problem(SURROGATE, {"own": lambda accuracy, ms, T: accuracy**2}, 17.0)
    forked = run_searches(problem, [5], 20, 1, LIGHT)
    monkeypatch.setattr(nas_search, "WORKERS", multiprocessing.get_context("spawn"))
    spawned = run_searches(problem, [5], 20, 1, LIGHT)
    assert np.array_equal(spawned.rows["own"], forked.rows["own"])


def test_windows_of_runs(problem):
    """Catches seeds and windows exchanged or missing, an on_window that sees another window."""
    seen = []

    def note(rows, end):
        seen.append((end, copy.deepcopy(rows)))

    runs = run_searches(problem, [7, 3, 5], 600, 2, LIGHT, on_window=note)
    assert runs.seeds == [7, 3, 5]
    assert list(runs.rows) == ["mnasnet", "proposed", "random"]
    assert [end for end, _ in seen] == [250, 500, 600]
    for name, drawn in runs.rows.items():
        parts = [rows[name] for _, rows in seen]
        assert [part.shape for part in parts] == [(3, 250), (3, 250), (3, 100)]
        assert np.array_equal(np.concatenate(parts, axis=1), drawn)
    _, _, took = next(nas_search.windows(problem, [7], 9, LIGHT))
    assert list(runs.seconds) == ["search", "enumeration"]
    assert took.shape == (2,)
    assert all(0 < seconds < 60 for seconds in runs.seconds.values())


def test_exact_policy_and_a_network_exactly_at_the_target():
    """Catches expectations of another window, run or quantity; < where the paper has <=."""
    accuracy, latency_ms = COLUMNS
    at_target = float(np.median(latency_ms))
    assert np.sum(latency_ms == at_target) > 10
    problem = Problem(SURROGATE, ["mnasnet", "proposed"], at_target)
    runs = run_searches(problem, [0, 1], 300, 2, LIGHT)
    for name, table in problem.reward_tables.items():
        search = Reinforce([1], **LIGHT)
        for window, samples in enumerate((250, 50)):
            search.search(table[None], samples)
            p = search.controller.probabilities()[0]  # (15625,)
            expected = dict(
                accuracy=p @ accuracy,
                latency_ms=p @ latency_ms,
                p_under_target=p[latency_ms <= at_target].sum(),
                reward=p @ table,
                entropy=-sum(float(q) * math.log(q) for q in p if q > 0),
            )
            found = {what: values[1, window] for what, values in runs.expected[name].items()}
            assert found == approx(expected, rel=1e-4)
    steps = nas_search.policies(problem, 1, [250, 300], LIGHT)  # as the animation shows them
    for window, p in zip((0, 1), steps, strict=True):
        for name, e in runs.expected.items():
            assert p[name] @ accuracy == approx(e["accuracy"][1, window], rel=1e-5)


def half_a_message(link, links):
    """A worker that dies while it sends. On Windows, a message is sent whole or not at all."""
    link.send("ready")
    link.recv()
    os.write(link.fileno(), (256).to_bytes(4, "big") + b"half")


DEATHS = [  # by what is pickled, which reaches spawned workers as well
    ("Problem.__reduce__", lambda problem: (os._exit, (9,))),  # as it fetches its task
    ("worker_main", operator.is_),  # at its start
    pytest.param("worker_main", half_a_message, marks=POSIX),
]


@pytest.mark.parametrize(("name", "other"), DEATHS, ids=["killed", "at its start", "half"])
def test_a_worker_dies(name, other, tmp_path, monkeypatch, capfd):
    """Catches a run that waits for ever, or goes on without the results of a dead worker."""
    monkeypatch.setattr(f"nas_search.{name}", other)
    arguments = [*SMALL, "--workers", 1, "--out", tmp_path]
    refused(capfd, run_experiment.main, arguments, "a worker process died")
    assert os.listdir(tmp_path) == []


def interrupted_at_its_start(link, links):
    signal.raise_signal(signal.SIGINT)
    WORKER_MAIN(link, links)


@POSIX
def test_ctrl_c_while_a_worker_starts(problem, monkeypatch):
    """Catches a Ctrl-C that a worker gets before it leaves signals to the parent."""
    monkeypatch.setattr(nas_search, "worker_main", interrupted_at_its_start)
    assert run_searches(problem, [5], 20, 1, LIGHT).rows["mnasnet"].shape == (1, 20)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_ctrl_c_while_modules_are_imported():
    """Catches a traceback in the first moment, before `run` is reached; Python 3.10 refused."""
    code = "import sys; sys.version_info = (3, 10); import command_line; raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True)
    assert done.stderr == b""


CARELESS = """
import multiprocessing, nas_benchmark, nas_search
nas_search.WORKERS = multiprocessing.get_context("spawn")
problem = nas_search.Problem(nas_benchmark.load(), ["proposed"], 17.0)
nas_search.run_searches(problem, [0], 9, 1)
"""


def test_a_script_that_its_workers_run_again(tmp_path):
    """Catches a wait for ever on macOS and Windows, where a script lacks its __main__."""
    (tmp_path / "careless.py").write_text(CARELESS)
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, tmp_path / "careless.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert re.search(r"UserError: a worker process died \(.+\); try fewer", done.stderr)
    assert "if __name__ == '__main__':" in done.stderr


# --- V. The tables: nas_benchmark.py ----------------------------------------------------------


MISSPELT = """
|none~0|
 |none~0|+|none~0|none~1|+|none~0|none~1|none~2|
|none~0|+|none~0|none~1|+|none~0|none~1|none~3|
|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_5x5~2|
|none~0|+|none~0|none~1|+|none~0|none~1|none~2|none~3|
|none~0||none~0|none~1|+|none~0|none~1|none~2|"""


def test_rows_and_strings_of_cells():
    """Catches another order of digits, edges or operations; a misspelt string that is read."""
    assert CELLS.shape == (15625, 6)
    assert cell_to_row(CELLS).tolist() == list(range(15625))
    assert cell_to_row([3, 1, 3, 0, 1, 3]) == 10383
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|none~1|none~2|"
    assert string_to_cell(text) == [4, 2, 1, 3, 0, 0]
    for cell in CELLS.tolist():
        assert string_to_cell(nas_benchmark.cell_to_string(cell)) == cell
    for text in MISSPELT.split("\n"):
        with pytest.raises(ValueError, match="not an architecture string"):
            string_to_cell(text)


def benchmark_of(accuracy=COLUMNS[0], latency_ms=COLUMNS[1], **facts):
    """The surrogate with other columns, or other entries in its provenance."""
    return nas_benchmark.Benchmark(accuracy, latency_ms, SURROGATE.provenance | facts)


def test_columns_in_another_order():
    """Catches a column in another order, or of rates, that is searched as if it were right."""
    order = np.random.default_rng(0).permutation(N_CELLS)
    for changes, words in (
        (dict(accuracy=SURROGATE.accuracy[order]), "should be the least accurate"),
        (dict(latency_ms=SURROGATE.latency_ms[order]), "the rank correlation is 0.0"),
        (dict(latency_ms=100 / SURROGATE.latency_ms), "was it frames per second"),
        (dict(latency_ms=np.full(N_CELLS, 9.0)), "the rank correlation is nan"),
    ):
        with pytest.raises(ValueError, match=words):
            benchmark_of(**changes)
    ranks = nas_benchmark.ranks(np.array([3, 1, 3, 2]))
    assert ranks.tolist() == [3.5, 1, 3.5, 2]
    assert nas_benchmark.CONVOLUTIONS[cell_to_row([3, 2, 1, 0, 4, 3])] == 3


def test_save_and_load(tmp_path, monkeypatch):
    """Catches numbers that change in a file; the wrong default; a good file lost to a bad table."""
    path = tmp_path / "folder" / "official.pkl"
    monkeypatch.setattr(nas_benchmark, "OFFICIAL", path)
    assert load().name == SURROGATE.name
    nas_benchmark.save(benchmark_of(name="own"), path)
    own = load()
    assert np.array_equal((own.accuracy, own.latency_ms), COLUMNS)
    assert own.provenance == SURROGATE.provenance | dict(name="own")
    assert load(nas_benchmark.SURROGATE).name == SURROGATE.name
    before = files_of(tmp_path)
    own.accuracy[7] = math.nan
    with pytest.raises(ValueError, match="row 7"):
        nas_benchmark.save(own, path)
    assert files_of(tmp_path) == before


def test_provenance_as_printed():
    """Catches lines too long for a terminal, and pages of hashes."""
    lines = str(benchmark_of(how="word " * 40, sha256={"a.csv": "0" * 64})).splitlines()
    assert lines[0] == f"  name     {SURROGATE.name}"
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("           word word") for line in lines) == 2
    assert not any("sha256" in line for line in lines)


# --- VI. The command: run_experiment.py -------------------------------------------------------

SMALL = ["--seeds", "2", "--samples", "600"]
FILES = [f"{name}.png" for name in ("best", "claims", "fig2", "fig3", "fig6", "fig7")]
FILES += ["landscape.png", "samples.csv.gz", "summary.json", "table1.csv"]


def start(*arguments, **options):
    """run_experiment.py as a process of its own."""
    command = [sys.executable, HERE / "run_experiment.py", *map(str, arguments)]
    options |= dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen(command, **options)


def lines_of_samples(folder):
    """samples.csv.gz as {reward: [[a dict of text per network] per seed]}."""
    found = collections.defaultdict(list)
    with gzip.open(folder / "samples.csv.gz", "rt", newline="") as file:
        one_search = operator.itemgetter("reward", "seed")
        for (reward, _), lines in itertools.groupby(csv.DictReader(file), one_search):
            found[reward].append(list(lines))
    return found


def read_samples(folder):
    """{reward or "random": [accuracy, latency_ms]}, each (seeds, samples)."""
    found = {}
    for reward, seeds in lines_of_samples(folder).items():
        points = [[(line["accuracy"], line["latency_ms"]) for line in lines] for lines in seeds]
        found[reward] = np.moveaxis(np.array(points, float), -1, 0)
    return found


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """(folder, what it printed, summary.json) of one small run with two workers."""
    folder = tmp_path_factory.mktemp("results")
    process = start("--seeds", 7, "--samples", 600, "--workers", 2, "--out", folder)
    printed, error = process.communicate()
    assert (process.returncode, error) == (0, "")
    return folder, printed, json.loads((folder / "summary.json").read_text())


PARSED = """
--quick                     | seeds=2, samples=1000
--quick --seeds 3 --animate | seeds=3, samples=1000, animate=True
          | seeds=40, samples=5000, first_seed=0, rewards=["mnasnet", "proposed"], out="results"
          | target_ms=17, hidden=64, learning_rate=0.001, entropy_weight=0.005, baseline_decay=0.95
--baseline-decay 0 --learning-rate .003      | baseline_decay=0, learning_rate=0.003
--baseline-decay none --entropy-weight 0     | baseline_decay=None, entropy_weight=0
--workers 1024 --target-quantile .75         | workers=1024, target_quantile=0.75
--seeds 10000 --samples 3333 --target-ms 1.5 | seeds=10_000, samples=3333, target_ms=1.5
--rewards proposed,tunas                     | rewards=["proposed", "tunas"]
--rewards mnasnet,proposed,mnasnet_hard,tunas --samples 1000000 --seeds 20 | seeds=20
--first-seed 1000000000                      | first_seed=10**9
"""


def test_defaults_and_limits():
    """Catches other defaults than README's, a --quick that overrides, a limit of one too few."""
    quantile = np.quantile(SURROGATE.latency_ms, 0.75)
    for typed, expected in cases(PARSED):
        args = run_experiment.parse(typed.split())
        assert vars(args).items() >= eval(f"dict({expected})").items()
        target_ms = quantile if args.target_quantile else args.target_ms
        assert run_experiment.target_of(args, SURROGATE) == target_ms


def section(printed, title):
    """The lines between a heading that begins so and the next blank line."""
    below = printed.split(f"\n{title}")[1]
    return below.split("\n\n")[0].splitlines()[2:]


def test_pages_show_what_a_run_prints(results):
    """Catches a heading or a line that is not where docs/results.md shows it, or says otherwise."""
    title = "The paper's claims: its one run per reward, and our "

    def labels(text):
        """Of the claims, up to what the run as a whole is."""
        return [line[:31] for line in section(text, title)[:21]]

    printed = results[1]
    assert max(map(len, printed.splitlines())) <= 100
    above = printed.partition("\nSearch (Fig. 7)")[0]
    shown = SHOWN.partition("\nSearch (Fig. 7)")[0]
    assert above.split() == shown.split()
    assert labels(printed) == labels(SHOWN)
    block = README.partition("```text\n")[2].partition("\n```")[0]
    assert block in SHOWN
    assert block.startswith(title)


def test_what_was_found_in_short(results, capsys):
    """Catches a count of other verdicts, another benchmark, a word on values not judged."""
    verdicts = [e["verdict"] for e in results[2]["claims"]]
    supported, *rest = section(results[1], "In short")
    assert supported == f"  {verdicts.count('supported')} of the paper's 6 signs are supported;"
    assert rest[0] == "  this run says nothing of the paper's values: see above."
    assert rest[1:4] == section(SHOWN, "In short")[2:5]
    points = dict(mnasnet=made_up([4750] * 40), proposed=made_up([4000] * 40))  # as in MADE_UP
    judged = evaluate_claims(points, 17.0)
    run_experiment.print_conclusion(judged, made_up_runs(["tunas"]), "out")
    printed = capsys.readouterr().out
    assert "  5 of 11 values of the paper lie inside our runs.\n" in printed
    assert printed.endswith("landscape.png:\n  they are in out/.\n")


def test_prints_the_means_of_the_windows(results):
    """Catches a printed row that is not what the samples say: shifted, other seeds, other units."""
    folder, printed, _ = results
    lines = re.findall(r"^ +(250|500|600) (.*)$", printed, re.MULTILINE)
    assert [end for end, _ in lines] == ["250", "500", "600"]
    names = "".join(f"  {name:^16}" for name in ("mnasnet", "proposed", "random"))
    header = f"          {names.rstrip()}\n   samples" + "   acc%    ms   ok" * 3
    assert header in printed
    assert "windows of 250 samples, 7 seeds; counts not of 5,000 as the paper's\n" in printed
    points = np.stack(list(read_samples(folder).values()))  # (rewards, 2, seeds, samples)
    windows = np.split(points, [250, 500], axis=-1)
    for (_, line), window in zip(lines, windows, strict=True):
        expected = []
        for accuracy, ms in window.mean(axis=-1):  # (seeds,) each
            under = round(100 * np.mean(ms <= 17))
            expected += [100 * accuracy.mean(), ms.mean(), under]
        numbers = re.findall(r"[\d.]+", line)
        assert list(map(float, numbers)) == approx(expected, abs=6e-3)


def test_rows_and_the_bar(monkeypatch, capsys):
    """Catches a row printed over the bar, a wrong time left, and a mean of exactly T missed."""
    calls = []
    monkeypatch.setattr(command_line, "clear_progress", lambda: calls.append("cleared"))
    monkeypatch.setattr(command_line, "progress", lambda *numbers: calls.append(numbers))
    rows = np.full((1, 250), 10383)
    problem = Problem(SURROGATE, ["proposed"], SURROGATE.latency_ms[rows].mean())
    args = run_experiment.parse(["--samples", "500"])
    run_experiment.window_printer(problem, args)({"random": rows}, 250)
    assert capsys.readouterr().out.split()[-1] == "100%"
    (*before, seconds) = calls.pop()
    assert (calls, before) == (["cleared"], [250, 500])
    assert 0 <= seconds < 60


LARGE = """
                                  paper   ours: median [min, max]    random  verdict
  Fig. 6: samples under T in a search, repeats counted
    any accuracy  mnasnet             -        0  [0, 0]              3,500
                  proposed            -    1,000  [1,000, 2,000]      3,500
                  more by       claimed    1,000  [1,000, 2,000]             supported
    of 50-60%     mnasnet           659        0  [0, 0]              1,000  outside all 40
                  proposed          780        0  [0, 0]              1,000  outside all 40
                  more by           121        0  [0, 0]                     ODD
    of 60-70%     mnasnet           781        0  [0, 0]              2,500  outside all 40
                  proposed        1,004    1,000  [1,000, 2,000]      2,500  inside
                  more by           223    1,000  [1,000, 2,000]             supported; size outside
  Fig. 7: after how many samples a window of 250 has its mean under T
    stays under T mnasnet         4,750    never  in 0 of 40 runs     1,500  outside all 40
                  proposed        4,000    4,000  in 40 of 40 runs    1,500  inside
                  sooner by         750 >= 1,000  40 pairs                   supported; size outside
    first under T mnasnet         4,750    never  in 0 of 40 runs     1,500  outside all 40
                  proposed        4,000    4,000  in 40 of 40 runs    1,500  inside
  Fig. 7: rise of the mean accuracy, in percentage points
                  mnasnet       claimed      9.5  [9.5, 9.5]            9.5  supported
                  proposed      claimed      9.5  [9.5, 9.5]            9.5  supported
  The run as a whole: 50-60%, 60-70% and stays under T, of both rewards
"""


def test_claims_of_a_large_run_as_printed(capsys):
    """Catches ">=" or a verdict left out, a number of another line, a sign without its size."""

    def printed(seeds=40, **slow_until):
        points = {name: made_up(networks[:seeds]) for name, networks in slow_until.items()}
        run_experiment.print_claims(evaluate_claims(points, 17.0), seeds)
        return capsys.readouterr().out

    many = dict(mnasnet=[5000] * 40, random=[1500] * 40)
    many["proposed"] = [4000] * 30 + [3000] * 10
    table, _, below = printed(**many).partition("\n    the paper's lies ")
    assert table.endswith(LARGE.replace("ODD", "inconclusive; size outside").rstrip())
    assert " p = 0.024; n = 40\n" in below
    assert below.partition("\n")[2] in SHOWN
    assert below.count("\n") == 4
    few = printed(5, **many)
    assert "takes both rewards, T and samples of the paper, and 19 seeds" in few
    assert "paper takes T = 17 ms, 5,000 samples and 39 seeds,\n  a sign 6 seeds\n" in few
    among = printed(80, mnasnet=[4500] * 79 + [4750], proposed=[4000] * 80)
    assert re.search(r"stays under T mnasnet +4,750 .* outside\n", among)
    never = printed(mnasnet=[5000] * 40, proposed=[5000] * 40)
    assert re.search(r"sooner by         750        -  0 pairs +not testable\n", never)


def test_runs_that_say_little(capsys):
    """Catches a T that forbids nothing or everything, or a reward in other units, in silence."""
    said = []
    for target_ms in (8.9, 9, 21.7, 22):
        run_experiment.print_what_the_target_forbids(Problem(SURROGATE, ["mnasnet"], target_ms))
        said += re.findall(r" careful: (\S+) of | nearly (\w+);", capsys.readouterr().out)
    assert said == [("2.0%", ""), ("", "everything"), ("98.1%", ""), ("", "nothing")]
    scales = {}
    for k in (100.5, 99, 0.02, 0.00995):
        scales[f"{k:g} R"] = lambda *columns, k=k: k * mnasnet(*columns)
    run_experiment.print_optima(Problem(SURROGATE, scales, 17.0), 0.0)
    printed = capsys.readouterr().out
    assert re.findall("  careful: R of (.*) varies ", printed) == ["100.5 R", "0.00995 R"]
    assert "unlimited" not in printed  # at entropy weight 0


def test_summary(results):
    """Catches a missing key, other settings, a speed that counts random search."""
    folder, printed, summary = results
    assert sorted(os.listdir(folder)) == FILES
    keys = "benchmark settings table1 comparisons optimum fixed_points claims whole_run compared"
    assert list(summary) == [*keys.split(), "best_found", "timing", "versions", "policy"]
    asked = dict(seeds=7, samples=600, target_ms=17.0, workers=2)
    assert asked.items() <= summary["settings"].items()
    assert summary["settings"]["hyperparameters"] == HYPERPARAMETERS
    assert summary["versions"]["numpy"] == np.__version__
    assert np.shape(summary["policy"]["proposed"]["accuracy"]) == (7, 3)
    assert claims.claims_report(summary["claims"]) in printed
    timing = summary["timing"]
    assert timing["searches"] == 14
    assert list(timing["wall_s"]) == ["search"]
    assert 0 < timing["wall_s"]["search"] < 600
    us = 1e6 * timing["core_s"]["search"] / (2 * 7 * 600)
    assert timing["us_per_sample"] == approx(us)
    assert f"; {us:.1f} us per sample and run, on one core\n" in printed
    assert "  14 searches of 600 samples; results in " in printed
    with open(folder / "table1.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{key: str(value) for key, value in e.items()} for e in summary["table1"]]
    assert summary["table1"] == nas_reward.table_1()
    assert summary["comparisons"] == json.loads(json.dumps(nas_reward.comparisons()))


def test_optimum_and_best_found(results):
    """Catches an optimum of another reward; searches pooled; a best cell above T."""
    optimum = dict(results[2]["optimum"])
    assert list(optimum) == ["best_under_T", "mnasnet", "proposed"]
    under = SURROGATE.latency_ms <= 17
    best = SURROGATE.accuracy[under].max()
    assert optimum.pop("best_under_T")["accuracy"] == best
    for name, cell in optimum.items():
        R = REWARDS[name](*COLUMNS)
        operations = string_to_cell(cell["arch"])
        row = cell_to_row(operations)
        assert cell["reward"] == R[row] == R.max()
    [row, *_] = np.flatnonzero((SURROGATE.accuracy == best) & under)
    runs = made_up_runs(["tunas"], seeds=4, samples=50)
    [above, *_] = np.flatnonzero(SURROGATE.accuracy > best)  # and above T
    runs.rows = {name: np.full((4, 50), above) for name in ("tunas", "random")}
    runs.rows["tunas"][[0, 1, 2], [9, 19, 29]] = row
    runs.rows["random"][3, 0] = row
    runs.rows["random"][:3, -1] = np.flatnonzero(under)[0]  # the last sample counts
    found = {name: list(e.values()) for name, e in runs.best_found().items()}
    assert found["tunas"] == [3, 4, 25.0, best]
    assert found["random"] == [1, 4, None, SURROGATE.accuracy[0]]


def test_rewards_compared_and_best_found_as_printed(results):
    """Catches a number of another line or column; a median accuracy of all searches pooled."""
    folder, printed, summary = results
    says = "{first} {what} than {second} {ahead} of {of}, p = {p:.2g}"
    expected = [says.format(**e) for e in summary["compared"]]
    says = "{runs_that_found_it} of {of} {after} {median_accuracy:.2%}"
    for name, (accuracy, ms) in read_samples(folder).items():
        e = summary["best_found"][name]
        best = np.where(ms <= 17, accuracy, 0).max(axis=1)
        assert e["median_accuracy"] == np.median(best)
        n = e["median_samples"]
        after = "never" if n is None else f"{n:,.0f}"
        expected.append(f"{name} {says.format(after=after, **e)}")
    lines = section(printed, "Rewards compared by seed: ")
    lines += section(printed, "Best cell under T ")[1:]
    assert [" ".join(line.split()) for line in lines] == expected


def test_rewards_compared():
    """Catches a comparison the wrong way round, unpaired or with ties; one cell for another."""
    accuracy = np.full((3, 500), 0.5)
    ms = np.full((3, 500), 17.0)  # at T is under T
    better, slower = accuracy.copy(), ms.copy()
    better[1:, -1] = 0.6
    slower[0, 0] = slower[2, :2] = 20.0
    points = dict(one=(accuracy, ms), other=(better, slower))
    points["random"] = points["other"]
    found = claims.compare_rewards(points, 17.0, best=0.6)
    assert [e["ahead"] for e in found] == [0, 2, 2]
    who = {(e["first"], e["second"], e["of"], e["p"]) for e in found}
    assert who == {("other", "one", 2, 0.5)}
    assert claims.found_after(better, slower, 17.0, 0.6).tolist() == [math.inf, 500, 500]


def test_same_again_and_in_other_company(results, tmp_path):
    """Catches results that depend on chance, or on other seeds and rewards in the run."""
    before = lines_of_samples(results[0])
    runs = run_searches(Problem(SURROGATE, ["tunas", "proposed"], 17.0), [1, 2], 600)
    run_experiment.write_samples(tmp_path / "samples.csv.gz", runs)
    tunas, *after = lines_of_samples(tmp_path).items()
    assert tunas[0] == "tunas"
    assert after == [(name, before[name][1:3]) for name in ("proposed", "random")]


def test_samples_are_true(results):
    """Catches rows whose accuracy, latency or reward is another cell's; one search twice."""
    all_archs = set()
    for reward, seeds in lines_of_samples(results[0]).items():
        for seed, rows in enumerate(seeds):
            archs = tuple(row["arch"] for row in rows)
            all_archs.add(archs)
            assert len(archs) == 600
            for n in range(600):
                cell = cell_to_row(string_to_cell(archs[n]))
                point = [float(column[cell]) for column in COLUMNS]
                value = "" if reward == "random" else REWARDS[reward](*point)
                expected = [reward, seed, n + 1, archs[n], *point, value]
                assert list(rows[n].values()) == list(map(str, expected))
    assert len(all_archs) == 21


def test_a_run_with_other_hyperparameters(problem, tmp_path, capfd, monkeypatch):
    """Catches an option that changes nothing, or that summary.json or the titles do not know."""
    monkeypatch.setattr(run_experiment, "draw", lambda *_: None)
    options = "--seeds 1 --samples 300 --learning-rate 0.01 --entropy-weight 0.03 --hidden 16"
    options = [*options.split(), "--baseline-decay", "none", "--out", str(tmp_path)]
    assert run_experiment.main(options) == 0
    assert "at entropy weight 0.03:" in capfd.readouterr().out
    chosen = dict(hidden=16, learning_rate=0.01, entropy_weight=0.03, baseline_decay=None)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["settings"]["hyperparameters"] == chosen
    assert summary["fixed_points"] == problem.fixed_points(0.03)
    runs = run_searches(problem, [0], 300, hyperparameters=chosen)
    for name, (accuracy, _) in read_samples(tmp_path).items():
        assert np.array_equal(accuracy, runs.points()[name][0])
    changed = "hidden 16, learning rate 0.01, entropy weight 0.03, baseline decay none"
    assert figures.source(runs) == f"{SURROGATE.name}, {changed}"
    assert figures.source(made_up_runs(["mnasnet"])) == SURROGATE.name


# --- VI. What people look at: figures.py ------------------------------------------------------

MINE = {
    "mnasnet": mnasnet,
    "mine": lambda accuracy, latency_ms, target_ms: accuracy - 0.1 * latency_ms / target_ms,
    "proposed": proposed,
}


def made_up_runs(rewards, seeds=5, samples=600):
    """Runs that drew cells at random: searches would differ on another processor."""
    problem = Problem(SURROGATE, rewards, 17.0)
    rng = np.random.default_rng(0)
    names = [*problem.reward_tables, "random"]
    rows = {name: rng.integers(N_CELLS, size=(seeds, samples)) for name in names}
    return nas_search.Runs(problem, list(range(seeds)), rows, {}, {}, HYPERPARAMETERS)


@pytest.fixture(scope="session")
def pictures():
    """{name: figure}: seven of the paper's pair of rewards, and seven with one of one's own."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures.Figure, "savefig", lambda figure, path: found.update({path: figure}))
        for title, rewards in (("pair", ["mnasnet", "proposed"]), ("mine", MINE)):
            runs = made_up_runs(rewards)
            results = evaluate_claims(runs.points(), 17.0)
            figures.write_figures(Path(title), runs, results)
    return {f"{path.parent} {path.stem}": figure for path, figure in found.items()}


def short(*arrays):
    """Of each array: how many numbers, their mean, the first and the last; of a number, itself."""
    found = []
    for values in (np.ravel(np.ma.getdata(array)).astype(float) for array in arrays):
        few = values
        count = ""
        if len(values) > 2:
            few = (values.mean(), values[0], values[-1])
            count = f"{len(values)}: "
        found.append(count + " ".join(f"{value:.5g}" for value in few))
    return ", ".join(found)


def look(artist, names):
    """What an artist looks like: its properties with these names, but for those that are None."""
    found = []
    for name in names.split():
        value = getattr(artist, f"get_{name}")()
        if "color" in name or name in ("mec", "mfc"):
            value = " ".join(to_hex(colour, True) for colour in to_rgba_array(value))
        elif isinstance(value, (float, tuple, np.ndarray)):
            value = short(value)
        if str(value) != "None":
            found.append(repr(value) if "\n" in str(value) else str(value))
    return " ".join(found)


def described(figure):
    """A figure as text: every line, text, patch and collection, its looks and its numbers."""
    lines = [f"size {short(figure.get_size_inches())}"]
    lines += [look(text, "text position size color") for text in figure.texts]
    for legend in figure.legends:
        lines.append(f"legend {[look(handle, 'label') for handle in legend.legend_handles]}")
    for axes in figure.axes:
        place = short(axes.get_position().bounds)
        lines.append(f"axes {place}; {look(axes, 'title xlabel ylabel xlim ylim')}")
        labels = []
        for k, axis in enumerate((axes.xaxis, axes.yaxis)):
            low, high = sorted(axis.get_view_interval())  # Matplotlib 3.10 has ticks beyond it
            shown = [t for t in axis.get_ticklabels() if low <= t.get_position()[k] <= high]
            labels += [text.get_text() for text in shown]
        lines.append(f"  ticks {' '.join(labels)}")
        for line in axes.lines:
            style = look(line, "linestyle linewidth color marker markersize mec mfc alpha zorder")
            lines.append(f"  line {style}: {short(*line.get_xydata().T)}")
        for text in axes.texts:
            place = short(getattr(text, "xy", 0), text.get_position())
            lines.append(f"  {look(text, 'text color ha va size weight')} at {place}")
        for patch in axes.patches:
            numbers = short(*patch.get_path().vertices.T)
            lines.append(f"  patch {look(patch, 'facecolor edgecolor alpha linewidth')}: {numbers}")
        for group in axes.collections:
            style = look(group, "facecolor edgecolor linewidth clim")
            values = np.ravel([] if group.get_array() is None else group.get_array())
            paths = np.concatenate([path.vertices for path in group.get_paths()])
            lines.append(f"  group {style}: {short(values, *paths.T)}")
    return lines


def test_pictures_of_rewards_of_your_own(tmp_path, monkeypatch):
    """Catches a picture that fails for a reward of the cells only, of booleans, or of lists."""
    monkeypatch.setitem(figures.STYLE, "savefig.dpi", 10)  # nobody looks
    rewards = {
        "cells only": lambda accuracy, latency_ms, target_ms: np.arange(15625) / 15625,
        "booleans": lambda accuracy, latency_ms, target_ms: latency_ms <= target_ms,
        "a list": lambda accuracy, latency_ms, target_ms: list(accuracy),
    }
    runs = made_up_runs(rewards, seeds=1, samples=250)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.write_figures(tmp_path, runs, evaluate_claims(runs.points(), 17.0))
    assert len(os.listdir(tmp_path)) == 7


def test_pictures_are_as_they_were(pictures):
    """Catches a line, text, colour or number of a picture that changed since it was looked at."""
    found = []
    for name, figure in pictures.items():
        found += [f"# {name}", *described(figure)]
    path = HERE / "docs" / "pictures.txt"
    if os.environ.get("WRITE_PICTURES"):
        path.write_text("\n".join(found) + "\n", encoding="utf-8")
    # look at the pictures; then WRITE_PICTURES=1 pytest -k pictures
    assert found == path.read_text(encoding="utf-8").splitlines()


def test_fig_6_counts(pictures):
    """Catches a count in another box, of other runs, or summed; panels that cannot be compared."""
    panels = pictures["mine fig6"].axes
    paper = {"mnasnet": ("659", "781"), "proposed": ("780", "1,004")}
    points = made_up_runs(MINE).points()
    for axes, (name, (accuracy, latency_ms)) in zip(panels, points.items(), strict=True):
        assert axes.get_title() == figures.title_of(name)
        counts = collections.Counter()
        for a, ms in zip(accuracy.flat, latency_ms.flat, strict=True):
            percent = max(10 * int(10 * a), 30) + 5
            counts[percent, int(ms) + 0.5] += 1 / 5  # 5 runs
        written = {text.get_position(): text.get_text() for text in axes.texts}
        found = {at: int(text) for at, text in written.items() if at[1] > 1}
        assert found == {place: round(n) for place, n in counts.items() if round(n)}
        boxes = [line for line in axes.lines if len(line.get_xdata()) == 5]
        for low, box in zip((50, 60), boxes, strict=True):
            inside = claims.count_under(accuracy, latency_ms, 17.0, low / 100, low / 100 + 0.1)
            assert written[low + 5, -0.09] == paper.get(name, "--")[low > 50]
            assert written[low + 5, -0.15] == f"{np.median(inside):,.4g}"
            assert min(box.get_xdata()) == low
            assert max(box.get_xdata()) == low + 10
            assert max(box.get_ydata()) == 17.0
    assert len({axes.collections[0].get_clim() for axes in panels}) == 1


def test_fig_7_means(pictures):
    """Catches other means, a window or a triangle elsewhere, a band of another width."""
    panels = pictures["mine fig7"].axes
    all_points = made_up_runs(MINE).points()
    for k, (axes, unit) in enumerate(zip(panels, (100, 1), strict=True)):
        bands, lines = axes.patches[::2], axes.patches[1::2]
        for band, line, (name, points) in zip(bands, lines, all_points.items(), strict=True):
            windows = np.split(unit * points[k], [250, 500], axis=1)
            means = [window.mean(axis=1) for window in windows]
            low, middle, high = np.quantile(means, [0.1, 0.5, 0.9], axis=1)
            assert line.get_label() == figures.title_of(name)
            assert line.get_data().values == approx(middle)
            assert list(line.get_data().edges) == [0, 250, 500, 600]
            assert band.get_data().values == approx(high)
            assert band.get_data().baseline == approx(low)
    marks = [line for line in panels[1].lines if line.get_marker() == "v"]
    places = {mark.get_color(): mark.get_xydata().tolist() for mark in marks}
    colours = figures.palette(MINE)
    assert places.pop(colours["mnasnet"]) == [[4750, 17]]
    assert places == {colours["proposed"]: [[4000, 17]]}


def test_claims_picture(pictures):
    """Catches a row with another line's numbers or verdict, and a verdict in a reward's colour."""
    points = made_up_runs(MINE).points()
    results = {e["text"]: e for e in evaluate_claims(points, 17.0)}
    colours = figures.palette(MINE) | {None: "black"}
    for axes in pictures["mine claims"].axes:
        verdicts = {text.get_position()[1]: text for text in axes.texts}
        for y, name in enumerate(axes.get_yticklabels()):
            e = results.pop(name.get_text())
            assert name.get_color() == colours[e["reward"]]
            in_row = [line for line in axes.lines if set(line.get_ydata()) == {y}]
            here = {line.get_marker(): list(line.get_xdata()) for line in in_row}
            assert verdicts[y].get_text() == e["verdict"].replace("no claim", "")
            if e["median"] is not None:
                mark = {"": "o", ">=": ">", "<=": "<"}[e["censoring"]]
                assert here[mark] == [e["median"]]
                assert here["None"] == np.quantile(e["per_seed"], [0.025, 0.975]).tolist()
                assert here["|"] == e["per_seed"]
            assert here.get("D", [None]) == [e["paper"]]
            assert here.get("x", [None]) == [e["random"]]
    assert results == {}
    for background, _ in figures.VERDICTS.values():
        assert background not in (*figures.COLOURS, figures.GREY)


def test_pareto_front():
    """Catches a cell that another beats, a missing one, or two alike; another order."""
    accuracy, ms = COLUMNS
    front = figures.pareto_front(SURROGATE)
    unbeaten = {
        (m, a)
        for a, m in zip(*COLUMNS, strict=True)
        if a == accuracy[ms <= m].max() and m == ms[accuracy >= a].min()
    }
    assert [(ms[row], accuracy[row]) for row in front] == sorted(unbeaten)


def test_pictures_can_be_read(pictures, results):
    """Catches text below 1/40 of the height, a size that is not 16:9, two rewards of one colour."""
    for name, figure in pictures.items():
        written = [text for text in figure.findobj(Text) if text.get_text()]
        if name.startswith("pair"):
            assert figure.get_size_inches() == approx([16, 9])
            assert min(text.get_fontsize() for text in written) >= 9 * 72 / 40
        else:
            words = " ".join(text.get_text() for text in written).lower()
            assert all(re.search(rf"\b{reward}\b", words) for reward in MINE)
    colours = figures.palette([*REWARDS, "mine"])
    assert len(set(colours.values())) == len(REWARDS) + 2  # and random search
    assert figures.palette(["mine", "proposed"])["proposed"] == colours["proposed"]
    for path in results[0].glob("*.png"):
        with PIL.Image.open(path) as image:
            assert image.size == (1600, 900)
            assert np.std(image.convert("L")) > 10


def test_pictures_again(results, tmp_path, capfd):
    """Catches pictures that are not those of the run, to the byte, or of another benchmark."""
    folder, _, summary = results
    main = functools.partial(command_line.run, figures.main)
    assert main(["--from", str(folder), "--out", str(tmp_path / "again")]) == 0
    again = files_of(tmp_path / "again")
    assert len(again) == 7
    assert again.items() <= files_of(folder).items()
    refused(capfd, main, ["--from", tmp_path], "not a")
    other = summary | dict(benchmark=summary["benchmark"] | dict(name="other"))
    (tmp_path / "summary.json").write_text(json.dumps(other))
    refused(capfd, main, ["--from", tmp_path], "its benchmark other is not there any more")


# --- VII. Failures: full disk, Ctrl-C, kill -9, a reader that leaves --------------------------


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A working folder with what a bad input could spoil."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("folder/summary.json").write_text("precious")
    Path("precious.pkl").write_text("precious")


@contextlib.contextmanager
def within(seconds):
    """Fail if the inside takes longer, in CPU time, which other programs do not lengthen."""
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds


def told(capfd, arguments, *words, code=2, main=run_experiment.main):
    """`refused` in the room, which stays as it is, within seconds."""
    before = files_of(".")
    with within(seconds=10):
        refused(capfd, main, arguments, *words, code=code)
    assert files_of(".") == before


def test_disk_full(tmp_path):
    """Catches results lost, or half a picture, where files may have 150 kB (the disk is full)."""
    resource = pytest.importorskip("resource")
    (tmp_path / "summary.json").write_text("precious")
    limit = (resource.RLIMIT_FSIZE, (150_000, 150_000))
    limited = dict(preexec_fn=lambda: resource.setrlimit(*limit))
    process = start(*SMALL, "--out", tmp_path, **limited)
    _, error = process.communicate()
    assert "File too large" in error
    assert error.count("\n") == 1
    assert process.returncode == 1
    assert f"the results are in {tmp_path}/; python figures.py --from {tmp_path} draws" in error
    assert sorted(os.listdir(tmp_path)) == sorted(run_experiment.RESULTS)
    assert json.loads((tmp_path / "summary.json").read_text())["settings"]["seeds"] == 2


STOPPED = dict(SIGINT=130, SIGTERM=143, SIGHUP=129, SIGKILL=-9)  # by a signal: the exit code


@POSIX
@pytest.mark.parametrize(("name", "code"), STOPPED.items())
def test_a_run_is_stopped(name, code, tmp_path):
    """Catches results half new, a traceback, a folder left behind, and workers that live on."""
    (tmp_path / "summary.json").write_text("precious")
    process = start(
        *("--seeds", 4, "--samples", 100_000, "--workers", 2, "--out", tmp_path),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # under nohup, too
    )
    while not process.stdout.readline().strip().startswith("250"):
        assert process.poll() is None
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=20)
    with contextlib.suppress(ProcessLookupError):
        for _ in range(200):  # until the whole process group has ended
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        pytest.fail("a worker lives on; undisturbed, it would search for a minute")
    assert process.returncode == code
    if name != "SIGKILL":
        said = "interrupted; no file was left half-written"
        assert error == f"run_experiment.py: error: {said}\n"
    else:
        assert "Traceback" not in error
    assert files_of(tmp_path) == {"summary.json": b"precious"}


def test_folders_of_kill_9(tmp_path):
    """Catches an unfinished folder that stays for ever, or one of another run that is removed."""
    left = tmp_path / f"{command_line.UNFINISHED}x"
    left.mkdir()
    with atomic_output(tmp_path):
        assert left.exists()
    yesterday = time.time() - 90_000
    os.utime(left, (yesterday, yesterday))
    with atomic_output(tmp_path):
        assert not left.exists()


def test_results_stand_before_the_pictures(room, monkeypatch, capfd):
    """Catches a search lost because a picture fails; a file that cannot be written, seen late."""
    monkeypatch.setattr(figures, "fig6", lambda *_: 1 / 0)
    arguments = ["--seeds", "1", "--samples", "9", "--out", "folder"]
    words = (
        "ZeroDivisionError: division by zero; the results are in folder/; python figures.py --from"
    )
    refused(capfd, run_experiment.main, arguments, words, code=1)
    assert sorted(os.listdir("folder")) == sorted(run_experiment.RESULTS)
    monkeypatch.setattr(run_experiment, "run_searches", lambda *_: pytest.fail("searched"))
    for name in ("samples.csv.gz", "best.png"):
        Path("new").mkdir()
        Path("new", name).mkdir()
        refused(capfd, run_experiment.main, ["--out", "new"], f"{name} cannot be replaced")
        shutil.rmtree("new")


@pytest.mark.parametrize("phase", ["run_searches", "write_samples", "write_summary"])
def test_signals_in_each_phase(phase, room, capfd, monkeypatch):
    """Catches results half new, a folder left behind, or a traceback, whenever a signal comes."""
    monkeypatch.setattr(run_experiment, "draw", lambda *_: None)
    stop = signal.SIGTERM
    monkeypatch.setattr(run_experiment, phase, lambda *_, **__: signal.raise_signal(stop))
    arguments = ["--seeds", "1", "--samples", "9", "--out", "folder"]
    told(capfd, arguments, "interrupted; no file was left half-written", code=128 + stop)


def test_files_appear_together(tmp_path):
    """Catches files that appear one by one: nothing is published before all is written."""
    (tmp_path / "a").write_text("old")
    with atomic_output(tmp_path) as folder:
        (folder / "a").write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert files_of(tmp_path) == {"a": b"new"}


def test_a_full_disk_under_what_is_printed():
    """Catches a run that goes on as if what it prints had been read."""
    full = mock.Mock(**{"write.side_effect": OSError(28, "No space left")})
    with pytest.raises(OSError, match="No space left"):
        command_line.WhileRead(full).write("a line")


FAILURES = """
OSError(28, "No space left")                    | 1 | error: folder: No space left
OSError(13, "Denied", str(path / "a"))          | 1 | error: folder/a: Denied
OSError(5, "Gone", str(path / "a"), None, "b")  | 1 | error: b: Gone
MemoryError()                                   | 1 | out of memory: ask for fewer seeds or samples
UserError("give milliseconds")                  | 2 | error: give milliseconds
"""


@pytest.mark.parametrize(("failure", "code", "words"), cases(FAILURES))
def test_messages_of_failures(failure, code, words, room, capfd):
    """Catches a message that names our temporary file instead of the user's, or none."""

    def write(folder):
        with atomic_output(folder) as path:
            raise eval(failure, dict(path=path, UserError=UserError))

    def main(_):
        return command_line.run(write, "folder")

    told(capfd, [], words.replace("/", os.sep), code=int(code), main=main)


def test_a_file_that_cannot_be_replaced(room, capfd):
    """Catches some files new and others old, where one of them may not be written over."""
    Path("folder/table.csv").mkdir()

    def write(folder):
        with atomic_output(folder) as unfinished:
            (unfinished / "summary.json").write_text("new")
            (unfinished / "table.csv").write_text("new")

    words = f"{Path('folder/table.csv')} cannot be replaced"
    told(capfd, [], words, main=lambda _: command_line.run(write, "folder"))


def test_progress(capfd, monkeypatch):
    """Catches minutes of silence, a line for every window, another time left, a bar that stays."""
    for k in range(1, 101):
        command_line.progress(k, 100, 0.5 * k)  # 50 s in all
    lines = capfd.readouterr().err.splitlines()
    assert lines == [f"{k}%, {50 - 0.5 * k:.0f} s left" for k in range(30, 100, 10)]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    command_line.progress(39, 40, 39.0)
    assert capfd.readouterr().err == "\r" + f"[{'#' * 29:30}] 98%, 1 s left".ljust(60) + "\r"
    assert list(command_line.tracked("abc")) == ["a", "b", "c"]
    shown = capfd.readouterr().err.split("\r")
    assert [text[32:38].strip(" ],") for text in shown if "[" in text] == ["33%", "67%"]
    assert shown[-2].strip() == ""


def test_two_runs_where_little_can_be_printed(room):
    """Catches runs that trip over each other, a broken pipe, lost letters that end a run."""
    folder = Path("한글 폴더").resolve()
    folder.mkdir()
    nas_benchmark.save(benchmark_of(name=r"$\frac{1$ 한글 🙂 \x"), folder / "odd.pkl")
    options = {"PYTHONIOENCODING": "ascii", "PYTHONWARNINGS": "error", "COLUMNS": "40"}
    options |= {"TERM": "dumb", "NO_COLOR": "1", "LC_ALL": "C"}
    usual = dict(cwd=folder, env={**os.environ, **options})
    leaving = start(*SMALL, "--out", "left", **usual)
    leaving.stdout.readline()
    leaving.stdout.close()  # a reader that leaves
    staying = start(*SMALL, "--benchmark", "odd.pkl", "--out", "결과 $x$", **usual)
    with leaving, staying:  # closes their pipes
        printed, error = staying.communicate()
        assert error + leaving.stderr.read() == ""
    assert (leaving.returncode, staying.returncode) == (0, 0)
    assert r"Benchmark: $\frac{1$ ?? ? \x" in printed
    for name in ("left", "결과 $x$"):  # a reader that leaves costs no results
        assert sorted(os.listdir(folder / name)) == FILES


# --- VII. Hostile inputs: each is refused in one line, or simply works ------------------------

TYPED = """
--samples 0                          | --samples: must be at least 1 and at most 1,000,000
--samples 1000001                    | at most 1,000,000
--samples 5\x1b[2J                   | invalid number value
--seeds 0                            | --seeds: must be at least 1 and at most 10,000
--seeds 10001                        | at most 10,000
--seeds 10000 --samples 3334         | 100,020,000 samples: at most 100,000,000 in one run
--seeds                              | expected one argument
--first-seed -1                      | --first-seed: must be at least 0
--first-seed 1000000001              | at most 1,000,000,000
--workers 0                          | --workers: must be at least 1
--workers 1025                       | at most 1,024
--target-ms 1                        | reward 'proposed': Eq. 4 takes log_T and needs T > 1
--target-ms 0                        | T must be above 0 and at most 1,000,000 ms, not 0 ms
--target-ms nan                      | T must be above 0
--learning-rate 0                    | --learning-rate: must be at least 1e-06 and at most 1
--learning-rate 1.01                 | at most 1 (see
--entropy-weight -0.1                | argument --entropy-weight: must be at least 0 and at most 100
--hidden 0                           | argument --hidden: must be at least 1 and at most 256
--baseline-decay 1                   | must be none, or at least 0 and below 1
--baseline-decay no                  | argument --baseline-decay: invalid
--target-quantile 0                  | between 0 and 1
--target-ms 1000000.1                | at most 1,000,000 ms
--target-ms 17ms                     | invalid float value: '17ms'
--target-quantile 1                  | between 0 and 1
--target-quantile nan                | between 0 and 1
--target-quantile 0.7 --target-ms 9  | not allowed with
--rewards mnasnet,best               | --rewards: must be some of mnasnet
--rewards tunas,tunas                | each once
--\x1b[31m                           | unrecognized arguments: --?[31m
--benchmark missing.pkl              | missing.pkl: not a benchmark file (there is no such file)
--benchmark folder                   | folder: not a benchmark file (it is not a file)
--benchmark precious.pkl             | make it again with data/build_benchmark.py
--benchmark 없는\x0bfile             | 없는 file: not a benchmark file (there is no
--benchmark \udcff                   | ?: not a benchmark file
--out precious.pkl                   | precious.pkl is not a folder
--out=                               | --out: must be the name of a folder
"""


@pytest.mark.parametrize(("typed", "words"), cases(TYPED))
def test_what_is_typed(typed, words, room, capfd):
    """Catches a traceback, a hang, or a line that does not say which limit was missed."""
    told(capfd, [*SMALL, *typed.split(" ")], words)


BEFORE = """
sys.version_info = (3, 9)   | Python 3.10 or newer is needed, and this is
sys.modules['numpy'] = None | numpy is missing: pip install -r requirements.txt
"""


@pytest.mark.parametrize(("before", "words"), cases(BEFORE))
@pytest.mark.parametrize("program", ["run_experiment", "nas_reward", "controller_plain"])
def test_a_python_that_will_not_do(before, words, program):
    """Catches a traceback from the first line that an old Python cannot read."""
    command = [sys.executable, "-c", f"import sys; {before}; import {program}"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


FACTS = dict.fromkeys(nas_benchmark.PROVENANCE, "x") | {"sha256": {"a": "b"}, "epochs": 200}
EIGHT = dict(accuracy=[0.5] * 8, latency_ms=[9] * 8, provenance=FACTS)


class Hostile:
    """A pickle of it runs a command when it is read."""

    def __reduce__(self):
        return os.system, ("touch hacked",)


def eight(**changes):
    """A benchmark file of 8 cells with other columns, or other entries in its provenance."""
    facts = {key: value for key, value in changes.items() if key not in EIGHT}
    columns = {key: value for key, value in changes.items() if key in EIGHT}
    return pickle.dumps(EIGHT | {"provenance": FACTS | facts} | columns, protocol=4)


NO_LIST = "is not a list of 8 numbers"
BAD_FILES = [  # (content, words of the refusal)
    (b"", "not a benchmark file"),
    (b"accuracy,latency\n1,2\n", "not a benchmark file"),
    (eight()[:-9], "not a benchmark file"),
    (pickle.dumps({"accuracy": [0.5] * 8}), "(TypeError: "),
    (eight(accuracy=[0.5] * 7), f"(accuracy {NO_LIST})"),
    (eight(latency_ms=[9] * 7 + ["9"]), f"(latency_ms {NO_LIST})"),
    (eight(latency_ms=[9] * 7 + [True]), NO_LIST),
    (eight(accuracy=0.7), NO_LIST),
    (eight(accuracy=[0.5] * 7 + [math.nan]), "positive and finite, not nan (row 7)"),
    (eight(latency_ms=[9] * 7 + [math.inf]), "not inf (row 7)"),
    (eight(accuracy=[0] + [0.5] * 7), "positive and finite, not 0.0 (row 0)"),
    (eight(latency_ms=[9] * 7 + [-1.0]), "not -1.0 (row 7)"),
    (eight(latency_ms=[10**400] * 8), "LONG"),
    (eight(accuracy=[0.5] * 7 + [1.01]), "percent?"),
    (eight(latency_ms=[0.009] * 8), "seconds?"),
    (eight(latency_ms=[9] * 7 + [9e-5]), "0.0001..1,000,000"),
    (eight(latency_ms=[9] * 7 + [1.1e6]), "..1.1e+06"),
    (eight(energy=[9] * 8, provenance="x"), "not a dict"),
    (eight(provenance={"name": "x"}), "lacks one of name, source"),
    (eight(**dict.fromkeys(map(str, range(51)), 1)), "at most 50"),
    (eight(how=dict.fromkeys(map(str, range(51)), 1)), "at most 50"),
    (eight(how=["x"]), "unlike 'how'"),
    (eight(how=math.nan), "short, printable texts and finite numbers only"),
    (eight(sha256={"a": {"b": "c"}}), "unlike 'a'"),
    (eight(provenance=FACTS | {5: "x"}), "5"),
    (eight(**{"a\nb": "x"}), r"unlike 'a\nb'"),
    (eight(how="a\0b"), "unlike 'how'"),
    (eight(name="\x1b[31mred\x1b[2J"), "unlike 'name'"),
    (eight(source="x" * 301), "unlike 'source'"),
    (eight(name="x" * 81), "at most 80 letters"),
    (eight(name=5), "name is not a text"),
    (eight(how=b"x"), "may contain plain data only"),
    (eight(how=Hostile()), "may contain plain data only"),
    (eight(accuracy=np.ones(8)), "may contain plain data only"),
    (b"\x80\x04" + b"]" * 1_000_000, "more than 1,000,000 bytes"),
    (b"\x80\x04h\x05.", "not a benchmark file"),
]


def small_space(monkeypatch, cells):
    """A search space of so many cells, all connected, in no order."""
    monkeypatch.setattr(nas_benchmark, "N_CELLS", cells)
    monkeypatch.setattr(nas_benchmark, "CONNECTED", np.ones(cells, bool))
    monkeypatch.setattr(nas_benchmark, "check_order", lambda *columns: None)


@pytest.fixture
def eight_cells(room, monkeypatch):
    """The room, and a search space of 8 cells."""
    small_space(monkeypatch, 8)


@pytest.mark.parametrize(("content", "words"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_bad_benchmark_files(content, words, eight_cells, capfd):
    """Catches a file that is searched in silence, runs code, hangs, or writes to the terminal."""
    Path("bad.pkl").write_bytes(content)
    told(capfd, ["--benchmark", "bad.pkl", "--out", "folder"], "bad.pkl: ", words)
    with within(seconds=2), pytest.raises(UserError):
        load("bad.pkl")


def test_files_that_are_good(eight_cells):
    """Catches a refusal of accuracy 1, odd names, and as many facts as data/README.md says."""
    more = {str(k): "x" * 300 for k in range(50 - len(FACTS))}
    names = ["$x^2$", r"\frac{1}{0}", "{0} %s %(a)d", "한글 🙂", "' OR 1", "x" * 80]
    most = more | {"how": {str(k): k for k in range(50)}}
    for facts in (most, *({"name": n} for n in names)):
        edge = dict(accuracy=[1.0] * 8, latency_ms=[1e-4, 1e6, *[0.5] * 6])
        Path("good.pkl").write_bytes(eight(**edge, **facts))
        benchmark = load("good.pkl")
        assert benchmark.provenance == FACTS | facts
        assert benchmark.accuracy.tolist() == edge["accuracy"]
        assert benchmark.latency_ms.tolist() == edge["latency_ms"]


def test_a_damaged_file_is_refused_or_still_a_benchmark(eight_cells):
    """Catches anything but a Benchmark or a UserError, for files of which bytes were changed."""
    rng = np.random.default_rng(0)
    good = eight()
    refusals = []
    for _ in range(2000):
        begin, end = rng.integers(len(good), size=2)
        inserted = rng.bytes(rng.integers(9))
        Path("bad.pkl").write_bytes(good[:begin] + inserted + good[end:])
        with within(seconds=2):
            try:
                facts = load("bad.pkl").provenance
                assert json.loads(json.dumps(facts, allow_nan=False)) == facts
            except UserError as error:
                refusals.append(str(error))
    assert 1000 < len(refusals) < 2000
    assert not any("MemoryError" in refusal for refusal in refusals)


def test_odd_runs_that_are_good(room, capfd):
    """Catches a crash or a warning where cells are alike, none is under T, or little was run."""
    more = nas_benchmark.CONVOLUTIONS  # and so slower
    spread = np.where(np.arange(N_CELLS) % 2 == 1, 1e-4, 1 + more * (1e6 - 1) / 6)  # ms
    alike = dict(latency_ms=17.0 - 1e-9 * (6 - more), accuracy=[5e-324] * N_CELLS)
    usual = "--benchmark odd.pkl --out new --seeds 1 --samples 251 --target-ms"
    for columns, target in (
        (alike, "1000000"),
        (dict(latency_ms=spread), "1.001"),
        ({}, "5 --samples 50 --rewards tunas"),
    ):
        nas_benchmark.save(benchmark_of(**columns), Path("odd.pkl"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert run_experiment.main(f"{usual} {target}".split()) == 0
        printed, error = capfd.readouterr()
        assert error == ""
        assert sorted(os.listdir("new")) == FILES
    assert "no cell is under T" in printed


# --- The project itself -----------------------------------------------------------------------


def test_this_file_run_as_a_script():
    """Catches `python test_all.py` that runs no pytest, with a warning, or loses its exit code."""
    command = [sys.executable, __file__, "--no-such-option"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    assert "unrecognized arguments: --no-such-option" in done.stderr
    assert "Warning" not in done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", str(HERE), *sys.argv[1:]]))
