"""Your answers. Each function below is a question: write its body, then let it be checked.

    python docs/exercises.py        the list, and how far you are
    python docs/exercises.py 3      check exercise 3

Letters, shapes and units are those of nas_reward.py and controller_plain.py: read the formula
there, close the file, and write it yourself. docs/solutions.md has our answers."""

# ruff: noqa: F401 (these are imported for what you will write)

import math

import numpy as np

from claims import window_means
from controller_plain import START, K, S, V, sigmoid, softmax
from nas_reward import REWARDS, WINDOW, X, Y
from nas_search import HYPERPARAMETERS


# --- 1. Eq. 4 from Table 1 (a pocket calculator is enough) ------------------------------------
def latency_part(printed, accuracy):
    """L of a network: from its "proposed" reward as Table 1 prints it, and its accuracy (0..1)."""
    raise NotImplementedError("solve Eq. 5 for L")


def curve():
    """(c, b) such that L = ln(c - LAT) / ln(b) is right at 8, 12, 16 and 24 ms.

    The copy that we have does not let us read c and b; Table 1 gives them away."""
    raise NotImplementedError("b^L + LAT = c: for which b is it the same c four times?")


# --- 2. Where -0.07 comes from ----------------------------------------------------------------
def exponent(gain, factor):
    """The w of Eq. 2 for which a network `factor` times as slow has the same reward if ACC rises.

    gain 0.05: the slower one is 5 % more accurate in proportion, say 63 % instead of 60 %."""
    raise NotImplementedError("set the two rewards equal, and take logarithms")


# --- 3. The backward pass, in five steps ------------------------------------------------------
# loss = -A sum_t log p_t[a_t] - w sum_t E_t, and dQ is the derivative of the loss by Q. The first
# and the last function are about all steps, the others about one step t: `_next` is step t + 1,
# `_before` is step t - 1. At the last step, everything that comes from the next one is 0.
def dlogits(A, w, p, a):
    """By the logits of all steps, (S, K); p (S, K), a (S,), A and w numbers."""
    raise NotImplementedError("A times the softmax's, plus w times the entropy's")


def dh(dlogits, dz_next, Wo, Wh):
    """By h_t, (H,); dlogits (K,), dz_next (4H,), Wo (H, K), Wh (H, 4H)."""
    raise NotImplementedError("h_t is used twice: in logits_t, and in z_{t+1}")


def dc(dh, c, o, dc_next, f_next):
    """By c_t, (H,); everything here is (H,)."""
    raise NotImplementedError("c_t is used twice: in h_t, and in c_{t+1}")


def dz(dh, dc, i, f, g, o, c, c_before):
    """By z_t, (4H,): four blocks, for i, f, g and o; everything here is (H,)."""
    raise NotImplementedError("sigmoid' = i (1 - i), tanh' = 1 - g^2; o is in h")


def dW(a, h, dz):
    """By the weights: (dWx (V, 4H), dWh (H, 4H), db (4H,)), summed over the steps.

    a (S+1,), h (S+1, H) with a[-1] the start token and h[-1] the start state; dz (S, 4H)."""
    raise NotImplementedError("z_t = Wx[a_before] + h_before Wh + b")


# --- 4. A silent bug --------------------------------------------------------------------------
# One line of this backward pass is wrong. A search that learns by it still improves, and no error
# is raised. Find the line and mend it here. The check compares with central differences: before
# you run it, think of how you would do that yourself.
def backward(A, w, a, i, f, g, o, c, h, p, Wx, Wh, b, Wo, bo):
    """The derivative of the loss by each weight, as controller_plain.backward should give it."""
    E = -(p * np.log(p)).sum(axis=1)
    dlogits = A * (p - np.eye(K)[a[:S]]) + w * p * (np.log(p) + E[:, None])
    dh = np.zeros_like(h)
    dc = np.zeros_like(c)
    dz = np.zeros((S, len(b)))
    for t in reversed(range(S)):
        dh[t] += Wo @ dlogits[t]
        do = dh[t] * np.tanh(c[t])
        dc[t] = dh[t] * o[t] * (1 - np.tanh(c[t]) ** 2)
        df = dc[t] * c[t - 1]
        di = dc[t] * g[t]
        dg = dc[t] * i[t]
        dzi = di * i[t] * (1 - i[t])
        dzf = df * f[t] * (1 - f[t])
        dzg = dg * (1 - g[t] ** 2)
        dzo = do * o[t] * (1 - o[t])
        dz[t] = np.concatenate([dzi, dzf, dzg, dzo])
        dc[t - 1] = dc[t] * f[t]
        dh[t - 1] = Wh @ dz[t]
    before = np.arange(S) - 1
    dWx = np.zeros_like(Wx)
    np.add.at(dWx, a[before], dz)
    return dict(
        dWx=dWx,
        dWh=h[before].T @ dz,
        db=dz.sum(axis=0),
        dWo=h[:S].T @ dlogits,
        dbo=dlogits.sum(axis=0),
    )


# How can one find such a line? Move each number a little up and down: a central difference.
def central_difference(f, x, step):
    """The gradient (n,) of a function f(x) -> number at x (n,): each x[k] moved by +-step."""
    raise NotImplementedError("(f(x up) - f(x down)) / (2 step), one k after the other")


