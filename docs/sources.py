"""Where the numbers on README.md, docs/lesson.md and docs/solutions.md come from.

    BLOCKS      {marker: function that returns the text between the markers}
    SENTENCES   {page: [(sentence with {fields}, function that returns the fields)]}
    KNOWN       {number with the words beside it: what it is}
    NAMES       patterns of names that contain digits

docs/check_numbers.py says how they are used. Whatever is computed here comes from the program, so a
changed table or setting changes the pages, or the check fails."""

import functools
import itertools
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from exercises import EXERCISES, proposed_entries
from pages import markdown, read_csv

import claims
import controller_plain as plain
import nas_benchmark
import nas_reward
import nas_search
from command_line import UserError
from controller_plain import K
from nas_benchmark import OPERATIONS, SHORT, cell_to_row
from nas_reward import PAIR, SAMPLES, T_MS, X, Y
from nas_search import HYPERPARAMETERS, Problem
from run_experiment import SEEDS

# --- The run that make_docs.py check makes ----------------------------------------------------


class Within(NamedTuple):
    """A range that a number on a page must lie in: what single searches do varies."""

    low: float
    high: float

    def __str__(self):
        return f"between {self.low:,.6g} and {self.high:,.6g}"


@functools.cache
def summary():
    """summary.json of the default run, as a dict. Raises UserError if there is none."""
    path = Path(__file__).resolve().parent.parent / "results" / "summary.json"
    advice = "make it anew: python run_experiment.py"
    if not path.exists():
        raise UserError(f"results/summary.json is missing; {advice}")
    found = json.loads(path.read_text(encoding="utf-8"))
    settings = found["settings"]
    same = settings["hyperparameters"] == HYPERPARAMETERS and settings["samples"] == SAMPLES
    if not same or found["benchmark"]["name"] != surrogate().name:
        raise UserError(f"results/summary.json is not of the default run; {advice}")
    return found


def median_of(claim):
    """Where our median of a claim may lie: within the range of the run's seeds.

    For example ("settles at {n}", lambda: dict(n=median_of("proposed: settles at or under T")))."""
    (entry,) = [e for e in summary()["claims"] if e["text"] == claim]
    return Within(min(entry["per_seed"]), max(entry["per_seed"]))


@functools.cache
def surrogate():
    return nas_benchmark.load(nas_benchmark.SURROGATE)


@functools.cache
def problem():
    return Problem(surrogate(), PAIR, T_MS)


# --- Blocks -----------------------------------------------------------------------------------


def fenced(text):
    return f"```text\n{text}\n```"


def row():
    """The worked example of nas_benchmark.py: a cell, and its row."""
    cell = (3, 1, 3, 0, 1, 3)
    words = ", ".join(SHORT[k] for k in cell)
    digits = " ".join(map(str, cell))
    return fenced(f"{words}  =  {digits} in base {K}  =  row {cell_to_row(cell):,}")


def eq_4():
    """How Table 1 gives L, and L gives 25.5: four different latencies."""
    found = {}
    for accuracy, latency_ms, printed in proposed_entries():
        L = (printed - X * accuracy) / Y
        power = T_MS**L
        ms = f"{latency_ms:.0f}"
        formula = f"({printed:.5f} - {X} * {accuracy:.2f}) / {Y} = {L:.4f}"
        total = f"{power:.2f} + {ms} = {power + latency_ms:.2f}"
        found.setdefault(latency_ms, [ms, formula, f"{power:.2f}", total])
    header = ["LAT, ms", "L", f"{T_MS:g}^L", f"{T_MS:g}^L + LAT"]
    return markdown(header, [found[latency_ms] for latency_ms in sorted(found)])


