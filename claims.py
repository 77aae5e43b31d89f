"""Are the paper's claims so in our runs? Each claim, our number beside it, and a verdict.

The paper shows one run per reward (5,000 samples, CIFAR-100, T = 17 ms). One published run can lie
inside or outside what our runs do; it can never be "reproduced". These rules were written before
the results; no result changes them:

    a value       where does the paper's run fall among our single runs? Its rank p-value is
                  p = min(1, 2 (1 + min(#{ours <= paper}, #{ours >= paper})) / (n + 1)),
                  exact if the paper's run and our n are exchangeable.
                      inside          p > 0.05
                      outside         p <= 0.05
                      too few seeds   fewer than 39 runs, for then p cannot fall to 0.05
                      not comparable  T is not the paper's 17 ms, or the samples not its 5,000
    a sign        the proposed reward compared with MnasNet's, paired by seed, or a rise compared
                  with 0: exact two-sided sign test, without ties.
                      supported       p <= 0.05, and most seeds are on the paper's side
                      reversed        p <= 0.05, and most seeds are on the other side
                      inconclusive    p > 0.05
                      not testable    in most pairs of searches neither stays under T
    the whole     how far is the paper's run, all its values at once, from the nearest of ours,
                  compared with how far ours are from each other? See `whole_run`.

Each line has its own 5 %; among twenty lines, one fails by chance. A sign says nothing of size;
where the paper gives one, the size is a value like any other, on a line of its own.

A search *stays under T* from sample n on if every window of 250 after n has a mean latency of at
most T. One that never does is *censored*: we know only that it would take longer. It counts as
`samples`; a difference that involves it is a bound, printed with ">=" or "<="; two such searches
have no difference at all.

Points are {reward: (accuracy, latency_ms)}, each (seeds, samples), with accuracy in 0..1."""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from nas_reward import PAIR, SAMPLES, T_MS, WINDOW

LEVEL = 0.05  # of each test
MIN_RUNS = 39  # for a value: the smallest n with 2 / (n + 1) <= LEVEL
MIN_PAIRS = 6  # for a sign: the smallest n with 2 / 2^n <= LEVEL
MIN_WHOLE = 19  # for the run as a whole: the smallest n with 1 / (n + 1) <= LEVEL


# --- What is counted: each (accuracy, latency_ms, target_ms) -> (seeds,) ----------------------


def window_means(values):
    """Mean of each window of 250: (..., samples) -> (..., windows); the last may be short."""
    starts = np.arange(0, values.shape[-1], WINDOW)
    sizes = np.diff(starts, append=values.shape[-1])
    return np.add.reduceat(values, starts, axis=-1, dtype=float) / sizes


def count_under(accuracy, latency_ms, target_ms, low=0.0, high=1.01):
    """Samples with LAT <= T and low <= ACC < high."""
    return ((accuracy >= low) & (accuracy < high) & (latency_ms <= target_ms)).sum(axis=1)


def stays_under_from(accuracy, latency_ms, target_ms):
    """After how many samples every window has a mean latency <= T; `samples` if never."""
    missed = window_means(latency_ms) > target_ms  # (seeds, windows)
    last = missed.shape[1] - missed[:, ::-1].argmax(axis=1)  # from 1
    return np.minimum(WINDOW * last * missed.any(axis=1), latency_ms.shape[1])


def first_window_under(accuracy, latency_ms, target_ms):
    """After how many samples the first window has a mean latency <= T; `samples` if none."""
    met = window_means(latency_ms) <= target_ms  # (seeds, windows)
    return np.where(met.any(axis=1), WINDOW * met.argmax(axis=1), latency_ms.shape[1])


def accuracy_gain(accuracy, latency_ms, target_ms):
    """Mean accuracy of the last window minus that of the first, in percentage points."""
    means = window_means(accuracy)  # (seeds, windows)
    return 100 * (means[:, -1] - means[:, 0])


# --- What the paper claims --------------------------------------------------------------------


class Claim(NamedTuple):
    """One thing that the paper reports of both rewards, and how we measure it in our runs."""

    id: str  # the figure that shows it, and what; never changes, unlike texts
    group: str  # the heading that it is printed under, and there its label
    label: str
    what: str  # what is measured, in full
    measure: Callable  # (accuracy, latency_ms, target_ms) -> (seeds,)
    unit: str = "samples"
    paper: dict | None = None  # {reward: the paper's number}, if it gives any
    rises: bool = False  # the paper says only that the measure is above 0
    censored: bool = False  # the measure can be "never"
    comparison: str = ""  # what the paper says of its reward, compared ...
    size: str = ""  # ... and by how much; the difference in `paper` is that number
    sign: int = 1  # of (proposed - mnasnet), if what the paper says is so


