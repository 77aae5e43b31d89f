"""Whether it holds: the paper's claims beside what our searches did, with a verdict each.

The paper shows one run per reward (5,000 networks each, CIFAR-100, T = 17 ms). We run several seeds
per reward and say, per claim: the paper's number, the median of ours over seeds, its 95 % bootstrap
interval, and a verdict by a rule fixed beforehand:

    a number     reproduced      the paper's number lies in our interval: like a typical run of ours
                 not reproduced  it lies outside the range of our seeds: unlike every run of ours
                 undecided       in between: some of our runs get there, the typical one does not
    a direction  reproduced      our whole interval lies above 0, the side that the paper claims
                 not reproduced  our whole interval lies at or below 0
                 undecided       0 is inside
    either       undecided       fewer than 5 seeds; or a number, and not the paper's 5,000 samples

A direction that compares two rewards is paired: differences are taken within a seed. What is found,
{reward: (accuracy, latency_ms)}, is (seeds, samples) each, with accuracy in 0..1."""

from functools import partial

import numpy as np

WINDOW = 250  # networks per window of Fig. 7
SAMPLES = 5000  # networks that the paper draws per reward
MIN_SEEDS, RESAMPLES = 5, 10_000


# --- What is counted --------------------------------------------------------------------------


def window_means(values):
    """Mean of each window of 250: (..., samples) -> (..., windows); the last may be short."""
    starts = np.arange(0, values.shape[-1], WINDOW)
    sizes = np.diff(starts, append=values.shape[-1])
    return np.add.reduceat(values, starts, axis=-1, dtype=float) / sizes


def settles_at(accuracy, latency_ms, target_ms):
    """The sample from which every window has a mean <= T, the last if none: -> (seeds,)."""
    over = window_means(latency_ms) > target_ms  # (seeds, windows)
    last_miss = (over * np.arange(1, over.shape[1] + 1)).max(axis=1)  # (seeds,), 0 if none
    return np.minimum(last_miss * WINDOW, latency_ms.shape[1])


def count_band(low, high, accuracy, latency_ms, target_ms):
    """Networks with LAT <= T and low <= ACC < high: (seeds, samples) -> (seeds,)."""
    return ((accuracy >= low) & (accuracy < high) & (latency_ms <= target_ms)).sum(axis=1)


def accuracy_rise(accuracy, latency_ms, target_ms):
    """Mean accuracy of the last window less the first, points: (seeds, samples) -> (seeds,)."""
    return 100 * (window_means(accuracy)[:, -1] - window_means(accuracy)[:, 0])


COUNT_50, COUNT_60 = partial(count_band, 0.5, 0.6), partial(count_band, 0.6, 0.7)
PAIR = ("mnasnet", "proposed")
# item, what, statistic, the paper's two numbers, what it says of the proposed reward, sign of that
CLAIMS = (
    ("Fig. 6", "networks of 50-60 % under T", COUNT_50, (659, 780), "finds more of 50-60 %", 1),
    ("Fig. 6", "networks of 60-70 % under T", COUNT_60, (781, 1004), "finds more of 60-70 %", 1),
    ("Fig. 7", "settles at or under T", settles_at, (4750, 4000), "settles sooner", -1),
    ("Fig. 7", "accuracy rises", accuracy_rise, (None, None), None, None),
)


# --- The verdicts -----------------------------------------------------------------------------


def bootstrap_median(values):
    """Median of values (seeds,) and its 95 % bootstrap interval: (median, low, high)."""
    values = np.asarray(values, float)
    picks = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    medians = np.median(values[picks], axis=1)  # (RESAMPLES,)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(np.median(values)), float(low), float(high)


def verdict(paper, values, low, high):
    """By the rules above; values (seeds,), [low, high] their interval; no paper: a direction."""
    if len(values) < MIN_SEEDS:
        return "undecided"
    if paper is None:
        holds, fails = low > 0, high <= 0
    else:
        holds, fails = low <= paper <= high, not min(values) <= paper <= max(values)
    return "reproduced" if holds else "not reproduced" if fails else "undecided"


def ledger(found, target_ms):
    """All claims about the rewards in `found`, a list of dicts, in the paper's order.

    Keys: item, claim, kind ("number" or "direction"), paper (number or None), ours (median of
    seeds), low, high (its interval), random (the median of random search), verdict, per_seed."""
    samples = next(iter(found.values()))[0].shape[1]
    entries = []
    for item, what, statistic, numbers, said, sign in CLAIMS:
        values = {name: statistic(*columns, target_ms) for name, columns in found.items()}
        median = float(np.median(values["random"])) if "random" in values else None
        lines = [
            (f"{name}: {what}", paper, values[name], median, paper is None)
            for name, paper in zip(PAIR, numbers, strict=True)
            if name in values
        ]
        if said and all(name in values for name in PAIR):
            paper, ours = (sign * (b - a) for a, b in (numbers, [values[name] for name in PAIR]))
            lines.append((f"proposed {said}", paper, ours, None, True))
        for claim, paper, per_seed, random, direction in lines:
            ours, low, high = bootstrap_median(per_seed)
            entry = dict(item=item, claim=claim, kind="direction" if direction else "number")
            entry |= dict(paper=paper, ours=ours, low=low, high=high, random=random)
            judged = verdict(None if direction else paper, per_seed, low, high)
            fair = direction or samples == SAMPLES
            entry |= dict(verdict=judged if fair else "undecided", per_seed=per_seed.tolist())
            entries.append(entry)
    return entries
