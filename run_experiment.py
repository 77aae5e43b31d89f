"""The experiment: search with each reward and several seeds, and say what came of the claims.

    python run_experiment.py                 8 seeds, 2 rewards, 5,000 networks each
    python run_experiment.py --quick         a look, in seconds
    python run_experiment.py --help          everything else

It prints, in this order: the benchmark; Table 1, paper beside formula; each reward's optimum; one
row per window of 250 networks; the claim ledger; the best networks found; the time. It writes
table1.csv, fig2.png, fig3.png, fig6.png, fig7.png, claims.png, samples.csv.gz and summary.json
to --out, all of them or none.

A run's result depends on its seed and its reward alone, not on which runs are beside it.
Left out: tuning. The hyperparameters below hold for every reward and benchmark.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # our matrices are small; workers use the cores
os.environ.setdefault("MKL_NUM_THREADS", "1")

import contextlib
import csv
import gzip
import json
import multiprocessing.connection
import signal
import sys
import textwrap
import time
from pathlib import Path

import numpy as np

import nas_benchmark
from claims import SAMPLES, WINDOW, ledger
from command_line import Parser, UserError, cores, fork_context, progress, run, short, whole_files
from controller_numpy import Reinforce
from nas_benchmark import CELLS, N_CELLS, cell_to_string, cell_to_words, string_to_cell
from nas_reward import REWARDS, T_MS, table_1

HYPERPARAMETERS = {
    "hidden": 64,
    "learning_rate": 1e-3,
    "entropy_weight": 0.01,
    "baseline_decay": 0.95,
}
BLOCK_RUNS = 16  # runs in lockstep; more do not fit the cache of one core
QUICK = {"seeds": 2, "samples": 1000}
EXACT = ("accuracy", "latency_ms", "p_under_target", "reward", "entropy")


# --- The search -------------------------------------------------------------------------------


def search(block):
    """Search with every reward and the block's seeds; a generator, one item per window.

    block: dict of `seeds` (list), `rewards` {name: value of every cell (15625,)}, `samples`,
    `hyperparameters` and `columns` (15625, 3): accuracy, latency, LAT <= T. Yields (first seed's
    index, window, rows, exact, seconds): rows (rewards, seeds, 250), exact (rewards, seeds, 5) in
    the order of EXACT, seconds spent on (searching, enumerating).
    """
    seeds, values = block["seeds"], np.stack(list(block["rewards"].values()))  # (rewards, 15625)
    searches = Reinforce(seeds * len(values), **block["hyperparameters"])
    paid = np.repeat(values, len(seeds), axis=0)  # (N, 15625)
    for window, start in enumerate(range(0, block["samples"], WINDOW)):
        clock = [time.perf_counter()]
        rows = searches.search(paid, min(WINDOW, block["samples"] - start))
        clock.append(time.perf_counter())
        exact = []
        for run_values, p in zip(paid, searches.controller.enumerate(), strict=True):
            entropy = -(p * np.log(np.maximum(p, 1e-30))).sum()
            exact.append([*(p @ block["columns"]), p @ run_values, entropy])
        clock.append(time.perf_counter())
        shape = (len(values), len(seeds), -1)
        yield block["first"], window, rows.reshape(shape), np.reshape(exact, shape), np.diff(clock)


def search_in_parallel(blocks, workers):
    """What `search` yields for every block, in the order in which it is ready."""
    if workers == 1 or len(blocks) == 1:
        for block in blocks:
            yield from search(block)
        return
    context = fork_context()
    pipes = {}
    for k in range(min(workers, len(blocks))):
        receiver, sender = context.Pipe(duplex=False)
        unused = [*pipes, receiver]  # a forked worker has these too, and could not see us die
        task = (blocks[k::workers], sender, unused)
        pipes[receiver] = context.Process(target=_work, args=task, daemon=True)
        pipes[receiver].start()
        sender.close()
    while pipes:
        for receiver in multiprocessing.connection.wait(list(pipes)):
            try:
                yield receiver.recv()
            except EOFError:  # the worker has ended
                process = pipes.pop(receiver)
                process.join()
                if process.exitcode:
                    raise UserError(
                        f"a worker process died (exit code {process.exitcode}); out of memory? "
                        "Try fewer --workers"
                    ) from None


def _work(blocks, sender, unused):
    """A worker's life: search all its blocks, send what each window brings."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    for receiver in unused:
        receiver.close()
    with contextlib.suppress(BrokenPipeError):  # the parent is gone: so go
        for block in blocks:
            for item in search(block):
                sender.send(item)