FIG_6 = "Fig. 6: samples under T in a search, repeats counted"
FIG_7 = "Fig. 7: after how many samples a window of 250 has its mean under T"
FIG_7_RISE = "Fig. 7: rise of the mean accuracy, in percentage points"
COUNTS = ((50, "50-60%", 659, 780), (60, "60-70%", 781, 1004))  # of the paper
CLAIMS = (
    Claim(
        id="fig6_under_T",
        group=FIG_6,
        label="any accuracy",
        what="samples under T",
        measure=count_under,
        comparison="has more samples under T",
    ),
    *(
        Claim(
            id=f"fig6_{low}_{low + 10}",
            group=FIG_6,
            label=f"of {band}",
            what=f"samples of {band} under T",
            measure=partial(count_under, low=low / 100, high=(low + 10) / 100),
            paper={"mnasnet": mnasnet, "proposed": proposed},
            comparison=f"has more of {band}",
            size=f"how many more of {band}",
        )
        for low, band, mnasnet, proposed in COUNTS
    ),
    Claim(
        id="fig7_stays_under",
        group=FIG_7,
        label="stays under T",
        what="stays under T from sample",
        measure=stays_under_from,
        paper={"mnasnet": 4750, "proposed": 4000},
        censored=True,
        comparison="stays under T sooner",
        size="how much sooner (15% of 5,000)",
        sign=-1,
    ),
    Claim(
        id="fig7_first_under",
        group=FIG_7,
        label="first under T",
        what="first under T from sample",
        measure=first_window_under,
        paper={"mnasnet": 4750, "proposed": 4000},
        censored=True,
    ),
    Claim(
        id="fig7_accuracy",
        group=FIG_7_RISE,
        label="",
        what="accuracy rises",
        measure=accuracy_gain,
        unit="percentage points",
        rises=True,
    ),
)


# --- The tests: of one number, and of the run as a whole --------------------------------------


def rank_p(paper, values, bounds=0):
    """Two-sided rank p-value of the paper's number among our runs, values (n,).

    bounds (n,): 1 where a value is "this or more", -1 "this or less", 0 exact. A bound that may lie
    on either side of the paper's number counts on both, which can only raise p."""
    at_most = np.sum((values <= paper) | (np.asarray(bounds) < 0))
    at_least = np.sum((values >= paper) | (np.asarray(bounds) > 0))
    return float(min(1.0, 2 * (1 + min(at_most, at_least)) / (len(values) + 1)))


def sign_test_p(values):
    """Two-sided exact sign test of values (n,) against 0; ties, values of 0, are left out."""
    plus = int(np.sum(values > 0))
    minus = int(np.sum(values < 0))
    n = plus + minus
    tail = sum(math.comb(n, k) for k in range(max(plus, minus), n + 1)) / 2**n
    return min(1.0, 2 * tail)


def judge_value(paper, values, bounds, comparable):
    """(p, verdict) of a value of the paper among our runs, values (n,), see `rank_p`."""
    if not comparable:
        return None, "not comparable"
    p = rank_p(paper, values, bounds)
    if len(values) < MIN_RUNS:
        return p, "too few seeds"
    return p, "inside" if p > LEVEL else "outside"


def judge_sign(values):
    """(p, verdict) of a sign; values (n,) are positive where the paper is right."""
    p = sign_test_p(values)
    if len(values) < MIN_PAIRS:
        return p, "too few seeds"
    if p > LEVEL:
        return p, "inconclusive"
    return p, "supported" if np.sum(values > 0) > np.sum(values < 0) else "reversed"


VALUES = {"fig6_50_60": 1, "fig6_60_70": 1, "fig7_stays_under": WINDOW}  # resolutions


def whole_run(values, paper):
    """The paper's run, all its values at once, among our n runs: dict(p, distance, typical).

    values (n, 6) is a row per seed: for each claim of VALUES, the value of each reward of PAIR;
    paper (6,) the same of the paper's run. Each column is divided by its standard deviation over
    all n + 1 rows, or by its resolution if that is larger. `distance` is from the paper's row to
    the nearest of ours, `typical` the median of the same for ours, p the share of all n + 1 rows
    that are as far from their nearest as the paper's is: exact if the rows are exchangeable."""
    rows = np.vstack([values, paper]).astype(float)
    resolution = np.repeat(list(VALUES.values()), len(PAIR))
    rows /= np.maximum(rows.std(axis=0), resolution)
    distances = np.linalg.norm(rows[:, None] - rows, axis=2)  # (n + 1, n + 1)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.min(axis=1)
    p = float(np.mean(nearest >= nearest[-1]))
    return dict(p=p, distance=float(nearest[-1]), typical=float(np.median(nearest[:-1])))


