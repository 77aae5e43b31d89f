"""Tests of study/: strength against form, published numbers, a table of logits."""

import importlib
import math
import re
import shutil
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs", "study")]

import build_benchmark
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import command_line
import nas_benchmark
import nas_reward
import nas_search
from controller_numpy import Reinforce
from controller_plain import K, S
from nas_benchmark import CELLS
from nas_reward import mnasnet, proposed
from nas_search import Problem, run_searches
from test_all import ACCURACIES, COLUMNS, HERE, SURROGATE, TABLES, public

# --- VIII. Beyond the paper: study/beyond.py, study/published.py, study/logits.py ----------------

sys.path.append(str(HERE / "docs"))
beyond = importlib.import_module("beyond")
published = importlib.import_module("published")
logits = importlib.import_module("logits")


@given(y=st.floats(0.01, 0.9), accuracy=ACCURACIES, target_ms=st.floats(2.0, 200.0))
def test_equal_strength(y, accuracy, target_ms):
    """Catches a w of equal strength at which, at LAT = T, a millisecond has another price."""
    w = nas_reward.equal_strength(y, accuracy, target_ms)
    soft = nas_reward.mnasnet_slope(accuracy, target_ms, target_ms, w, w)
    own = nas_reward.proposed_slope(accuracy, target_ms, target_ms, y)
    assert soft == pytest.approx(own / (1 - y))
    assert beyond.y_of_equal_strength(w, accuracy, target_ms) == pytest.approx(y)


def test_equal_scale():
    """Catches a reward divided by x that pays a point of accuracy more or less than MnasNet's."""
    better = beyond.proposed_by_x(0.7, 17.0, 17.0, y=0.2)
    worse = beyond.proposed_by_x(0.6, 17.0, 17.0, y=0.2)
    assert better - worse == pytest.approx(mnasnet(0.7, 17.0) - mnasnet(0.6, 17.0))
    assert 0.8 * better == pytest.approx(proposed(0.7, 17.0, 17.0, x=0.8, y=0.2))


def test_pay_of_every_strength():
    """Catches a reward of the study that gets the strength of another."""
    problem = beyond.strength_problem(SURROGATE, 17.0)
    for k, (w, y) in enumerate(beyond.strengths(SURROGATE, 17.0)):
        assert problem.reward_tables["mnasnet", k] == pytest.approx(
            COLUMNS[0] * (COLUMNS[1] / 17) ** w
        )
        own = proposed(*COLUMNS, 17.0, x=1 - y, y=y)
        assert (1 - y) * problem.reward_tables["proposed", k] == pytest.approx(own)


def test_the_papers_settings_among_the_strengths(tmp_path, monkeypatch):
    """Catches a study of strength whose searches are not those of the program, and rows swapped."""
    monkeypatch.setattr(beyond, "TARGETS_MS", {"surrogate": 17.0})
    monkeypatch.setattr(beyond, "PANELS", ("surrogate",))
    shutil.copy(HERE / "study" / "beyond.md", tmp_path)
    beyond.strength(None, seeds=range(2), samples=300, out=tmp_path)
    pairs = beyond.read_pairs(tmp_path)["surrogate"]
    problem = Problem(SURROGATE, ["mnasnet", "proposed"], 17.0)
    runs = run_searches(problem, range(2), samples=300)
    optima = problem.optima()
    for reward, (name, pair) in zip(
        problem.reward_tables, beyond.paper_settings(pairs), strict=True
    ):
        accuracy, latency_ms, under = np.transpose(pair.ends[name])  # (seeds,) each
        expected = runs.expected[reward]
        assert accuracy == pytest.approx(100 * expected["accuracy"][:, -1], abs=1e-3)
        assert latency_ms == pytest.approx(expected["latency_ms"][:, -1], abs=1e-3)
        assert under == pytest.approx(100 * expected["p_under_target"][:, -1], abs=0.1)
        assert pair.optima[name][0] == pytest.approx(100 * optima[reward]["accuracy"])
    assert pairs[beyond.MNASNET_SETTING].w == -0.07
    assert pairs[beyond.PAPER_SETTING].y == 0.1
    assert (tmp_path / "strength.png").stat().st_size > 10_000


