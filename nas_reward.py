"""Reward functions (Eq. 2-5), and the paper's Table 1 recomputed.

    python nas_reward.py        Table 1 and the paper's two comparisons, printed and computed

Equations of C. Lim and M. Kim, "NAS based on Reinforcement Learning with Improved Multi-objective
Reward Function", Journal of the IEIE 59(11), 2022, doi 10.5573/ieie.2022.59.11.39:

    Eq. 1    maximise ACC(m) subject to LAT(m) <= T                 the aim
    Eq. 2-3  R = ACC * (LAT / T)^w,   w = alpha if LAT <= T         `mnasnet`
                                          beta  otherwise
    Eq. 4    L = log_T(1.5 T - LAT)   if LAT <= 1.5 T - 1           `latency_reward`
                 0                    otherwise
    Eq. 5    R = x ACC + y L,         x + y = 1                     `proposed`

    letter       meaning                                  unit      shape or value
    ACC          accuracy of a network                    0..1      (...), scalar or array
    LAT          latency of a network                     ms        (...)
    T            latency that the user asks for           ms        17
    R, L         reward; its latency part                 none      (...)
    alpha, beta  exponents below and above T              none      -0.07, both
    x, y         weights of ACC and of L in Eq. 5         none      0.9, 0.1

**Why -0.07.** A network that takes twice as long should have the same reward if its accuracy is 5%
higher (relative), and 2^-0.07 = 0.953. With alpha = beta, both branches of Eq. 3 are one.

**Eq. 4 is illegible** in the copy of the paper that we have, but Table 1 fixes the curve. Take
0.9 ACC from a "proposed" entry and divide by 0.1: (0.82102 - 0.9 * 0.80) / 0.1 = 1.0102 = L(8), and
17^1.0102 = 17.50 = 25.50 - 8. Likewise L(12) = 0.9186, L(16) = 0.7946, L(24) = 0.1431, and
ln(25.5 - LAT) / ln 17 gives all four to every printed digit. Three things are our reading: that
25.5 is 1.5 T, that 17 is T, and that L is 0 from where the logarithm reaches 0. L exceeds 1 for
networks faster than T / 2.

**Units matter.** Only LAT / T enters MnasNet's reward, but a logarithm to base T needs T > 1. In
seconds, T = 0.017, ln T is negative, and Eq. 4 would reward *slower* networks: so T <= 1 is an
error, and milliseconds stand in every name. The paper does not justify 0.9, 0.1 and 1.5; we use
them as given."""

import math
import sys

import command_line  # noqa: F401  # first: is Python new enough?  # isort: skip
import numpy as np

from command_line import Parser, UserError, run

# What the paper fixes
T_MS = 17.0  # target latency, ms
SAMPLES = 5000  # per reward
WINDOW = 250  # samples per window of its Fig. 7
ALPHA = -0.07  # MnasNet's exponent below T ...
BETA = -0.07  # ... and above, as the paper uses them
X = 0.9  # weight of accuracy in Eq. 5
Y = 0.1  # weight of latency in Eq. 5


# --- Eq. 2-3: MnasNet's reward ----------------------------------------------------------------


def mnasnet(accuracy, latency_ms, target_ms=T_MS, alpha=ALPHA, beta=BETA):
    """R = ACC * (LAT / T)^w, with w = alpha if LAT <= T else beta (Eq. 2-3).

    accuracy (...) in 0..1, latency_ms (...) > 0 and target_ms > 0 in ms; returns R (...).
    Raises ValueError for anything else."""
    accuracy = as_fractions(accuracy)
    latency_ms = as_milliseconds(latency_ms)
    target_ms = as_target(target_ms)
    w = np.where(latency_ms <= target_ms, alpha, beta)
    return accuracy * (latency_ms / target_ms) ** w


def mnasnet_slope(accuracy, latency_ms, target_ms=T_MS, alpha=ALPHA, beta=BETA):
    """dR/dLAT = w R / LAT, per ms: steep for fast networks, ever flatter as LAT grows (Fig. 2)."""
    R = mnasnet(accuracy, latency_ms, target_ms, alpha, beta)
    latency_ms = as_milliseconds(latency_ms)
    w = np.where(latency_ms <= target_ms, alpha, beta)
    return w * R / latency_ms


# --- Eq. 4-5: the paper's reward --------------------------------------------------------------


