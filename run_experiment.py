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
import math
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

HYPERPARAMETERS = {  # the paper gives none; docs/hyperparameters.md says how these were chosen
    "hidden": 64,
    "learning_rate": 3e-3,
    "entropy_weight": 3e-3,
    "baseline_decay": 0.9,
}
BLOCK_RUNS = 16  # runs in lockstep; more do not fit the cache of one core
EXACT = ("accuracy", "latency_ms", "p_under_target", "reward", "entropy")


# --- The search -------------------------------------------------------------------------------


def search(block):
    """Search with every reward and the block's seeds; a generator, one item per window.

    block: dict of `first` (index of its first seed), `seeds` (list), `values` (rewards, 15625),
    `columns` (15625, 3): accuracy, latency, LAT <= T, `samples` and `hyperparameters`. Yields
    (first, window, rows (rewards, seeds, 250), exact (rewards, seeds, 5) in the order of EXACT,
    seconds spent on searching and on enumerating).
    """
    seeds, values, samples = block["seeds"], block["values"], block["samples"]
    searches = Reinforce(seeds * len(values), **block["hyperparameters"])
    paid = np.repeat(values, len(seeds), axis=0)  # (N, 15625): every seed with each reward
    shape = (len(values), len(seeds), -1)
    for window, start in enumerate(range(0, samples, WINDOW)):
        began = time.perf_counter()
        rows = searches.search(paid, min(WINDOW, samples - start))  # (N, 250)
        searched = time.perf_counter()
        exact = []
        for value, p in zip(paid, searches.controller.enumerate(), strict=True):
            entropy = -(p * np.log(np.maximum(p, 1e-30))).sum()
            exact.append([*(p @ block["columns"]), p @ value, entropy])
        spent = np.array([searched - began, time.perf_counter() - searched])
        yield block["first"], window, rows.reshape(shape), np.reshape(exact, shape), spent


def search_in_parallel(blocks, workers):
    """What `search` yields for every block, in the order in which it is ready."""
    if workers == 1 or len(blocks) == 1:
        for block in blocks:
            yield from search(block)
        return
    context, pipes = fork_context(), {}
    for k in range(min(workers, len(blocks))):
        receiver, sender = context.Pipe(duplex=False)
        unused = [*pipes, receiver]  # a forked worker has these too, and could not see us die
        task = (blocks[k::workers], sender, unused)
        pipes[receiver] = context.Process(target=work, args=task, daemon=True)
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
                    why = f"a worker process died (exit code {process.exitcode}); out of memory?"
                    raise UserError(f"{why} Try fewer --workers") from None