def run_searches(benchmark, rewards, args):
    """All searches, with their progress; returns (rows, exact, seconds).

    rows {reward or "random": (seeds, samples)}, exact {reward: (5, seeds, windows)},
    seconds [searching, enumerating], summed over cores.
    """
    columns = np.column_stack(
        [benchmark.accuracy, benchmark.latency_ms, benchmark.latency_ms <= args.target_ms]
    )
    per_block = max(1, min(-(-args.seeds // args.workers), BLOCK_RUNS // len(rewards)))
    blocks = [
        {
            "first": first,
            "seeds": [
                args.first_seed + k for k in range(first, min(first + per_block, args.seeds))
            ],
            "rewards": rewards,
            "samples": args.samples,
            "columns": columns,
            "hyperparameters": {name: getattr(args, name) for name in HYPERPARAMETERS},
        }
        for first in range(0, args.seeds, per_block)
    ]
    windows = -(-args.samples // WINDOW)
    rows = np.empty((len(rewards) + 1, args.seeds, args.samples), np.int32)
    exact = np.empty((len(EXACT), len(rewards), args.seeds, windows))
    seconds = np.zeros(2)
    for k in range(args.seeds):  # uniform random search, from a stream of its own
        rng = np.random.default_rng([args.first_seed + k, 1])
        rows[-1, k] = rng.integers(N_CELLS, size=args.samples)
    names = [*rewards, "random"]
    print_window_header(names)
    waiting = np.full(windows, len(blocks))  # blocks that have yet to finish each window
    shown = 0
    start = time.perf_counter()
    for first, window, block_rows, block_exact, spent in search_in_parallel(blocks, args.workers):
        seeds = slice(first, first + block_rows.shape[1])
        at = window * WINDOW
        rows[:-1, seeds, at : at + WINDOW] = block_rows
        exact[:, :, seeds, window] = block_exact.transpose(2, 0, 1)
        seconds += spent
        waiting[window] -= 1
        progress(1 - waiting.sum() / (windows * len(blocks)), time.perf_counter() - start)
        while shown < windows and not waiting[shown]:
            at = shown * WINDOW
            print_window(benchmark, rows[:, :, at : at + WINDOW], args.target_ms, at)
            shown += 1
    rows = dict(zip(names, rows, strict=True))
    return rows, dict(zip(rewards, exact.swapaxes(0, 1), strict=True)), seconds


# --- What came of it --------------------------------------------------------------------------


def cell_facts(benchmark, row, target_ms):
    """What to know of one cell, by row."""
    return {
        "arch": cell_to_string(CELLS[row]),
        "accuracy": float(benchmark.accuracy[row]),
        "latency_ms": float(benchmark.latency_ms[row]),
        "meets_target": bool(benchmark.latency_ms[row] <= target_ms),
    }


def most_accurate_under(benchmark, rows, target_ms):
    """The row, among `rows` (n,), of the most accurate cell with LAT <= T; None if none is."""
    rows = rows[benchmark.latency_ms[rows] <= target_ms]
    return int(rows[np.argmax(benchmark.accuracy[rows])]) if len(rows) else None


def optimum_of(benchmark, rewards, target_ms):
    """Each reward's best cell of all, and ("target") the most accurate cell with LAT <= T."""
    optimum = {}
    for name, values in rewards.items():
        optimum[name] = cell_facts(benchmark, int(np.argmax(values)), target_ms)
        optimum[name]["reward"] = float(values.max())
    best = most_accurate_under(benchmark, np.arange(N_CELLS), target_ms)
    optimum["target"] = None if best is None else cell_facts(benchmark, best, target_ms)
    return optimum


def best_found_by(benchmark, rows, rewards, optimum, target_ms):
    """Per reward, and for random search: the most accurate cell under T that its runs drew.

    `accuracy_per_seed` has the best of each seed (None: nothing under T); `reward_regret` is the
    optimum's reward less the best reward drawn, the median over seeds.
    """
    found = {}
    for name, drawn in rows.items():  # drawn (seeds, samples)
        best = [most_accurate_under(benchmark, seed, target_ms) for seed in drawn]
        over_all = most_accurate_under(benchmark, drawn.ravel(), target_ms)
        found[name] = None if over_all is None else cell_facts(benchmark, over_all, target_ms)
        if over_all is not None:
            found[name]["accuracy_per_seed"] = [
                None if row is None else float(benchmark.accuracy[row]) for row in best
            ]
            if name in rewards:
                reached = rewards[name][drawn].max(axis=1)  # (seeds,)
                regret = optimum[name]["reward"] - np.median(reached)
                found[name]["reward_regret"] = float(regret)
    return found


# --- Printed ----------------------------------------------------------------------------------


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}")


def print_benchmark(benchmark, args):
    heading(f"Benchmark: {benchmark.name}")
    for key, value in benchmark.provenance.items():
        if key == "sha256":
            continue  # long; it stands in summary.json
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        indent = " " * 11
        print(textwrap.fill(f"  {key:8} {value}", 100, subsequent_indent=indent))
    share = (benchmark.latency_ms <= args.target_ms).mean()
    print(f"  T        {args.target_ms:g} ms; {share:.1%} of the {N_CELLS:,} cells are that fast")


def print_table_1(entries):
    heading("Table 1: rewards as printed in the paper, beside the formula (T = 17 ms)")
    print("  case  accuracy  latency  reward     printed    formula")
    for e in entries:
        remark = "" if e["agrees"] else f"  misprint: the formula gives {e['truncated']}"
        print(
            f"  ({e['case']})   {e['accuracy']:6.0%}  {e['latency_ms']:4.0f} ms  {e['reward']:9}"
            f"  {e['printed']:9}  {e['formula']:.6f}{remark}"
        )
    agree = sum(e["agrees"] for e in entries)
    print(f"  {agree} of {len(entries)} agree as truncated; the others are misprints of the paper")


def print_optimum(optimum, target_ms):
    heading("Optimum: the best of all cells, by each reward")
    print("  reward        accuracy   latency  meets T  0->1 0->2 1->2 0->3 1->3 2->3")
    for name, cell in optimum.items():
        if cell is None:
            print(f"  no cell is as fast as {target_ms:g} ms")
            continue
        label = "best under T" if name == "target" else name
        print(
            f"  {label:12}  {cell['accuracy']:7.2%}  {cell['latency_ms']:5.2f} ms"
            f"  {'yes' if cell['meets_target'] else 'no':7}  {_words(cell)}"
        )


def print_window_header(names):
    heading(f"Search: each row is a window of {WINDOW} networks, mean over seeds")
    print("  networks" + "".join(f"  {name:^21}" for name in names))
    print("          " + "   acc %  lat ms  <= T " * len(names))


def print_window(benchmark, rows, target_ms, at):
    """One row: rows (rewards + 1, seeds, 250). The last column counts seeds whose mean is <= T."""
    text = f"  {at + rows.shape[2]:8,}"
    for drawn in rows:  # (seeds, 250)
        latency_ms = benchmark.latency_ms[drawn].mean(axis=1)  # (seeds,)
        under = f"{(latency_ms <= target_ms).sum()}/{len(latency_ms)}"
        accuracy = 100 * benchmark.accuracy[drawn].mean()
        text += f"  {accuracy:6.2f}  {latency_ms.mean():6.2f} {under:>6}"
    print(text, flush=True)


def print_ledger(entries, args):
    heading(f"Claim ledger: the paper's one run beside the median of our {args.seeds} seeds")
    print(f"  {'':6} {'':37} {'paper':>6} {'ours':>7} {'95 % interval':>16} {'random':>6}  verdict")
    for e in entries:
        paper = "> 0" if e["paper"] is None else f"{e['paper']:,}"
        random = "" if e["random"] is None else f"{e['random']:,.4g}"
        ours, low, high = (f"{e[key]:,.4g}" for key in ("ours", "low", "high"))
        print(
            f"  {e['item']} {e['claim']:37} {paper:>6} {ours:>7} {f'[{low}, {high}]':>16}"
            f" {random:>6}  {e['verdict']}"
        )
    for e in entries:
        never = e["per_seed"].count(args.samples) if "settles at" in e["claim"] else 0
        if never:
            print(f"  {e['claim']}: never, in {never} of {args.seeds} seeds (counted as last)")
    if args.samples != SAMPLES:
        print(f"  numbers are undecided, as the paper's need --samples {SAMPLES}")


def print_best_found(best_found, optimum):
    heading("Best network found under T, over all seeds")
    for name, cell in [*best_found.items(), ("benchmark", optimum["target"])]:
        if cell is None:
            print(f"  {name:12}  none")
            continue
        print(f"  {name:12}  {cell['accuracy']:7.2%}  {cell['latency_ms']:5.2f} ms  {_words(cell)}")


def _words(cell):
    return cell_to_words(string_to_cell(cell["arch"]))


# --- Written ----------------------------------------------------------------------------------


def write_table_1(path, entries):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, entries[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(entries)


def write_samples(path, benchmark, rows, rewards, first_seed):
    """samples.csv.gz: every network drawn, in order. Random search has no reward value."""
    facts = [
        f"{cell_to_string(cell)},{accuracy!r},{ms!r}"
        for cell, accuracy, ms in zip(
            CELLS.tolist(), benchmark.accuracy.tolist(), benchmark.latency_ms.tolist(), strict=True
        )
    ]
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:  # no date: same bytes
        file.write(b"reward,seed,sample,arch,accuracy,latency_ms,reward_value\n")
        for name, drawn in rows.items():
            values = (
                [f"{v!r}" for v in rewards[name].tolist()] if name in rewards else [""] * N_CELLS
            )
            endings = [f"{fact},{value}\n" for fact, value in zip(facts, values, strict=True)]
            for seed, seed_rows in enumerate(drawn.tolist(), first_seed):
                lines = [f"{name},{seed},{n},{endings[r]}" for n, r in enumerate(seed_rows, 1)]
                file.write("".join(lines).encode())


# --- Command line -----------------------------------------------------------------------------


def parse(argv):
    parser = Parser(
        description="Search NAS-Bench-201 with two rewards and check the paper's claims.",
    )
    add = parser.add_argument
    add("--benchmark", metavar="PATH", help="a file of build_benchmark.py (default: surrogate)")
    add("--rewards", default="mnasnet,proposed", help=f"of {', '.join(REWARDS)} (default: the two)")
    add("--seeds", type=int, metavar="N", help="searches per reward (default: 8)")
    add("--first-seed", type=int, default=0, metavar="N", help="number of the first (default: 0)")
    add("--samples", type=int, metavar="N", help=f"networks per search (default: {SAMPLES})")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--target-ms", type=float, metavar="T", help="latency wanted (default: 17)")
    target.add_argument(
        "--target-quantile",
        type=float,
        metavar="Q",
        help="the latency that this share of cells meets",
    )
    add("--out", type=Path, default=Path("results"), help="folder for results (default: results)")
    add("--workers", type=int, metavar="N", help="processes (default: one per core)")
    add("--quick", action="store_true", help="2 seeds and 1,000 networks unless you say otherwise")
    for name, value in HYPERPARAMETERS.items():
        text = f"of the controller (default: {value:g})"
        add(f"--{name.replace('_', '-')}", type=type(value), default=value, metavar="X", help=text)
    args = parser.parse_args(argv)
    default = QUICK if args.quick else {"seeds": 8, "samples": SAMPLES}
    args.seeds = default["seeds"] if args.seeds is None else args.seeds
    args.samples = default["samples"] if args.samples is None else args.samples
    args.workers = cores() if args.workers is None else args.workers
    args.rewards = args.rewards.split(",")
    for name in ("seeds", "samples", "workers"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} must be at least 1, not {getattr(args, name)}")
    if args.first_seed < 0:
        raise UserError(f"--first-seed must be 0 or more, not {args.first_seed}")
    if args.target_quantile is not None and not 0 < args.target_quantile < 1:
        raise UserError(f"--target-quantile must lie between 0 and 1, not {args.target_quantile:g}")
    if not (args.hidden >= 1 and args.learning_rate > 0 and args.entropy_weight >= 0):
        raise UserError("--hidden and --learning-rate must be positive, --entropy-weight 0 or more")
    if not 0 <= args.baseline_decay < 1:
        raise UserError(
            f"--baseline-decay must be 0 or more and below 1, not {args.baseline_decay:g}"
        )
    for name in args.rewards:
        if name not in REWARDS:
            raise UserError(f"--rewards: no reward '{name}'; there are {', '.join(REWARDS)}")
    if len(set(args.rewards)) < len(args.rewards):
        raise UserError("--rewards names a reward twice")
    return args


def choose_target(args, benchmark):
    """T in ms: as given, or the quantile of the benchmark's latency, or the paper's 17 ms."""
    target_ms = T_MS if args.target_ms is None else args.target_ms
    if args.target_quantile is not None:
        target_ms = float(np.quantile(benchmark.latency_ms, args.target_quantile))
    if not 1 < target_ms < float("inf"):
        raise UserError(f"T must be above 1 ms (Eq. 4 takes its logarithm), not {target_ms:g} ms")
    return target_ms


def experiment(argv):
    """The whole experiment, from command line to files."""
    args = parse(argv)
    benchmark = nas_benchmark.load(args.benchmark)
    args.target_ms = choose_target(args, benchmark)
    with whole_files(args.out) as folder:
        entries = table_1()
        rewards = {
            name: REWARDS[name](benchmark.accuracy, benchmark.latency_ms, args.target_ms)
            for name in args.rewards
        }
        optimum = optimum_of(benchmark, rewards, args.target_ms)
        print_benchmark(benchmark, args)
        print_table_1(entries)
        print_optimum(optimum, args.target_ms)

        clock = [time.perf_counter()]
        rows, exact, seconds = run_searches(benchmark, rewards, args)
        clock.append(time.perf_counter())
        found = {
            name: (benchmark.accuracy[drawn], benchmark.latency_ms[drawn])
            for name, drawn in rows.items()
        }
        claims = ledger(found, args.target_ms)
        best_found = best_found_by(benchmark, rows, rewards, optimum, args.target_ms)
        print_ledger(claims, args)
        print_best_found(best_found, optimum)

        import figures  # here, for matplotlib takes longer to import than --help should take

        clock.append(time.perf_counter())
        figures.fig2(folder / "fig2.png", args.target_ms)
        figures.fig3(folder / "fig3.png", args.target_ms)
        figures.fig6(folder / "fig6.png", found, args.target_ms, benchmark.name)
        figures.claims_figure(folder / "claims.png", claims, benchmark.name)
        curves = {name: exact[name][:2] for name in rewards}
        figures.fig7(folder / "fig7.png", found, curves, args.target_ms, benchmark.name)
        clock.append(time.perf_counter())
        write_table_1(folder / "table1.csv", entries)
        write_samples(folder / "samples.csv.gz", benchmark, rows, rewards, args.first_seed)
        clock.append(time.perf_counter())

        networks = len(rewards) * args.seeds * args.samples
        wall = dict(
            zip(("search", "ledger", "figures", "files"), np.diff(clock).tolist(), strict=True)
        )
        timing = {
            "us_per_sample": 1e6 * seconds[0] / networks,
            "core_seconds": {"search": seconds[0], "enumerate": seconds[1]},
            "wall_seconds": wall,
            "workers": args.workers,
        }
        summary = {
            "benchmark": benchmark.provenance,
            "settings": {
                "rewards": args.rewards,
                "seeds": args.seeds,
                "first_seed": args.first_seed,
                "samples": args.samples,
                "target_ms": args.target_ms,
                "target_quantile": args.target_quantile,
                **{name: getattr(args, name) for name in HYPERPARAMETERS},
            },
            "table1": entries,
            "optimum": optimum,
            "claims": claims,
            "best_found": best_found,
            "policy": {
                name: dict(zip(EXACT, exact[name].tolist(), strict=True)) for name in rewards
            },
            "timing": timing,
        }
        (folder / "summary.json").write_text(json.dumps(summary, indent=1, allow_nan=False))
    heading("Time")
    print(
        f"  {len(rewards) * args.seeds} searches, {networks:,} networks, "
        f"{timing['us_per_sample']:.1f} us per sample and run\n  wall time: "
        + ", ".join(f"{name} {s:.1f} s" for name, s in wall.items())
        + f"\n  results in {short(args.out)}/"
    )


def main(argv=None):
    """Run the experiment; returns the exit code."""
    return run(experiment, argv)


if __name__ == "__main__":
    sys.exit(main())