def by_hand():
    """One step of size 1 on five logits that were equal, for an advantage of either sign."""
    drawn = OPERATIONS.index("nor_conv_3x3")
    p = np.full(K, 1 / K)
    names = plain.in_columns(SHORT, "<9")
    lines = [f"{'':14}{names}", f"p{'':13}{row_of(p)}"]
    for A in (0.1, -0.1):
        dlogits = A * (p - np.eye(K)[drawn])
        after = plain.softmax(np.log(p) - dlogits)
        lines += [
            f"A = {A:+.1f}",
            f"  dlogits     {row_of(dlogits, '+.3f')}A (p - one-hot), {SHORT[drawn]} was drawn",
            f"  new p       {row_of(after)}softmax(logits - dlogits)",
        ]
    return fenced("\n".join(line.rstrip() for line in lines))


def row_of(values, form=".3f"):
    """The values (K,) in one line of columns."""
    return "".join(f"{value:{form}}".ljust(9) for value in values)


@functools.cache
def first_updates():
    """What `python controller_plain.py` prints."""
    return plain.first_updates()


def second_update():
    """The part of it that is about the second network."""
    _, title, rest = first_updates().partition("Network 2\n")
    return fenced(title + rest.partition("\n\n")[0])


def three_updates():
    """The table at its end."""
    return fenced("\n".join(first_updates().splitlines()[-4:]))


def optima():
    """The most accurate cell of the surrogate within T, and each reward's best cell."""
    rows = []
    found = problem().optima()
    names = ["the most accurate within T"] + [f"of {name}" for name in PAIR]
    for name, cell in zip(names, found.values(), strict=True):
        meets = "yes" if cell["meets_target"] else "no"
        rows.append([name, f"{cell['accuracy']:.2%}", f"{cell['latency_ms']:.2f} ms", meets])
    return markdown([f"best cell, {surrogate().name}", "ACC", "LAT", "meets T"], rows)


WHERE = (  # formula, line of controller_plain.py
    ("z = Wx[a_before] + h_before Wh + b", "z = Wx[a[t - 1]] + h[t - 1] @ Wh + b"),
    ("c = f c_before + i g", "c[t] = f[t] * c[t - 1] + i[t] * g[t]"),
    ("h = o tanh(c)", "h[t] = o[t] * np.tanh(c[t])"),
    ("p = softmax(logits)", "p[t] = softmax(logits)"),
    ("a is drawn: the Gumbel-max trick", "a[t] = np.argmax(logits + noise[t])"),
    ("the loss", "return -A * log_probability(**tensors) - w * entropy(**tensors).sum()"),
    ("softmax cross-entropy gradient", "dlogits[t] = A * (p[t] - one_hot)"),
    ("the entropy's part of it", "dlogits[t] += w * p[t] * (np.log(p[t]) + E[t])"),
    ("dh, from the logits", "dh[t] += Wo @ dlogits[t]"),
    ("dh, from the next step", "dh[t - 1] += Wh @ dz[t]"),
    ("dc, from h", "dc[t] += dh[t] * o[t] * (1 - np.tanh(c[t]) ** 2)"),
    ("dc, from the next step", "dc[t - 1] += dc[t] * f[t]"),
    ("dz, first block", "dzi = di[t] * i[t] * (1 - i[t])"),
    ("dWh", "dWh += np.outer(h[t - 1], dz[t])"),
    ("A = R - b", "self.A = R - self.baseline"),
    ("b, after the gradient", "self.baseline = decay * self.baseline + (1 - decay) * R"),
    ("Adam's step", "theta = theta - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)"),
)


def where():
    """Where each formula stands in controller_plain.py."""
    path = Path(plain.__file__)
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    rows = []
    for formula, code in WHERE:
        if code not in lines:
            raise UserError(f"{path.name} has no line `{code}`, says docs/sources.py")
        rows.append([formula, 1 + lines.index(code), f"`{code}`"])
    return markdown(["formula", "line", "code"], rows)


def exercises():
    """The list of exercises, with the minutes that they take."""
    rows = [[number, e.title, e.minutes] for number, e in EXERCISES.items()]
    return markdown(["exercise", "", "minutes"], rows)