def test_what_rewards_ask_for():
    """Catches cases counted for the wrong reward or T; MnasNet's hard reward pays ACC under T, so
    where its best cell meets T, no better one does."""
    found = beyond.asked_on(SURROGATE)
    meets, is_best, lost = np.transpose(found["MnasNet hard, 0 and -1"])
    assert np.array_equal(meets, is_best)
    assert lost[meets == 1].tolist() == [0.0] * int(meets.sum())
    accuracy, latency_ms = COLUMNS
    cases = found["proposed, y = 0.1"]
    for case, share in zip(cases, range(5, 100, 5), strict=True):
        target_ms = float(np.percentile(latency_ms, share))
        best = accuracy[latency_ms <= target_ms].max()
        row = np.argmax(proposed(accuracy, latency_ms, target_ms))
        meets = latency_ms[row] <= target_ms
        by_hand = (meets, meets and accuracy[row] == best, 100 * (best - accuracy[row]))
        assert case == pytest.approx(by_hand)


def test_shares_of_cases():
    """Catches points lost that count cases over T, and shares of the wrong column."""
    line = beyond.asked_line(np.array([(1, 1, 0.0), (1, 0, 2.0), (0, 0, -5.0), (1, 0, 4.0)]))
    assert line["meets"] == 75
    assert line["best"] == 25
    assert line["lost"] == 2.0
    assert line["lost_90"] == pytest.approx(3.6)


def test_draws_of_a_table_of_logits():
    """Catches draws that do not follow softmax(theta), and edges or operations mixed up."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=S * K)
    policy = logits.Logits(20_000)
    policy.theta[:] = theta
    a = policy.sample(rng.gumbel(size=(20_000, S, K)))
    drawn = np.eye(K)[a].mean(axis=0)  # (S, K)
    p = np.exp(theta.reshape(S, K))
    p /= p.sum(axis=1, keepdims=True)
    assert np.abs(drawn - p).max() < 5 * 0.5 / 20_000**0.5  # five standard errors


def test_gradient_of_a_table_of_logits():
    """Catches a policy of 30 numbers that is taught anything but the loss in its docstring."""
    rng = np.random.default_rng(0)
    policy = logits.Logits(2)
    policy.theta[:] = rng.normal(size=policy.theta.shape)
    a = policy.sample(rng.gumbel(size=(2, S, K))).copy()
    A = np.array([0.7, -0.4])

    def loss(theta, n):
        p = np.exp(theta.reshape(S, K))
        p /= p.sum(axis=1, keepdims=True)
        return -A[n] * np.log(p[range(S), a[n]]).sum() + 0.3 * (p * np.log(p)).sum()

    gradient = policy.gradient(A, entropy_weight=0.3)
    for n in range(2):
        for k in range(S * K):
            step = np.zeros(S * K)
            step[k] = 1e-5
            slope = (loss(policy.theta[n] + step, n) - loss(policy.theta[n] - step, n)) / 2e-5
            assert gradient[n, k] == pytest.approx(slope, abs=1e-8)


def test_a_table_of_logits_learns():
    """Catches logits that Reinforce cannot teach: one cell pays, as far as others resemble it."""
    cell = np.array([3, 1, 4, 1, 2, 0])
    resemblance = np.equal(CELLS, cell).mean(axis=1)  # (15625,)
    table = np.tile(resemblance, (2, 1))  # (runs, 15625)
    fast = nas_search.HYPERPARAMETERS | dict(learning_rate=0.1)
    rows = logits.LogitsReinforce(range(2), **fast).search(table, 400)
    assert table[0, rows[:, :50]].mean() < 0.5
    assert table[0, rows[:, -50:]].mean() > 0.9


def test_budget():
    """Catches a network counted that the budget does not pay for, and a pick by test accuracy."""
    trained = published.Trained(
        valid=np.array([0.5, 0.9, 0.7]),
        cost_s=np.array([40.0, 30.0, 30.0]),
        test=None,
    )
    rows = np.array([[0, 2, 2, 1], [1, 0, 0, 2], [0, 0, 0, 1]])
    best, networks = published.best_within(rows, trained, budget_s=100)
    assert best.tolist() == [2, 1, 0]
    assert networks.tolist() == [3, 2, 2]


def test_gains_by_hand():
    """Catches a standard deviation shown as a standard error."""
    line = published.published_line("REINFORCE")
    found = published.gains(line, published.published_line("random"))
    assert found[0] == pytest.approx((0.15, math.sqrt((0.37**2 + 0.36**2) / 500)))


def test_twelve_epochs():
    """Catches validation accuracies or costs joined to the wrong cells; NATS-Bench's cell 0."""
    for name in (published.FILE, "nats_bench.csv"):
        public(name)
    trained = published.load(TABLES)
    names = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|"
    row = build_benchmark.row_of(f"{names}skip_connect~2|")
    assert trained.valid[row] == pytest.approx((0.62712 + 0.64016) / 2, abs=1e-5)
    assert trained.cost_s[row] == pytest.approx(86.65, abs=0.01)
    assert trained.test["cifar100"][row] == pytest.approx(0.5291, abs=1e-4)
    assert trained.cost_s.mean() == pytest.approx(109.68, abs=0.01)


