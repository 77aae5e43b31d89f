"""The experiment: search with each reward and several seeds, and say what came of the claims.

    python run_experiment.py                 8 seeds, 2 rewards, 5,000 networks each
    python run_experiment.py --quick         a look, in seconds
    python run_experiment.py --help          everything else

It prints the benchmark; Table 1, paper beside formula; each reward's optimum; a row per window of
250 networks; the claim ledger; the best networks found; the time. It writes table1.csv, fig2.png,
fig3.png, fig6.png, fig7.png, claims.png, samples.csv.gz and summary.json to --out, all or none.
A run's result depends on its seed and its reward alone, not on which runs are beside it."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # our matrices are small; workers use the cores
os.environ.setdefault("MKL_NUM_THREADS", "1")

import contextlib
import gzip
import json
import math
import signal
import sys
import time

import numpy as np

import nas_benchmark
from claims import SAMPLES, WINDOW, ledger
from command_line import CORES, WORKERS, Parser, UserError, progress, run, whole_files
from controller_numpy import Reinforce
from nas_benchmark import CELLS, N_CELLS, SHORT_NAMES, cell_to_string, string_to_cell
from nas_reward import REWARDS, T_MS, table_1

BLOCK_RUNS = 16  # runs in lockstep; more do not fit the cache of one core
EXACT = ("accuracy", "latency_ms", "p_under_target", "reward", "entropy")
# The paper gives no hyperparameters; docs/hyperparameters.md says how these were chosen.
HYPERPARAMETERS = dict(hidden=64, learning_rate=3e-3, entropy_weight=3e-3, baseline_decay=0.9)


# --- The search -------------------------------------------------------------------------------


def search(seeds, args, values, columns):
    """Search with all rewards and these seeds in lockstep; yields, for each window of 250 networks,

    rows (rewards, seeds, 250), exact (rewards, seeds, 5) in the order of EXACT, and seconds (2,) of
    searching and enumerating. values (rewards, 15625): what each reward pays; columns (15625, 3):
    accuracy, latency, LAT <= T."""
    searches = Reinforce(seeds * len(values), **args.hyperparameters)
    paid = np.repeat(values, len(seeds), axis=0)  # (N, 15625): every seed with each reward
    shape = (len(values), len(seeds), -1)
    for start in range(0, args.samples, WINDOW):
        clock, exact = [time.perf_counter()], []
        rows = searches.search(paid, min(WINDOW, args.samples - start))  # (N, 250)
        clock.append(time.perf_counter())
        for value, p in zip(paid, searches.controller.enumerate(), strict=True):
            entropy = -(p * np.log(np.maximum(p, 1e-30))).sum()
            exact.append([*(p @ columns), p @ value, entropy])
        clock.append(time.perf_counter())
        yield rows.reshape(shape), np.reshape(exact, shape), np.diff(clock)


def search_in_parallel(blocks, args, *common):
    """Per window, a list: what `search` yields for each block of seeds."""
    receivers = []
    for k in range(min(args.workers, len(blocks))):
        receiver, sender = WORKERS.Pipe(duplex=False)
        receivers.append(receiver)
        task = (sender, receivers, blocks[k :: args.workers], args, *common)
        WORKERS.Process(target=work, args=task, daemon=True).start()
        sender.close()
    for _ in range(0, args.samples, WINDOW):
        items = [None] * len(blocks)
        for k, receiver in enumerate(receivers):
            items[k :: args.workers] = receiver.recv()  # EOFError if the worker died
        yield items


def work(sender, receivers, blocks, *common):
    """A worker's life: search all its blocks, send what each window brings."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    for receiver in receivers:  # a forked worker has them too, and could not see the parent die
        receiver.close()
    with contextlib.suppress(BrokenPipeError):  # the parent is gone: so go
        for items in zip(*(search(block, *common) for block in blocks), strict=True):
            sender.send(items)