BLOCKS = {
    "row": row,
    "eq 4": eq_4,
    "table 1": lambda: fenced(nas_reward.table_1_report()),
    "by hand": by_hand,
    "second update": second_update,
    "three updates": three_updates,
    "optima": optima,
    "where": where,
    "exercises": exercises,
}


# --- Sentences --------------------------------------------------------------------------------


def powers():
    """What a doubled latency does to MnasNet's reward."""
    return dict(factor=2**nas_reward.ALPHA, gain=1 + GAIN)


def exact_exponent():
    return dict(w=-math.log(1 + GAIN) / math.log(2))


def guesses():
    """b^L + LAT for a wrong guess of Eq. 4's base, and for the right one."""
    c = {16: {}, 17: {}}
    for accuracy, latency_ms, printed in proposed_entries():
        for b in c:
            c[b][latency_ms] = b ** ((printed - X * accuracy) / Y) + latency_ms
    wrong = c[16]
    return dict(c=c[17][8], c8=wrong[8], c12=wrong[12], c16=wrong[16], c24=wrong[24])


def equal_strength():
    """w_eq for a network of 72 %, at T."""
    accuracy = 0.72
    w = nas_reward.equal_strength(Y, accuracy, T_MS)
    return dict(percent=100 * accuracy, w=w, size=-w, paper=-nas_reward.ALPHA)


def comparisons():
    """What the text says of the rewards: a to h, in the order of nas_reward.comparisons."""
    values = [value for said in nas_reward.comparisons() for value in said["values"]]
    return dict(zip("abcdefgh", values, strict=True))


def verdict_rules():
    return dict(level=claims.LEVEL, runs=claims.MIN_RUNS)


@functools.cache
def random_search():
    """What uniform random search draws within T, in the median, and how many of all cells are."""
    rows = np.stack([nas_search.random_search(seed, SAMPLES) for seed in range(SEEDS)])
    points = (surrogate().accuracy[rows], surrogate().latency_ms[rows])
    return dict(
        low=np.median(claims.count_under(*points, T_MS, 0.5, 0.6)),
        high=np.median(claims.count_under(*points, T_MS, 0.6, 0.7)),
        share=100 * problem().under.mean(),
    )


def phone():
    """Each reward's best cell on a Pixel 3, T = 17 ms, as study/verdicts.csv has it."""
    lines = read_csv(Path(__file__).resolve().parents[1] / "study" / "verdicts.csv")
    line = next(line for line in lines if line["table"] == "pixel3" and line["target_ms"] == "17.0")
    return dict(
        mnasnet_ms=float(line["optimum of mnasnet, ms"]),
        mnasnet=float(line["optimum of mnasnet, %"]),
        proposed_ms=float(line["optimum of proposed, ms"]),
        proposed=float(line["optimum of proposed, %"]),
    )


SENTENCES = {
    "README.md": [
        ("its best cell takes {mnasnet_ms:.2f} ms and has {mnasnet:.2f} %", phone),
        ("the proposed reward's {proposed_ms:.2f} ms and {proposed:.2f} %", phone),
        ("at T = 17 ms and an accuracy of {percent:.0f} %, its reward pays", equal_strength),
        ("would pay with w = {w:.3f}, not -0.07", equal_strength),
        ("2^-0.07 = {factor:.3f}", powers),
        ("{a:.4f}, {b:.4f}: nearly equal | {c:.4f}, {d:.4f}: the second wins", comparisons),
        ("15 → 5 ms, 20 → 10 ms, at 50 % | {e:.4f}, {f:.4f} | {g:.4f}, {h:.4f}", comparisons),
    ],
    "docs/lesson.md": [
        ("for 2^-0.07 = {factor:.3f} is nearly 1 / {gain:.2f}", powers),
        ("if it is above {level:g} we say", verdict_rules),
        ("With fewer than {runs} runs", verdict_rules),
        ("{share:.0f} % of all cells meet T anyway", random_search),
        ("{low:,.0f} of 50-60 % and {high:,.0f} of 60-70 %", random_search),
        ("At T = 17 ms and an accuracy of {percent:.0f} %, w_eq is {w:.3f}", equal_strength),
        ("a penalty of {paper:g} with one of {size:.3f}", equal_strength),
    ],
    "docs/solutions.md": [
        ("It gives {c:.2f} four times", guesses),
        ("b = 16 gives {c8:.2f}, {c12:.2f}, {c16:.2f} and {c24:.2f}", guesses),
        ("this is {w:.4f}, and the paper rounds it", exact_exponent),
        ("At T = 17 ms and {percent:.0f} % this is {w:.3f}", equal_strength),
        ("a penalty of {paper:g} with one of {size:.3f}", equal_strength),
    ],
}


