"""The experiment: search with each reward and many seeds, then test the paper's claims.

    python run_experiment.py                 40 seeds, 2 rewards, 5,000 networks each
    python run_experiment.py --quick         a look, in seconds
    python run_experiment.py --help          everything else

It prints the benchmark; Table 1; each reward's best cell, and where a search of unlimited length
goes; a row per window of 250 samples; the paper's claims and our runs; what was found. It writes
table1.csv, samples.csv.gz and summary.json to --out, and then the figures."""

import os

# One BLAS thread per process: our matrices are small, and the workers use the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import argparse
import collections
import contextlib
import gzip
import json
import platform
import sys
import time
from pathlib import Path

import command_line  # first: is Python new enough?  # isort: skip
import numpy as np

import claims
import nas_benchmark
import nas_reward
from command_line import Parser, UserError, atomic_output, run, write_text
from nas_benchmark import CELLS, MAX_MS, N_CELLS, SHORT, cell_to_string, string_to_cell
from nas_reward import PAIR, REWARDS, SAMPLES, T_MS, WINDOW
from nas_search import CORES, HYPERPARAMETERS, Problem, run_searches, words_of

SEEDS = 40  # the fewest at which every claim can be decided is 39
RESULTS = ("table1.csv", "samples.csv.gz", "summary.json")
PICTURES = ("fig2.png", "fig3.png", "fig6.png", "fig7.png")
PICTURES += ("best.png", "claims.png", "landscape.png")
MAX_NETWORKS = 100_000_000  # in one run, random search among them


def experiment(argv):
    """The whole experiment, from command line to files."""
    args = parse(argv)
    benchmark = nas_benchmark.load(args.benchmark)
    problem = Problem(benchmark, args.rewards, target_of(args, benchmark))
    with atomic_output(args.out):  # can it be written? Better known before the search
        films = ["search.gif"] if args.animate else []
        command_line.check_replaceable(args.out, [*RESULTS, *PICTURES, *films])
    print_benchmark(problem)
    for title, text in nas_reward.report().items():
        heading(title)
        print(text)
    print_optima(problem, args.entropy_weight)

    wall_s = {}
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    chosen = {name: getattr(args, name) for name in HYPERPARAMETERS}
    print_row = window_printer(problem, args)
    with timed(wall_s, "search"):
        runs = run_searches(problem, seeds, args.samples, args.workers, chosen, print_row)
    print("  ok: the share of seeds whose mean latency in this window is under T")

    results = claims.evaluate_claims(runs.points(), problem.target_ms)
    with timed(wall_s, "files"), atomic_output(args.out) as folder:
        table_1 = nas_reward.table_1()
        lines = [table_1[0].keys(), *(e.values() for e in table_1), ""]
        text = "\n".join(",".join(map(str, line)) for line in lines)
        write_text(folder / "table1.csv", text)
        write_samples(folder / "samples.csv.gz", runs)
        write_summary(folder / "summary.json", args, runs, results, wall_s)
    print_claims(results, args.seeds)
    print_what_the_target_forbids(problem)
    print_comparisons(compared(runs), args.seeds)
    print_best_found(runs)
    with timed(wall_s, "figures"):
        draw(args.out, runs, results, args.animate)
    print_time(args, runs, wall_s)
    print_conclusion(results, runs, args.out)


def compared(runs):
    """What `compare_rewards` says of the runs; [] if no cell is under T."""
    best = runs.problem.optima()["best_under_T"]
    columns = (runs.points(), runs.problem.target_ms)
    return claims.compare_rewards(*columns, best["accuracy"]) if best else []


def draw(out, runs, results, animate):
    """All figures, and the animation if asked for. Raises OSError if they fail."""
    try:
        import figures  # here, for --help should not wait for matplotlib

        with atomic_output(out) as folder:
            figures.write_figures(folder, runs, results)
            if animate:
                sys.path.append(str(Path(__file__).parent / "docs"))
                import drawings

                drawings.animate(folder / "search.gif", runs)
    except Exception as error:
        way_on = f"the results are in {out}/; python figures.py --from {out} draws them"
        raise OSError(f"{type(error).__name__}: {error}; {way_on}") from error


@contextlib.contextmanager
def timed(seconds, what):
    """Put into `seconds` how long the inside of `with` took, in s, as `what`."""
    start = time.perf_counter()
    yield
    seconds[what] = time.perf_counter() - start


# --- Command line -----------------------------------------------------------------------------


