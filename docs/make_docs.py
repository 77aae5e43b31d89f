"""Writes the results that README.md and docs/ show, from runs of this code.

python docs/make_docs.py readme                      README's output, ledger and pictures
python docs/make_docs.py check                       whether README still agrees with a run
python docs/make_docs.py hyperparameters             about 12 minutes on 2 cores
python docs/make_docs.py verdicts --from DIR         3 minutes; DIR as in data/README.md
"""

import argparse
import contextlib
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

DOCS = Path(__file__).resolve().parent
README, RESULTS = DOCS.parent / "README.md", DOCS.parent / "results"
sys.path.insert(0, str(DOCS.parent))

import build_benchmark
import nas_benchmark
import run_experiment
from claims import WINDOW, ledger
from nas_reward import REWARDS

SYMBOLS = {"reproduced": "yes", "not reproduced": "no", "undecided": "?"}
DEVICES = ("1080ti_256", "titan_rtx_256", "1080ti_32", "pixel3", "raspi4")


def run(benchmark, *options, **hyperparameters):
    """Search as `run_experiment.py *options` does; returns (T, mean reward at the end, claims).

    The mean reward (2, seeds) is that of the last window, per reward and seed.
    """
    args = run_experiment.parse(list(map(str, options)))
    args.hyperparameters = args.hyperparameters | hyperparameters
    run_experiment.choose_target(args, benchmark)
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
        setting = dict(hidden=hidden, learning_rate=rate, entropy_weight=entropy)
        setting["baseline_decay"] = decay
        _, reached, claims = run(benchmark, "--first-seed", 100, **setting)
        per_seed = reached.mean(axis=0)  # (seeds,), mean of the two rewards
        error = per_seed.std(ddof=1) / len(per_seed) ** 0.5
        header = ["H", "learning rate", "entropy", "decay", "reward, last window", "s.e."]
        header += [short(e["claim"]) for e in claims]
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
            header += [short(e["claim"]) for e in claims]
            cells = [name, f"{target_ms:.2f}", f"{within:.0%}", *(f"{ms:.2f}" for ms in best)]
            for e in claims:
                paper = "" if e["paper"] is None else f" ({e['ours']:,.4g})"
                cells.append(SYMBOLS[e["verdict"]] + paper)
            lines.append(cells)
            print(*cells, flush=True)
    return table(header, lines)


def short(claim):
    """A claim in a few words, for the head of a column."""
    for long in (" networks of", " at or under T", " under T", " accuracy"):
        claim = claim.replace(long, "")
    return claim


def table(header, lines):
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def readme():
    """Run the README's main job; its pictures go to docs/, what it prints, shortened, to README."""
    printed, _ = default_run()
    for name in ("fig2", "fig3", "fig6", "fig7", "claims"):
        shutil.copy(RESULTS / f"{name}.png", DOCS)
    text = []
    for section in re.split(r"\n(?=\n)", printed.strip("\n")):
        lines = section.split("\n")
        # lines at the start and at the end
        keep = {"Benchmark": (3, 1), "Table 1": (8, 1), "Search": (6, 1)}
        for name, (head, tail) in keep.items():
            if section.strip().startswith(name):
                lines = [*lines[:head], "  ...", *lines[-tail:]]
        text += lines
    replace(README, "output", "```text\n" + "\n".join(text) + "\n```")


def check():
    """Compare what README shows with a run: to the letter above the search; in the ledger, our
    number must lie within the range of the run's seeds, for another processor rounds differently.
    """
    printed, claims = default_run()
    if max(map(len, printed.splitlines())) > 100:
        sys.exit("a run prints lines of more than 100 columns")
    shown = between(README, "output").splitlines()[1:-1]
    exact = shown[: shown.index(next(line for line in shown if line.startswith("Search")))]
    for line in exact:
        if line not in printed.splitlines() and line != "  ...":
            sys.exit(f"README.md shows a line that a run does not print: {line}")
    for e in claims:
        (line,) = [line for line in shown if line.startswith(f"  {e['item']} {e['claim']} ")]
        ours = float(line[53:62].replace(",", ""))
        slack = 0.001 * abs(ours)
        if not min(e["per_seed"]) - slack <= ours <= max(e["per_seed"]) + slack:
            sys.exit(f"README.md: {e['claim']}: {ours:g} is unlike the run's {e['ours']:g}")
    print("README.md agrees with a run")


def default_run():
    """(what the default run prints, its claim ledger); its files stay in results/."""
    command = [sys.executable, "run_experiment.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=DOCS.parent)
    return done.stdout, json.loads((RESULTS / "summary.json").read_text())["claims"]


def replace(path, marker, text):
    """Put `text` between <!-- marker --> and <!-- end of marker --> in a file."""
    old = between(path, marker)
    whole = f"<!-- {marker} -->\n{{}}<!-- end of {marker} -->"
    path.write_text(path.read_text().replace(whole.format(old), whole.format(text + "\n")))


def between(path, marker):
    _, _, rest = path.read_text().partition(f"<!-- {marker} -->\n")
    return rest.partition(f"<!-- end of {marker} -->")[0]


def main():
    parser = argparse.ArgumentParser(description="Write or check the pages that show results.")
    parser.add_argument("page", choices=("readme", "check", "hyperparameters", "verdicts"))
    parser.add_argument("--from", dest="folder", type=Path, help="the public tables, for verdicts")
    args = parser.parse_args()
    if args.page == "readme":
        readme()
    elif args.page == "check":
        check()
    elif args.page == "hyperparameters":
        replace(DOCS / "hyperparameters.md", "table", hyperparameters())
    else:
        replace(DOCS / "verdicts.md", "table", verdicts(args.folder))


if __name__ == "__main__":
    main()
