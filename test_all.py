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

import ast
import collections
import contextlib
import copy
import csv
import functools
import gzip
import importlib
import itertools
import json
import math
import multiprocessing
import operator
import os
import pickle
import pickletools
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.text import Text

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
from nas_search import HYPERPARAMETERS, Problem, run_searches

HERE = Path(__file__).resolve().parent
README = (HERE / "README.md").read_text(encoding="utf-8")
SHOWN = (HERE / "docs" / "results.md").read_text(encoding="utf-8").partition("```text\n")[2]
SHOWN = SHOWN.partition("\n```")[0]  # what the default run prints
TABLES = Path(os.environ.get("NAS_TABLES") or HERE / "data" / "cache")  # the public tables
SURROGATE = nas_benchmark.load(nas_benchmark.SURROGATE)
COLUMNS = (SURROGATE.accuracy, SURROGATE.latency_ms)
LIGHT = nas_search.HYPERPARAMETERS | dict(hidden=8)  # where it does not matter what is learnt
ACCURACIES = st.floats(0.01, 1.0)
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
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
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else None
        for path in Path(folder).rglob("*")
    }


def cases(text):
    """Lines of cells between bars, as tuples of text."""
    return [tuple(map(str.strip, line.split(" | "))) for line in text.strip().split("\n")]


def to_vector(weights):
    """A dict of Wx, Wh, b, Wo and bo as one vector (P,): what `plain.from_vector` undoes."""
    return np.concatenate([weight.ravel() for weight in weights.values()])


def public(name):
    """The path of a public table; where it is not, the test is skipped."""
    if not (TABLES / name).exists():
        pytest.skip(f"{name} is not in {TABLES}: download it, or set NAS_TABLES")
    return TABLES / name


# --- I. The rewards: Eq. 2-5, Table 1, and what the text says of them -------------------------


def test_table_1():
    """Catches any slip in Eq. 2-5: all entries once more, by `math` instead of NumPy."""
    entries = nas_reward.table_1()
    assert [e["network"] for e in entries] == [1, 2] * 6
    for e in entries:
        if e["reward"] == "mnasnet":
            by_hand = e["accuracy"] * math.exp(-0.07 * math.log(e["latency_ms"] / 17))
        else:
            by_hand = 0.9 * e["accuracy"] + 0.1 * math.log(25.5 - e["latency_ms"], 17)
        assert e["formula"] == pytest.approx(by_hand, abs=1e-12)
        assert e["formula"] == pytest.approx(float(e["printed"]), abs=6e-5)