def test_protocol():
    """Catches searches with other settings than the project's, or paid in anything but `valid`."""
    for name in (published.FILE, "nats_bench.csv"):
        public(name)
    trained = published.load(TABLES)
    random, lstm, _ = published.runs_of(trained, seeds=range(2), rates=())
    search = Reinforce(range(2), **nas_search.HYPERPARAMETERS)
    rows = search.search(np.tile(trained.valid, (2, 1)), 370)
    task = ("LSTM", nas_search.HYPERPARAMETERS["learning_rate"], range(2))
    assert np.array_equal(published.searched(task, trained.valid, 370), rows)
    for line, drawn in ((lstm, rows), (random, [nas_search.random_search(n, 370) for n in (0, 1)])):
        picked = []
        for run in drawn:  # plain Python
            bill = 0.0
            seen = []
            for row in run:
                bill += trained.cost_s[row]
                if bill > 12_000:
                    break
                seen.append(row)
            picked.append(max(seen, key=trained.valid.__getitem__))
        mean = 100 * trained.test["cifar100"][picked].mean()
        assert line["cifar100"] == pytest.approx(mean, abs=1e-3)


# HELP's Table 4 (its README): device -> latency in ms and CIFAR-100 accuracy in %, as printed;
# and the cells, of those whose files in data/nasbench201/architecture_config/ we could read.
HELP = {
    "titan_rtx_256": ((17.8, 69.7), (18.9, 71.5), (24.2, 71.8)),
    "eyeriss": ((3.9, 71.5), (5.1, 71.8), (9.1, 73.5)),
    "fpga": ((3.8, 70.2), (4.7, 71.8), (7.4, 73.5)),
}
HELP_CELLS = {  # 0 none, 1 skip, 2 1x1, 3 3x3, 4 pool
    ("titan_rtx_256", 17.8, 69.7): (3, 0, 2, 1, 2, 0),
    ("eyeriss", 3.9, 71.5): (3, 2, 0, 1, 2, 2),
    ("fpga", 3.8, 70.2): (0, 3, 2, 1, 4, 2),
    ("fpga", 7.4, 73.5): (3, 3, 3, 1, 3, 3),
}


@pytest.mark.parametrize("device", HELP)
def test_help_table_4(device):
    """Catches a join of accuracy and latency by the wrong index: each pair must be a cell's.

    Shuffled latencies would pass for one of the nine now and then, and never for all."""
    for name in ("nats_bench.csv", f"latency/{device}.pt"):
        public(name)
    benchmark = build_benchmark.build_tables(TABLES, device, "cifar100")
    ms = benchmark.latency_ms.round(1)
    percent = (100 * benchmark.accuracy).round(1)
    cells = set(zip(ms.tolist(), percent.tolist(), strict=True))
    assert set(HELP[device]) <= cells
    for (named, *pair), cell in HELP_CELLS.items():
        if named == device:
            row = nas_benchmark.cell_to_row(cell)
            assert [ms[row], percent[row]] == pair


def test_beyond_shows_its_runs():
    """Catches tables of study/beyond.md that are not those of its CSV files, which the searches of
    the present settings wrote, and a number in its prose that stands in no table."""
    beyond.check()


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("beyond.md", " ± 0.", " ± 1.", "is old; run study/beyond.py published"),
        ("beyond.md", "# Beyond the paper\n", "# Beyond\n99.99 %\n", "99.99 in the prose"),
        ("asks.csv", " fpga", "", "'asks' is old; run study/beyond.py asks"),
        ("strength.csv", ",0,69.", ",0,68.", "is old; run study/beyond.py strength"),
    ],
)
def test_beyond_that_shows_something_else(name, old, new, words, tmp_path):
    """Catches a check that cannot fail."""
    for path in HERE.glob("study/*.csv"):
        shutil.copy(path, tmp_path)
    shutil.copy(HERE / "study" / "beyond.md", tmp_path)
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(command_line.UserError, match=re.escape(words)):
        beyond.check(tmp_path)


def test_beyond_of_other_settings(monkeypatch):
    """Catches a page that stays as it was although the project's hyperparameters have changed."""
    monkeypatch.setitem(nas_search.HYPERPARAMETERS, "entropy_weight", 0.004)
    with pytest.raises(command_line.UserError, match=r"is old; run study/beyond\.py strength"):
        beyond.check()
