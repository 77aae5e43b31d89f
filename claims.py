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
BANDS = ((0.5, 0.6), (0.6, 0.7))  # Fig. 6's two columns that the paper counts
FIG_6 = {"mnasnet": (659, 781), "proposed": (780, 1004)}  # networks per band, LAT <= T
FIG_7 = {"mnasnet": 4750, "proposed": 4000}  # the sample from which windows stay at or under T
MIN_SEEDS = 5
RESAMPLES = 10_000


# --- What is counted --------------------------------------------------------------------------


def window_means(values):
    """Mean of each window of 250 samples: (..., samples) -> (..., windows).

    The last window may be short.
    """
    starts = np.arange(0, values.shape[-1], WINDOW)
    sizes = np.diff(starts, append=values.shape[-1])
    return np.add.reduceat(values, starts, axis=-1, dtype=float) / sizes


def settles_at(latency_ms, target_ms):
    """The sample from which every window's mean latency is <= T: (seeds, samples) -> (seeds,).

    A run that never settles counts as settling after its last sample.
    """
    under = window_means(latency_ms) <= target_ms  # (seeds, windows)
    windows_after_last_miss = np.logical_and.accumulate(under[:, ::-1], axis=1).sum(axis=1)
    first = under.shape[1] - windows_after_last_miss  # (seeds,), in windows
    return np.minimum(first * WINDOW, latency_ms.shape[1])


def count_band(accuracy, latency_ms, target_ms, band):
    """Networks with LAT <= T and accuracy in [low, high): (seeds, samples) -> (seeds,)."""
    low, high = band
    return ((accuracy >= low) & (accuracy < high) & (latency_ms <= target_ms)).sum(axis=1)


def accuracy_rise(accuracy):
    """Mean accuracy of the last window less the first, points: (seeds, samples) -> (seeds,)."""
    means = 100 * window_means(accuracy)
    return means[:, -1] - means[:, 0]


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
        return "undecided"
    if low <= paper <= high:
        return "reproduced"
    return "undecided" if min(values) <= paper <= max(values) else "not reproduced"


def verdict_direction(values, low, high):
    """Verdict on "above 0", given ours (seeds,) and the interval of their median."""
    if len(values) < MIN_SEEDS:
        return "undecided"
    if low > 0:
        return "reproduced"
    return "not reproduced" if high <= 0 else "undecided"


def ledger(found, target_ms):
    """All claims that the rewards in `found` allow to test, a list of dicts, in the paper's order.

    Keys: item (figure), claim, unit, paper (number or None), ours, low, high, verdict, per_seed,
    kind, note.
    """
    entries = []

    def add(item, claim, unit, paper, values, kind="number", note=""):
        median, low, high = bootstrap_median(values)
        if kind == "direction":
            verdict = verdict_direction(values, low, high)
        elif samples != SAMPLES:
            verdict, note = "undecided", f"the paper's numbers need {SAMPLES:,} samples"
        else:
            verdict = verdict_number(paper, values, low, high)
        entries.append(
            {
                "item": item,
                "claim": claim,
                "unit": unit,
                "paper": paper,
                "ours": median,
                "low": low,
                "high": high,
                "verdict": verdict,
                "per_seed": [float(v) for v in values],
                "kind": kind,
                "note": note,
            }
        )

    rewards = [name for name in FIG_7 if name in found]
    samples = next(iter(found.values()))[0].shape[1]
    counts = {}
    for k, (low, high) in enumerate(BANDS):
        span = f"{100 * low:.0f}-{100 * high:.0f} %"
        for name in rewards:
            counts[name] = count_band(*found[name], target_ms, BANDS[k])
            add("Fig. 6", f"{name}: networks of {span} under T", "", FIG_6[name][k], counts[name])
        if len(rewards) == 2:
            more = FIG_6["proposed"][k] - FIG_6["mnasnet"][k]
            values = counts["proposed"] - counts["mnasnet"]
            add("Fig. 6", f"proposed finds more of {span}", "", more, values, "direction")
    settled = {}
    for name in rewards:
        settled[name] = settles_at(found[name][1], target_ms)
        never = int((settled[name] == samples).sum())
        note = f"{name} never settles in {never} of {len(settled[name])} seeds" if never else ""
        add(
            "Fig. 7",
            f"{name}: settles at or under T",
            "sample",
            FIG_7[name],
            settled[name],
            note=note,
        )
    if len(rewards) == 2:
        sooner = FIG_7["mnasnet"] - FIG_7["proposed"]
        values = settled["mnasnet"] - settled["proposed"]
        add("Fig. 7", "proposed settles sooner", "samples", sooner, values, "direction")
    for name in rewards:
        values = accuracy_rise(found[name][0])
        add("Fig. 7", f"{name}: accuracy rises", "points", None, values, "direction")
    return entries
