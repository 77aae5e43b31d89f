"""Searches: a problem, the searches of it in parallel, and their samples. Prints nothing.

    problem = Problem(nas_benchmark.load(), ["mnasnet", "proposed"], target_ms=17.0)
    runs = run_searches(problem, seeds=range(8))
    accuracy, latency_ms = runs.points()["proposed"]  # (seeds, samples) each

A search is one controller that learns from one reward with one seed. Its result depends on these
and the hyperparameters alone: not on which others run at the same time, or in which process.
Uniform random search, "random", has as many samples, from a stream of its own. On Windows and
macOS, workers import the script that starts them: call run_searches below `if __name__ ==
"__main__":` there."""

import contextlib
import math
import multiprocessing
import numbers
import operator
import os
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from claims import found_after
from command_line import UserError, leave_signals_to_the_parent, start_undisturbed
from controller_numpy import K, Reinforce, S, log_softmax
from nas_benchmark import CELLS, N_CELLS, cell_to_string
from nas_reward import REWARDS, SAMPLES, WINDOW, mnasnet, reward_table

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": two cores


def cores():
    """How many cores this process may use: by the system, by affinity, by a container's quota."""
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # "max 100000" without a quota
        quota, period = CPU_QUOTA.read_text(encoding="utf-8").split()
        count = min(count, math.ceil(int(quota) / int(period)))
    return max(count, 1)


CORES = cores()
# Workers are forked, which is instant, but spawned where forking is unsafe.
WORKERS = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
LOCKSTEP = 16  # runs that advance together; more do not fit the cache of one core

# The paper gives no hyperparameters; study/hyperparameters.md has the rule that chose these.
HYPERPARAMETERS = dict(hidden=64, learning_rate=1e-3, entropy_weight=5e-3, baseline_decay=0.95)


def words_of(hyperparameters):
    """Hyperparameters in a line: "learning rate 0.003, baseline decay none"."""
    words = [f"{name} {value}" for name, value in hyperparameters.items()]
    return ", ".join(words).replace("_", " ").replace("None", "none")


# --- What is searched, and what was sampled ---------------------------------------------------


class Problem:
    """A benchmark, a target T, and each cell's R by each reward function. Raises UserError.

    rewards         names of nas_reward.REWARDS, or a dict {name: function} of your own, where
                    function(accuracy (n,), latency_ms (n,), target_ms) returns R (n,). R should
                    lie in about 0..1, because the entropy weight is in units of R

    under           (15625,) booleans: LAT <= T
    reward_tables   {reward: (15625,)}: R of every cell, by row, in the order of `rewards`"""

    def __init__(self, benchmark, rewards, target_ms):
        if not isinstance(rewards, list | tuple | dict) or not rewards:
            raise UserError(f"rewards must be a list of names or a dict, not {rewards!r}")
        if not isinstance(target_ms, numbers.Real):
            raise UserError(f"T must be a number of ms, not {target_ms!r}")
        if not isinstance(rewards, dict):
            if not set(rewards) <= set(REWARDS):
                raise UserError(f"rewards must be some of {', '.join(REWARDS)}, not {rewards}")
            rewards = {name: REWARDS[name] for name in rewards}
        self.rewards = rewards
        self.benchmark = benchmark
        self.target_ms = target_ms
        self.under = benchmark.latency_ms <= target_ms
        columns = (benchmark.accuracy, benchmark.latency_ms)
        self.reward_tables = {}
        for name, reward in rewards.items():
            self.reward_tables[name] = reward_table(name, reward, *columns, target_ms)

    def spread(self, name):
        """The standard deviation of R over all cells, in units of that of MnasNet's reward."""
        table = self.benchmark
        usual = mnasnet(table.accuracy, table.latency_ms, self.target_ms)
        return float(self.reward_tables[name].std() / max(usual.std(), 1e-12))

    def fixed_points(self, entropy_weight):
        """{reward: what its fixed-point policy expects, by the names of EXPECTED}; {} at w = 0."""
        if entropy_weight == 0:
            return {}
        tables = np.stack(list(self.reward_tables.values()))
        p = np.stack([fixed_point_policy(table, entropy_weight) for table in tables])
        return named(self.reward_tables, expectations(self, tables, p).tolist())

    def __getstate__(self):
        """What a worker process is sent: all but the functions, for a lambda cannot be sent."""
        return self.__dict__ | {"rewards": None}

    def facts(self, row):
        """What to know of one cell, by row, as a dict."""
        return dict(
            arch=cell_to_string(CELLS[row]),
            accuracy=float(self.benchmark.accuracy[row]),
            latency_ms=float(self.benchmark.latency_ms[row]),
            meets_target=bool(self.under[row]),
        )

    def optima(self):
        """Facts of the most accurate cell under T (None if there is none), and of each reward's
        best cell of all."""
        under = np.where(self.under, self.benchmark.accuracy, 0.0)
        best = self.facts(np.argmax(under)) if self.under.any() else None
        optima = {"best_under_T": best}
        for name, table in self.reward_tables.items():
            optima[name] = self.facts(np.argmax(table)) | {"reward": float(table.max())}
        return optima


