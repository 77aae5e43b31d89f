"""What is good: the rewards that turn one network's accuracy and latency into one number.

Equations of C. Lim and M. Kim, "NAS based on Reinforcement Learning with Improved Multi-objective
Reward Function", Journal of the IEIE 59(11), 2022, doi 10.5573/ieie.2022.59.11.39:

    Eq. 1    maximise ACC(m) subject to LAT(m) <= T                 what we want
    Eq. 2-3  R = ACC * (LAT / T)^w,   w = alpha if LAT <= T         `mnasnet`
                                          beta  otherwise
    Eq. 4    L = log_T(1.5 T - LAT)   if LAT <= 1.5 T - 1           `latency_reward`
                 0                    otherwise
    Eq. 5    R = x ACC + y L,         x + y = 1                     `proposed`

    letter   meaning                                  unit      here
    ACC      accuracy of a network                    0..1      (...)  scalar or array
    LAT      latency of a network                     ms        (...)  scalar or array
    T        latency that the user asks for           ms        17
    R        reward                                   none      (...)

Eq. 4 is illegible in the copy of the paper that we have; Table 1 determines it. Subtracting
0.9 ACC from the table's "proposed" entries leaves L(8) = 1.0102, L(12) = 0.9186, L(16) = 0.7946 and
L(24) = 0.1431, and ln(25.5 - LAT) / ln 17 gives all four to every printed digit. It is not
unit-free: a logarithm to base T needs T > 1, and in seconds (T = 0.017) it would reward *slower*
networks. So T <= 1 is an error, and milliseconds stand in every name. Left out: the paper gives no
reason for its constants (0.9, 0.1, 1.5), and neither do we."""

import math

import numpy as np

T_MS = 17.0  # the paper's target latency, ms
ALPHA = BETA = -0.07  # MnasNet's exponents below and above T, as the paper uses them
X, Y = 0.9, 0.1  # weights of accuracy and of latency in Eq. 5


# --- Eq. 2-3: MnasNet's reward ----------------------------------------------------------------


def mnasnet(accuracy, latency_ms, target_ms=T_MS, alpha=ALPHA, beta=BETA):
    """R = ACC * (LAT / T)^w, w = alpha if LAT <= T else beta (Eq. 2-3).

    accuracy (...) in 0..1, latency_ms (...) > 0 and target_ms > 0 in ms; returns R (...).
    Raises ValueError for anything else. Only the ratio LAT / T matters here."""
    accuracy, latency_ms = _checked(accuracy, latency_ms, target_ms)
    w = np.where(latency_ms <= target_ms, alpha, beta)
    return (accuracy * (latency_ms / target_ms) ** w)[()]


def mnasnet_slope(accuracy, latency_ms, target_ms=T_MS, alpha=ALPHA, beta=BETA):
    """dR/dLAT = w R / LAT, per ms: steep for fast networks, flat around T (Fig. 2)."""
    reward = mnasnet(accuracy, latency_ms, target_ms, alpha, beta)
    w = np.where(np.asarray(latency_ms) <= target_ms, alpha, beta)
    return (w * reward / latency_ms)[()]


# --- Eq. 4-5: the paper's reward --------------------------------------------------------------


def latency_reward(latency_ms, target_ms=T_MS):
    """L = log_T(1.5 T - LAT) if LAT <= 1.5 T - 1 else 0 (Eq. 4); L(T/2) = 1, L(1.5 T - 1) = 0.

    latency_ms (...) > 0 and target_ms > 1, both in ms; returns L (...). Raises ValueError."""
    _, latency_ms = _checked(1.0, latency_ms, target_ms, log_base=True)
    margin = np.maximum(1.5 * target_ms - latency_ms, 1.0)  # >= 1, so that L = 0 beyond 1.5 T - 1
    return (np.log(margin) / math.log(target_ms))[()]


def proposed(accuracy, latency_ms, target_ms=T_MS, x=X, y=Y):
    """R = x ACC + y L, x + y = 1 (Eq. 5). Arguments as for `mnasnet`, but target_ms > 1."""
    if not math.isclose(x + y, 1.0, abs_tol=1e-9):
        raise ValueError(f"Eq. 5 needs x + y = 1; x = {x} and y = {y} sum to {x + y}")
    accuracy, latency_ms = _checked(accuracy, latency_ms, target_ms)
    return (x * accuracy + y * latency_reward(latency_ms, target_ms))[()]