# --- 5. A reward of your own ------------------------------------------------------------------
def my_reward(accuracy, latency_ms, target_ms):
    """A reward whose best cell is that of Eq. 1: the most accurate one under T.

    accuracy (n,) in 0..1 and latency_ms (n,) are arrays, target_ms is a number; returns R (n,),
    finite. It is tried at several targets. Make one whose slope leads a search towards T."""
    raise NotImplementedError("how large must the penalty per ms be, so that no cell above T wins?")


# --- 6. Equal latency penalties ---------------------------------------------------------------
def equal_exponent(accuracy, target_ms, x, y):
    """The w at which MnasNet's reward, at LAT = T, has the latency penalty of the proposed one.

    Latency penalty: how much accuracy makes up for one ms more, (dR/dLAT) / (dR/dACC)."""
    raise NotImplementedError("divide each slope by the reward's dR/dACC")


# --- 7. Without a baseline --------------------------------------------------------------------
# The paper names no baseline. Before you run this: which verdicts will change, and why? Write down
# the names, such as "fig7_stays_under.sign"; how many you hit will be shown.

predicted = []


def verdicts_that_change(judged):
    """{claim: (verdict with baseline, verdict without)} of the claims whose verdict changes.

    judged(hyperparameters) searches with both rewards and 40 seeds, and returns the claims as a
    list of dicts with the keys "claim" (its name in summary.json, fig7_stays_under.sign, say) and
    "verdict", always in the same order."""
    raise NotImplementedError("HYPERPARAMETERS | dict(...) is a changed copy")


# --- 8. What "stays under T" means ------------------------------------------------------------
def stays_under(latency_ms, target_ms):
    """After how many samples three windows in a row have, for the first time, means <= T.

    latency_ms (seeds, samples), of whole windows; returns (seeds,) numbers of samples before the
    first of the three windows, `samples` where there are no such three."""
    raise NotImplementedError("window_means(latency_ms) is (seeds, windows)")


# --- 9. The phone, from its landscape ---------------------------------------------------------
# Get the table of a Pixel 3 first (3 MB):  python data/build_benchmark.py tables --device pixel3
# Then open its landscape:    python docs/sliders.py --benchmark data/cifar100_pixel3.pkl
# (without a display: run_experiment.py --benchmark ... --quick --out phone draws landscape.png).
# Without the phone's table, the check uses the benchmark that ships, and so can you. First guess,
# with the stars covered: where does the highest curve of each reward touch the cloud of cells?
def prediction(benchmark, target_ms):
    """{"mnasnet": (ms, percent), "proposed": (ms, percent)}: the best cell of each reward.

    Within 1 ms and 1 percentage point is near enough. You may return two pairs that you read off
    the picture, or compute them from benchmark.latency_ms and benchmark.accuracy, (15625,) each."""
    raise NotImplementedError("the curves of MnasNet's reward are steep on the left")


# --- 10. A second LSTM layer ------------------------------------------------------------------
# The first layer is controller_plain's. The second one sees h of the first, not a token:
#     z2_t = h1_t Wx2 + h2_{t-1} Wh2 + b2,   and the logits are h2_t Wo + bo
# Wx (V, 4H), Wh (H, 4H), b (4H,); Wx2 (H, 4H), Wh2 (H, 4H), b2 (4H,); Wo (H, K), bo (K,). All
# states start at 0.
def forward_2(cell, Wx, Wh, b, Wx2, Wh2, b2, Wo, bo):
    """The probabilities p (S, K) of the operations while this cell (S,) is written."""
    raise NotImplementedError("two pairs of states: c1, h1 and c2, h2")


def backward_2(cell, A, Wx, Wh, b, Wx2, Wh2, b2, Wo, bo):
    """The gradient of -A log P(cell) by weight: a dict of dWx, dWh, db, ..., dbo."""
    raise NotImplementedError("what layer 2 gives back to its input joins dh1")


# --- 11. A batch of networks per update -------------------------------------------------------
# controller_plain.Reinforce takes one step per network. Most papers average over a batch first.
def learn_from_batch(search, reward_of, size):
    """One step of Adam along the mean gradient of `size` cells; returns the search.

    search is a controller_plain.Reinforce; reward_of(cell) is the reward R of a cell (S,)."""
    raise NotImplementedError("sample and gradient_of for each, then one step; six lines")


# --- 12. Where a search of unlimited length goes ----------------------------------------------
# The expected update of every prefix vanishes where p(a | prefix) is proportional to
# exp(Q(prefix, a) / w). Q is the expected reward after choosing a: first for the last edge.
def fixed_point(R, w):
    """p (5, 5, 5, 5, 5, 5): the probability of each cell. R (5, 5, 5, 5, 5, 5): its reward."""
    raise NotImplementedError("softmax over the last axis, then the mean over it; six times")


# --- 13. Coupled gates ------------------------------------------------------------------------
# A variant of the LSTM has no input gate: i = 1 - f, so that c = f c_before + (1 - f) g.
def dz_coupled(dh, dc, f, g, o, c, c_before):
    """The gradient with respect to z (3H,), in the order f, g, o.

    dh (H,) and dc (H,) are complete, as in exercise 3: dc contains what comes through h."""
    raise NotImplementedError("f appears twice in c, once with each sign")