def latency_reward(latency_ms, target_ms=T_MS):
    """L = log_T(1.5 T - LAT) if LAT <= 1.5 T - 1, else 0 (Eq. 4).

    L(T / 2) = 1 and L(1.5 T - 1) = 0. latency_ms (...) > 0 and target_ms > 1, both in ms; returns
    L (...). Raises ValueError for anything else."""
    latency_ms = as_milliseconds(latency_ms)
    target_ms = as_target(target_ms, log_base=True)
    margin = np.maximum(1.5 * target_ms - latency_ms, 1.0)  # log 1 = 0: L ends at 0
    return np.log(margin) / math.log(target_ms)


def proposed(accuracy, latency_ms, target_ms=T_MS, x=X, y=Y):
    """R = x ACC + y L, with x + y = 1 (Eq. 5). Arguments as for `mnasnet`, but target_ms > 1."""
    if not math.isclose(x + y, 1.0, abs_tol=1e-9):
        raise ValueError(f"Eq. 5 needs x + y = 1; x = {x} and y = {y} sum to {x + y}")
    return x * as_fractions(accuracy) + y * latency_reward(latency_ms, target_ms)


def proposed_slope(accuracy, latency_ms, target_ms=T_MS, y=Y):
    """dR/dLAT = -y / ((1.5 T - LAT) ln T), per ms, whatever the accuracy (Fig. 2).

    The slower the network, the steeper, up to LAT = 1.5 T - 1; beyond, 0."""
    accuracy = as_fractions(accuracy)
    latency_ms = as_milliseconds(latency_ms)
    target_ms = as_target(target_ms, log_base=True)
    margin = 1.5 * target_ms - latency_ms
    slope = -y / (np.maximum(margin, 1.0) * math.log(target_ms))
    return np.where(margin >= 1.0, slope, 0.0) + 0.0 * accuracy


def equal_strength(y, accuracy, target_ms):
    """MnasNet's exponent w at which one ms, at LAT = T, is worth as much accuracy as under y.

    w ACC / T = -(y / x) 2 / (T ln T), from both slopes divided by what accuracy is worth."""
    return -y / (1 - y) * 2 / (accuracy * math.log(target_ms))


# --- What the functions refuse: the usual slip is a wrong unit --------------------------------


def as_fractions(accuracy):
    """accuracy as floats (...) in 0..1, or ValueError."""
    accuracy = np.asarray(accuracy, float)
    if not np.all((accuracy >= 0) & (accuracy <= 1)):
        raise ValueError("accuracy must lie in 0..1 (a fraction; divide percent by 100)")
    return accuracy


def as_milliseconds(latency_ms):
    """latency_ms as floats (...) > 0, or ValueError."""
    latency_ms = np.asarray(latency_ms, float)
    if not np.all((latency_ms > 0) & np.isfinite(latency_ms)):
        raise ValueError("latency must be a positive, finite number of ms")
    return latency_ms


def as_target(target_ms, log_base=False):
    """target_ms > 0, or > 1 if it is the base of a logarithm; else ValueError."""
    if not 0 < target_ms < math.inf:
        raise ValueError(f"the target latency must be a positive number of ms, not {target_ms}")
    if log_base and target_ms <= 1:
        raise UserError("Eq. 4 takes log_T and needs T > 1: give milliseconds, not seconds")
    return target_ms


# --- Table 1: three pairs of networks ---------------------------------------------------------

# case; (accuracy, ms) of two networks; as printed: MnasNet's rewards, the proposed rewards
ROWS = (
    ("a", (0.80, 8.0), (0.84, 16.0), "0.84334", "0.84352", "0.82102", "0.83546"),
    ("b", (0.80, 12.0), (0.84, 24.0), "0.81974", "0.81996", "0.81186", "0.77031"),
    ("c", (0.80, 8.0), (0.83, 16.0), "0.843344", "0.833527", "0.82102", "0.826460"),
)
TABLE_1 = [
    dict(case=case, networks=(one, two), mnasnet=(m1, m2), proposed=(p1, p2))
    for case, one, two, m1, m2, p1, p2 in ROWS
]
COMPARED = {"mnasnet": mnasnet, "proposed": proposed}  # by the paper
SLOPES = {mnasnet: mnasnet_slope, proposed: proposed_slope}
PAIR = tuple(COMPARED)
NEARLY = 0.001  # two rewards that differ by less are "nearly equal"


