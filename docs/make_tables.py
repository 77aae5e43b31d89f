"""Writes the two tables of docs/: what hyperparameters were tried, and where the claims hold.

    python docs/make_tables.py hyperparameters             about 12 minutes on 2 cores
    python docs/make_tables.py verdicts --from DIR         about 3 minutes; DIR: see data/README.md

The tables go between the two markers of docs/hyperparameters.md and docs/verdicts.md.
"""

import argparse
import contextlib
import io
import itertools
import sys
from pathlib import Path

import numpy as np

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

import build_benchmark
import nas_benchmark
import run_experiment
from claims import WINDOW, ledger
from nas_reward import REWARDS

SYMBOLS = {"reproduced": "yes", "not reproduced": "no", "undecided": "?"}
DEVICES = ("1080ti_256", "titan_rtx_256", "1080ti_32", "pixel3", "raspi4")


def run(benchmark, *options):
    """Search as `run_experiment.py *options` does; returns (T, mean reward at the end, claims).

    The mean reward (2, seeds) is that of the last window, per reward and seed.
    """
    args = run_experiment.parse(map(str, options))
    args.target_ms = run_experiment.choose_target(args, benchmark)
    rewards = {
        name: REWARDS[name](benchmark.accuracy, benchmark.latency_ms, args.target_ms)
        for name in args.rewards
    }
    with contextlib.redirect_stdout(io.StringIO()):
        rows, _, _ = run_experiment.run_searches(benchmark, rewards, args)
    found = {
        name: (benchmark.accuracy[drawn], benchmark.latency_ms[drawn])
        for name, drawn in rows.items()
    }
    reached = [rewards[name][rows[name][:, -WINDOW:]].mean(axis=1) for name in rewards]
    return args.target_ms, np.array(reached), ledger(found, args.target_ms)


def hyperparameters():
    """The grid: every learning rate and entropy weight; decays at H = 64, other H at 0.95."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    header = None
    lines = []
    grid = itertools.product(
        (32, 64, 128), (3e-4, 1e-3, 3e-3), (0, 3e-3, 0.01, 0.03), (0.9, 0.95, 0.99)
    )
    for hidden, rate, entropy, decay in grid:
        if hidden != 64 and decay != 0.95:
            continue
        options = ["--hidden", hidden, "--learning-rate", rate, "--entropy-weight", entropy]
        options += ["--baseline-decay", decay, "--first-seed", 100]
        _, reached, claims = run(benchmark, *options)
        per_seed = reached.mean(axis=0)  # (seeds,), mean of the two rewards
        error = per_seed.std(ddof=1) / len(per_seed) ** 0.5
        header = ["H", "learning rate", "entropy", "decay", "reward, last window", "s.e."]
        header += [e["claim"] for e in claims]
        cells = [
            hidden,
            f"{rate:g}",
            f"{entropy:g}",
            decay,
            f"{per_seed.mean():.4f}",
            f"{error:.4f}",
        ]
        lines.append((per_seed.mean(), [*cells, *(SYMBOLS[e["verdict"]] for e in claims)]))
        print(*lines[-1][1], flush=True)
    lines.sort(key=lambda line: -line[0])
    return table(header, [cells for _, cells in lines])


def verdicts(folder):
    """Every benchmark at T = 17 ms and at the T that 75 % of its cells meet, 20 seeds each."""
    benchmarks = [("surrogate", nas_benchmark.load(nas_benchmark.SURROGATE))]
    for device in DEVICES:
        benchmarks.append((device, build_benchmark.build_tables(folder, device, "cifar100")))
    header, lines = None, []
    for name, benchmark in benchmarks:
        for target in (["--target-ms", 17], ["--target-quantile", 0.75]):
            target_ms, _, claims = run(benchmark, "--seeds", 20, *target)
            within = (benchmark.latency_ms <= target_ms).mean()
            rewards = [
                REWARDS[r](benchmark.accuracy, benchmark.latency_ms, target_ms)
                for r in ("mnasnet", "proposed")
            ]
            best = [benchmark.latency_ms[np.argmax(values)] for values in rewards]
            header = [
                "benchmark",
                "T, ms",
                "cells within",
                "optimum of mnasnet, ms",
                "of proposed, ms",
            ]
            header += [e["claim"] for e in claims]
            cells = [name, f"{target_ms:.2f}", f"{within:.0%}", *(f"{ms:.2f}" for ms in best)]
            for e in claims:
                paper = "" if e["paper"] is None else f" ({e['ours']:,.4g})"
                cells.append(SYMBOLS[e["verdict"]] + paper)
            lines.append(cells)
            print(*cells, flush=True)
    return table(header, lines)


def table(header, lines):
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def main():
    parser = argparse.ArgumentParser(description="Write a table of docs/.")
    parser.add_argument("page", choices=("hyperparameters", "verdicts"))
    parser.add_argument("--from", dest="folder", type=Path, help="the public tables")
    args = parser.parse_args()
    text = hyperparameters() if args.page == "hyperparameters" else verdicts(args.folder)
    page = DOCS / f"{args.page}.md"
    start, _, rest = page.read_text().partition("<!-- table -->\n")
    _, _, end = rest.partition("<!-- end of table -->\n")
    page.write_text(f"{start}<!-- table -->\n{text}\n<!-- end of table -->\n{end}")


if __name__ == "__main__":
    main()
