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

A direction that compares two rewards is paired: differences are taken within a seed.

    name         meaning                                                       shape
    accuracy     of every network that a reward's searches drew, in 0..1       (seeds, samples)
    latency_ms   its latency                                                   (seeds, samples)
    found        {reward: (accuracy, latency_ms)}
"""

import numpy as np

WINDOW = 250  # networks per window of Fig. 7
SAMPLES = 5000  # networks that the paper draws per reward
MIN_SEEDS = 5
RESAMPLES = 10_000
UNDECIDED = "undecided"


# --- What is counted --------------------------------------------------------------------------


def window_means(values):
    """Mean of each window of 250 samples: (..., samples) -> (..., windows).

    The last window may be short.
    """
    starts = np.arange(0, values.shape[-1], WINDOW)
    sizes = np.diff(starts, append=values.shape[-1])
    return np.add.reduceat(values, starts, axis=-1, dtype=float) / sizes


def settles_at(accuracy, latency_ms, target_ms):
    """The sample from which every window's mean latency is <= T: (seeds, samples) -> (seeds,).

    A run that never settles counts as settling after its last sample.
    """
    under = window_means(latency_ms) <= target_ms  # (seeds, windows)
    windows_after_last_miss = np.logical_and.accumulate(under[:, ::-1], axis=1).sum(axis=1)
    first = under.shape[1] - windows_after_last_miss  # (seeds,), in windows
    return np.minimum(first * WINDOW, latency_ms.shape[1])


def count_band(low, high):
    """The statistic: networks with LAT <= T and low <= accuracy < high, per seed (seeds,)."""

    def count(accuracy, latency_ms, target_ms):
        inside = (accuracy >= low) & (accuracy < high) & (latency_ms <= target_ms)
        return inside.sum(axis=1)

    return count


def accuracy_rise(accuracy, latency_ms, target_ms):
    """Mean accuracy of the last window less the first, points: (seeds, samples) -> (seeds,)."""
    means = 100 * window_means(accuracy)
    return means[:, -1] - means[:, 0]


count_50_60, count_60_70 = count_band(0.5, 0.6), count_band(0.6, 0.7)

PAIR = ("mnasnet", "proposed")
# item, what, statistic, the paper's two numbers, what it says of the proposed reward, sign of that
CLAIMS = (
    ("Fig. 6", "networks of 50-60 % under T", count_50_60, (659, 780), "finds more of 50-60 %", 1),
    ("Fig. 6", "networks of 60-70 % under T", count_60_70, (781, 1004), "finds more of 60-70 %", 1),
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


def verdict_number(paper, values, low, high):
    """Verdict on the paper's number, given ours (seeds,) and the interval of their median."""
    if len(values) < MIN_SEEDS:
        return UNDECIDED
    if low <= paper <= high:
        return "reproduced"
    return UNDECIDED if min(values) <= paper <= max(values) else "not reproduced"


def verdict_direction(values, low, high):
    """Verdict on "above 0", given ours (seeds,) and the interval of their median."""
    if len(values) < MIN_SEEDS:
        return UNDECIDED
    if low > 0:
        return "reproduced"
    return "not reproduced" if high <= 0 else UNDECIDED


def ledger(found, target_ms):
    """All claims that the rewards in `found` allow to test, a list of dicts, in the paper's order.

    Keys: item, claim, kind ("number" or "direction"), paper (number or None), ours (median of
    seeds), low, high (its interval), random (the median of random search), verdict, per_seed.
    """
    samples = next(iter(found.values()))[0].shape[1]
    entries = []

    def add(item, claim, paper, values, random, direction):
        ours, low, high = bootstrap_median(values)
        if direction:
            verdict = verdict_direction(values, low, high)
        else:
            verdict = verdict_number(paper, values, low, high) if samples == SAMPLES else UNDECIDED
        entry = {"item": item, "claim": claim, "kind": "direction" if direction else "number"}
        entry |= {"paper": paper, "ours": ours, "low": low, "high": high, "random": random}
        entries.append(entry | {"verdict": verdict, "per_seed": [float(v) for v in values]})

    for item, what, statistic, numbers, said, sign in CLAIMS:
        values = {name: statistic(*columns, target_ms) for name, columns in found.items()}
        random = float(np.median(values["random"])) if "random" in values else None
        for name, paper in zip(PAIR, numbers, strict=True):
            if name in values:
                add(item, f"{name}: {what}", paper, values[name], random, paper is None)
        if said and all(name in values for name in PAIR):
            difference = sign * (values["proposed"] - values["mnasnet"])
            add(item, f"proposed {said}", sign * (numbers[1] - numbers[0]), difference, None, True)
    return entries