def work(blocks, sender, unused):
    """A worker's life: search all its blocks, send what each window brings."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    for receiver in unused:
        receiver.close()
    with contextlib.suppress(BrokenPipeError):  # the parent is gone: so go
        for block in blocks:
            for item in search(block):
                sender.send(item)


def run_searches(benchmark, rewards, args):
    """All searches, a row printed per window; returns (rows, exact, seconds).

    rows {reward or "random": (seeds, samples)}, exact {reward: (5, seeds, windows)},
    seconds [searching, enumerating], summed over cores.
    """
    samples, names = args.samples, [*rewards, "random"]
    seeds = list(range(args.first_seed, args.first_seed + args.seeds))
    under = benchmark.latency_ms <= args.target_ms
    common = {
        "values": np.stack(list(rewards.values())),
        "columns": np.column_stack([benchmark.accuracy, benchmark.latency_ms, under]),
        "samples": samples,
        "hyperparameters": {name: getattr(args, name) for name in HYPERPARAMETERS},
    }
    size = max(1, min(-(-args.seeds // args.workers), BLOCK_RUNS // len(rewards)))  # in seeds
    blocks = [
        {**common, "first": first, "seeds": seeds[first : first + size]}
        for first in range(0, args.seeds, size)
    ]
    windows = -(-samples // WINDOW)
    rows = np.empty((len(names), args.seeds, samples), np.int32)
    exact = np.empty((len(rewards), len(EXACT), args.seeds, windows))
    seconds = np.zeros(2)
    for k, seed in enumerate(seeds):  # uniform random search, from a stream of its own
        rows[-1, k] = np.random.default_rng([seed, 1]).integers(N_CELLS, size=samples)

    print_window_header(names)
    missing = np.full(windows, len(blocks))  # blocks that have yet to finish each window
    shown, start = 0, time.perf_counter()
    for first, window, block_rows, block_exact, spent in search_in_parallel(blocks, args.workers):
        these = slice(first, first + block_rows.shape[1])
        rows[:-1, these, window * WINDOW : (window + 1) * WINDOW] = block_rows
        exact[:, :, these, window] = block_exact.swapaxes(1, 2)
        seconds += spent
        missing[window] -= 1
        while shown < windows and not missing[shown]:
            ended = min((shown + 1) * WINDOW, samples)
            progress(1, 1, 0)  # clear the bar
            print_window(benchmark, rows[:, :, shown * WINDOW : ended], args.target_ms, ended)
            shown += 1
        total = windows * len(blocks)
        progress(total - int(missing.sum()), total, time.perf_counter() - start)
    return dict(zip(names, rows, strict=True)), dict(zip(rewards, exact, strict=True)), seconds


# --- What came of it --------------------------------------------------------------------------


def cell_facts(benchmark, row, target_ms):
    """What to know of one cell, by row; None if `row` is None."""
    if row is None:
        return None
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
    return optimum | {"target": cell_facts(benchmark, best, target_ms)}


def best_found_by(benchmark, rows, rewards, target_ms):
    """Per reward, and for random search: the most accurate cell under T that its runs drew.

    `accuracy_per_seed`: the best of each seed; `reward_regret`: the optimum's reward less the
    best reward drawn, the median over seeds. None where nothing under T was drawn.
    """
    found = {}
    for name, drawn in rows.items():  # drawn (seeds, samples)
        best = [most_accurate_under(benchmark, row, target_ms) for row in (drawn.ravel(), *drawn)]
        over_all, *per_seed = (cell_facts(benchmark, row, target_ms) for row in best)
        found[name] = over_all
        if over_all:
            over_all["accuracy_per_seed"] = [cell and cell["accuracy"] for cell in per_seed]
        if over_all and name in rewards:
            reached = rewards[name][drawn].max(axis=1)  # (seeds,)
            over_all["reward_regret"] = float(rewards[name].max() - np.median(reached))
    return found


# --- Printed ----------------------------------------------------------------------------------


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}")


def print_benchmark(benchmark, target_ms):
    heading(f"Benchmark: {benchmark.name}")
    for key, value in benchmark.provenance.items():
        if key not in ("name", "sha256"):  # the hashes are long; they stand in summary.json
            if isinstance(value, dict):
                value = ", ".join(f"{k} {v}" for k, v in value.items())
            print(textwrap.fill(f"  {key:8} {value}", 100, subsequent_indent=" " * 11))
    share = (benchmark.latency_ms <= target_ms).mean()
    print(f"  T        {target_ms:g} ms; {share:.1%} of the {N_CELLS:,} cells are that fast")


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


def print_cells(title, cells):
    """A line for each (label, what cell_facts says or None)."""
    heading(title)
    print(f"  {'':22}  accuracy   latency  meets T  0->1 0->2 1->2 0->3 1->3 2->3")
    for label, cell in cells:
        if cell is None:
            print(f"  {label:22}  no cell under T")
            continue
        words = cell_to_words(string_to_cell(cell["arch"]))
        meets = "yes" if cell["meets_target"] else "no"
        facts = f"{cell['accuracy']:8.2%}  {cell['latency_ms']:5.2f} ms  {meets:7}  {words}"
        print(f"  {label:22}  {facts}")


def print_window_header(names):
    heading(f"Search: each row is a window of {WINDOW} networks, mean over seeds (Fig. 7)")
    print("          " + "".join(f"  {name:^16}" for name in names))
    print("  networks" + "  acc %    ms  <=T" * len(names) + "   <=T: seeds whose mean is")


def print_window(benchmark, rows, target_ms, ended):
    """One line: rows (rewards + 1, seeds, 250) of the window that ends with network `ended`."""
    line = f"  {ended:8,}"
    for drawn in rows:  # (seeds, 250)
        accuracy, latency_ms = 100 * benchmark.accuracy[drawn], benchmark.latency_ms[drawn]
        settled = (latency_ms.mean(axis=1) <= target_ms).mean()
        line += f"  {accuracy.mean():5.2f} {latency_ms.mean():5.2f} {settled:4.0%}"
    print(line, flush=True)


def print_ledger(entries, args):
    heading(f"Claim ledger: the paper's one run beside the median of our {args.seeds} seeds")
    print(f"  {'':44} {'paper':>6} {'ours':>7} {'95 % interval':>15} {'random':>6}  verdict")
    for e in entries:
        paper = "> 0" if e["paper"] is None else f"{e['paper']:,}"
        random = "" if e["random"] is None else f"{e['random']:,.4g}"
        ours, low, high = (f"{e[key]:,.4g}" for key in ("ours", "low", "high"))
        print(
            f"  {e['item']} {e['claim']:37} {paper:>6} {ours:>7} {f'[{low}, {high}]':>15}"
            f" {random:>6}  {e['verdict']}"
        )
    for e in entries:
        never = e["per_seed"].count(args.samples) if "settles at" in e["claim"] else 0
        if never:
            print(f"  {e['claim']}: never, in {never} of {args.seeds} seeds (counted as last)")
    if args.samples != SAMPLES:
        print(f"  numbers are undecided, as the paper's need --samples {SAMPLES}")


# --- Written ----------------------------------------------------------------------------------


def write_table_1(path, entries):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, entries[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(entries)


def write_samples(path, benchmark, rows, rewards, first_seed):
    """samples.csv.gz: every network drawn, in order. Random search has no reward value."""
    columns = (benchmark.accuracy.tolist(), benchmark.latency_ms.tolist())
    facts = [f"{cell_to_string(c)},{a},{ms}" for c, a, ms in zip(CELLS, *columns, strict=True)]
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:  # no date: same bytes
        file.write(b"reward,seed,sample,arch,accuracy,latency_ms,reward_value\n")
        for name, drawn in rows.items():
            values = rewards[name].tolist() if name in rewards else [""] * N_CELLS
            ends = [f"{fact},{value}\n" for fact, value in zip(facts, values, strict=True)]
            for seed, seed_rows in enumerate(drawn.tolist(), first_seed):
                lines = [f"{name},{seed},{n},{ends[row]}" for n, row in enumerate(seed_rows, 1)]
                file.write("".join(lines).encode())


# --- Command line -----------------------------------------------------------------------------


def parse(argv):
    """The options as a namespace, or UserError."""
    parser = Parser(
        description="Search NAS-Bench-201 with two rewards and check the paper's claims."
    )
    target = parser.add_mutually_exclusive_group()
    add = parser.add_argument
    add("--benchmark", metavar="PATH", help="a file of build_benchmark.py (default: surrogate)")
    add("--rewards", default="mnasnet,proposed", help=f"some of {', '.join(REWARDS)}")
    add("--seeds", type=int, metavar="N", help="searches per reward (default: 8)")
    add("--first-seed", type=int, default=0, metavar="N", help="the first seed (default: 0)")
    add("--samples", type=int, metavar="N", help=f"networks per search (default: {SAMPLES})")
    target.add_argument("--target-ms", type=float, metavar="T", help="latency wanted (default: 17)")
    text = "T as the latency that this share of all cells meets, say 0.75"
    target.add_argument("--target-quantile", type=float, metavar="Q", help=text)
    add("--out", type=Path, default=Path("results"), help="folder for results (default: results)")
    add("--workers", type=int, metavar="N", default=cores(), help="processes (default: all cores)")
    add("--quick", action="store_true", help="2 seeds and 1,000 networks unless you say otherwise")
    for name, value in HYPERPARAMETERS.items():
        text = f"of the controller (default: {value:g})"
        add(f"--{name.replace('_', '-')}", type=type(value), default=value, metavar="X", help=text)
    args = parser.parse_args(argv)
    seeds, samples = (2, 1000) if args.quick else (8, SAMPLES)
    args.seeds = seeds if args.seeds is None else args.seeds
    args.samples = samples if args.samples is None else args.samples
    args.rewards = args.rewards.split(",")
    for name, holds, rule in (
        ("seeds", args.seeds >= 1, "at least 1"),
        ("samples", args.samples >= 1, "at least 1"),
        ("workers", args.workers >= 1, "at least 1"),
        ("first-seed", args.first_seed >= 0, "at least 0"),
        ("target-quantile", 0 < (args.target_quantile or 0.5) < 1, "between 0 and 1"),
        ("hidden", args.hidden >= 1, "at least 1"),
        ("learning-rate", 0 < args.learning_rate < math.inf, "above 0"),
        ("entropy-weight", 0 <= args.entropy_weight < math.inf, "at least 0"),
        ("baseline-decay", 0 <= args.baseline_decay < 1, "at least 0 and below 1"),
        ("rewards", set(args.rewards) <= set(REWARDS), f"some of {', '.join(REWARDS)}"),
        ("rewards", len(set(args.rewards)) == len(args.rewards), "different from each other"),
    ):
        if not holds:
            given = getattr(args, name.replace("-", "_"))
            given = ",".join(given) if name == "rewards" else given
            raise UserError(f"--{name} must be {rule}, not {given}")
    return args


def choose_target(args, benchmark):
    """T in ms: as given, or the quantile of the benchmark's latency, or the paper's 17 ms."""
    target_ms = T_MS if args.target_ms is None else args.target_ms
    if args.target_quantile is not None:
        target_ms = float(np.quantile(benchmark.latency_ms, args.target_quantile))
    if not 1 < target_ms < math.inf:
        raise UserError(f"T must be above 1 ms (Eq. 4 takes its logarithm), not {target_ms:g} ms")
    return target_ms


def experiment(argv):
    """The whole experiment, from command line to files."""
    args = parse(argv)
    benchmark = nas_benchmark.load(args.benchmark)
    T = args.target_ms = choose_target(args, benchmark)
    with whole_files(args.out) as folder:
        print_benchmark(benchmark, T)
        entries = table_1()
        print_table_1(entries)
        columns = (benchmark.accuracy, benchmark.latency_ms)
        rewards = {name: REWARDS[name](*columns, T) for name in args.rewards}
        optimum = optimum_of(benchmark, rewards, T)
        labels = {"target": "best under T"}
        cells = [(labels.get(name, f"optimum of {name}"), c) for name, c in optimum.items()]
        print_cells("Optimum: the best of all cells, by each reward", cells)

        clock = {"start": time.perf_counter()}  # what has ended -> when
        rows, exact, seconds = run_searches(benchmark, rewards, args)
        clock["search"] = time.perf_counter()
        found = {name: tuple(column[drawn] for column in columns) for name, drawn in rows.items()}
        claims = ledger(found, T)
        print_ledger(claims, args)
        best_found = best_found_by(benchmark, rows, rewards, T)
        cells = [(f"found by {name}", cell) for name, cell in best_found.items()]
        cells.append(("the benchmark's best", optimum["target"]))
        print_cells(f"Best network found under T = {T:g} ms, over all seeds", cells)
        clock["ledger"] = time.perf_counter()

        import figures  # here, for matplotlib takes longer to import than --help should take

        figures.fig2(folder / "fig2.png", T)
        figures.fig3(folder / "fig3.png", T)
        figures.fig6(folder / "fig6.png", found, T, benchmark.name)
        figures.fig7(folder / "fig7.png", found, exact, T, benchmark.name)
        figures.claims_figure(folder / "claims.png", claims, benchmark.name)
        clock["figures"] = time.perf_counter()
        write_table_1(folder / "table1.csv", entries)
        write_samples(folder / "samples.csv.gz", benchmark, rows, rewards, args.first_seed)
        clock["files"] = time.perf_counter()

        networks = len(rewards) * args.seeds * args.samples
        wall = dict(zip(list(clock)[1:], np.diff(list(clock.values())).tolist(), strict=True))
        timing = {
            "searches": len(rewards) * args.seeds,
            "networks": networks,
            "us_per_sample": 1e6 * seconds[0] / networks,
            "core_seconds": {"search": seconds[0], "enumeration": seconds[1]},
            "wall_seconds": wall,
        }
        policy = {name: dict(zip(EXACT, exact[name].tolist(), strict=True)) for name in rewards}
        settings = {k: v for k, v in vars(args).items() if k not in ("benchmark", "out", "quick")}
        summary = {
            "benchmark": benchmark.provenance,
            "settings": settings,
            "table1": entries,
            "optimum": optimum,
            "claims": claims,
            "best_found": best_found,
            "policy": policy,
            "timing": timing,
        }
        (folder / "summary.json").write_text(json.dumps(summary, indent=1, allow_nan=False))
    heading("Time")
    wall = ", ".join(f"{name} {s:.1f} s" for name, s in wall.items())
    print(f"  results in {short(args.out)}/")
    print(f"  wall time: {wall}")
    speed = f"{timing['us_per_sample']:.1f} us per sample and run"
    print(f"  core time: search {seconds[0]:.1f} s, enumeration of the policies {seconds[1]:.1f} s")
    print(f"  {timing['searches']} searches, {networks:,} networks, {speed}")


def main(argv=None):
    """Run the experiment; returns the exit code."""
    return run(experiment, argv)


if __name__ == "__main__":
    sys.exit(main())