def whole_run_of(results):
    """`whole_run` of what `evaluate_claims` returns; None if it cannot be judged."""
    found = {(e["id"], e["reward"]): e for e in results}
    six = [found.get((claim, reward)) for claim in VALUES for reward in PAIR]
    if None in six or six[0]["verdict"] == "not comparable":
        return None
    if len(six[0]["per_seed"]) < MIN_WHOLE:
        return None
    values = np.transpose([e["per_seed"] for e in six])  # (n, 6)
    return whole_run(values, [e["paper"] for e in six])


# --- The results ------------------------------------------------------------------------------


def evaluate_claims(points, target_ms):
    """All claims about the rewards in `points`, in the paper's order: a list of `result`s.

    A reward that the paper does not have gets the lines that need no number of the paper."""
    samples = next(iter(points.values()))[0].shape[1]
    comparable = samples == SAMPLES and target_ms == T_MS
    results = []
    for claim in CLAIMS:
        measured = {name: claim.measure(*points[name], target_ms) for name in points}
        for name in points:
            if name != "random":
                results.append(result_of_reward(claim, name, measured, samples, comparable))
        if claim.comparison and all(name in measured for name in PAIR):
            results += results_of_comparison(claim, measured, samples, comparable)
    return results


def result_of_reward(claim, name, measured, samples, comparable):
    """What the paper says of one reward, and what we measured, {reward: (seeds,)}."""
    values = measured[name]
    bounds = ((values == samples) & claim.censored).astype(int)  # 1: "this or more"
    paper = claim.paper.get(name) if claim.paper else None
    judged = None, "no claim"
    if claim.rises:
        judged = judge_sign(values)
    elif paper is not None:
        judged = judge_value(paper, values, bounds, comparable)
    kind = "sign" if claim.rises else "value"
    random = float(np.median(measured["random"])) if "random" in measured else None
    text = f"{name}: {claim.what}"
    return result(claim, text, kind, paper, judged, values, bounds, name, random)


def results_of_comparison(claim, measured, samples, comparable):
    """The proposed reward against MnasNet's, paired by seed: the sign and, if any, the size.

    `bounds` says of each difference whether it is a bound: 1 at least, -1 at most, 0 neither."""
    never = {name: (measured[name] == samples) & claim.censored for name in PAIR}
    either_stays = ~(never["mnasnet"] & never["proposed"])  # (seeds,)
    differences = claim.sign * (measured["proposed"] - measured["mnasnet"])[either_stays]
    bounds = (never["mnasnet"].astype(int) - never["proposed"])[either_stays]
    found = [(f"proposed {claim.comparison}", "sign", None, judge_sign(differences))]
    if claim.size:
        paper = claim.sign * (claim.paper["proposed"] - claim.paper["mnasnet"])
        judged = judge_value(paper, differences, bounds, comparable)
        found.append((claim.size, "value", paper, judged))
    if either_stays.mean() < 0.5:
        found = [(*line[:3], (None, "not testable")) for line in found]
    return [result(claim, *line, differences, bounds) for line in found]


def result(claim, text, kind, paper, judged, values, bounds, reward=None, random=None):
    """One claim and our runs, as plain data for summary.json; `key` names it.

    id          of the claim, in CLAIMS
    reward      which the claim is about; None for a comparison
    kind        "value" or "sign", which says how it was judged
    paper       the paper's number; None if it gives none
    median      of our runs, values (n,), and min and max; None if there are none
    censoring   ">=" or "<=" if the median is a bound only, because some runs never stay under T
    n_censored  how many of the runs are bounds
    p           of the test in `verdict`
    random      the median of random search"""
    p, verdict = judged
    smallest, median, largest = [None] * 3
    censoring = ""
    if len(values):
        smallest, median, largest = np.quantile(values, [0, 0.5, 1]).tolist()
        if np.median(np.where(bounds > 0, np.inf, values)) > median:
            censoring = ">="
        elif np.median(np.where(bounds < 0, -np.inf, values)) < median:
            censoring = "<="
    what = dict(id=claim.id, text=text, kind=kind, reward=reward, unit=claim.unit)
    numbers = dict(paper=paper, median=median, min=smallest, max=largest)
    bound = dict(censoring=censoring, n_censored=int(np.sum(bounds != 0)))
    judged = dict(p=p, random=random, verdict=verdict, per_seed=values.tolist())
    return what | numbers | bound | judged