def proposed_slope(accuracy, latency_ms, target_ms=T_MS, y=Y):
    """dR/dLAT = -y / ((1.5 T - LAT) ln T), per ms: the slower, the steeper (Fig. 2)."""
    _, latency_ms = _checked(accuracy, latency_ms, target_ms, log_base=True)
    margin = 1.5 * target_ms - latency_ms
    return np.where(margin >= 1.0, -y / (np.maximum(margin, 1.0) * math.log(target_ms)), 0.0)[()]


# --- Two rewards of other papers, for comparison ----------------------------------------------


def mnasnet_hard(accuracy, latency_ms, target_ms=T_MS):
    """MnasNet's other setting, alpha = 0 and beta = -1: latency counts only above T."""
    return mnasnet(accuracy, latency_ms, target_ms, alpha=0.0, beta=-1.0)


def tunas(accuracy, latency_ms, target_ms=T_MS, beta=BETA):
    """R = ACC + beta |LAT / T - 1|: faster costs as much as slower (Bender et al., CVPR 2020)."""
    accuracy, latency_ms = _checked(accuracy, latency_ms, target_ms)
    return (accuracy + beta * np.abs(latency_ms / target_ms - 1.0))[()]


REWARDS = {r.__name__: r for r in (mnasnet, proposed, mnasnet_hard, tunas)}  # for --rewards


# --- What the functions refuse ----------------------------------------------------------------


def _checked(accuracy, latency_ms, target_ms, log_base=False):
    """Both as float arrays (...), or ValueError: the usual slip is a wrong unit."""
    accuracy, latency_ms = np.asarray(accuracy, float), np.asarray(latency_ms, float)
    if not 0 < target_ms < math.inf:
        raise ValueError(f"the target latency must be a positive number of ms, not {target_ms}")
    if log_base and target_ms <= 1:
        raise ValueError("Eq. 4 takes log_T and needs T > 1: give milliseconds, not seconds")
    if not np.all((accuracy >= 0) & (accuracy <= 1)):
        raise ValueError("accuracy must lie in 0..1 (a fraction; divide percent by 100)")
    if not np.all((latency_ms > 0) & np.isfinite(latency_ms)):
        raise ValueError("latency must be a positive, finite number of ms")
    return accuracy, latency_ms


# --- Table 1: three pairs of networks ---------------------------------------------------------

# (case, accuracy, latency in ms, MnasNet's reward, proposed reward), the rewards as printed.
TABLE_1 = (
    ("a", 0.80, 8.0, "0.84334", "0.82102"),
    ("a", 0.84, 16.0, "0.84352", "0.83546"),
    ("b", 0.80, 12.0, "0.81974", "0.81186"),
    ("b", 0.84, 24.0, "0.81996", "0.77031"),
    ("c", 0.80, 8.0, "0.843344", "0.82102"),
    ("c", 0.83, 16.0, "0.833527", "0.826460"),
)


def truncate(value, decimals):
    """`value` cut (not rounded) after `decimals` decimals, as text: the paper's habit."""
    scale = 10**decimals
    return f"{math.floor(value * scale + 1e-9) / scale:.{decimals}f}"


def table_1():
    """Table 1 recomputed: a list of dicts, one per entry, the formula's value beside the print.

    `agrees`: the formula, truncated to the printed decimals, is what is printed. Two are misprints.
    """
    entries = []
    for case, accuracy, latency_ms, *printed in TABLE_1:
        for reward, text in zip(("mnasnet", "proposed"), printed, strict=True):
            value = float(REWARDS[reward](accuracy, latency_ms, T_MS))
            cut = truncate(value, len(text) - 2)  # "0." precedes the decimals
            entry = dict(case=case, accuracy=accuracy, latency_ms=latency_ms, reward=reward)
            entry |= dict(printed=text, formula=value, truncated=cut, agrees=cut == text)
            entries.append(entry)
    return entries