def parse(argv):
    """The options as a namespace, or UserError."""
    parser = Parser(description="Search with two rewards; test the paper's claims.")
    target = parser.add_mutually_exclusive_group()

    def add(option, kind, metavar, text, to=parser):
        to.add_argument(option, type=kind, metavar=metavar, help=text)

    built = "benchmark file written by data/build_benchmark.py (default: the surrogate)"
    add("--benchmark", str, "PATH", built)
    some = f"comma-separated, from: {', '.join(REWARDS)} (default: {','.join(PAIR)})"
    add("--rewards", str, "NAMES", some)
    add("--seeds", between(1, 10_000), "N", f"searches per reward (default: {SEEDS})")
    add("--first-seed", between(0, 10**9), "N", "the first seed (default: %(default)s)")
    add("--samples", between(1, 10**6), "N", f"samples per search (default: {SAMPLES})")
    add("--target-ms", float, "T", f"the target latency in ms (default: {T_MS:g})", target)
    quantile = "choose T so that this share of all cells is under it, e.g. 0.75"
    add("--target-quantile", float, "Q", quantile, target)
    add("--learning-rate", between(1e-6, 1.0), "RATE", "of Adam (default: %(default)s)")
    weight = "of the entropy, in units of R (default: %(default)s)"
    add("--entropy-weight", between(0.0, 100.0), "W", weight)
    add("--hidden", between(1, 256), "H", "hidden units of the LSTM (default: %(default)s)")
    decay = "of the moving-average baseline, or none (default: %(default)s)"
    add("--baseline-decay", decay_or_none, "D|none", decay)
    add("--workers", between(1, 1_024), "N", "processes (default: all cores)")
    add("--out", os.path.expanduser, "DIR", "folder for results (default: %(default)s)")
    quick = "2 seeds of 1,000 samples, unless other numbers are given"
    parser.add_argument("--quick", action="store_true", help=quick)
    animate = "write search.gif as well: the policies during a search"
    parser.add_argument("--animate", action="store_true", help=animate)
    parser.set_defaults(rewards=",".join(PAIR), first_seed=0, target_ms=T_MS)
    parser.set_defaults(workers=CORES, out="results", **HYPERPARAMETERS)
    args = parser.parse_args(argv)
    names = args.rewards = args.rewards.split(",")
    if not set(names) <= set(REWARDS) or len(set(names)) < len(names):
        parser.error(f"--rewards: must be some of {', '.join(REWARDS)}, each once")
    if not args.out:
        parser.error("--out: must be the name of a folder")
    args.seeds = args.seeds or (2 if args.quick else SEEDS)
    args.samples = args.samples or (1000 if args.quick else SAMPLES)
    networks = (len(args.rewards) + 1) * args.seeds * args.samples
    if networks > MAX_NETWORKS:
        most = f"at most {MAX_NETWORKS:,} in one run, with those of random search"
        parser.error(f"{networks:,} samples: {most}; take fewer seeds or samples")
    return args


def between(least, most):
    """An argparse type: numbers from `least` to `most`, whole ones if `most` is one."""

    def number(text):
        if not least <= type(most)(text) <= most:
            limits = f"at least {least:,.10g} and at most {most:,.10g}"
            raise argparse.ArgumentTypeError(f"must be {limits}")
        return type(most)(text)

    return number


def decay_or_none(text):
    """An argparse type: a number from 0 up to, and without, 1; or "none"."""
    if text == "none":
        return None
    if not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError("must be none, or at least 0 and below 1")
    return float(text)


def target_of(args, benchmark):
    """T in ms: the quantile of the benchmark's latency, or --target-ms. Raises UserError."""
    target_ms = args.target_ms
    if args.target_quantile is not None:
        if not 0 < args.target_quantile < 1:
            raise UserError("--target-quantile must be between 0 and 1")
        target_ms = float(np.quantile(benchmark.latency_ms, args.target_quantile))
    if not 0 < target_ms <= MAX_MS:
        raise UserError(f"T must be above 0 and at most {MAX_MS:,.0f} ms, not {target_ms:g} ms")
    return target_ms


# --- Printed ----------------------------------------------------------------------------------


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}")


def print_benchmark(problem):
    facts = problem.benchmark.provenance
    heading(f"Benchmark: {problem.benchmark.name}")
    accuracy = "{dataset}; split {split}; epochs {epochs}; trials {trials}".format(**facts)
    print(f"  accuracy  {accuracy}")
    print("  latency   {device}; batch {batch}".format(**facts))
    share = f"{problem.under.mean():.1%} of the {N_CELLS:,} cells are under T"
    print(f"  target    T = {problem.target_ms:g} ms: {share} (latency at most T)")