def key(result):
    """A result's name in tables: fig6_50_60.mnasnet; fig6_50_60.sign and .value for comparisons."""
    return f"{result['id']}.{result['reward'] or result['kind']}"


def found_after(accuracy, latency_ms, target_ms, best):
    """After how many samples each search has found a cell under T of accuracy `best`: (seeds,),
    infinite for a search that never does."""
    found = (latency_ms <= target_ms) & (accuracy == best)  # (seeds, samples)
    return np.where(found.any(axis=1), 1.0 + found.argmax(axis=1), np.inf)


def compare_rewards(points, target_ms, best):
    """Every two rewards, paired by seed: dicts with `first`, `second`, `what`, `ahead`, `of`, `p`.

    In `ahead` of `of` seeds (ties left out) the first reward has more samples under T, ends more
    accurate (last window), or finds the best cell under T, of accuracy `best`, sooner."""
    measures = {}
    for name, columns in points.items():
        measures[name] = {
            "has more samples under T": count_under(*columns, target_ms),
            "ends more accurate": window_means(columns[0])[:, -1],
            "finds the best cell under T sooner": -found_after(*columns, target_ms, best),
        }
    found = []
    rewards = [name for name in points if name != "random"]
    for second, first in itertools.combinations(rewards, 2):
        for what in measures[first]:
            one, other = measures[first][what], measures[second][what]
            signs = (one > other).astype(int) - (other > one)
            ahead, of = int(np.sum(signs > 0)), int(np.sum(signs != 0))
            who = dict(first=first, second=second, what=what)
            found.append(who | dict(ahead=ahead, of=of, p=sign_test_p(signs)))
    return found


# --- Printed ----------------------------------------------------------------------------------


def claims_report(results):
    """All claims and our runs as text, grouped by figure; the run as a whole last."""
    lines = [f"{'':31}{'paper':>8}   {'ours: median [min, max]':26}{'random':>7}  verdict"]
    sizes = {e["id"]: e for e in results if e["kind"] == "value" and not e["reward"]}
    for claim in CLAIMS:
        of_claim = [e for e in results if e["id"] == claim.id and e is not sizes.get(claim.id)]
        if of_claim and f"  {claim.group}" not in lines:
            lines.append(f"  {claim.group}")
        for e in of_claim:
            size = None if e["reward"] else sizes.get(claim.id)
            label = claim.label if e is of_claim[0] else ""
            lines.append(claim_line(claim, e, size, label))
    n = len(results[0]["per_seed"])
    whole = whole_run_of(results)
    lines.append("  The run as a whole: 50-60%, 60-70% and stays under T, of both rewards")
    if whole is None:
        lines.append(f"    takes both rewards, T and samples of the paper, and {MIN_WHOLE} seeds")
    else:
        apart = "{distance:.3g} from the nearest of ours, {typical:.3g} apart (median): p = {p:.2g}"
        lines.append(f"    the paper's lies {apart.format(**whole)}; n = {n}")
    return "\n".join(lines)


def claim_line(claim, e, size, label):
    """One line: of a reward; or of a comparison, its sign, with `size`, the value of the same."""
    who = e["reward"] or ("sooner by" if claim.sign < 0 else "more by")
    paper = "claimed" if e["kind"] == "sign" else "-"
    verdict = "" if e["verdict"] == "no claim" else e["verdict"]
    if size and size["verdict"] in ("inside", "outside"):
        verdict += f"; size {size['verdict']}"
    number = e["paper"] or (size and size["paper"])
    if number:
        paper = f"{number:,}"
    n = len(e["per_seed"])
    if verdict == "outside" and number and not e["min"] <= number <= e["max"]:
        verdict = f"outside all {n}"
    digits = 0 if claim.unit == "samples" else 1
    ours = scatter = "-"
    if e["median"] is not None:
        ours = f"{e['censoring']} {e['median']:,.{digits}f}".strip()
        scatter = f"[{e['min']:,.{digits}f}, {e['max']:,.{digits}f}]"
    if claim.censored:
        scatter = f"in {n - e['n_censored']} of {n} runs" if e["reward"] else f"{n} pairs"
        if e["reward"] and e["censoring"]:
            ours = "never"
    random = "" if e["random"] is None else f"{e['random']:,.{digits}f}"
    line = f"    {label:14}{who:13}{paper:>8}{ours:>9}  {scatter:18}{random:>7}"
    return f"{line}  {verdict}".rstrip()