def preference(first, second):
    """Which of two networks a reward prefers, from its values for both."""
    if abs(second - first) < NEARLY:
        return "nearly equal"
    return "the first" if first > second else "the second"


def truncate(value, decimals):
    """`value` cut (not rounded) after `decimals` decimals, as text: the paper's habit."""
    scale = 10**decimals
    nudged = value * scale + 1e-9  # 0.29 * 100 is 28.999... in binary
    cut = math.floor(nudged) / scale
    return f"{cut:.{decimals}f}"


def agreement(printed, reward, accuracy, latency_ms):
    """How a printed entry agrees with the formula: "yes", "factor cut first" or "no".

    "yes": the formula, cut to the printed decimals. "factor cut first": the same, but MnasNet's
    factor (LAT / T)^w is cut to five decimals before it is multiplied by ACC."""
    decimals = len(printed) - len("0.")
    if truncate(COMPARED[reward](accuracy, latency_ms), decimals) == printed:
        return "yes"
    factor = float(truncate(mnasnet(1.0, latency_ms), 5))
    if reward == "mnasnet" and truncate(accuracy * factor, decimals) == printed:
        return "factor cut first"
    return "no"


def table_1():
    """Table 1 recomputed: a list of dicts, one per printed entry, pair by pair."""
    entries = []
    for pair in TABLE_1:
        for reward, function in COMPARED.items():
            values = [float(function(*network)) for network in pair["networks"]]
            for k, (accuracy, latency_ms) in enumerate(pair["networks"]):
                printed = pair[reward][k]
                entry = dict(case=pair["case"], reward=reward, network=k + 1)
                entry |= dict(accuracy=accuracy, latency_ms=latency_ms)
                entry |= dict(printed=printed, formula=values[k])
                entry["agrees"] = agreement(printed, reward, accuracy, latency_ms)
                entry["prefers"] = preference(*values)
                entries.append(entry)
    return entries


# --- Printed: Table 1, and what the text says of the rewards ----------------------------------


def table_1_report():
    """Table 1 as text: per pair and reward, both entries, printed and computed, and which wins."""
    marks = {"yes": " ", "factor cut first": "*", "no": "!"}
    lines = [
        "  case  reward     first network            second network",
        "                   printed    formula       printed    formula      prefers",
    ]
    entries = table_1()
    for first, second in zip(entries[::2], entries[1::2], strict=True):
        if first["reward"] == "mnasnet":
            line = f"  ({first['case']})              "
            for e in (first, second):
                line += f"{e['accuracy']:.0%}, {e['latency_ms']:2.0f} ms".ljust(25)
            lines.append(line.rstrip())
        line = f"        {first['reward']:9}"
        for e in (first, second):
            line += f"  {e['printed']:8}{marks[e['agrees']]}  {e['formula']:.7f}   "
        gap = abs(second["formula"] - first["formula"])
        lines.append(f"{line} {first['prefers']}, by {gap:.4f}")
    agrees = [e["agrees"] for e in entries]
    cut = agrees.count("yes")
    either = cut + agrees.count("factor cut first")
    a, _, c = TABLE_1  # the second networks of (a) and (c) both take 16 ms
    must_be = a["networks"][1][0] / c["networks"][1][0]
    as_printed = float(a["mnasnet"][1]) / float(c["mnasnet"][1])
    lines += [
        f"  The paper truncates: {cut} of {len(agrees)} entries are the formula truncated; "
        f"{either} are, if (LAT / T)^w is",
        "  truncated to five decimals first (*). One cannot be right (!): (a) and (c) have",
        "  networks of 84% and 83%, both at 16 ms, so their MnasNet rewards must have the ratio",
        f"  84 / 83 = {must_be:.5f}; the printed ones have {as_printed:.5f}.",
    ]
    return "\n".join(lines)