@dataclass
class Runs:
    """What all searches of a problem sampled.

    seeds     the list of seeds
    rows      {reward or "random": (seeds, samples)}: the row of every sample, in order
    expected  {reward: {quantity: (seeds, windows)}}: see `expectations`
    seconds   {"search", "enumeration"}: what it took, summed over all processes
    hyperparameters   those of the searches, as in HYPERPARAMETERS"""

    problem: Problem
    seeds: list
    rows: dict
    expected: dict
    seconds: dict
    hyperparameters: dict

    def points(self):
        """{reward or "random": (accuracy, latency_ms)}, each (seeds, samples)."""
        table = self.problem.benchmark
        of_row = (table.accuracy, table.latency_ms)
        return {name: tuple(of[rows] for of in of_row) for name, rows in self.rows.items()}

    def best_found(self):
        """Per reward, and for random search: how soon each search finds the best cell under T.

        {name: runs_that_found_it, of, median_samples (None: never), median_accuracy}, where the
        last is the median over searches of their best accuracy under T. {} if no cell is under T.
        """
        best = self.problem.optima()["best_under_T"]
        if best is None:
            return {}
        found = {}
        for name, columns in self.points().items():
            after = found_after(*columns, self.problem.target_ms, best["accuracy"])
            found[name] = dict(runs_that_found_it=int(np.isfinite(after).sum()), of=len(after))
            middle = float(np.median(after))
            found[name]["median_samples"] = middle if math.isfinite(middle) else None
            ends = self.best_so_far(name)[:, -1]
            found[name]["median_accuracy"] = float(np.median(ends))
        return found

    def best_so_far(self, name):
        """The best accuracy under T after each sample, (seeds, samples); 0 before the first."""
        accuracy = np.where(self.problem.under, self.problem.benchmark.accuracy, 0.0)
        return np.maximum.accumulate(accuracy[self.rows[name]], axis=1)


# --- The search -------------------------------------------------------------------------------

EXPECTED = ("accuracy", "latency_ms", "p_under_target", "reward", "entropy")