def print_optima(problem, entropy_weight):
    """Each reward's best cell, and its fixed-point policy."""
    name = problem.benchmark.name
    heading(f"Best of all {N_CELLS:,} cells by each reward: no search, on {name}")
    print(f"  {'':12}  accuracy   latency  under T  0->1 0->2 1->2 0->3 1->3 2->3")
    for name, cell in problem.optima().items():
        if cell is None:
            print(f"  {name:12}  no cell is under T")
            continue
        under = "yes" if cell["meets_target"] else "no"
        operations = " ".join(f"{SHORT[k]:4}" for k in string_to_cell(cell["arch"]))
        line = f"  {name:12}  {cell['accuracy']:8.2%}  {cell['latency_ms']:5.2f} ms"
        print(f"{line}  {under:7}  {operations}".rstrip())
    if entropy_weight > 0:
        print(f"  where a search of unlimited length goes, at entropy weight {entropy_weight:g}:")
        for name, end in problem.fixed_points(entropy_weight).items():
            where = f"{end['accuracy']:8.2%}  {end['latency_ms']:5.2f} ms"
            spread = f"{np.exp(end['entropy']):,.0f} cells (exp of the entropy)"
            print(f"  {name:12}  {where}  {end['p_under_target']:.0%} under T, over {spread}")
    for name in problem.reward_tables:
        spread = problem.spread(name)
        if not 1 / 100 < spread < 100:
            says = f"R of {name} varies {spread:.3g} times as much as MnasNet's reward"
            print(f"  careful: {says}, and the entropy weight is in units of R")


def window_printer(problem, args):
    """Print the header of the search; returns a function that prints a row for each window."""
    names = [*problem.reward_tables, "random"]
    like = "" if args.samples == SAMPLES else f"; counts not of {SAMPLES:,} as the paper's"
    heading(f"Search (Fig. 7): means of windows of {WINDOW} samples, {args.seeds} seeds{like}")
    print(("          " + "".join(f"  {name:^16}" for name in names)).rstrip())
    print("   samples" + "   acc%    ms   ok" * len(names))
    start = time.perf_counter()

    def print_window(rows, end):
        """rows {reward or "random": (seeds, 250)} of the window that ends with sample `end`."""
        line = f"  {end:8,}"
        for drawn in rows.values():  # (seeds, 250)
            percent = 100 * problem.benchmark.accuracy[drawn].mean()
            ms = problem.benchmark.latency_ms[drawn].mean(axis=1)  # (seeds,)
            seeds = (ms <= problem.target_ms).mean()
            line += f"  {percent:5.2f} {ms.mean():5.2f} {seeds:4.0%}"
        command_line.clear_progress()
        print(line, flush=True)
        command_line.progress(end, args.samples, time.perf_counter() - start)

    return print_window


def print_claims(results, seeds):
    heading(f"The paper's claims: its one run per reward, and our {seeds} runs")
    print(claims.claims_report(results))
    print("  inside, outside: exact rank test of the paper's number among our runs (5%)")
    print("  supported, reversed: exact sign test, paired by seed (5%)")
    print("  never: not within the samples of a search")
    undecided = {"not comparable", "too few seeds"}
    if any(e["verdict"] in undecided for e in results if e["reward"]):
        paper = f"T = {T_MS:g} ms, {SAMPLES:,} samples"
        print(f"  a number of the paper takes {paper} and {claims.MIN_RUNS} seeds,")
        print(f"  a sign {claims.MIN_PAIRS} seeds")


def print_what_the_target_forbids(problem):
    """Say so if T forbids nearly nothing, or nearly everything: the claims are about neither."""
    share = problem.under.mean()
    if not 0.02 <= share <= 0.98:
        nearly = "everything" if share < 0.5 else "nothing"
        under = f"under T = {problem.target_ms:g} ms"
        print(f"  careful: {share:.1%} of all cells are {under}, so that T")
        print(f"  forbids nearly {nearly}; --target-quantile 0.75 chooses another T")


def print_comparisons(lines, seeds):
    """Any two rewards, paired by seed: what `compare_rewards` found."""
    if lines:
        heading(f"Rewards compared by seed: in how many of {seeds}, and p of the sign test")
    for e in lines:
        ahead = f"{e['ahead']:3} of {e['of']}, p = {e['p']:.2g}"
        print(f"  {e['first']:12} {e['what']:34} than {e['second']:12} {ahead}")