def run_searches(benchmark, rewards, args):
    """All searches, a line printed per window; returns rows {reward or "random": (seeds, samples)},

    exact {reward: (5, seeds, windows)}, seconds (2,) of searching and enumerating, of all cores."""
    names, seeds = [*rewards, "random"], list(range(args.first_seed, args.first_seed + args.seeds))
    size = max(1, min(-(-args.seeds // args.workers), BLOCK_RUNS // len(rewards)))  # in seeds
    blocks = [seeds[k : k + size] for k in range(0, args.seeds, size)]
    under = benchmark.latency_ms <= args.target_ms
    columns = np.column_stack([benchmark.accuracy, benchmark.latency_ms, under])
    # Uniform random search draws from a stream of its own.
    random = [np.random.default_rng([s, 1]).integers(N_CELLS, size=args.samples) for s in seeds]
    rows, exact = np.stack([np.array(random, np.int32)] * len(names)), []
    print_window_header(names)
    seconds, start, end = np.zeros(2), time.perf_counter(), 0
    for items in search_in_parallel(blocks, args, np.stack(list(rewards.values())), columns):
        begin, end = end, min(end + WINDOW, args.samples)
        rows[:-1, :, begin:end] = np.concatenate([item[0] for item in items], axis=1)
        exact.append(np.concatenate([item[1] for item in items], axis=1))
        seconds += sum(item[2] for item in items)
        progress(1, 1, 0)  # clear the bar
        print_window(benchmark, rows[:, :, begin:end], args.target_ms, end)
        progress(end, args.samples, time.perf_counter() - start)
    exact = dict(zip(rewards, np.transpose(exact, (1, 3, 2, 0)), strict=True))
    return dict(zip(names, rows, strict=True)), exact, seconds


# --- What came of it --------------------------------------------------------------------------


def cell_facts(benchmark, row, target_ms):
    """What to know of one cell, by row, as a dict."""
    accuracy, latency_ms = float(benchmark.accuracy[row]), float(benchmark.latency_ms[row])
    facts = dict(arch=cell_to_string(CELLS[row]), accuracy=accuracy, latency_ms=latency_ms)
    return facts | {"meets_target": latency_ms <= target_ms}


def best_under(benchmark, rows, target_ms):
    """The facts of the most accurate cell with LAT <= T among `rows` (n,); None if none is."""
    rows = rows[benchmark.latency_ms[rows] <= target_ms]
    best = rows[np.argmax(benchmark.accuracy[rows])] if len(rows) else None
    return None if best is None else cell_facts(benchmark, best, target_ms)


def optimum_of(benchmark, rewards, target_ms):
    """Each reward's best cell of all, and the most accurate cell with LAT <= T."""
    optimum = {"best_under_T": best_under(benchmark, np.arange(N_CELLS), target_ms)}
    for name, values in rewards.items():
        facts = cell_facts(benchmark, np.argmax(values), target_ms)
        optimum[name] = facts | {"reward": float(values.max())}
    return optimum


def best_found_by(benchmark, rows, rewards, target_ms):
    """Per reward, and for random search: the most accurate cell under T that its runs drew.

    `reward_regret`: the optimum's reward less the best reward drawn, the median over seeds."""
    found = {}
    for name, drawn in rows.items():  # drawn (seeds, samples)
        found[name] = best_under(benchmark, drawn.ravel(), target_ms)
        if found[name] and name in rewards:
            reached = rewards[name][drawn].max(axis=1)  # (seeds,)
            found[name]["reward_regret"] = float(rewards[name].max() - np.median(reached))
    return found


# --- Printed ----------------------------------------------------------------------------------


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}")


def print_table_1(entries):
    heading("Table 1: rewards as printed in the paper, beside the formula (T = 17 ms)")
    print("  case  accuracy  latency  reward     printed    formula")
    line = "  ({case}) {accuracy:8.0%} {latency_ms:5.0f} ms  {reward:9}  {printed:9}  {formula:.6f}"
    for e in entries:
        remark = "" if e["agrees"] else "  misprint: the formula gives {truncated}"
        print((line + remark).format(**e))
    agree = f"{sum(e['agrees'] for e in entries)} of {len(entries)} agree"
    print(f"  {agree} as truncated; the others are misprints of the paper")


def print_cells(title, cells):
    """A line for each of cells {name: what cell_facts says, or None}."""
    heading(title)
    print(f"  {'':12}  accuracy   latency  meets T  0->1 0->2 1->2 0->3 1->3 2->3")
    for name, cell in cells.items():
        line = f"  {name:12}  " + ("" if cell else "no cell under T")
        if cell:
            line += f"{cell['accuracy']:8.2%}  {cell['latency_ms']:5.2f} ms"
            line += f"  {'yes' if cell['meets_target'] else 'no':7}  "
            line += " ".join(f"{SHORT_NAMES[k]:4}" for k in string_to_cell(cell["arch"]))
        print(line.rstrip())


def print_window_header(names):
    heading(f"Search: each row is a window of {WINDOW} networks, mean over seeds (Fig. 7)")
    print(("          " + "".join(f"  {name:^16}" for name in names)).rstrip())
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
        interval = f"[{e['low']:,.4g}, {e['high']:,.4g}]"
        print(
            f"  {e['item']} {e['claim']:37} {paper:>6} {e['ours']:>7,.4g} {interval:>15}"
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
    lines = [entries[0].keys(), *(e.values() for e in entries)]
    path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))


def write_samples(path, benchmark, rows, rewards, first_seed):
    """samples.csv.gz: every network drawn, in order. Random search has no reward value."""
    columns = (benchmark.accuracy.tolist(), benchmark.latency_ms.tolist())
    facts = [f"{cell_to_string(c)},{a},{ms}" for c, a, ms in zip(CELLS, *columns, strict=True)]
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:  # no date: same bytes
        file.write(b"reward,seed,sample,arch,accuracy,latency_ms,reward_value\n")
        for name, drawn in rows.items():
            paid = rewards[name].tolist() if name in rewards else [""] * N_CELLS
            for seed, cells in enumerate(drawn.tolist(), first_seed):
                for n, row in enumerate(cells, 1):
                    file.write(f"{name},{seed},{n},{facts[row]},{paid[row]}\n".encode())


# --- Command line -----------------------------------------------------------------------------


def parse(argv):
    """The options as a namespace, or UserError."""
    parser = Parser(description="Search NAS-Bench-201 with two rewards; check the paper's claims.")
    add = parser.add_argument
    add("--benchmark", metavar="PATH", help="a file of build_benchmark.py (default: surrogate)")
    add("--rewards", default="mnasnet,proposed", help=f"some of {', '.join(REWARDS)}")
    add("--seeds", type=int, default=8, metavar="N", help="searches per reward (default: 8)")
    add("--first-seed", type=int, default=0, metavar="N", help="number of the first (default: 0)")
    add("--samples", type=int, default=SAMPLES, metavar="N", help="networks each (default: 5000)")
    add_target = parser.add_mutually_exclusive_group().add_argument
    add_target("--target-ms", type=float, default=T_MS, metavar="T", help="in ms (default: 17)")
    add_target("--target-quantile", type=float, metavar="Q", help="the T that this share meets")
    add("--out", default="results", metavar="DIR", help="folder for results (default: results)")
    add("--workers", type=int, default=CORES, metavar="N", help="processes (default: all cores)")
    add("--quick", action="store_true", help="2 seeds of 1,000 networks unless you say otherwise")
    if parser.parse_args(argv).quick:
        parser.set_defaults(seeds=2, samples=1000)
    args = parser.parse_args(argv)
    for name, least in dict(seeds=1, first_seed=0, samples=1, workers=1).items():
        if getattr(args, name) < least:
            raise UserError(f"--{name.replace('_', '-')} must be at least {least}")
    args.rewards, args.hyperparameters = args.rewards.split(","), HYPERPARAMETERS
    if not set(args.rewards) <= set(REWARDS) or len(set(args.rewards)) < len(args.rewards):
        raise UserError(f"--rewards must be some of {', '.join(REWARDS)}, each once")
    if not 0 < (args.target_quantile or 0.5) < 1:
        raise UserError("--target-quantile must be between 0 and 1")
    return args


def choose_target(args, benchmark):
    """T in ms, set in `args`: the quantile of the benchmark's latency, or --target-ms."""
    if args.target_quantile is not None:
        args.target_ms = float(np.quantile(benchmark.latency_ms, args.target_quantile))
    if not 1 < args.target_ms < math.inf:
        raise UserError(f"T must be above 1 ms, not {args.target_ms:g} ms: it is Eq. 4's base")
    return args.target_ms


def experiment(argv):
    """The whole experiment, from command line to files."""
    args = parse(argv)
    benchmark = nas_benchmark.load(args.benchmark)
    T = choose_target(args, benchmark)
    columns = (benchmark.accuracy, benchmark.latency_ms)
    rewards = {name: REWARDS[name](*columns, T) for name in args.rewards}
    with whole_files(args.out) as folder:
        heading(f"Benchmark: {benchmark.name}")
        share = (benchmark.latency_ms <= T).mean()
        print(
            f"{benchmark}\n  T        {T:g} ms; {share:.1%} of the {N_CELLS:,} cells are that fast"
        )
        print_table_1(table_1())
        optimum = optimum_of(benchmark, rewards, T)
        print_cells("Optimum: the best of all cells, by each reward", optimum)
        clock = [time.perf_counter()]
        rows, exact, core = run_searches(benchmark, rewards, args)
        clock.append(time.perf_counter())
        found = {name: tuple(column[drawn] for column in columns) for name, drawn in rows.items()}
        claims = ledger(found, T)
        print_ledger(claims, args)
        best_found = best_found_by(benchmark, rows, rewards, T)
        cells = best_found | {"of all cells": optimum["best_under_T"]}
        print_cells(f"Best network found under T = {T:g} ms, over all seeds", cells)

        import figures  # here, for matplotlib takes longer to import than --help should take

        figures.fig2(folder / "fig2.png", T)
        figures.fig3(folder / "fig3.png", T)
        figures.fig6(folder / "fig6.png", found, T, benchmark.name)
        figures.fig7(folder / "fig7.png", found, exact, T, benchmark.name)
        figures.claims_figure(folder / "claims.png", claims, benchmark.name)
        clock.append(time.perf_counter())
        write_table_1(folder / "table1.csv", table_1())
        write_samples(folder / "samples.csv.gz", benchmark, rows, rewards, args.first_seed)
        clock.append(time.perf_counter())
        timing = dict(searches=len(rewards) * args.seeds, samples=args.samples)
        timing["us_per_sample"] = 1e6 * core[0] / timing["searches"] / args.samples
        timing["core_s"] = dict(zip(("search", "enumeration"), core.tolist(), strict=True))
        wall = zip(("search", "figures", "files"), np.diff(clock).tolist(), strict=True)
        timing["wall_s"] = dict(wall)
        summary = dict(benchmark=benchmark.provenance, settings=vars(args), table1=table_1())
        summary |= dict(optimum=optimum, claims=claims, best_found=best_found, timing=timing)
        policy = {name: dict(zip(EXACT, exact[name].tolist(), strict=True)) for name in rewards}
        text = json.dumps(summary | {"policy": policy}, indent=1, allow_nan=False)
        (folder / "summary.json").write_text(text)
    heading("Time")
    for what in ("core_s", "wall_s"):
        times = (f"{name} {seconds:.1f} s" for name, seconds in timing[what].items())
        print(f"  {what[:4]} time: {', '.join(times)}")
    print(f"  {timing['searches']} searches of {args.samples:,} networks; results in {args.out}/")
    print(f"  {timing['us_per_sample']:.1f} us per sample and run")


def main(argv=None):
    """Run the experiment; returns the exit code."""
    return run(experiment, argv)


if __name__ == "__main__":
    sys.exit(main())