def run_searches(
    problem, seeds, samples=SAMPLES, workers=CORES, hyperparameters=HYPERPARAMETERS, on_window=None
):
    """Search with every reward and seed, and at random with as many samples: returns Runs.

    on_window(rows, end), if given, is called after each window, with `rows` {reward or "random":
    (seeds, 250)} and `end`, the number of samples so far. Raises UserError."""
    seeds = checked_seeds(seeds, samples, workers)
    Reinforce(seeds[:1], **hyperparameters)  # a slip is said here, not by a worker
    names = [*problem.reward_tables, "random"]
    rows = np.empty((len(names), len(seeds), samples), np.int32)
    rows[-1] = [random_search(seed, samples) for seed in seeds]
    expected = []
    seconds = np.zeros(2)
    end = 0
    shares_of = windows_in_parallel(problem, seeds, samples, workers, hyperparameters)
    for shares in shares_of:
        drawn, expectation, took = zip(*shares, strict=True)
        start, end = end, min(end + WINDOW, samples)
        rows[:-1, :, start:end] = np.concatenate(drawn, axis=1)
        expected.append(np.concatenate(expectation, axis=2))  # (5, rewards, seeds)
        seconds += sum(took)
        if on_window:
            on_window(dict(zip(names, rows[:, :, start:end], strict=True)), end)
    rows = dict(zip(names, rows, strict=True))
    expected = named(problem.reward_tables, np.stack(expected, axis=-1))
    seconds = dict(search=float(seconds[0]), enumeration=float(seconds[1]))
    return Runs(problem, seeds, rows, expected, seconds, dict(hyperparameters))


def checked_seeds(seeds, samples, workers):
    """The seeds as a list of integers; UserError if one of the three is not what it should be."""
    with contextlib.suppress(TypeError):
        whole = [operator.index(seed) for seed in seeds]
        least = min(operator.index(samples), operator.index(workers))
        if whole and min(whole) >= 0 and least >= 1:
            return whole
    must = "seeds, as range(8), must be whole numbers from 0, samples and workers from 1"
    raise UserError(f"{must}: not {seeds!r}, {samples!r} and {workers!r}")


def random_search(seed, samples):
    """Rows (samples,) drawn uniformly, from a stream of random search's own."""
    rng = np.random.default_rng([seed, 1])
    return rng.integers(N_CELLS, size=samples).astype(np.int32)


def windows(problem, seeds, samples, hyperparameters):
    """Search with all rewards and these seeds; yields, for each 250 samples, what was sampled.

    That is rows (rewards, seeds, 250), what `expectations` says (5, rewards, seeds), and the CPU
    seconds of search and of enumeration (2,). The last window may be shorter. The runs are reward
    0 with all seeds, then reward 1 with all seeds, and so on."""
    shape = (len(problem.reward_tables), len(seeds))
    tables = np.stack(list(problem.reward_tables.values()))  # (rewards, 15625)
    tables = np.repeat(tables, len(seeds), axis=0)  # (runs, 15625)
    seed_of_run = list(seeds) * len(problem.reward_tables)
    searches = []
    for k in range(0, len(tables), LOCKSTEP):
        group = slice(k, k + LOCKSTEP)
        search = Reinforce(seed_of_run[group], **hyperparameters)
        searches.append((search, tables[group]))
    for start in range(0, samples, WINDOW):
        size = min(WINDOW, samples - start)
        clock = [time.process_time()]
        rows = np.concatenate([search.search(own, size) for search, own in searches])
        clock.append(time.process_time())
        p = np.concatenate([s.controller.probabilities() for s, _ in searches])
        expected = expectations(problem, tables, p)  # (5, runs)
        clock.append(time.process_time())
        yield rows.reshape(*shape, size), expected.reshape(-1, *shape), np.diff(clock)


def expectations(problem, tables, p):
    """What each policy expects: exact, over all cells, not sampled.

    tables (runs, 15625), p (runs, 15625) the probability of each cell; returns (5, runs), in the
    order of EXPECTED."""
    benchmark = problem.benchmark
    log_p = np.log(np.maximum(p, 1e-30))  # p log p is 0 at p = 0
    columns = (benchmark.accuracy, benchmark.latency_ms, problem.under, tables, -log_p)
    # Sums, for the last digit of p @ accuracy depends on how many runs there are.
    return np.array([(p * column).sum(axis=1) for column in columns])


def named(rewards, expected):
    """{reward: {quantity: ...}} of what `expectations` returns, (5, rewards, ...)."""
    per_reward = zip(rewards, zip(*expected, strict=True), strict=True)
    return {name: dict(zip(EXPECTED, e, strict=True)) for name, e in per_reward}