def comparisons():
    """The text's two comparisons at T = 17 ms, computed: a list of dicts, one per reward and each.

    First, 60 % at 8 ms against 63 % at 16 ms. Second, at 50 %, what 10 ms less are worth: from 15
    to 5 ms, and from 20 to 10 ms."""
    networks = []
    gains = []
    for name, reward in COMPARED.items():
        values = (float(reward(0.60, 8.0)), float(reward(0.63, 16.0)))
        said = dict(reward=name, what="60% at 8 ms, or 63% at 16 ms")
        networks.append(said | dict(values=values, finds=preference(*values)))
        fast = float(reward(0.5, 5.0) - reward(0.5, 15.0))
        slow = float(reward(0.5, 10.0) - reward(0.5, 20.0))
        what = "gain from 15 to 5 ms, or from 20 to 10 ms, at 50%"
        finds = "the first" if fast > slow else "the second"
        gains.append(dict(reward=name, what=what, values=(fast, slow), finds=finds))
    return networks + gains


def report():
    """{title: text} of all that is printed of the rewards."""
    line = "  {what:50} {reward:9} {values[0]:.4f}, {values[1]:.4f}: {finds}"
    said = "\n".join(line.format(**e) for e in comparisons())
    titles = (
        "Table 1: rewards as printed in the paper, and by the formula (T = 17 ms)",
        "Two comparisons in the paper's text (T = 17 ms)",
    )
    return dict(zip(titles, (table_1_report(), said), strict=True))


# --- Other rewards: of two papers, and your own -----------------------------------------------


def mnasnet_hard(accuracy, latency_ms, target_ms=T_MS):
    """MnasNet's other setting, alpha = 0 and beta = -1: latency counts only above T."""
    return mnasnet(accuracy, latency_ms, target_ms, alpha=0.0, beta=-1.0)


def tunas(accuracy, latency_ms, target_ms=T_MS, beta=BETA):
    """R = ACC + beta |LAT / T - 1|: faster costs as much as slower (Bender et al., CVPR 2020)."""
    accuracy = as_fractions(accuracy)
    latency_ms = as_milliseconds(latency_ms)
    target_ms = as_target(target_ms)
    return accuracy + beta * np.abs(latency_ms / target_ms - 1.0)


REWARDS = COMPARED | {"mnasnet_hard": mnasnet_hard, "tunas": tunas}  # for --rewards


RESERVED = ("random", "best_under_T")  # rows of the report, and keys of summary.json
MAX_R = 1e9  # beyond, the squares in Adam leave the range of float32


def reward_table(name, reward, accuracy, latency_ms, target_ms):
    """R (n,) of n cells by any reward(accuracy (n,), latency_ms (n,), target_ms).

    The reward is given copies, so that it cannot change the benchmark. Raises UserError, with its
    name, unless it returns n finite real numbers; integers and booleans are numbers as well."""
    if name in RESERVED:
        raise UserError(f"a reward cannot be called {name!r}, as the report has a row of that name")
    try:
        with np.errstate(all="ignore"):  # what np.where does not choose may be anything
            R = reward(accuracy.copy(), latency_ms.copy(), target_ms)
        return as_rewards(R, accuracy, latency_ms)
    except UserError as error:
        raise UserError(f"reward {name!r}: {error}") from None
    except Exception as error:
        arrays = f"it is given arrays of {len(accuracy):,} cells: np.where in place of if"
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"reward {name!r} fails ({reason}); {arrays}") from None


def as_rewards(R, accuracy, latency_ms):
    """What a reward returned as floats (n,), or UserError."""
    numbers = np.asarray(R)
    must = f"it must return {len(accuracy):,} finite numbers"
    if R is None:
        raise UserError(f"{must}, not None; is there a `return`?")
    if isinstance(R, np.ma.MaskedArray):
        raise UserError(f"{must}, not a masked array; return R.filled(0)")
    if numbers.dtype.kind not in "biuf":
        raise UserError(f"{must}, not {numbers.dtype}")
    if numbers.shape != accuracy.shape:
        raise UserError(f"{must}, an array of shape {accuracy.shape}, not {numbers.shape}")
    numbers = numbers.astype(float)
    good = np.abs(numbers) <= MAX_R  # NaN is not
    if not good.all():
        row = int(np.argmin(good))
        cell = f"row {row} ({accuracy[row]:.2%}, {latency_ms[row]:.2f} ms)"
        raise UserError(f"{must}, up to {MAX_R:g}; R of {cell} is {numbers[row]:g}")
    return numbers


def main(argv):
    """The command: prints Table 1 and what the text says. Raises UserError."""
    Parser(description=(__doc__ or "").partition("\n")[0]).parse_args(argv)
    print("\n\n".join(f"{title}\n\n{text}" for title, text in report().items()))


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