def print_best_found(runs):
    """In how many searches the best cell under T was found, and how soon."""
    best = runs.problem.optima()["best_under_T"]
    if best is None:
        return
    cell = f"{best['accuracy']:.2%}, {best['latency_ms']:.2f} ms"
    heading(f"Best cell under T ({cell}), per search")
    print(f"  {'':12}    found in  after (median)  best accuracy under T (median)")
    for name, e in runs.best_found().items():
        after = "never" if e["median_samples"] is None else f"{e['median_samples']:,.0f}"
        found = f"{e['runs_that_found_it']} of {e['of']}"
        print(f"  {name:12}  {found:>10}  {after:>14}  {e['median_accuracy']:.2%}")


def print_conclusion(results, runs, out):
    """Three sentences: what was found, on what, and which pictures to open."""
    heading("In short")
    count = collections.Counter(e["verdict"] for e in results)
    signs = sum(e["kind"] == "sign" for e in results)
    judged = count["inside"] + count["outside"]
    print(f"  {count['supported']} of the paper's {signs} signs are supported;")
    if judged:
        print(f"  {count['inside']} of {judged} values of the paper lie inside our runs.")
    else:
        print("  this run says nothing of the paper's values: see above.")
    print(f"  The benchmark: {runs.problem.benchmark.name}. The hyperparameters:")
    print(f"  {words_of(runs.hyperparameters)}.")
    print("  To see it, open fig7.png, claims.png and landscape.png:")
    print(f"  they are in {out}/.")


def print_time(args, runs, wall_s):
    heading("Time")
    searches = len(args.rewards) * args.seeds
    print(f"  {searches} searches of {args.samples:,} samples; results in {args.out}/")
    times = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in wall_s.items())
    print(f"  {times}; {us_per_sample(runs):.1f} us per sample and run, on one core")


def us_per_sample(runs):
    """Microseconds of one core that a network of one search took, without the enumeration."""
    drawn = sum(runs.rows[name].size for name in runs.problem.reward_tables)
    return 1e6 * runs.seconds["search"] / drawn


# --- Written ----------------------------------------------------------------------------------


def write_samples(path, runs):
    """samples.csv.gz: every sample, in order. Random search has no reward value."""
    table = runs.problem.benchmark
    strings = map(cell_to_string, CELLS)
    columns = (strings, table.accuracy.tolist(), table.latency_ms.tolist())
    facts = [",".join(map(str, cell)) for cell in zip(*columns, strict=True)]  # by row
    # mtime=0: no date in the file, so that the same run writes the same bytes.
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:
        file.write(b"reward,seed,sample,arch,accuracy,latency_ms,reward_value\n")
        for name, drawn in runs.rows.items():
            R = [""] * N_CELLS
            if name in runs.problem.reward_tables:
                R = runs.problem.reward_tables[name].tolist()
            for seed, rows in zip(runs.seeds, drawn, strict=True):
                for n, row in enumerate(rows.tolist(), 1):
                    file.write(f"{name},{seed},{n},{facts[row]},{R[row]}\n".encode())


def write_summary(path, args, runs, results, wall_s):
    """summary.json: everything but the samples."""
    problem = runs.problem
    chosen = dict(target_ms=problem.target_ms, hyperparameters=runs.hyperparameters)
    timing = dict(searches=len(args.rewards) * args.seeds, samples=args.samples)
    timing |= dict(us_per_sample=us_per_sample(runs), core_s=runs.seconds)
    versions = dict(python=platform.python_version(), numpy=np.__version__)
    summary = dict(
        benchmark=problem.benchmark.provenance,
        settings=vars(args) | chosen,
        table1=nas_reward.table_1(),
        comparisons=nas_reward.comparisons(),
        optimum=problem.optima(),
        fixed_points=problem.fixed_points(args.entropy_weight),
        claims=results,
        whole_run=claims.whole_run_of(results),
        compared=compared(runs),
        best_found=runs.best_found(),
        timing=timing | dict(wall_s=wall_s),
        versions=versions | dict(platform=platform.platform()),
        policy=runs.expected,
    )
    text = json.dumps(summary, indent=1, allow_nan=False, default=np.ndarray.tolist)
    write_text(path, text)


def main(argv=None):
    """Run the experiment; returns the exit code."""
    return run(experiment, argv)


if __name__ == "__main__":
    sys.exit(main())