# --- Known constants, and names ---------------------------------------------------------------

GAIN = 0.05  # what a doubled latency must bring in accuracy, says the paper after MnasNet
MINUTES = (0, 8, 22, 30, 42, 56, 64, 74, 84, 90)  # of the lesson's plan

READING = {  # minutes that a file takes
    "what is good": 15,
    "what exists": 10,
    "who chooses, as on the board": 40,
    "the same, many at a time": 30,
    "what happens": 15,
    "whether the paper's claims hold": 20,
    "the command": 10,
    "why to believe it": 40,
}
KNOWN = {f"| {start}-{end} |": "the plan" for start, end in itertools.pairwise(MINUTES)}
KNOWN |= {f"| {minutes} | {what}": "reading a file" for what, minutes in READING.items()}
KNOWN |= {
    "at minute 56": "the plan: when the bug is to be found",
    "of 90 minutes": "how long the lesson takes",
    "T = 17 ms": "the paper's target",
    "17 is T": "our reading of Eq. 4",
    "to base 17": "the base of Eq. 4's logarithm, in Table 1",
    "17^L": "the same",
    "log(17)": "the same",
    "T = 17": "the same",
    "log(25.5 - LAT)": "Eq. 4 as Table 1 has it",
    "25.5 is 1.5 T": "our reading of Eq. 4",
    "c = 25.5 and b = 17": "the answer of exercise 1",
    "log_T(1.5 T - LAT)": "Eq. 4",
    "LAT = 1.5 T - 1": "where Eq. 4's two branches meet",
    "towards 1.5 T": "the same, nearly",
    "(1.5 T - LAT) ln T": "the slope of Eq. 4",
    "L is 0 from": "our reading of Eq. 4",
    "logarithm reaches 0": "the same",
    "0 from LAT = 1.5 T - 1": "the same",
    "below T / 2": "where L exceeds 1",
    "x = 0.9, y = 0.1": "the weights of Eq. 5",
    "w = -0.07": "MnasNet's exponent, as the paper uses it",
    "Why -0.07": "the same",
    "Where -0.07 comes from": "the same",
    "2^-0.07": "what a doubled latency does",
    "5 % more accurate": "what a doubled latency must bring",
    "earns 5 %": "the same",
    "another 5 %": "the same",
    "For 5 %": "the same",
    "1.05 times 2^w must be 1": "the same, as an equation",
    "from 30 ms to 15 ms": "a latency, halved",
    "2 ms to 1 ms": "another, halved",
    "15,625": "cells, 5^6",
    "5^6": "operations to the power of edges",
    "base 5": "a cell spells a number of six digits",
    "repeated 15 times": "3 stages of 5 cells (NAS-Bench-201)",
    "50-60 %": "a band of Fig. 6",
    "60-70 %": "another",
    "windows of 250 networks": "the windows of Fig. 7",
    "40 seeds": "of the default run",
    "40 searches": "the same",
    "We have 40": "the same",
    "(Williams, 1992)": "the source of REINFORCE",
    "b grad 1 = 0": "probabilities add up to 1",
    "add up to 0": "so their derivatives add up to 0",
    "for b = 0 and for b = 5": "test_reinforce_follows_the_exact_expected_reward",
    "A is 0": "the first update",
    "is 1 for the operation that was drawn and 0 for the others": "a one-hot vector",
    "log p_k - 1": "the derivative of p log p",
    "(1 - i)": "the slope of a sigmoid",
    "(1 - f)": "the same",
    "(1 - o)": "the same",
    "(1 - g^2)": "the slope of tanh",
    "(1 - tanh(c)^2)": "the same",
    "near 1": "a forget gate that forgets nothing",
    "bias of 1": "controller_plain.start_weights",
    "divided by 1": "dR/dACC of MnasNet's reward at LAT = T",
    "dR/dACC is 1": "the same",
    "0.5 T ln T": "the slope of Eq. 4 at LAT = T, upside down",
    "(y / x) 2 / (ACC": "equal strength",
    "(1 + gain)": "exercise 2",
    "1 = (1 + gain)": "exercise 2, what is left",
    "b = 16": "a wrong guess of Eq. 4's base",
    "b^L(8) - b^L(16)": "exercise 1, two networks of Table 1",
    "must be 8": "the difference of their latencies",
    "step t + 1": "of the LSTM",
    "accuracy, 0)": "exercise 5, a wall",
    "fell to 17 ms or less": "the paper's words",
    "59(11), 2022": "the paper's volume and year",
    "59(11), 39-45, 2022": "its pages as well",
    "CVPR 2019": "MnasNet",
    "ICLR 2020": "NAS-Bench-201",
    "limit of 17 ms": "the paper's target",
    "40 searches of 5,000 networks": "of the default run, with each reward",
    "in about 20 seconds on two cores": "measured on two cores of a server",
    "in 0..1": "an accuracy",
    "(LAT / T)^-0.07": "Eq. 2-3",
    "0.9 ACC + 0.1 log_T(1.5 T - LAT)": "Eq. 4-5",
    "worth 5 % more accuracy": "what a doubled latency must bring",
    "term is 0 once": "Eq. 4",
    "LAT exceeds 1.5 T - 1": "the same",
    "60 %, 8 ms against 63 %, 16 ms": "the text's first comparison",
    "3 MB of download": "the public tables",
    "27 devices": "data/devices.csv",
    "as the latency goes to 0": "MnasNet's reward, without limit",
    "On a Pixel 3": "a phone",
    "1,219 of 1,253, that is 97 %": "bugs of .ci/mutate.py, caught by the tests of now",
    "1,175 in a whole pass": "those of them that the tests of before caught",
    "44 more when tests had been added": "survivors that were planted again",
    "17.01 ms as about 25 ms": "exercise 5, a latency just above T and one far above",
}
NAMES = (
    r"^```(?:python|diff|sh|powershell)\n(?s:.*?)^```",  # code, which the tests run
    r"\]\([^)\s]*\)",  # where a link leads
    r"https?://\S+",
    r"`[a-z_.]*[a-z_]\d\w*`",  # of a function or a test
    r"(?i:nas-?bench-?\d+)|CIFAR-\d+|ImageNet\d+-\d+",
    r"\bEqs?\. \d(?:-\d)?|\bTable \d|\bFigs?\.? \d(?:, \d)*",
    r"\b[13]x[13]\b",
    r"^#+ \d+\.|^\d+\. ",  # headings, lists
    r"\b(?:[Ss]ections?|[Ee]xercises?) \d+(?: and \d+)?|exercises\.py \d+",
    r"[\w/.-]+\.(?:py|md|png|gif|csv|json|pkl|pth|gz|cff|txt)\b",
    r"\b[chz]1\b|\b[chz]2\b",  # of a first and a second layer
)