def policies(problem, seed, ends, hyperparameters=HYPERPARAMETERS):
    """The search with one seed, seen from inside: {reward: p (15625,)} after each of `ends`.

    ends: the numbers of samples, ascending. p is the probability of every cell, by row, under the
    policy as it then is: exact, not sampled."""
    tables = np.stack(list(problem.reward_tables.values()))  # (rewards, 15625)
    search = Reinforce([seed] * len(tables), **hyperparameters)
    for size in np.diff(ends, prepend=0):
        if size:
            search.search(tables, size)
        p = search.controller.probabilities()
        yield dict(zip(problem.reward_tables, p, strict=True))


def fixed_point_policy(rewards, entropy_weight):
    """The policy at which REINFORCE's expected update vanishes: p (15625,) by row, exact.

    rewards (15625,) is R of each cell, entropy_weight w > 0. With one softmax p(a | prefix) for
    each prefix of a cell, the expected update of the logits of a prefix is proportional to

        p(a | prefix) (Q(prefix, a) - V(prefix) - w (log p(a | prefix) + H(prefix)))

    where Q is the expected reward after choosing a there, V = sum p Q, and H is the entropy of
    p(. | prefix). Entropy to come is in neither: `learn` differentiates each step's entropy only
    where it is earned. The bracket is 0 for all a where log p = Q / w + constant, so

        p(a | prefix) = exp(Q(prefix, a) / w) / sum over a' of exp(Q(prefix, a') / w)

    which follows from the last edge backwards, because Q of an edge needs the later ones only."""
    Q = np.reshape(rewards, (K,) * S)  # an axis per edge
    log_p = np.zeros_like(Q)
    for t in reversed(range(S)):
        log_policy = log_softmax(Q / entropy_weight)  # Q: edges 0 to t
        log_p += log_policy.reshape(Q.shape + (1,) * (S - 1 - t))
        Q = np.sum(np.exp(log_policy) * Q, axis=-1)
    return np.exp(log_p).ravel()


# --- Worker processes -------------------------------------------------------------------------


def windows_in_parallel(problem, seeds, samples, workers, hyperparameters):
    """Per window, a list: what `windows` yields for each worker's share of the seeds."""
    links = []  # our end of the pipe to each worker
    processes = []
    try:
        shares = np.array_split(seeds, min(workers, len(seeds)))
        for _ in shares:
            ours, its = WORKERS.Pipe()
            links.append(ours)
            process = WORKERS.Process(target=worker_main, args=(its, links), daemon=True)
            processes.append(process)
            start_undisturbed(process)
            its.close()
        for share, link, process in zip(shares, links, processes, strict=True):
            wait([link, process.sentinel])  # its first word, or its end
            if not link.poll():
                raise EOFError
            link.recv()
            # Not in `args`, for Process.start waits for ever if the worker dies before it reads.
            link.send((problem, share.tolist(), samples, hyperparameters))
        for _ in range(0, samples, WINDOW):
            yield [link.recv() for link in links]
    except (EOFError, OSError) as error:  # EOFError says nothing
        why = str(error) or "out of memory?"
        raise UserError(f"a worker process died ({why}); try fewer --workers") from None
    finally:  # no worker outlives an exception or an interrupt
        for process in processes:
            if process.pid:
                process.terminate()
                process.join()


def worker_main(link, links):
    """A worker process: take a task, search its share of the seeds, send what `windows` yields."""
    leave_signals_to_the_parent()
    # A forked worker holds the parent's ends as well, and could not see the parent exit.
    for parents in links:
        parents.close()
    # Without a parent, or without memory, there is nothing left to do; the parent will say so.
    with contextlib.suppress(EOFError, OSError, MemoryError):
        link.send("ready")
        for window in windows(*link.recv()):
            link.send(window)