def test_readme_shows_what_nas_reward_prints():
    """Catches any digit, mark, preference or sentence of Table 1, and of what the text says.

    Among them: rounding where the paper cuts, a pair read the wrong way round, a ratio upside
    down. README's text was read line by line, beside the paper."""

    def lines(text):
        return [line for line in text.splitlines() if line.strip("-")]

    shown = SHOWN.partition("\n\nTable 1: ")[2].partition("\n\nBest of all ")[0]
    script = [sys.executable, HERE / "nas_reward.py"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert lines(done.stdout) == lines(f"Table 1: {shown}")


def test_preference_and_truncation():
    """Catches "nearly equal" for what differs by 0.001, or by the sign of the difference; rounding,
    lost zeros, and 0.29 cut to 0.28 because it is 0.28999... in binary."""
    assert nas_reward.preference(0.5, 0.5009) == "nearly equal"
    assert nas_reward.preference(0.5009, 0.5) == "nearly equal"
    assert nas_reward.preference(0.0, 0.001) == "the second"
    assert nas_reward.preference(0.001, 0.0) == "the first"
    for cut in ("0.84334 0.8433446", "0.829 0.82999", "0.5000 0.5", "0.1 0.19", "0.29 0.29"):
        shown, value = cut.split()
        assert nas_reward.truncate(float(value), len(shown) - 2) == shown


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


@given(ACCURACIES, st.floats(1, 60), st.floats(3, 50))
def test_slopes_are_the_derivatives(accuracy, ms, target):
    """Catches a wrong derivative in Fig. 2: sign, missing 1 / ln T, wrong exponent above T; a w of
    equal strength at which, at LAT = T, a millisecond is worth another accuracy."""
    step = 1e-5

    def derivative(reward):
        return (reward(accuracy, ms + step) - reward(accuracy, ms - step)) / (2 * step)

    if abs(ms - target) > 1e-3:  # not at the kink
        options = dict(target_ms=target, alpha=-0.07, beta=-0.3)
        expected = derivative(functools.partial(mnasnet, **options))
        slope = nas_reward.mnasnet_slope(accuracy, ms, **options)
        assert slope == pytest.approx(expected, abs=1e-6)
    if abs(ms - (1.5 * target - 1)) > 1e-3:
        expected = derivative(functools.partial(proposed, target_ms=target))
        slope = nas_reward.proposed_slope(accuracy, ms, target)
        assert slope == pytest.approx(expected, abs=1e-6)
    w = nas_reward.equal_strength(0.2, accuracy, target)
    at_target = nas_reward.mnasnet_slope(accuracy, target, target, w, w)
    assert at_target == pytest.approx(
        nas_reward.proposed_slope(accuracy, target, target, 0.2) / 0.8
    )


def test_branches_of_mnasnet():
    """Catches alpha and beta exchanged, and a slope that belongs to the other side of a kink.

    At T itself the two branches agree; their slopes do not."""
    ms = np.array([8.5, 17, 34])
    assert mnasnet(0.5, ms, 17, alpha=-1, beta=0) == pytest.approx([1.0, 0.5, 0.5])
    assert mnasnet(0.5, ms, 17, alpha=0, beta=-1) == pytest.approx([0.5, 0.5, 0.25])
    assert mnasnet_hard(0.5, ms, 17) == pytest.approx([0.5, 0.5, 0.25])
    slopes = nas_reward.mnasnet_slope(0.5, ms, 17, alpha=0, beta=-1)
    assert slopes == pytest.approx([0, 0, -0.25 / 34])
    slopes = nas_reward.proposed_slope(0.7, [24.5, 24.6], y=0.2)
    assert slopes == pytest.approx([-0.2 / math.log(17), 0])
    assert [mnasnet(0, 8), proposed(1, 8.5)] == [0, pytest.approx(1)]
    assert mnasnet(0.7, 0.008, 0.017) == pytest.approx(mnasnet(0.7, 8, 17))  # any T


def test_tunas_and_the_names_of_rewards():
    """Catches a network faster than T that gains by TuNAS's reward, in which both sides cost the
    same, and a name on the command line that stands for another reward."""
    rewards = nas_reward.tunas(0.5, np.array([8.5, 17, 34]), 17)
    assert rewards == pytest.approx([0.5 - 0.07 / 2, 0.5, 0.5 - 0.07])
    assert [function.__name__ for function in REWARDS.values()] == list(REWARDS)
    assert list(REWARDS) == ["mnasnet", "proposed", "mnasnet_hard", "tunas"]


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
accuracy > 0.7 | taken
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
accuracy.mean()                                | not ()
accuracy[:, None]                              | not (15625, 1)
accuracy[1:]                                   | not (15624,)
np.append(accuracy, 1)                         | not (15626,)
np.ma.masked_less(accuracy, 0.5)               | masked array; return R.filled(0)
(target_ms - latency_ms + 0j) ** 0.1           | finite numbers, not complex128
accuracy.astype(str)                           | finite numbers, not <U
[None] * 15625                                 | finite numbers, not object
accuracy if latency_ms <= target_ms else 0.0   | ambiguous
max(accuracy - latency_ms, 0)                  | np.where in place of if
math.log(latency_ms)                           | fails (TypeError:
acuracy                                        | fails (NameError: name 'acuracy'
proposed(100 * accuracy, latency_ms)           | accuracy must lie in 0..1
proposed(accuracy, latency_ms, target_ms / 17) | Eq. 4 takes log_T and needs T > 1
"""


@pytest.mark.parametrize(("code", "refusal"), cases(OWN_REWARDS))
def test_a_reward_of_your_own(code, refusal):
    """Catches a reward that changes the benchmark, or is searched although it is not 15,625 finite
    real numbers; a refusal of one that is; warnings about what np.where does not choose."""
    reward = eval(f"lambda accuracy, latency_ms, target_ms: {code}", vars(nas_reward))
    before = [column.copy() for column in COLUMNS]
    expected = pytest.raises(command_line.UserError, match=f"^reward 'mine'.*{re.escape(refusal)}")
    with warnings.catch_warnings(), expected if refusal != "taken" else contextlib.nullcontext():
        warnings.simplefilter("error")
        R = Problem(SURROGATE, {"mine": reward}, 17.0).reward_tables["mine"]
    if refusal == "taken":
        with np.errstate(all="ignore"):
            again = reward(*(column.copy() for column in COLUMNS), 17.0)
        assert np.array_equal(R, np.array(again, float))
    assert np.array_equal(COLUMNS, before)


def test_rewards_that_cannot_be_called():
    """Catches a reward whose name hides a row of the report, is unknown, or takes other arguments;
    Eq. 4 at T = 1, or MnasNet's reward refused there."""
    for name in ("random", "best_under_T"):
        with pytest.raises(command_line.UserError, match=f"cannot be called '{name}'"):
            Problem(SURROGATE, {name: mnasnet}, 17.0)
    with pytest.raises(
        command_line.UserError, match="no reward is called 'mnasnt', only mnasnet, "
    ):
        Problem(SURROGATE, ["mnasnt"], 17.0)
    with pytest.raises(command_line.UserError, match=r"'mine' fails \(TypeError: .*3 were given"):
        Problem(SURROGATE, {"mine": lambda accuracy, latency_ms: accuracy}, 17.0)
    with pytest.raises(command_line.UserError, match=r"reward 'proposed': Eq\. 4 takes"):
        Problem(SURROGATE, ["mnasnet", "proposed"], 1.0)
    assert Problem(SURROGATE, ["mnasnet", "tunas"], 1.0).under.sum() == 0


# --- II. The controller on the board: controller_plain.py -------------------------------------

SETTINGS = dict(hidden=16, learning_rate=1e-2, entropy_weight=0.01, baseline_decay=0.9)


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
    numbers = np.random.default_rng(0).normal(0, 0.6, 146)  # theta for H = 3, h_start, c_start
    weights = plain.from_vector(numbers[:140], 3)

    def tensors_at(numbers):
        theta, h_start, c_start = np.split(numbers, [140, 143])
        weights = plain.from_vector(theta, 3)
        return written([3, 0, 4, 3, 3, 1], weights, h_start=h_start, c_start=c_start)

    def loss_at(numbers):
        return plain.loss(A, w, **tensors_at(numbers))

    expected = central_differences(loss_at, numbers)
    gradient = plain.backward(A, w, **tensors_at(numbers), **weights)
    starts = [gradient["dh"][-1], gradient["dc"][-1]]
    found = np.concatenate([flat(gradient), *starts])
    assert relative_error(found, expected) < 1e-6


@pytest.mark.parametrize(
    ("decay", "advantages"), [(0.9, [0.0, 0.4, -0.74]), (None, [0.5, 0.9, -0.2])]
)
def test_plain_updates_equal_central_differences(decay, advantages):
    """Catches an update by another loss, or with weights of before, with and without baseline."""
    rewards = [0.5, 0.9, -0.2]
    search = plain.Reinforce(
        seed=0, hidden=3, learning_rate=0.1, entropy_weight=0.3, baseline_decay=decay
    )
    for R, A in zip(rewards, advantages, strict=True):
        cell = search.sample()
        theta = to_vector(search.weights)
        search.learn(R)

        def loss_at(theta, A=A, cell=cell):
            tensors = written(cell, plain.from_vector(theta, 3))
            return plain.loss(A, 0.3, **tensors)

        expected = central_differences(loss_at, theta)
        assert relative_error(flat(search.gradient), expected) < 1e-6


def test_a_batch_of_networks_per_update():
    """Catches a gradient_of that already moves the weights, and a step that uses another one."""
    search = plain.Reinforce(0, **SETTINGS)
    theta = to_vector(search.weights)
    gradients = []
    for R in (0.5, 0.9, 0.1):
        search.sample()
        gradients.append(search.gradient_of(R))
    assert np.array_equal(to_vector(search.weights), theta)
    mean = {name: np.mean([g[name] for g in gradients], axis=0) for name in gradients[0]}
    search.step(mean)
    moved, _, _ = plain.adam(theta, flat(mean), 0.0, 0.0, 1, SETTINGS["learning_rate"])
    assert to_vector(search.weights) == pytest.approx(moved, abs=1e-12)


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
    """Catches a lesson whose numbers do not fit together, stand under another heading or edge, or
    say "draw it more often" of a network that is worse than usual."""
    script = [sys.executable, HERE / "controller_plain.py"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines == plain.first_updates().splitlines()
    assert max(len(line) for line in lines) <= 100
    assert lines[1] == "hidden 64, learning_rate 0.003, entropy_weight 0, baseline_decay 0.9"
    number = re.compile(r"[-+]?\d+\.\d+(?:e-\d+)?")
    table = [number.findall(line) for line in lines[-3:]]  # its last lines
    percent, latency_ms, R, b, A, before, after = np.array(table, float).T
    assert proposed(percent / 100, latency_ms) == pytest.approx(R, abs=2e-4)
    assert b + A == pytest.approx(R, abs=2e-4)
    average = 0.9 * b[:-1] + 0.1 * R[:-1]
    assert b == pytest.approx([R[0], *average], abs=2e-4)
    assert np.sign(after - before).tolist() == np.sign(A).tolist()
    search = plain.Reinforce(seed=4, **plain.LESSON)
    blocks = re.split(r"Network \d\n", done.stdout.partition("\n\n  ")[0])[1:]
    assert len(blocks) == 3
    for k, block in enumerate(blocks):
        said = dict(re.findall(r"^  (\S+(?: 0->1)?) +(.*)$", block, re.M))
        cell = search.sample()
        search.learn(proposed(percent[k] / 100, latency_ms[k]))
        words = " ".join(plain.SHORT[op] for op in cell)
        assert lines[k - 3].startswith(f"{k + 1}  {words} ")
        assert said["cell"].startswith(words)
        assert said["edge 0->1"].split()[:K] == list(plain.SHORT)
        p = search.tensors["p"][0]
        one_hot = np.eye(K)[cell[0]]
        for name, values in dict(p=p, dlogits=A[k] * (p - one_hot)).items():
            shown = np.array(said[name].split()[:K], float)
            assert shown == pytest.approx(values, abs=2e-4)
        assert said["one-hot"].split()[:K] == [f"{value:.0f}" for value in one_hot]
        judged = {0: "nothing to learn from", 1: "draw it more often", -1: "draw it less often"}
        assert judged[np.sign(A[k])] in said["A"]
        assert (k == 0) == ("b = R" in said["b"])


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
        noise, **weights, h_start=controller.h[run, -1], c_start=controller.c[run, -1]
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
    options = dict(learning_rate=0.1, beta1=0.7, beta2=0.9, epsilon=0.01)
    adam = Adam(theta, **options)
    m = v = 0.0
    for t in range(1, 6):
        g = rng.normal(size=(2, 3))
        adam.step(g)
        expected, m, v = plain.adam(expected, g, m, v, t, **options)
        assert theta == pytest.approx(expected, abs=1e-12)
    standard = Adam(theta, 0.1)
    assert (standard.beta1, standard.beta2, standard.epsilon) == (0.9, 0.999, 1e-8)


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
        theta = to_vector(board.weights)
        assert fast.controller.theta[run] == pytest.approx(theta, abs=1e-9)


def test_start_of_training():
    """Catches other starting weights: range 0.1, no bias but the forget gate's 1, states 0."""
    rngs = [np.random.default_rng(seed) for seed in range(4)]
    controller = Controller(rngs, 16)
    assert controller.theta.dtype == np.float32
    weights = controller.W[:, :-1]
    output = controller.Wo[:, :-1]
    assert max(np.abs(weights).max(), np.abs(output).max()) <= 0.1
    assert weights.std() == pytest.approx(0.2 / math.sqrt(12), rel=0.05)
    assert np.abs(output).min() > 0
    bias = np.repeat([0.0, 1.0, 0.0, 0.0], 16)  # i, f, g, o
    assert (controller.W[:, -1] == bias).all()
    assert (controller.Wo[:, -1] == 0).all()
    assert not controller.h[:, -1].any()
    assert not controller.c[:, -1].any()
    for seed, theta in enumerate(controller.theta):
        rng = np.random.default_rng(seed)
        board = to_vector(plain.start_weights(rng, 16))
        assert np.array_equal(theta, board.astype(np.float32))
    assert not np.array_equal(controller.theta[0], controller.theta[1])
    assert Controller(rngs).H == 64


def test_float32_agrees_with_float64():
    """Catches a computation that falls into the wrong precision or needs more than it has; an
    overflow, which a policy that is sure of itself would meet."""
    rngs = [np.random.default_rng(s) for s in range(2)]
    single = Controller(rngs, 64)
    double = Controller(rngs, 64, np.float64)
    double.theta[:] = single.theta
    actions = double.sample(gumbel(2))
    noise = plain.teacher_forcing_noise(actions)
    assert np.array_equal(single.sample(noise), actions)
    advantage = np.array([0.02, -0.01])
    gradient = single.gradient(advantage, 0.01)
    expected = double.gradient(advantage, 0.01)
    assert (gradient.dtype, expected.dtype) == (np.float32, np.float64)
    error = np.abs(gradient - expected).max()
    assert error < 1e-5 * np.abs(expected).max()
    p = double.probabilities()
    assert single.probabilities() == pytest.approx(p, rel=1e-3)
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
        assert (twin.controller.probabilities() == search.controller.probabilities()).all()


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


def test_windows_under_the_target():
    """Catches windows that are shifted, "from then on" at the first dip instead of the last miss,
    and a last window that is divided by 250, though it holds fewer networks."""
    latency_ms = np.full((4, 1000), 18.0)
    latency_ms[0, 500:] = 16.0  # under T from 500 on
    latency_ms[1, 250:500] = 16.0  # dips only
    latency_ms[2] = 17.0  # at T from the start
    latency_ms[3, 750:] = 17.0
    short = latency_ms[:, :600]  # the last window is short
    assert claims.window_means(latency_ms)[0].tolist() == [18, 18, 16, 16]
    assert claims.stays_under_from(None, latency_ms, 17.0).tolist() == [500, 1000, 0, 750]
    assert claims.stays_under_from(None, short, 17.0).tolist() == [500, 600, 0, 600]
    assert claims.first_window_under(None, latency_ms, 17.0).tolist() == [500, 250, 0, 750]
    assert claims.first_window_under(None, short, 17.0).tolist() == [500, 250, 0, 600]
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
    """Catches a p-value of one side, of our runs without the paper's, or above 1; a search that
    never settles counted as if it had settled at the end."""
    values = np.arange(1, 40)  # 39 runs
    assert claims.rank_p(0, values) == pytest.approx(2 / 40)
    assert claims.rank_p(1, values) == pytest.approx(4 / 40)  # equal counts on both sides
    assert claims.rank_p(40, values) == pytest.approx(2 / 40)
    assert claims.rank_p(37.5, values) == pytest.approx(6 / 40)
    assert claims.rank_p(20, values) == 1
    values = np.array([500, 600, 700])
    assert claims.rank_p(650, values, bounds=[0, 0, 0]) == pytest.approx(4 / 4)
    assert claims.rank_p(800, values) == pytest.approx(2 / 4)
    assert claims.rank_p(800, values, bounds=[1, 0, 0]) == pytest.approx(4 / 4)
    assert claims.rank_p(400, values, bounds=[-1, 0, 0]) == pytest.approx(4 / 4)


def test_values_are_judged():
    """Catches a verdict on fewer runs than can decide, or beside runs unlike the paper's."""
    runs = np.arange(1.0, 40.0)  # 39: the fewest
    exact = np.zeros(39)
    assert claims.judge_value(0, runs, exact, True) == (0.05, "outside")
    assert claims.judge_value(1, runs, exact, True) == (0.1, "inside")
    assert claims.judge_value(0, runs, -exact - 1, True) == (1, "inside")
    assert claims.judge_value(0, runs[1:], exact[1:], True)[1] == "too few seeds"
    assert claims.judge_value(0, runs, exact, False) == (None, "not comparable")


@pytest.fixture(scope="module")
def own_runs():
    """(accuracy, latency_ms) of 120 short searches, to put in the paper's place."""
    tables = np.tile(proposed(*COLUMNS), (120, 1))
    rows = Reinforce(range(120), **LIGHT).search(tables, 300)
    return SURROGATE.accuracy[rows], SURROGATE.latency_ms[rows]


@pytest.mark.parametrize("n", [40, 80])
def test_one_of_our_own_runs_in_the_papers_place(own_runs, n):
    """Catches a rule that calls perfect reproductions outside in more than 5 % of cases.

    400 times and more: of n + 1 runs, each in turn is "the paper's", beside the n others."""
    values = claims.accuracy_gain(*own_runs, 17.0)  # (120,)
    rng = np.random.default_rng(0)
    verdicts = []
    while len(verdicts) < 400:
        chosen = rng.permutation(values)[: n + 1]
        for k in range(n + 1):
            others = np.delete(chosen, k)
            _, verdict = claims.judge_value(chosen[k], others, np.zeros(n), True)
            verdicts.append(verdict)
    share = verdicts.count("outside") / len(verdicts)
    assert share <= 0.05
    assert share > 0.04  # no slack: 2 of 41, 4 of 81
    assert verdicts.count("inside") == (1 - share) * len(verdicts)


def test_the_run_as_a_whole(own_runs):
    """Catches a p that is not exact: one of our own runs in the paper's place, 400 times, has
    p <= 0.05 in at most 5 % of cases; and one that misses what the lines miss, a run inside every
    range and far from all."""
    rng = np.random.default_rng(0)
    columns = [claims.count_under(*own_runs, 17.0, *band) for band in ((0.5, 0.6), (0.6, 0.7))]
    both = np.repeat(columns, 2, axis=0) + np.arange(4)[:, None]  # as if of two rewards
    six = np.vstack([both, rng.choice([0, 250, 500], size=(2, 120))]).T  # (120, 6)
    p = []
    while len(p) < 400:
        chosen = rng.permutation(six)[:41]
        for k in range(41):
            p.append(claims.whole_run(np.delete(chosen, k, axis=0), chosen[k])["p"])
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 1 / 41
    line = np.linspace(0, 1000, 40)  # two values that grow together
    runs = np.stack([line, line, *np.zeros((4, 40))], axis=1)
    found = claims.whole_run(runs, [200, 800, 0, 0, 0, 0])
    assert found["p"] == 1 / 41
    assert claims.rank_p(200, line) > 0.3
    step = 1000 / 39 / np.std([*line, 200]) * 2**0.5
    assert found["typical"] == pytest.approx(step, rel=0.01)
    assert found["distance"] == pytest.approx(600 / np.std([*line, 200]) / 2**0.5, rel=0.02)


def test_the_scale_of_the_run_as_a_whole():
    """Catches a tiny spread that makes a difference of one sample, or of one window, look large."""
    same = np.zeros((40, 6))
    for k, resolution in enumerate([1, 1, 1, 1, 250, 250]):
        paper = np.where(np.arange(6) == k, resolution / 10, 0.0)
        assert claims.whole_run(same, paper)["distance"] == pytest.approx(0.1)
    lines = evaluated(mnasnet=[4750] * 19, proposed=[4000] * 19)
    assert claims.whole_run_of(list(lines.values()))["p"] == 1 / 20
    lines = evaluated(mnasnet=[4750] * 18, proposed=[4000] * 18)
    assert claims.whole_run_of(list(lines.values())) is None
    assert claims.whole_run_of(list(evaluated(tunas=[1000] * 40).values())) is None
    points = {name: made_up([4000] * 20) for name in ("mnasnet", "proposed")}
    assert claims.whole_run_of(claims.evaluate_claims(points, 16.0)) is None


def test_runs_unlike_the_papers():
    """Catches a number of the paper that is judged at another T, or beside searches of another
    length: it has neither p nor verdict there, and the signs have both."""
    rng = np.random.default_rng(0)
    for samples, target_ms, alike in ((5000, 17.0, 1), (5000, 16.9, 0), (4999, 17.0, 0)):
        columns = rng.uniform(0.4, 0.8, (40, samples)), rng.uniform(9, 20, (40, samples))
        points = dict(mnasnet=columns, proposed=columns)
        judged = [e for e in claims.evaluate_claims(points, target_ms) if e["paper"] is not None]
        assert len(judged) == 11
        assert all((e["verdict"] == "not comparable") == (e["p"] is None) for e in judged)
        found = {e["verdict"] == "not comparable" for e in judged if e["reward"]}
        assert found == {not alike}


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
    """Catches "supported" or "reversed" in more than 5 % where neither reward is better.

    Exactly: k of n differences are positive with the binomial distribution's probability."""
    alarms = 0.0
    for k in range(n + 1):
        differences = np.repeat([1, -1], [k, n - k])
        if claims.judge_sign(differences)[1] in ("supported", "reversed"):
            alarms += math.comb(n, k) / 2**n
    assert alarms <= 0.05
    assert (alarms > 0) == (n >= 6)


def test_signs_are_judged():
    """Catches "supported" for the other reward, and a verdict from five pairs."""
    assert claims.judge_sign(np.ones(6)) == (2 / 2**6, "supported")
    assert claims.judge_sign(-np.ones(6)) == (2 / 2**6, "reversed")
    assert claims.judge_sign(np.ones(5)) == (2 / 2**5, "too few seeds")
    with_ties = np.append(np.ones(6), np.zeros(9))
    assert claims.judge_sign(with_ties) == (2 / 2**6, "supported")
    assert claims.judge_sign(-with_ties) == (2 / 2**6, "reversed")
    assert claims.judge_sign(np.array([1, 1, 1, -1, -1, 1]))[1] == "inconclusive"


def made_up(slow_until):
    """Points of runs that rise from 55 to 65 %, and are slow until networks `slow_until` (n,)."""
    accuracy = np.tile(np.linspace(0.55, 0.65, 5000), (len(slow_until), 1))
    late = np.arange(5000) >= np.array(slow_until)[:, None]
    return accuracy, np.where(late, 16.0, 18.0)


def evaluated(**slow_until):
    """{key: result} of made-up runs {reward: `slow_until`}."""
    points = {name: made_up(networks) for name, networks in slow_until.items()}
    return {claims.key(e): e for e in claims.evaluate_claims(points, 17.0)}


MADE_UP = """
fig6_under_T.mnasnet       | value |      |  250 | no claim
fig6_under_T.proposed      | value |      | 1000 | no claim
fig6_under_T.sign          | sign  |      |  750 | supported
fig6_50_60.mnasnet         | value |  659 |    0 | outside
fig6_50_60.proposed        | value |  780 |    0 | outside
fig6_50_60.sign            | sign  |      |    0 | inconclusive
fig6_50_60.value           | value |  121 |    0 | outside
fig6_60_70.mnasnet         | value |  781 |  250 | outside
fig6_60_70.proposed        | value | 1004 | 1000 | outside
fig6_60_70.sign            | sign  |      |  750 | supported
fig6_60_70.value           | value |  223 |  750 | outside
fig7_stays_under.mnasnet   | value | 4750 | 4750 | inside
fig7_stays_under.proposed  | value | 4000 | 4000 | inside
fig7_stays_under.sign      | sign  |      |  750 | supported
fig7_stays_under.value     | value |  750 |  750 | inside
fig7_first_under.mnasnet   | value | 4750 | 4750 | inside
fig7_first_under.proposed  | value | 4000 | 4000 | inside
fig7_accuracy.mnasnet      | sign  |      | 9.502 | supported
fig7_accuracy.proposed     | sign  |      | 9.502 | supported
"""  # key | kind | the paper's number | our median | verdict


def test_claims_on_made_up_runs():
    """Catches claims tied to the wrong reward, band, sign or pairing, and keys that are not one."""
    found = evaluated(mnasnet=[4750] * 40, proposed=[4000] * 40)
    expected = cases(MADE_UP.replace("|      |", "| None |"))
    assert len({e["text"] for e in found.values()}) == len(expected)
    assert [
        (key, e["kind"], str(e["paper"]), f"{e['median']:.4g}", e["verdict"])
        for key, e in found.items()
    ] == expected


def test_claims_of_other_rewards():
    """Catches the paper's numbers beside a reward that the paper does not have."""
    found = evaluated(tunas=[1000] * 40, random=[0] * 40)
    ids = ["fig6_under_T", "fig6_50_60", "fig6_60_70", "fig7_stays_under", "fig7_first_under"]
    assert list(found) == [f"{id}.tunas" for id in [*ids, "fig7_accuracy"]]
    *values, rise = found.values()
    assert {e["verdict"] for e in values} == {"no claim"}
    assert rise["verdict"] == "supported"
    assert {e["paper"] for e in found.values()} == {None}
    assert [e["random"] for e in values] == [5000, 2500, 2500, 0, 0]


CENSORED = """
5000 x 6, 3000 x 4 | 4000 x 10          | >= | inconclusive
4000 x 10          | 5000 x 6, 3000 x 4 | <= | inconclusive
5000 x 2, 3000 x 8 | 4000 x 10          |    | inconclusive
4000 x 10          | 5000 x 2, 3000 x 8 |    | inconclusive
5000 x 1, 4750 x 2 | 4250 x 3           |    | too few seeds
5000 x 1, 4750 x 2 | 4500 x 3           |    | too few seeds
5000 x 1, 4500 x 2 | 4500 x 1, 4000 x 2 |    | too few seeds
5000 x 10          | 5000 x 3, 4000 x 7 | >= | supported
5000 x 10          | 5000 x 5, 4000 x 5 | >= | too few seeds
5000 x 11          | 5000 x 6, 4000 x 5 | >= | not testable
5000 x 8           | 5000 x 8           |    | not testable
"""  # where MnasNet's and the proposed reward's searches settle | bound | verdict


@pytest.mark.parametrize(("first", "second", "bound", "verdict"), cases(CENSORED))
def test_differences_to_runs_that_never_settle(first, second, bound, verdict):
    """Catches a bound printed as a number, or the reverse; a tie, and so a verdict, made of two
    searches that never settle; a verdict, or a crash, where in most pairs neither does."""
    both = [
        np.concatenate([[int(n)] * int(k) for n, k in re.findall(r"(\d+) x (\d+)", text)])
        for text in (first, second)
    ]
    line = evaluated(mnasnet=both[0], proposed=both[1])["fig7_stays_under.sign"]
    some = np.min(both, axis=0) < 5000
    differences = (both[0] - both[1])[some]
    assert line["per_seed"] == differences.tolist()
    assert line["n_censored"] == np.sum(np.max(both, axis=0)[some] == 5000)
    assert line["median"] == (np.median(differences) if some.any() else None)
    assert (line["censoring"], line["verdict"]) == (bound, verdict)
    assert (line["p"] is None) == (verdict == "not testable")


def test_a_median_run_that_never_settles():
    """Catches "settles at 5,000" for a reward with which most runs never settle."""
    found = evaluated(mnasnet=[5000] * 3 + [1000] * 2)
    line = found["fig7_stays_under.mnasnet"]
    assert (line["censoring"], line["median"], line["n_censored"]) == (">=", 5000, 3)
    line = found["fig6_under_T.mnasnet"]
    assert (line["censoring"], line["median"], line["n_censored"]) == ("", 0, 0)
    assert (line["min"], line["max"]) == (0, 4000)
    assert claims.range_95(np.arange(41)) == [1, 39]


def measured_by_hand(points, T):
    """What the claims measure in one run, a list of (accuracy, latency_ms): {id: number}."""
    windows = [points[k : k + 250] for k in range(0, len(points), 250)]
    mean_accuracy = [sum(a for a, _ in window) / len(window) for window in windows]
    mean_ms = [sum(ms for _, ms in window) / len(window) for window in windows]
    misses = [k for k, ms in enumerate(mean_ms) if ms > T]
    hits = [k for k, ms in enumerate(mean_ms) if ms <= T]
    under = [a for a, ms in points if ms <= T]
    return {
        "fig6_under_T": len(under),
        "fig6_50_60": sum(0.5 <= a < 0.6 for a in under),
        "fig6_60_70": sum(0.6 <= a < 0.7 for a in under),
        "fig7_stays_under": min(len(points), 250 * (misses[-1] + 1)) if misses else 0,
        "fig7_first_under": 250 * hits[0] if hits else len(points),
        "fig7_accuracy": 100 * (mean_accuracy[-1] - mean_accuracy[0]),
    }


def test_claims_recomputed_from_the_samples(results):
    """Catches claims that say other than samples.csv.gz: recomputed here in plain Python."""
    folder, _, summary = results
    measured = {
        name: [measured_by_hand(points.tolist(), 17.0) for points in np.stack(columns, axis=-1)]
        for name, columns in read_samples(folder).items()
    }
    assert len(summary["claims"]) == 19
    for e in summary["claims"]:
        of = {name: np.array([run[e["id"]] for run in runs]) for name, runs in measured.items()}
        if e["reward"]:
            assert e["per_seed"] == pytest.approx(of[e["reward"]].tolist())
            assert e["median"] == pytest.approx(np.median(of[e["reward"]]))
            assert e["random"] == pytest.approx(np.median(of["random"]))
        else:
            sooner = -1 if e["id"] == "fig7_stays_under" else 1
            differences = sooner * (of["proposed"] - of["mnasnet"])
            both = np.minimum(of["proposed"], of["mnasnet"])
            never = (e["id"] == "fig7_stays_under") & (both == 600)
            assert e["per_seed"] == differences[~never].tolist()


# --- IV. Where a search of unlimited length goes: nas_search.py --------------------------------


def expected_updates(R, p, w):
    """The expected update of every logit of a policy with a softmax per prefix: per edge t, an
    array with an axis for each edge up to t. Summed over all 15,625 cells, by the formula of
    `dlogits`: A (p - onehot(a)) + w p (log p + H), with the reward as A, each cell weighed by its
    probability."""
    pi = []  # pi[t]: p(a_t | a_0 ... a_{t-1}), an axis per edge up to t
    for t in range(S):
        marginal = p.reshape((K,) * (t + 1) + (-1,)).sum(axis=-1)
        pi.append(marginal / marginal.sum(axis=-1, keepdims=True))
    updates = []
    for t in range(S):
        prefixes = K**t
        choose = pi[t].reshape(prefixes, K)
        log_choose = np.log(choose)
        H = -(choose * log_choose).sum(axis=1, keepdims=True)
        dlogits = np.zeros((prefixes, K))
        of_prefix = np.arange(N_CELLS) // K ** (S - t)
        choice = np.arange(N_CELLS) // K ** (S - 1 - t) % K
        np.add.at(dlogits, of_prefix, (p * R)[:, None] * choose[of_prefix])
        np.add.at(dlogits, (of_prefix, choice), -p * R)
        reached = p.reshape(prefixes, -1).sum(axis=1, keepdims=True)
        updates.append(dlogits + w * reached * choose * (log_choose + H))
    return updates


@pytest.mark.parametrize("w", [0.003, 0.005, 0.03])
def test_the_expected_update_vanishes_at_the_fixed_point(w):
    """Catches a policy that is not where REINFORCE's expected update is zero, and nothing else: an
    entropy to come that is counted, Q of another edge, one softmax for two prefixes."""
    for reward in (mnasnet, proposed):
        R = reward(*COLUMNS)
        p = nas_search.fixed_point_policy(R, w)
        assert p.sum() == pytest.approx(1)
        assert max(np.abs(update).max() for update in expected_updates(R, p, w)) < 1e-12
        uniform = np.full(N_CELLS, 1 / N_CELLS)
        softmax = np.exp((R - R.max()) / w)  # the policy that maximises R + w H of the whole cell
        for other in (uniform, softmax / softmax.sum()):
            assert max(np.abs(update).max() for update in expected_updates(R, other, w)) > 1e-5


def test_limits_of_the_fixed_point():
    """Catches a w upside down: without entropy the best cell, with much of it uniform sampling."""
    R = proposed(*COLUMNS)
    assert nas_search.fixed_point_policy(R, 1e-6)[R.argmax()] == pytest.approx(1)
    assert nas_search.fixed_point_policy(R, 1e6) == pytest.approx(1 / N_CELLS, rel=1e-4)
    problem = Problem(SURROGATE, ["mnasnet", "proposed"], 17.0)
    ends = {
        name: [f"{100 * e['accuracy']:.2f} {e['latency_ms']:.2f} {np.exp(e['entropy']):.0f}"]
        for name, e in problem.fixed_points(0.005).items()
    }
    assert ends == {"mnasnet": ["71.28 16.38 313"], "proposed": ["70.76 15.47 387"]}
    assert problem.fixed_points(0) == {}


# --- IV. The searches: nas_search.py ----------------------------------------------------------


def fastest(accuracy, latency_ms, target_ms):
    """A reward of one's own, which knows no accuracy."""
    return target_ms - latency_ms


def test_a_problem():
    """Catches rewards of another reward or T, or in another order; names only, no functions;
    facts of another cell, a cell exactly at T that is above it, a best one that is not."""
    problem = Problem(SURROGATE, ["proposed", "tunas"], 14.0)
    assert list(problem.reward_tables) == ["proposed", "tunas"]
    for name, table in problem.reward_tables.items():
        assert np.array_equal(table, REWARDS[name](*COLUMNS, 14.0))
    at_target = SURROGATE.latency_ms[1234]
    problem = Problem(SURROGATE, {"fastest": fastest}, at_target)
    assert problem.optima()["fastest"]["latency_ms"] == SURROGATE.latency_ms.min()
    assert problem.optima()["fastest"]["reward"] == at_target - SURROGATE.latency_ms.min()
    assert problem.facts(1234) == dict(
        arch=nas_benchmark.cell_to_string(CELLS[1234]),
        accuracy=SURROGATE.accuracy[1234],
        latency_ms=at_target,
        meets_target=True,
    )
    slow = np.flatnonzero(SURROGATE.latency_ms > at_target)
    assert not problem.facts(slow[0])["meets_target"]
    fast = SURROGATE.accuracy[SURROGATE.latency_ms <= at_target]
    assert problem.optima()["best_under_T"]["accuracy"] == fast.max()
    runs = run_searches(problem, [3, 4], samples=300, workers=2, hyperparameters=LIGHT)
    assert list(runs.points()) == ["fastest", "random"]
    assert len(claims.evaluate_claims(runs.points(), at_target)) == 6


SLIPS_OF_CALLS = """
seeds=8                | seeds must be whole numbers, as in range(8), not 8
seeds=[0.5]            | seeds must be whole numbers
seeds=[]               | there must be seeds
seeds=[3, -1]          | they must be 0 or more
seeds=[0], samples=0   | samples (0) and workers
seeds=[0], workers=0   | workers (0) must be 1 or more
"""


@pytest.mark.parametrize(("arguments", "words"), cases(SLIPS_OF_CALLS))
def test_slips_in_calling_run_searches(arguments, words):
    """Catches NumPy's words for a usual slip, or an empty run."""
    problem = Problem(SURROGATE, ["tunas"], 17.0)
    with pytest.raises(command_line.UserError, match=re.escape(words)):
        run_searches(problem, **eval(f"dict({arguments})"))
    assert run_searches(problem, [0], samples=1, workers=1).rows["tunas"].shape == (1, 1)
    with pytest.raises(command_line.UserError, match="rewards must be a list of names or a dict"):
        Problem(SURROGATE, "tunas", 17.0)


def test_cores_of_a_container(tmp_path, monkeypatch):
    """Catches a quota that is ignored, rounded to none, or not there."""
    usual = nas_search.cores()
    monkeypatch.setattr(nas_search, "CPU_QUOTA", tmp_path / "cpu.max")
    assert nas_search.cores() >= usual
    for text, count in (("max 100000", usual), ("50000 100000", 1), ("100000 100000", 1)):
        (tmp_path / "cpu.max").write_text(text)
        assert nas_search.cores() == count


def test_no_worker_outlives_an_exception():
    """Catches workers that live on when a window is not wanted, or an interrupt comes."""

    def stop(rows, end):
        raise KeyboardInterrupt

    problem = Problem(SURROGATE, ["tunas"], 17.0)
    for workers in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            run_searches(problem, range(4), 100_000, workers, LIGHT, stop)
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
    """Catches random search that favours cells, whose draws depend on how many are asked, or on
    the noise of a controller of the same seed."""
    rows = nas_search.random_search(0, 200_000)
    counts = np.bincount(rows, minlength=N_CELLS)  # 12.8 each are expected
    chi_square = ((counts - 12.8) ** 2 / 12.8).sum()  # mean 15,624, sd 177
    assert chi_square == pytest.approx(15_624, abs=4 * 177)
    assert np.array_equal(rows[:300], nas_search.random_search(0, 300))
    assert not np.array_equal(rows[:300], nas_search.random_search(1, 300))
    assert rows[:4].tolist() == [8158, 13902, 15514, 8705]  # as in README's run


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


def test_windows_of_runs(problem):
    """Catches seeds and windows exchanged, one of them missing, and an on_window that is called
    too late, or sees another window than the results hold."""
    seen = []

    def note(rows, end):
        seen.append((end, {name: part.copy() for name, part in rows.items()}))

    runs = run_searches(problem, [7, 3, 5], 600, 2, LIGHT, on_window=note)
    assert runs.seeds == [7, 3, 5]
    assert list(runs.rows) == ["mnasnet", "proposed", "random"]
    assert [end for end, _ in seen] == [250, 500, 600]
    for name, drawn in runs.rows.items():
        assert drawn.shape == (3, 600)
        parts = [rows[name] for _, rows in seen]
        assert [part.shape for part in parts] == [(3, 250), (3, 250), (3, 100)]
        assert np.array_equal(np.concatenate(parts, axis=1), drawn)
    assert {values.shape for values in runs.expected["proposed"].values()} == {(3, 3)}
    _, _, took = next(nas_search.windows(problem, [7], 9, LIGHT))
    assert (list(runs.seconds), took.shape) == (["search", "enumeration"], (2,))
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
    steps = list(nas_search.policies(problem, 1, [250, 300], LIGHT))  # as the animation shows them
    found = [[p[name] @ SURROGATE.accuracy for name in problem.reward_tables] for p in steps]
    expected = [runs.expected[name]["accuracy"][1] for name in problem.reward_tables]
    assert found == pytest.approx(np.transpose(expected), rel=1e-5)


@pytest.mark.parametrize("death", ["killed", "at its start", "half a message"])
def test_a_worker_dies(death, tmp_path, monkeypatch, capfd):
    """Catches a run that waits for ever, or goes on without the results of a dead worker."""

    def windows(*task):
        os.kill(os.getpid(), signal.SIGKILL)

    def worker_main(link, links):
        if death == "at its start":
            return
        link.send("ready")
        link.recv()
        os.write(link.fileno(), (256).to_bytes(4, "big") + b"half")

    if death == "killed":
        monkeypatch.setattr(nas_search, "windows", windows)
    else:
        monkeypatch.setattr(nas_search, "worker_main", worker_main)
    arguments = [*SMALL, "--workers", "1", "--out", tmp_path / "out"]
    refused(capfd, run_experiment.main, arguments, "a worker process died")
    assert os.listdir(tmp_path / "out") == []


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
    assert "UserError: a worker process died" in done.stderr
    assert "if __name__ == '__main__':" in done.stderr


# --- V. The tables: nas_benchmark.py ----------------------------------------------------------


def test_rows_and_strings_of_cells():
    """Catches another order of digits, edges or operations: every lookup would be of another
    network, or under another network's name."""
    assert CELLS.shape == (15625, 6)
    assert nas_benchmark.cell_to_row(CELLS).tolist() == list(range(15625))
    assert nas_benchmark.cell_to_row([3, 1, 3, 0, 1, 3]) == 10383
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|none~1|none~2|"
    assert nas_benchmark.string_to_cell(text) == [4, 2, 1, 3, 0, 0]
    for cell in CELLS.tolist():
        assert nas_benchmark.string_to_cell(nas_benchmark.cell_to_string(cell)) == cell


MISSPELT = """
|none~0|
 |none~0|+|none~0|none~1|+|none~0|none~1|none~2|
|none~0|+|none~0|none~1|+|none~0|none~1|none~3|
|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_5x5~2|
|none~0|+|none~0|none~1|+|none~0|none~1|none~2|none~3|
|none~0||none~0|none~1|+|none~0|none~1|none~2|"""


@pytest.mark.parametrize("text", MISSPELT.split("\n"))
def test_strings_that_are_refused(text):
    """Catches a misspelt network that is taken for another one."""
    with pytest.raises(ValueError, match="not an architecture string"):
        nas_benchmark.string_to_cell(text)


def benchmark_of(**changes):
    """The surrogate with other columns, or other entries in its provenance."""
    facts = SURROGATE.provenance | {k: v for k, v in changes.items() if k not in vars(SURROGATE)}
    columns = {k: v for k, v in changes.items() if k in vars(SURROGATE)}
    return nas_benchmark.Benchmark(**vars(SURROGATE) | dict(provenance=facts) | columns)


def test_columns_in_another_order():
    """Catches a column in another order, or of rates, that is searched as if it were right; ranks
    that do not share ties, and a convolution that is not counted."""
    order = np.random.default_rng(0).permutation(N_CELLS)
    for changes, words in (
        (dict(accuracy=SURROGATE.accuracy[order]), "should be the least accurate"),
        (dict(latency_ms=SURROGATE.latency_ms[order]), "the rank correlation is 0.0"),
        (dict(latency_ms=100 / SURROGATE.latency_ms), "was it frames per second"),
        (dict(latency_ms=np.full(N_CELLS, 9.0)), "the rank correlation is nan"),
    ):
        with pytest.raises(ValueError, match=words):
            benchmark_of(**changes)
    assert nas_benchmark.ranks(np.array([3, 1, 3, 2])).tolist() == [3.5, 1, 3.5, 2]
    row = nas_benchmark.cell_to_row([3, 2, 1, 0, 4, 3])
    assert nas_benchmark.CONVOLUTIONS[row] == 3


def test_save_and_load(tmp_path):
    """Catches numbers or provenance that change on the way through a file, and a file that is
    overwritten by a table which nobody could load."""
    path = tmp_path / "folder" / "copy.pkl"
    nas_benchmark.save(SURROGATE, path)
    again = nas_benchmark.load(path)
    assert np.array_equal(again.accuracy, SURROGATE.accuracy)
    assert np.array_equal(again.latency_ms, SURROGATE.latency_ms)
    assert again.provenance == SURROGATE.provenance
    before = files_of(tmp_path)
    again.accuracy[7] = math.nan
    with pytest.raises(ValueError, match="row 7"):
        nas_benchmark.save(again, path)
    assert files_of(tmp_path) == before


def test_the_users_own_table_comes_first(tmp_path, monkeypatch):
    """Catches the surrogate taken although the official table is there, or the reverse."""
    monkeypatch.setattr(nas_benchmark, "OFFICIAL", tmp_path / "official.pkl")
    assert nas_benchmark.load().name == SURROGATE.name
    nas_benchmark.save(benchmark_of(name="own"), nas_benchmark.OFFICIAL)
    assert nas_benchmark.load().name == "own"
    assert nas_benchmark.load(nas_benchmark.SURROGATE).name == SURROGATE.name


def test_provenance_as_printed():
    """Catches lines too long for a terminal, and pages of hashes."""
    benchmark = benchmark_of(how="word " * 40, sha256={"a.csv": "0" * 64})
    lines = str(benchmark).splitlines()
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
--hidden 8 --learning-rate .003              | hidden=8, learning_rate=0.003
--baseline-decay none --entropy-weight 0     | baseline_decay=None, entropy_weight=0
--workers 1024 --target-quantile .75         | workers=1024, target_quantile=0.75
--seeds 10000 --samples 3333 --target-ms 1.5 | seeds=10_000, samples=3333, target_ms=1.5
--rewards proposed,tunas                     | rewards=["proposed", "tunas"]
--rewards mnasnet,proposed,mnasnet_hard,tunas --samples 1000000 --seeds 20 | seeds=20
--first-seed 1000000000                      | first_seed=10**9
"""


def test_defaults_and_limits():
    """Catches other defaults than README promises (the paper's 5,000 networks, 40 seeds, 17 ms), a
    --quick that overrides what was asked for, a limit of one too few, another quantile."""
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
    """Catches a number, a heading or a line that is not printed as docs/results.md shows it, or not
    where. Above "Search", to the letter; below, but for our numbers and the verdicts."""
    title = "The paper's claims: its one run per reward, and our "

    def labels(text):
        """Of the claims, up to what the run as a whole is."""
        return [line[:31] for line in section(text, title)[:21]]

    printed = results[1]
    assert max(map(len, printed.splitlines())) <= 100
    above, shown = (text.partition("\nSearch (Fig. 7)")[0] for text in (printed, SHOWN))
    assert above.split() == shown.split()
    assert labels(printed) == labels(SHOWN)
    block = README.partition("```text\n")[2].partition("\n```")[0]
    assert block in SHOWN
    assert block.startswith(title)


def test_prints_the_means_of_the_windows(results):
    """Catches a printed row that is not what the samples say: shifted, other seeds, other units."""
    folder, printed, _ = results
    lines = re.findall(r"^ +(250|500|600) (.*)$", printed, re.MULTILINE)
    assert [end for end, _ in lines] == ["250", "500", "600"]
    points = np.stack(list(read_samples(folder).values()))  # (rewards, 2, seeds, samples)
    windows = np.split(points, [250, 500], axis=-1)
    for (_, line), window in zip(lines, windows, strict=True):
        expected = []
        for accuracy, ms in window.mean(axis=-1):  # (seeds,) each
            expected += [100 * accuracy.mean(), ms.mean(), round(100 * np.mean(ms <= 17))]
        numbers = re.findall(r"[\d.]+", line)
        assert list(map(float, numbers)) == pytest.approx(expected, abs=6e-3)


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
    """Catches ">=" forgotten, a number where there is none, or of another line or column, a verdict
    left out; a sign without its size, and "outside all" of a number among ours; what a run of a few
    seeds cannot say."""

    def printed(seeds=40, **slow_until):
        points = {name: made_up(networks[:seeds]) for name, networks in slow_until.items()}
        run_experiment.print_claims(claims.evaluate_claims(points, 17.0), seeds)
        return capsys.readouterr().out

    many = dict(mnasnet=[5000] * 40, proposed=[4000] * 30 + [3000] * 10, random=[1500] * 40)
    table, _, below = printed(**many).partition("\n    the paper's lies ")
    assert table.endswith(LARGE.replace("ODD", "inconclusive; size outside").rstrip())
    assert " p = 0.024; n = 40\n" in below
    assert "a number of the paper takes" not in below
    few = printed(5, **many)
    assert "takes both rewards, T and samples of the paper, and 19 seeds" in few
    assert "a number of the paper takes T = 17 ms, 5,000 samples and 39 seeds" in few
    never = printed(mnasnet=[5000] * 40, proposed=[5000] * 40)
    assert re.search(r"sooner by         750        -  0 pairs +not testable\n", never)


def test_runs_that_say_little(capsys):
    """Catches a T that forbids nothing, or everything, without a word; a reward in whose units the
    entropy weight means something else."""
    said = []
    for target_ms in (8.9, 9, 21.7, 22):
        run_experiment.print_what_the_target_forbids(Problem(SURROGATE, ["mnasnet"], target_ms))
        said += re.findall(r" careful: (\S+) of | nearly (\w+);", capsys.readouterr().out)
    assert said == [("2.0%", ""), ("", "everything"), ("98.1%", ""), ("", "nothing")]
    scales = {}
    for k in (150, 99, 0.02, 0.009):
        scales[f"{k:g} R"] = lambda *columns, k=k: k * mnasnet(*columns)
    run_experiment.print_optima(Problem(SURROGATE, scales, 17.0), 0.0)
    told = re.findall("  careful: R of (.*) varies ", capsys.readouterr().out)
    assert told == ["150 R", "0.009 R"]


def test_summary(results):
    """Catches a missing file or key, a summary of other settings or that does not say what made
    it, a speed that counts random search, one reward or the enumeration; table1.csv."""
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
    assert set(timing["wall_s"]) == {"search"}
    us = 1e6 * timing["core_s"]["search"] / (2 * 7 * 600)
    assert timing["us_per_sample"] == pytest.approx(us)
    assert f"; {us:.1f} us per sample and run, on one core\n" in printed
    assert "  14 searches of 600 samples; results in " in printed
    with open(folder / "table1.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{key: str(value) for key, value in e.items()} for e in summary["table1"]]
    assert summary["table1"] == nas_reward.table_1()
    assert summary["comparisons"] == json.loads(json.dumps(nas_reward.comparisons()))


def test_optimum_and_best_found(results):
    """Catches an optimum of another reward; searches that are pooled, a best cell above T, and a
    median of those only that found it."""
    optimum = dict(results[2]["optimum"])
    assert list(optimum) == ["best_under_T", "mnasnet", "proposed"]
    under = SURROGATE.latency_ms <= 17
    best = SURROGATE.accuracy[under].max()
    assert optimum.pop("best_under_T")["accuracy"] == best
    for name, cell in optimum.items():
        R = REWARDS[name](*COLUMNS)
        row = nas_benchmark.cell_to_row(nas_benchmark.string_to_cell(cell["arch"]))
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
    accuracy, ms = np.full((3, 500), 0.5), np.full((3, 500), 10.0)
    better, slower = accuracy.copy(), ms.copy()
    better[1:, -1] = 0.6
    slower[0, 0] = slower[2, :2] = 20.0
    one, other = (accuracy, ms), (better, slower)
    points = dict(one=one, other=other, random=other)
    found = claims.compare_rewards(points, 17.0, best=0.6)
    assert [e["ahead"] for e in found] == [0, 2, 2]
    who = {(e["first"], e["second"], e["of"], e["p"]) for e in found}
    assert who == {("other", "one", 2, 0.5)}
    assert claims.found_after(*other, 17.0, 0.6).tolist() == [math.inf, 500, 500]


def test_same_again_and_in_other_company(results, tmp_path):
    """Catches results that depend on chance, or on other seeds and rewards in the run."""
    before = lines_of_samples(results[0])
    runs = run_searches(Problem(SURROGATE, ["tunas", "proposed"], 17.0), [1, 2], 600)
    run_experiment.write_samples(tmp_path / "samples.csv.gz", runs)
    tunas, *after = lines_of_samples(tmp_path).items()
    assert tunas[0] == "tunas"
    assert after == [(name, before[name][1:3]) for name in ("proposed", "random")]


def test_samples_are_true(results):
    """Catches rows whose accuracy, latency or reward is another cell's, and two seeds, or two
    rewards, that draw the same networks."""
    all_archs = set()
    for reward, seeds in lines_of_samples(results[0]).items():
        for seed, rows in enumerate(seeds):
            archs = tuple(row["arch"] for row in rows)
            all_archs.add(archs)
            assert len(archs) == 600
            for n in range(600):
                cell = nas_benchmark.cell_to_row(nas_benchmark.string_to_cell(archs[n]))
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


def test_the_least_run(tmp_path, capfd):
    """Catches a crash where no network meets T, and where there is nothing to compare: one seed,
    one window, and one reward that the paper does not have."""
    options = ["--seeds", "1", "--samples", "50", "--rewards", "tunas", "--target-ms", "5"]
    assert run_experiment.main([*options, "--out", str(tmp_path)]) == 0
    assert "no cell is under T" in capfd.readouterr().out
    assert sorted(os.listdir(tmp_path)) == FILES


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
            results = claims.evaluate_claims(runs.points(), 17.0)
            figures.write_figures(Path(title), runs, results)
    return {f"{path.parent} {path.stem}": figure for path, figure in found.items()}


def short(*arrays):
    """Of each array: how many numbers, their mean, the first and the last; of a number, itself."""
    found = []
    for values in (np.ravel(np.ma.getdata(array)).astype(float) for array in arrays):
        few = values if len(values) < 3 else (values.mean(), values[0], values[-1])
        count = f"{len(values)}: " if len(values) > 2 else ""
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
        labels = [*axes.get_xticklabels(), *axes.get_yticklabels()]
        lines.append(f"  ticks {' '.join(text.get_text() for text in labels)}")
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
    """Catches a search whose pictures fail at the end: a reward that is good for the cells only,
    one of booleans, one that returns a list."""
    monkeypatch.setitem(figures.STYLE, "savefig.dpi", 10)  # nobody looks
    rewards = {
        "cells only": lambda accuracy, latency_ms, target_ms: np.arange(15625) / 15625,
        "booleans": lambda accuracy, latency_ms, target_ms: latency_ms <= target_ms,
        "a list": lambda accuracy, latency_ms, target_ms: list(accuracy),
    }
    runs = made_up_runs(rewards, seeds=1, samples=250)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.write_figures(tmp_path, runs, claims.evaluate_claims(runs.points(), 17.0))
    assert len(os.listdir(tmp_path)) == 7


def test_pictures_are_as_they_were(pictures):
    """Catches a line, text, colour, size, limit or number of a picture that has changed since it
    was looked at. What is "right" is what the next tests are about."""
    found = []
    for name, figure in pictures.items():
        found += [f"# {name}", *described(figure)]
    path = HERE / "docs" / "pictures.txt"
    if os.environ.get("WRITE_PICTURES"):
        path.write_text("\n".join(found) + "\n", encoding="utf-8")
    # look at the pictures; then WRITE_PICTURES=1 pytest -k pictures
    assert found == path.read_text(encoding="utf-8").splitlines()


def test_fig_6_counts(pictures):
    """Catches a count in another box, of other runs, or summed instead of averaged, panels that
    cannot be compared, and the paper's counts at another box."""
    panels = pictures["mine fig6"].axes
    paper = {"mnasnet": ("659", "781"), "proposed": ("780", "1,004")}
    points = made_up_runs(MINE).points()
    for axes, (name, (accuracy, latency_ms)) in zip(panels, points.items(), strict=True):
        assert axes.get_title() == figures.title_of(name)
        counts = collections.Counter()
        for a, ms in zip(accuracy.flat, latency_ms.flat, strict=True):
            counts[max(10 * int(10 * a), 30) + 5, int(ms) + 0.5] += 1 / 5  # 5 runs
        written = {text.get_position(): text.get_text() for text in axes.texts}
        found = {at: int(text) for at, text in written.items() if at[1] > 1}
        assert found == {place: round(n) for place, n in counts.items() if round(n)}
        boxes = [line for line in axes.lines if len(line.get_xdata()) == 5]
        for low, box in zip((50, 60), boxes, strict=True):
            inside = claims.count_under(accuracy, latency_ms, 17.0, low / 100, low / 100 + 0.1)
            below = (written[low + 5, -0.09], written[low + 5, -0.15])
            assert below == (paper.get(name, "--")[low > 50], f"{np.median(inside):,.4g}")
            assert (min(box.get_xdata()), max(box.get_xdata())) == (low, low + 10)
            assert max(box.get_ydata()) == 17.0
    assert len({axes.collections[0].get_clim() for axes in panels}) == 1


def test_fig_7_means(pictures):
    """Catches other means, a window that stands elsewhere, a band of another width; the paper's
    4,750 and 4,000 at the other reward, or away from the line of T."""
    panels = pictures["mine fig7"].axes
    all_points = made_up_runs(MINE).points()
    for k, (axes, unit) in enumerate(zip(panels, (100, 1), strict=True)):
        bands, lines = axes.patches[::2], axes.patches[1::2]
        for band, line, (name, points) in zip(bands, lines, all_points.items(), strict=True):
            windows = np.split(unit * points[k], [250, 500], axis=1)
            means = [window.mean(axis=1) for window in windows]
            low, middle, high = np.quantile(means, [0.1, 0.5, 0.9], axis=1)
            assert line.get_label() == figures.title_of(name)
            assert line.get_data().values == pytest.approx(middle)
            assert list(line.get_data().edges) == [0, 250, 500, 600]
            assert band.get_data().values == pytest.approx(high)
            assert band.get_data().baseline == pytest.approx(low)
    marks = [line for line in panels[1].lines if line.get_marker() == "v"]
    places = {mark.get_color(): mark.get_xydata().tolist() for mark in marks}
    colours = figures.palette(MINE)
    assert places == {colours["mnasnet"]: [[4750, 17]], colours["proposed"]: [[4000, 17]]}


def test_claims_picture(pictures):
    """Catches a row with another line's numbers or verdict, and a verdict in a reward's colour."""
    points = made_up_runs(MINE).points()
    results = {e["text"]: e for e in claims.evaluate_claims(points, 17.0)}
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
                assert here[{"": "o", ">=": ">", "<=": "<"}[e["censoring"]]] == [e["median"]]
                assert here["None"] == claims.range_95(e["per_seed"])
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
    """Catches text below 1/40 of the height, a picture of the paper's pair that is not 16:9, a
    reward of one's own that is left out, two rewards of one colour, and an empty file."""
    for name, figure in pictures.items():
        written = [text for text in figure.findobj(Text) if text.get_text()]
        if name.startswith("pair"):
            assert figure.get_size_inches() == pytest.approx([16, 9])
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


def test_a_policy_on_the_landscape():
    """Catches dots on other cells, or of another area; a mean that is not the policy's."""
    rng = np.random.default_rng(0)
    history = rng.dirichlet(np.full(N_CELLS, 0.1), size=2)  # (windows, 15625)
    accuracy, ms = COLUMNS
    cells = np.stack([ms, 100 * accuracy], axis=1)  # (15625, 2)
    axes = figures.Figure().subplots()
    dots, trail, mean = figures.draw_policy(axes, SURROGATE, list(history), "black")
    likely = history[1] > 1 / 15_625
    assert np.array(dots.get_offsets()) == pytest.approx(cells[likely])
    assert dots.get_sizes() == pytest.approx(12_000 * history[1][likely])
    assert trail.get_xydata() == pytest.approx(history @ cells)
    assert mean.get_xydata() == pytest.approx(history[1:] @ cells)


def test_pictures_again(results, tmp_path, capfd):
    """Catches pictures of a folder that are not those of its run, to the byte; a folder of another
    benchmark, or of nothing, that ends in a traceback."""
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


def test_the_seed_that_ends_as_most_do():
    """Catches a film of a seed at the edge, or one that is chosen by random search."""
    runs = made_up_runs(["tunas"], seeds=5, samples=300)
    runs.seeds = [7, 8, 9, 10, 11]
    accuracy, ms = np.full((5, 300), 0.3), np.full((5, 300), 3.0)
    runs.points = lambda: dict(tunas=(accuracy, ms), random=(accuracy, ms[::-1]))
    ms.T[250:] = 12, 4, 7.9, 8, 33  # the last window, by seed
    accuracy.T[250:] = 0.4, 0.5, 0.6, 0.45, 0.35
    assert runs.median_seed() == 10
    ms.T[250:] = 10, 10.5, 9, 9.4, 12  # seed 7 by ms alone
    accuracy.T[250:] = 0.5, 0.3, 0.301, 0.302, 0.299
    assert runs.median_seed() == 8  # accuracy counts as much, though it varies by less


def test_animation(problem, tmp_path):
    """Catches a film that does not move, shows one reward only, or is too large for README."""
    path = tmp_path / "search.gif"
    figures.animate(path, problem, 0, 600, LIGHT)
    with PIL.Image.open(path) as film:
        assert film.n_frames == 8  # after 0, 25, 50, 100, 175, 250, 500 and 600 samples
        first = np.array(film.convert("RGB"))
        film.seek(7)
        moved = first != np.array(film.convert("RGB"))
    assert moved.shape == (540, 960, 3)
    assert moved[:, :480].any()
    assert moved[:, 480:].any()
    assert path.stat().st_size < 8 * 150_000  # 25 frames of a whole search: 3 MB


# --- VII. Failures: full disk, Ctrl-C, kill -9, a reader that leaves --------------------------

POSIX = pytest.mark.skipif(os.name != "posix", reason="pipes, links, signals: not on Windows")


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A working folder with what a bad input could spoil, or could trip over."""
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


def told(capfd, arguments, *words, code=2, main=run_experiment.main):
    """`refused` in the room, which stays as it is, within seconds."""
    before = files_of(".")
    with within(seconds=10):
        refused(capfd, main, arguments, *words, code=code)
    assert files_of(".") == before


def test_disk_full(tmp_path):
    """Catches results that are lost, or half a picture, when the disk is full, and no way on.

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
    assert f"the results are in {tmp_path}/; python figures.py --from {tmp_path} draws" in error
    assert sorted(os.listdir(tmp_path)) == sorted(run_experiment.RESULTS)
    assert json.loads((tmp_path / "summary.json").read_text())["settings"]["seeds"] == 2


@POSIX
@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGKILL", -9)]
)
def test_a_run_is_stopped(name, code, tmp_path):
    """Catches results that are half new, a traceback, a folder left behind, and workers that live
    on, after Ctrl-C, kill, a closed terminal and kill -9."""
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
    with command_line.atomic_output(tmp_path):
        assert left.exists()
    yesterday = time.time() - 90_000
    os.utime(left, (yesterday, yesterday))
    with command_line.atomic_output(tmp_path):
        assert not left.exists()


def test_results_stand_before_the_pictures(room, monkeypatch, capfd):
    """Catches a search that is lost because a picture fails; a file that cannot be written, seen
    after the search only."""
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
    with contextlib.suppress(KeyboardInterrupt), command_line.atomic_output(tmp_path) as folder:
        (folder / "a").write_text("new")
        raise KeyboardInterrupt
    assert files_of(tmp_path) == {"a": b"old"}
    with command_line.atomic_output(tmp_path) as folder:
        (folder / "a").write_text("new")
        (folder / "b").write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert files_of(tmp_path) == {"a": b"new", "b": b"new"}


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
        with command_line.atomic_output(folder) as path:
            raise eval(failure, dict(path=path, UserError=command_line.UserError))

    def main(_):
        return command_line.run(write, "folder")

    told(capfd, [], words.replace("/", os.sep), code=int(code), main=main)


def test_a_file_that_cannot_be_replaced(room, capfd):
    """Catches some files new and others old, where one of them may not be written over."""
    Path("folder/table.csv").mkdir()

    def write(folder):
        with command_line.atomic_output(folder) as unfinished:
            (unfinished / "summary.json").write_text("new")
            (unfinished / "table.csv").write_text("new")

    words = f"{Path('folder/table.csv')} cannot be replaced"
    told(capfd, [], words, main=lambda _: command_line.run(write, "folder"))


def test_progress(capfd, monkeypatch):
    """Catches minutes of silence where there is no terminal, a line for every window, another time
    left; on a terminal, a bar of another length, and one that stays when all is done."""
    for k in range(1, 101):
        command_line.progress(k, 100, 0.36 * k)  # 36 s in all
    lines = capfd.readouterr().err.splitlines()
    assert lines == [f"{k}%, {0.36 * (100 - k):.0f} s left" for k in range(30, 100, 10)]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    command_line.progress(39, 40, 39.0)
    assert capfd.readouterr().err == "\r" + f"[{'#' * 29:30}] 98%, 1 s left".ljust(60) + "\r"
    assert list(command_line.tracked("abc")) == ["a", "b", "c"]
    shown = capfd.readouterr().err.split("\r")
    assert [text[32:38].strip(" ],") for text in shown if "[" in text] == ["33%", "67%"]
    assert shown[-2].strip() == ""


def test_two_runs_in_one_folder_with_an_odd_name(tmp_path):
    """Catches runs that trip over each other, paths relative to ours, non-ASCII, a broken pipe."""
    folder = tmp_path / "한글 폴더"
    folder.mkdir()
    options = ["--seeds", 1, "--samples", 300, "--out", "새 결과"]
    environment = {**os.environ, "LC_ALL": "C"}
    leaving = start(*options[:-1], "left", cwd=folder, env=environment)
    leaving.stdout.readline()
    leaving.stdout.close()  # a reader that leaves
    staying = start(*options, cwd=folder, env=environment)
    with leaving, staying:  # closes their pipes
        assert leaving.stderr.read() + staying.stderr.read() == ""
    assert (leaving.returncode, staying.returncode) == (0, 0)
    for name in ("left", "새 결과"):  # a reader that leaves costs no results
        assert sorted(os.listdir(folder / name)) == FILES


# --- VII. Hostile inputs: each is refused in one line, or simply works ------------------------

TYPED = """
--samples 0                          | --samples: must be at least 1 and at most 1,000,000
--samples 1000001                    | at most 1,000,000
--samples 9e5000                     | invalid number value
--samples 1e3                        | invalid number value: '1e3'
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
--learning-rate nan                  | must be at least 1e-06
--entropy-weight -0.1                | argument --entropy-weight: must be at least 0 and at most 100
--hidden 0                           | argument --hidden: must be at least 1 and at most 256
--baseline-decay 1                   | must be none, or at least 0 and below 1
--baseline-decay no                  | argument --baseline-decay: invalid
--target-ms inf                      | at most 1,000,000 ms
--target-ms 1000000.1                | at most 1,000,000 ms
--target-ms 17ms                     | invalid float value: '17ms'
--target-quantile 1                  | between 0 and 1
--target-quantile nan                | between 0 and 1
--target-quantile 75%                | invalid share value
--target-quantile 0.7 --target-ms 9  | not allowed with
--rewards mnasnet,best               | --rewards: must be some of mnasnet
--rewards tunas,tunas                | each once
--rewards ,                          | --rewards: must be some of mnasnet
--rewards 보상\x0b                   | --rewards: must be some of mnasnet
--quick --animate=yes                | ignored explicit argument 'yes'
--\x1b[31m                           | unrecognized arguments: --?[31m
--benchmark missing.pkl              | missing.pkl: not a benchmark file (there is no such file)
--benchmark folder                   | folder: not a benchmark file (it is not a file)
--benchmark precious.pkl             | make it again with data/build_benchmark.py
--benchmark 없는\x0bfile             | 없는 file: not a benchmark file (there is no
--benchmark \udcff                   | ?: not a benchmark file
--out precious.pkl                   | precious.pkl is not a folder
"""
PLACES = """
--benchmark pipe                     | 2 | pipe: not a benchmark file (it is not a file)
--benchmark zero                     | 2 | zero: not a benchmark file
--benchmark dangling                 | 2 | dangling: not a benchmark file
--benchmark loop                     | 2 | loop: not a benchmark file
--benchmark precious.pkl/x           | 2 | not a benchmark file
--out zero                           | 2 | zero is not a folder
--out precious.pkl/below             | 1 | precious.pkl/below: Not a directory
--out dangling                       | 1 | dangling: File exists
--out loop                           | 1 | loop:
--out /proc/nowhere                  | 1 | /proc/nowhere:
--benchmark LONG                     | 2 | not a benchmark file
--out LONG                           | 1 | File name too long
"""


@pytest.mark.parametrize(("typed", "words"), cases(TYPED))
def test_what_is_typed(typed, words, room, capfd):
    """Catches a traceback, a hang, or a line that does not say which limit was missed."""
    told(capfd, [*SMALL, *typed.split(" ")], words)


@POSIX
@pytest.mark.parametrize(("typed", "code", "words"), cases(PLACES))
def test_places_on_a_disk(typed, code, words, room, capfd):
    """Catches a wait for a pipe, or a message of the system that names a file of ours."""
    typed = typed.replace("LONG", 5000 * "x")
    told(capfd, [*SMALL, *typed.split(" ")], words, code=int(code))


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("sys.version_info = (3, 9)", "Python 3.10 or newer is needed, and this is "),
        ("sys.modules['numpy'] = None", "numpy is missing: pip install -r requirements.txt"),
    ],
)
@pytest.mark.parametrize("program", ["run_experiment", "nas_reward", "controller_plain"])
def test_a_python_that_will_not_do(before, words, program):
    """Catches a traceback from the first line that an old Python cannot read."""
    command = [sys.executable, "-c", f"import sys; {before}; import {program}"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


# A search space of 8 cells, whose benchmark files are small; `small_space` makes it.
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


def built_by(opcodes, key="accuracy"):
    """A benchmark file in which pickle's opcodes build the value of one key."""
    name = b"X" + len(key).to_bytes(4, "little") + key.encode()
    return eight()[:-1] + name + opcodes + b"s."


def laughs(levels=40):
    """A list of two lists, each of two lists, and so on: short to say, 2^40 long to walk."""
    laugh = [1.0] * 2
    for _ in range(levels):
        laugh = [laugh] * 2
    return laugh


ENDLESS = {}
ENDLESS["self"] = ENDLESS  # a dict that contains itself
NO_LIST = "is not a list of 8 numbers"
BAD_FILES = [  # (content, words of the refusal)
    (b"", "not a benchmark file"),
    (b"accuracy,latency\n1,2\n", "not a benchmark file"),
    (eight()[:-9], "not a benchmark file"),
    (pickle.dumps([1, 2]), "not a benchmark file"),
    (pickle.dumps({"accuracy": [0.5] * 8}), "(TypeError: "),
    (eight(accuracy=[0.5] * 7), f"(accuracy {NO_LIST})"),
    (eight(latency_ms=[9] * 7 + ["9"]), f"(latency_ms {NO_LIST})"),
    (eight(latency_ms=[9] * 7 + [True]), NO_LIST),
    (eight(accuracy=0.7), NO_LIST),
    (eight(accuracy=dict.fromkeys(range(8), 0.5)), NO_LIST),
    (eight(accuracy=laughs()), NO_LIST),
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
    (eight(how=ENDLESS), "unlike 'self'"),
    (eight(how=laughs()), "unlike 'how'"),
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
    (built_by(b"]" * 100_000 + b"a" * 99_999), NO_LIST),
    (built_by(b"]" * 1_000_000), "more than 1,000,000 bytes"),
    (built_by(b"\x8d" + (10**12).to_bytes(8, "little") + b"x"), "not a benchmark file"),
    (built_by(b"cos\nsystem\n(X\x0c\0\0\0touch hackedtR"), "GLOBAL"),
    (built_by(b"]r" + (2**31 - 1).to_bytes(4, "little") + b"x"), "LONG_BINPUT"),
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
    """Catches a file that is searched in silence, runs code, hangs, takes all memory, or writes to
    the terminal."""
    Path("bad.pkl").write_bytes(content)
    told(capfd, ["--benchmark", "bad.pkl", "--out", "folder"], "bad.pkl: ", words)
    with within(seconds=2), pytest.raises(command_line.UserError):
        nas_benchmark.load("bad.pkl")


def test_files_that_are_good(eight_cells):
    """Catches a refusal of what can be: accuracy 1, a median of half a ms, odd names, and as many
    facts and letters as data/README.md says."""
    more = {str(k): "x" * 300 for k in range(50 - len(FACTS))}
    names = ["$x^2$", r"\frac{1}{0}", "{0} %s %(a)d", "한글 🙂", "' OR 1", "x" * 80]
    for facts in (more | {"how": {str(k): k for k in range(50)}}, *({"name": n} for n in names)):
        edge = dict(accuracy=[1.0] * 8, latency_ms=[1e-4, 1e6, *[0.5] * 6])
        Path("good.pkl").write_bytes(eight(**edge, **facts))
        benchmark = nas_benchmark.load("good.pkl")
        assert benchmark.provenance == FACTS | facts
        assert benchmark.accuracy.tolist() == edge["accuracy"]
        assert benchmark.latency_ms.tolist() == edge["latency_ms"]


EVERY_OPCODE = sorted(opcode.code.encode("latin-1") for opcode in pickletools.opcodes)
PIECES = st.one_of(
    st.sampled_from(EVERY_OPCODE),
    st.sampled_from([b"K\x01", b"G?\xe0\0\0\0\0\0\0", b"h\x00", b"X\x01\0\0\0a", b"](e"]),
    st.binary(max_size=9),
)
PLACE = st.integers(0, len(eight()) - 1)
MUTATIONS = st.lists(st.tuples(PLACE, PLACE, PIECES), min_size=1, max_size=4)


PROGRAMS = st.lists(PIECES, max_size=40).map(lambda some: b"\x80\x04" + b"".join(some) + b".")


def mutated(mutations):
    content = eight()
    for begin, end, piece in mutations:
        content = content[:begin] + piece + content[end:]
    return content


@pytest.mark.parametrize("contents", [MUTATIONS.map(mutated), PROGRAMS])
def test_any_file_is_a_benchmark_or_refused(contents, eight_cells):
    """Catches anything but a valid Benchmark or a UserError, for files that were once good, and
    for opcodes in any order."""
    outcomes = []

    @settings(max_examples=1000)
    @given(contents)
    def fuzz(content):
        Path("fuzz.pkl").write_bytes(content)
        refusal = None
        with within(seconds=2, megabytes=200):
            try:
                benchmark = nas_benchmark.load("fuzz.pkl")
            except command_line.UserError as error:
                refusal = str(error)
        if refusal is None:
            facts = benchmark.provenance
            assert json.loads(json.dumps(facts, allow_nan=False)) == facts
            assert str(benchmark).replace("\n", "").isprintable()
        outcomes.append(refusal)
        assert "MemoryError" not in (refusal or "")

    fuzz()
    assert len(outcomes) - outcomes.count(None) > 500


def test_odd_benchmarks_that_are_good(room, capfd):
    """Catches a warning or a traceback in a figure whose cells are all alike, or far from T."""
    more = nas_benchmark.CONVOLUTIONS  # and so slower
    spread = np.where(np.arange(N_CELLS) % 2 == 1, 1e-4, 1 + more * (1e6 - 1) / 6)  # ms
    alike = dict(latency_ms=17.0 - 1e-9 * (6 - more), accuracy=[5e-324] * N_CELLS)
    options = ["--benchmark", "odd.pkl", "--out", "new", "--seeds", "1", "--samples", "251"]
    for columns, target_ms in ((alike, "1000000"), ({"latency_ms": spread}, "1.001")):
        nas_benchmark.save(benchmark_of(**columns), Path("odd.pkl"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert run_experiment.main([*options, "--target-ms", target_ms]) == 0
        assert capfd.readouterr().err == ""
        assert sorted(os.listdir("new")) == FILES


def test_a_terminal_that_can_do_nothing(room):
    """Catches warnings, lost letters that end a run, and titles that matplotlib takes for TeX."""
    nas_benchmark.save(benchmark_of(name=r"$\frac{1$ 한글 🙂 \x"), Path("odd.pkl"))
    options = {"PYTHONIOENCODING": "ascii", "PYTHONWARNINGS": "error", "COLUMNS": "40"}
    options |= {"TERM": "dumb", "NO_COLOR": "1", "LC_ALL": "C"}
    arguments = [*SMALL, "--benchmark", "odd.pkl", "--out", "결과 $x$"]
    process = start(*arguments, env={**os.environ, **options})
    printed, error = process.communicate()
    assert error == ""
    assert process.returncode == 0
    assert r"Benchmark: $\frac{1$ ?? ? \x" in printed
    assert sorted(os.listdir("결과 $x$")) == FILES


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


@functools.cache
def trees():
    """{path: syntax tree} of all Python files of the project."""
    paths = [*HERE.glob("*.py"), *HERE.glob("[ds]*/*.py")]
    return {
        str(path.relative_to(HERE)): ast.parse(path.read_text(encoding="utf-8")) for path in paths
    }


def modules_of(tree):
    """The first names of all modules that a file imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found


def prints(node):
    """Whether something below a node of a syntax tree calls print or writes to a stream."""
    names = {getattr(n, "id", getattr(n, "attr", None)) for n in ast.walk(node)}
    return not names.isdisjoint({"print", "stdout", "stderr"})


@pytest.mark.parametrize("name", ORDER)
def test_imports(name):
    """Catches imports that run in a circle or against the order in which the files are read, a
    package that requirements.txt does not name, and a print where numbers are computed."""
    tree = trees()[f"{name}.py"]
    modules = modules_of(tree) - set(sys.stdlib_module_names)
    assert modules <= {*ORDER[: ORDER.index(name)], "numpy", "matplotlib"}
    computing = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if name in ("nas_search", "claims", "controller_numpy"):
        computing = [tree]
    if name != "run_experiment":
        assert not any(map(prints, computing))


def test_every_file_and_every_test_says_what_it_is_for():
    """Catches a file without its contract, and a test that nobody knows the use of, or that hides
    another one of its name."""
    for path, tree in trees().items():
        assert ast.get_docstring(tree), path
        if Path(path).name.startswith("test_"):
            tests = [n for n in tree.body if getattr(n, "name", "").startswith("test_")]
            assert len(tests) == len({test.name for test in tests}) > 0
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
    for module, name in re.findall(r"`(\w+)\.(\w+)`", README):
        if name not in ("py", "md", "png", "gif", "csv", "gz", "json"):
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
    for name in re.findall(r"`(test_\w+)`", README):
        assert name == "test_all" or name in globals(), name
    path = r"(?:`|\]\()((?:docs/|data/|study/)?\w+\.(?:py|md|png|gif))[`)]"
    for name in re.findall(path, README):
        assert (HERE / name).exists(), name
    source = "".join(map(ast.unparse, trees().values()))
    for option in re.findall(r"--([a-z][a-z-]+)", README):
        assert f"'--{option}'" in source, option


if __name__ == "__main__":
    known = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is imported already
    sys.exit(pytest.main(["-q", "-W", known, str(HERE), *sys.argv[1:]]))
