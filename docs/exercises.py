"""Exercises that check themselves. The questions, and the place for your answers: docs/answers.py.

    python docs/exercises.py                      the list, and which are right so far
    python docs/exercises.py 3                    check exercise 3
    python docs/exercises.py 3 --answers FILE     check somebody else's answers

Each answer is compared with an oracle: a formula, an exact computation over all 15,625 cells,
controller_plain, or central differences. The check names the first number that differs, and where
it stands. The exit code is 0 if it is right.

A check runs in a process of its own, which no answer can hang, or end unnoticed. It is a generator:
it yields the name of each part that is right, and raises Wrong at the first that is not."""

import copy
import functools
import itertools
import math
import re
import runpy
import sys
import time
import traceback
from collections import namedtuple
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the program's files

import run_experiment  # first: it sets the number of BLAS threads  # isort: skip
import numpy as np

import claims
import command_line
import controller_plain as plain
import nas_benchmark
import nas_reward
from command_line import UserError, one_line
from controller_plain import K, S, V
from nas_benchmark import SHORT
from nas_reward import COMPARED, PAIR, SAMPLES, T_MS, WINDOW, X, Y
from nas_search import CORES, HYPERPARAMETERS, WORKERS, Problem, fixed_point_policy, run_searches

ANSWERS = Path(__file__).with_name("answers.py")
PHONE = nas_benchmark.DATA / "cifar100_pixel3.pkl"  # made by build_benchmark.py
SEEDS = range(run_experiment.SEEDS)  # of a verdict
FEW_SEEDS = range(8)  # of a look
FEW_SAMPLES = 600  # of a look at the plain controller, which is slow
surrogate = functools.partial(nas_benchmark.load, nas_benchmark.SURROGATE)  # what ships
described = "{latency_ms:.2f} ms, {accuracy:.2%}".format_map  # Problem.facts


# --- How an answer is marked ------------------------------------------------------------------
class Wrong(UserError):
    """An answer is wrong or missing; the message names the number, and where it stands."""


class Answers:
    """The functions of a file of answers: `mine("dh", ...)` calls its dh.

    Whatever goes wrong in there becomes a Wrong of one line. Arguments are copied, so that an
    answer that changes them spoils no later one. note(name), if given, is told what runs next."""

    def __init__(self, path, note=None):
        self.path = Path(path)
        self.note = note
        self.functions = self.guarded(self.path.name, runpy.run_path, str(self.path))

    def __call__(self, name, *arguments, **keywords):
        if name not in self.functions:
            raise Wrong(f"{self.path.name} has no function `{name}`")
        arguments, keywords = copy.deepcopy((arguments, keywords))
        answer = self.guarded(name, self.functions[name], *arguments, **keywords)
        if answer is None:
            raise Wrong(f"{name} returns None: is there a `return`?")
        return answer

    def guarded(self, name, function, *arguments, **keywords):
        """function(...), with any exception turned into Wrong."""
        if self.note:
            self.note(name)
        try:
            return function(*arguments, **keywords)
        except SystemExit:
            raise Wrong(f"{name} ends the program: an answer must not call exit()") from None
        except NotImplementedError as hint:
            raise Wrong(f"{name} is still to be written. Hint: {hint}") from None
        except Wrong:
            raise
        except (Exception, GeneratorExit) as error:
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == str(self.path)]
            where = f" ({self.path.name}, line {lines[-1]})" if lines else ""
            says = f"{type(error).__name__}: {one_line(str(error))}"
            raise Wrong(f"{name} raises {says}{where}") from None


def compare(name, found, expected, *axes, tolerance=1e-6, at=()):
    """Raise Wrong if `found` is not `expected`: at the first entry that differs, or is NaN.

    axes: a kind for `label` each, to say where, after the words `at`. tolerance: absolute, and
    relative above 1."""
    expected = np.asarray(expected, float)
    found = as_numbers(name, found, expected.shape)
    near = np.abs(found - expected) <= tolerance * np.maximum(1, np.abs(expected))
    if not near.all():
        first = tuple(np.argwhere(~near)[0])
        entries = zip(axes, first, expected.shape, strict=True)
        words = [*at, *itertools.starmap(label, entries)]
        place = f" ({', '.join(words)})" if words else ""
        numbers = f"yours {found[first]:.6g}, expected {expected[first]:.6g}"
        raise Wrong(f"{name}{place}: {numbers}")


def label(kind, k, size):
    """What entry k of an axis is called. kind: "operation", "token", a format such as "unit {}", or
    the gates that share the axis, such as "ifgo"."""
    if kind in ("operation", "token"):
        return f"{kind} {[*SHORT, 'start'][k]}"
    if kind in ("ifgo", "fgo"):
        gate, unit = divmod(k, size // len(kind))
        return f"gate {kind[gate]}, unit {unit}"
    return kind.format(k)


def as_numbers(name, found, shape=()):
    """What an answer returned as an array of floats of this shape, or Wrong."""
    try:
        found = np.asarray(found, float)
    except (TypeError, ValueError, OverflowError):
        text = one_line(str(found), 60)
        raise Wrong(f"{name} is not a number or an array: {text}") from None
    if found.shape != shape:
        raise Wrong(f"{name} has the shape {found.shape}, and should have {shape}")
    return found


def entry(function, found, key):
    """found[key] of the dict that a function of the reader's returned, or Wrong."""
    if not isinstance(found, dict) or key not in found:
        raise Wrong(f"{function} should return a dict with the key {key!r}")
    return found[key]


# --- 1 and 2: the rewards ---------------------------------------------------------------------
def proposed_entries():
    """(accuracy, latency_ms, printed) of each network of Table 1, under the proposed reward."""
    for pair in nas_reward.TABLE_1:
        for network, printed in zip(pair["networks"], pair["proposed"], strict=True):
            yield *network, float(printed)


def number_of(answers, name, *arguments):
    """(the call as text, the number that the reader's function returns)."""
    call = f"{name}({', '.join(f'{x:g}' for x in arguments)})"
    return call, float(as_numbers(call, answers(name, *arguments)))


def check_eq_4(answers):
    expected = {}
    for accuracy, latency_ms, printed in proposed_entries():
        L = (printed - X * accuracy) / Y
        compare(*number_of(answers, "latency_part", printed, accuracy), L, tolerance=5e-4)
        expected[latency_ms] = L
    yield "latency_part"
    c, b = as_numbers("curve()", answers("curve"), (2,))
    for latency_ms, L in sorted(expected.items()):
        found = math.log(c - latency_ms, b) if c > latency_ms and b > 1 else math.nan
        if not abs(found - L) < 3e-4:  # Table 1 has five decimals, and y is 0.1
            says = f"L({latency_ms:g} ms) is {found:.4f}; Table 1 says {L:.4f}"
            raise Wrong(f"curve(): with c = {c:g}, b = {b:g}, {says}")
    yield "curve"


def check_exponent(answers):
    for gain, factor in ((0.05, 2), (0.05, 4), (0.10, 2)):
        call, w = number_of(answers, "exponent", gain, factor)
        accuracy, latency_ms = 0.6 * (1 + gain), 8 * factor
        first = nas_reward.mnasnet(0.6, 8, alpha=w, beta=w)
        second = nas_reward.mnasnet(accuracy, latency_ms, alpha=w, beta=w)
        if not abs(first - second) < 2e-4:  # -0.07 itself is rounded
            has = f"60%, 8 ms has the reward {first:.4f}"
            has += f", and {accuracy:.0%}, {latency_ms} ms {second:.4f}"
            raise Wrong(f"{call} = {w:.4g}: then {has}")
    yield "exponent"


# --- 3 and 4: the backward pass ---------------------------------------------------------------
def a_network(H=3, seed=0):
    """(A, w, tensors, weights) of a small controller that has just written a cell."""
    rng = np.random.default_rng(seed)
    size = (V + H + 1) * 4 * H + (H + 1) * K
    weights = plain.from_vector(rng.normal(0, 0.7, size), H)
    h_start, c_start = rng.normal(0, 0.5, (2, H))
    noise = plain.teacher_forcing_noise([3, 0, 4, 3, 3, 1])
    tensors = plain.forward(noise, **weights, h_start=h_start, c_start=c_start)
    return 0.8, 0.3, tensors, weights


def check_five_steps(answers):
    A, w, tensors, weights = a_network()
    a, i, f, g, o, c, h, p = tensors.values()
    right = plain.backward(A, w, **tensors, **weights)
    dh, dc, dz = right["dh"], right["dc"], right["dz"]

    for name, weight in (("dlogits at w = 0", 0.0), ("dlogits", w)):
        found = answers("dlogits", A, weight, p, a[:S])
        expected = plain.backward(A, weight, **tensors, **weights)["dlogits"]
        compare(name, found, expected, "t = {}", "operation")
        yield name

    def after(tensor, t):
        """The tensor at step t + 1; 0 after the last step."""
        return tensor[t + 1] if t < S - 1 else np.zeros_like(tensor[t])

    Wo, Wh = weights["Wo"], weights["Wh"]
    arguments = {
        "dh": lambda t: (right["dlogits"][t], after(dz, t), Wo, Wh),
        "dc": lambda t: (dh[t], c[t], o[t], after(dc, t), after(f, t)),
        "dz": lambda t: (dh[t], dc[t], i[t], f[t], g[t], o[t], c[t], c[t - 1]),
    }
    for name, axis in dict(dh="unit {}", dc="unit {}", dz="ifgo").items():
        for t in reversed(range(S)):  # as BPTT goes
            at = f"right at t = {t + 1}, not at t = {t}" if t < S - 1 else f"t = {t}"
            compare(name, answers(name, *arguments[name](t)), right[name][t], axis, at=[at])
        yield name

    found = answers("dW", a, h, dz)
    if not isinstance(found, tuple | list) or len(found) != 3:
        raise Wrong("dW should return three arrays, (dWx, dWh, db)")
    names = ("dWx", "dWh", "db")
    expected = {name: right[name] for name in names}
    yield from compare_weights("dW", dict(zip(names, found, strict=True)), expected)


def central_differences(loss, weights, step=1e-5):
    """{derivative: array}: each weight is moved a little up and down."""
    gradient = {}
    for name, weight in weights.items():
        gradient["d" + name] = slopes = np.zeros_like(weight)
        for place, move in itertools.product(np.ndindex(weight.shape), (step, -step)):
            weight[place] += move
            slopes[place] += loss() / (2 * move)
            weight[place] -= move
    return gradient


AXES = dict(bo="operation", Wo="unit {}, operation")  # those near the output are first
AXES |= dict(b2="ifgo", Wh2="from unit {}, ifgo", Wx2="from unit {} below, ifgo")
AXES |= dict(b="ifgo", Wh="from unit {}, ifgo", Wx="token, ifgo")


def compare_weights(function, found, expected, d="d"):
    """Yield the name of each derivative by a weight, or with d="" of each weight, that is right.

    found: what this function returned; expected: a dict of all, or of some."""
    for weight, axes in AXES.items():
        kinds = axes.split(", ")
        name = d + weight
        if name in expected:
            compare(name, entry(function, found, name), expected[name], *kinds, tolerance=1e-5)
            yield name


def check_silent_bug(answers):
    A, w, tensors, weights = a_network()
    start = dict(h_start=tensors["h"][-1], c_start=tensors["c"][-1])
    noise = plain.teacher_forcing_noise(tensors["a"][:S])
    expected = central_differences(
        lambda: plain.loss(A, w, **plain.forward(noise, **weights, **start)), weights
    )
    found = answers("backward", A, w, **tensors, **weights)
    yield from compare_weights("backward", found, expected)
    name = "central_difference"
    x = np.array([0.3, -1.0, 2.0])
    found = answers(name, lambda x: float(np.sin(x) @ [1, 2, 3]), x, 1e-3)
    compare(name, found, np.cos(x) * [1, 2, 3], "x[{}]", tolerance=1e-5)
    yield name


def show_silent_bug(answers):
    table = Problem(surrogate(), ["proposed"], T_MS).reward_tables["proposed"]
    seeds = FEW_SEEDS[:4]
    print(f"  mean reward of {len(seeds)} searches of {FEW_SAMPLES} networks, first and last 100:")
    passes = dict(yours=functools.partial(answers, "backward"), right=plain.backward)
    for whose, backward in passes.items():
        with mock.patch.object(plain, "backward", backward):
            rows = np.array([a_search(seed).search(table, FEW_SAMPLES) for seed in seeds])
        first = table[rows[:, :100]].mean()
        last = table[rows[:, -100:]].mean()
        print(f"  backward pass {whose}: {first:.4f} -> {last:.4f}")


def a_search(seed):
    """A search of controller_plain that learns fast, to be seen in seconds."""
    return plain.Reinforce(seed, **HYPERPARAMETERS | dict(hidden=16, learning_rate=1e-2))


# --- 5 and 6: rewards of your own -------------------------------------------------------------
def check_my_reward(answers):
    for target_ms in (T_MS, 15.0, 20.0):
        mine = {"my_reward": functools.partial(answers, "my_reward")}
        optima = Problem(surrogate(), mine, target_ms).optima()
        found = optima["my_reward"]
        best = optima["best_under_T"]
        if found["accuracy"] != best["accuracy"] or not found["meets_target"]:
            says = f"its maximum is at {described(found)}; the best under T has {described(best)}"
            raise Wrong(f"my_reward at T = {target_ms:g} ms: {says}")
        yield f"T = {target_ms:g} ms"


def show_my_reward(answers):
    def ours(accuracy, latency_ms, target_ms):
        above = latency_ms > target_ms
        return accuracy - 0.03 * above - 0.01 * np.maximum(latency_ms - target_ms, 0)

    mine = functools.partial(answers, "my_reward")
    show_ends(Problem(surrogate(), COMPARED | dict(mine=mine, ours=ours), T_MS))
    print("  ours: accuracy - 0.03 (LAT > T) - 0.01 max(LAT - T, 0). Can you beat it?")


def searched(problem, seeds, hyperparameters=HYPERPARAMETERS):
    """Runs, with a bar of progress."""
    start = time.perf_counter()

    def on_window(rows, end):
        command_line.progress(end, SAMPLES, time.perf_counter() - start)

    return run_searches(problem, seeds, SAMPLES, CORES, hyperparameters, on_window)


def show_ends(problem):
    """Where searches end: the mean of the last window, and each reward's best cell."""
    settings = f"T = {problem.target_ms:g} ms, {len(FEW_SEEDS)} seeds"
    print(f"  {problem.benchmark.name}, {settings}; the last {WINDOW} samples:", flush=True)
    runs = searched(problem, FEW_SEEDS)
    optima = problem.optima()
    for name, (accuracy, latency_ms) in runs.points().items():
        line = f"  {name:9} {latency_ms[:, -WINDOW:].mean():5.2f} ms"
        line += f", {accuracy[:, -WINDOW:].mean():.2%}"
        if name in optima:
            line += f"; its best cell: {described(optima[name])}"
        print(line)


def check_equal_strength(answers):
    settings = ((0.72, 17.0, 0.9, 0.1), (0.72, 4.0, 0.9, 0.1), (0.50, 17.0, 0.8, 0.2))
    for accuracy, target_ms, x, y in settings:
        call, w = number_of(answers, "equal_exponent", accuracy, target_ms, x, y)
        point = (accuracy, target_ms, target_ms)  # LAT = T: dR/dACC of mnasnet is 1
        first = -float(nas_reward.mnasnet_slope(*point, alpha=w, beta=w))
        second = -float(nas_reward.proposed_slope(*point, y=y)) / x
        if not abs(first - second) <= 1e-3 * second:
            costs = f"one ms more then costs {first:.6f} of accuracy, not {second:.6f}"
            raise Wrong(f"{call} = {w:.4g}: {costs} as with the proposed reward")
    yield "equal_exponent"


def show_equal_strength(answers):
    _, w = number_of(answers, "equal_exponent", 0.72, T_MS, X, Y)
    equal = functools.partial(nas_reward.mnasnet, alpha=w, beta=w)
    show_ends(Problem(surrogate(), COMPARED | {f"w {w:.3f}": equal}, T_MS))


# --- 7 and 8: what verdicts depend on ---------------------------------------------------------
def check_no_baseline(answers):
    given = dict(HYPERPARAMETERS)
    without = given | dict(baseline_decay=None)
    before = dict(one="inside", two="supported")
    after = dict(one="inside", two="inconclusive")

    def judged(hyperparameters):
        """Made-up verdicts, so that the check takes no time."""
        if hyperparameters not in (given, without):
            asked = [f"{n} = {v}" for n, v in hyperparameters.items() if given.get(n) != v]
            raise Wrong(f"verdicts_that_change searches with {', '.join(asked)}; see Reinforce")
        verdicts = after if hyperparameters == without else before
        return [dict(claim=claim, verdict=verdict) for claim, verdict in verdicts.items()]

    found = answers("verdicts_that_change", judged)
    if given != HYPERPARAMETERS:
        HYPERPARAMETERS.update(given)
        raise Wrong("verdicts_that_change alters HYPERPARAMETERS itself; alter a copy")
    if not isinstance(found, dict):
        raise Wrong("verdicts_that_change should return a dict")
    for claim, expected in dict(one=None, two=("supported", "inconclusive")).items():
        if found.get(claim) != expected:
            says = f"yours {found.get(claim)}, expected {expected}"
            raise Wrong(f"verdicts_that_change, made-up claim {claim!r}: {says}")
    yield "verdicts_that_change"


def show_no_baseline(answers):
    print(f"  searching twice with {len(SEEDS)} seeds; this takes a minute")
    problem = Problem(surrogate(), PAIR, T_MS)
    found = []  # with baseline, without: {claim: its result}

    def judged(hyperparameters):
        runs = searched(problem, SEEDS, hyperparameters)
        results = claims.evaluate_claims(runs.points(), T_MS)
        found.append({claims.key(result): result for result in results})
        return [dict(claim=claim, verdict=e["verdict"]) for claim, e in found[-1].items()]

    changed = answers("verdicts_that_change", judged)
    for claim, verdicts in changed.items():
        both = [results[claim]["median"] for results in found]
        medians = " -> ".join("-" if median is None else f"{median:,.4g}" for median in both)
        text = found[0][claim]["text"]
        print(f"  {text}:\n    {' -> '.join(verdicts)}, median {medians}")
    predicted = set(answers.functions.get("predicted", ()))
    hits = f"{len(predicted & changed.keys())} of {len(changed)} that change"
    print(f"  your prediction: {hits}, and {len(predicted - changed.keys())} that do not")


def check_stays_under(answers):
    T = 17.0
    means = list(itertools.product((16.0, T, T + 0.5), repeat=5))  # (seeds, windows)
    latency_ms = np.repeat(means, WINDOW, axis=1)  # (seeds, samples)
    latency_ms[:, ::2] += 0.25  # not all networks of a window are alike
    latency_ms[:, 1::2] -= 0.25
    found = as_numbers("stays_under", answers("stays_under", latency_ms, T), (len(means),))
    for row, after in zip(means, found, strict=True):
        first = next((k for k in range(3) if max(row[k : k + 3]) <= T), 5)
        at = f"windows with the means {', '.join(f'{m:g}' for m in row)}"
        compare("stays_under", after, WINDOW * first, at=[at])
    yield "stays_under"


def show_stays_under(answers):
    print("  the default run; this takes half a minute")
    points = searched(Problem(surrogate(), PAIR, T_MS), SEEDS).points()
    definitions = {
        "every later window": claims.stays_under_from,
        "three in a row": lambda accuracy, *columns: answers("stays_under", *columns),
        "the first window": claims.first_window_under,
    }
    for words, stays_under in definitions.items():
        found = {name: np.asarray(stays_under(*points[name], T_MS)) for name in points}
        medians = ", ".join(f"{name} {np.median(found[name]):,.0f}" for name in found)
        p, verdict = claims.judge_sign(found["mnasnet"] - found["proposed"])
        print(f"  {words}: {medians}\n    proposed sooner: {verdict} (p = {p:.2g})")


# --- 9 to 13: the phone, a second layer, a batch, the fixed point, coupled gates --------------
def check_prediction(answers):
    benchmark = nas_benchmark.load(PHONE if PHONE.exists() else None)
    optima = Problem(benchmark, PAIR, T_MS).optima()
    found = answers("prediction", benchmark, T_MS)
    for name in PAIR:
        numbers = as_numbers(f"prediction of {name}", entry("prediction", found, name), (2,))
        right = (optima[name]["latency_ms"], 100 * optima[name]["accuracy"])
        for what, number, best in zip(("ms", "percent"), numbers, right, strict=True):
            if not abs(number - best) <= 1:
                side = "high" if number > best else "low"
                says = f"{number:.4g} {what} is too {side}"
                raise Wrong(f"prediction of {name}: {says} ({benchmark.name})")
        yield name


def show_prediction(answers):
    benchmark = nas_benchmark.load(PHONE if PHONE.exists() else None)
    show_ends(Problem(benchmark, PAIR, T_MS))
    if not PHONE.exists():
        print("  On the surrogate both have the same best cell. The phone is where they part:")
        print("  python data/build_benchmark.py tables --device pixel3, then once more")


def two_layers(cell, Wx, Wh, b, Wx2, Wh2, b2, Wo, bo):
    """The oracle of exercise 10: p (S, K)."""
    below = plain.forward(plain.teacher_forcing_noise(cell), Wx, Wh, b, Wo, bo)["h"][:S]
    # The second layer is the plain controller as well. Made to write 0, 1, 2, 3, 4, 0, it sees the
    # start token first, then the tokens 0 to 4: in their place, it is given h of the first.
    noise = plain.teacher_forcing_noise([*range(K), 0])
    return plain.forward(noise, np.roll(below @ Wx2, -1, axis=0), Wh2, b2, Wo, bo)["p"]


def check_second_layer(answers):
    *_, weights = a_network(H=2, seed=1)
    *_, upper = a_network(H=2, seed=2)
    weights |= dict(Wx2=upper["Wx"][:2], Wh2=upper["Wh"], b2=upper["b"])
    cell = np.array([3, 0, 4, 3, 1, 1])
    found = answers("forward_2", cell, **weights)
    compare("p", found, two_layers(cell, **weights), "t = {}", "operation")
    yield "p"
    A = -1.3
    expected = central_differences(
        lambda: -A * np.log(two_layers(cell, **weights)[range(S), cell]).sum(), weights
    )
    found = answers("backward_2", cell, A, **weights)
    yield from compare_weights("backward_2", found, expected)


def check_batch(answers):
    def reward_of(cell):
        return 0.1 * float(np.sum(np.square(cell))) / S

    right = a_search(3)
    for _ in range(3):  # so that Adam remembers something
        right.learn(reward_of(right.sample()))
    mine = answers("learn_from_batch", right, reward_of, 4)
    gradients = [right.gradient_of(reward_of(right.sample())) for _ in range(4)]
    right.step({name: sum(g[name] for g in gradients) / 4 for name in gradients[0]})
    if not isinstance(mine, plain.Reinforce):
        raise Wrong("learn_from_batch should return the search")
    if mine.t != right.t:
        raise Wrong(f"learn_from_batch took {mine.t - 3} steps of Adam, and should take one")
    yield from compare_weights("learn_from_batch", mine.weights, right.weights, d="")


def check_fixed_point(answers):
    R = np.random.default_rng(5).uniform(0.3, 0.8, (K,) * S)
    for w in (0.02, 0.5):
        expected = fixed_point_policy(R.ravel(), w).reshape(R.shape)
        found = as_numbers("fixed_point", answers("fixed_point", R, w), R.shape)
        both = np.stack([found, expected])
        for t in reversed(range(S)):  # as the policy is made
            p = both.sum(axis=tuple(range(t + 2, S + 1)))
            p /= p.sum(axis=-1, keepdims=True)  # p(a_t | the choices before it)
            name = f"p(a | prefix) of edge {t}, w = {w:g}"
            compare(name, *p, *["operation"] * (t + 1), tolerance=1e-9)
        compare("the sum of p", found.sum(), 1.0)
        yield f"w = {w:g}"


def check_coupled_gates(answers):
    rng = np.random.default_rng(6)
    z = rng.normal(size=9)
    dh, dc, c_before = rng.normal(size=(3, 3))

    def state(z):
        zf, zg, zo = np.split(z, 3)
        f, g, o = plain.sigmoid(zf), np.tanh(zg), plain.sigmoid(zo)
        return f, g, o, f * c_before + (1 - f) * g

    f, g, o, c = state(z)

    def loss():
        _, _, o, now = state(z)
        return dc @ now + dh @ (o * np.tanh(c))  # dc has what comes through h already

    expected = central_differences(loss, {"z": z})["dz"]
    found = answers("dz_coupled", dh, dc, f, g, o, c, c_before)
    compare("dz", found, expected, "fgo", tolerance=1e-5)
    yield "dz_coupled"


# --- The list ---------------------------------------------------------------------------------


# check(answers) is a generator; show(answers) prints what there is to see.
Exercise = namedtuple("Exercise", "title minutes check show", defaults=[None])
EXERCISES = {
    1: Exercise("Eq. 4 from Table 1", 10, check_eq_4),
    2: Exercise("Where -0.07 comes from", 5, check_exponent),
    3: Exercise("The backward pass, in five steps", 45, check_five_steps),
    4: Exercise("A silent bug", 15, check_silent_bug, show_silent_bug),
    5: Exercise("A reward of your own", 15, check_my_reward, show_my_reward),
    6: Exercise("Equal latency penalties", 15, check_equal_strength, show_equal_strength),
    7: Exercise("Without a baseline", 10, check_no_baseline, show_no_baseline),
    8: Exercise('What "stays under T" means', 15, check_stays_under, show_stays_under),
    9: Exercise("The phone, from its landscape", 15, check_prediction, show_prediction),
    10: Exercise("A second LSTM layer", 90, check_second_layer),
    11: Exercise("A batch of networks per update", 15, check_batch),
    12: Exercise("Where an unlimited search goes", 20, check_fixed_point),
    13: Exercise("Coupled gates", 15, check_coupled_gates),
}
SHOWN_WHEN_WRONG = (4, 5)  # where seeing what a wrong answer does is the point
LIMIT_S = 10  # of a check


@np.errstate(all="ignore")
def verdict(number, path=ANSWERS, note=None):
    """(right, line): whether an exercise is solved in the file `path`, and what to say of it."""
    right = []
    try:
        right += EXERCISES[number].check(Answers(path, note))
    except UserError as wrong:
        so_far = f"{', '.join(right)} right; " if right else ""
        return False, f"exercise {number}: {so_far}{wrong}"
    return True, f"exercise {number}: right ({', '.join(right)})"


def verdict_apart(number, path=ANSWERS):
    """`verdict`, from a process of its own: an answer may run for ever, or end the program."""
    ours, its = WORKERS.Pipe(duplex=False)
    process = WORKERS.Process(target=send_verdict, args=(its, number, path), daemon=True)
    command_line.start_undisturbed(process)
    process.join(LIMIT_S)
    hangs = process.is_alive()
    process.kill()
    reason = f"was still running after {LIMIT_S} s" if hangs else "ended the program"
    said = "the check"
    while ours.poll():
        said = ours.recv()  # the name of what runs, or at last the verdict
    if isinstance(said, str):
        return False, f"exercise {number}: not right: {said} {reason}"
    return said


def send_verdict(link, number, path):
    """In the process of a check: send the name of each function that runs, and the verdict."""
    command_line.leave_signals_to_the_parent()
    link.send(verdict(number, path, link.send))


def print_list(path):
    for number, (title, minutes, *_) in EXERCISES.items():
        right, line = verdict_apart(number, path)
        _, _, said = line.partition(": ")
        first = re.split("; | is still ", said)[0]
        state = "right" if right else f"open: {one_line(first, 38)}"
        print(f"  {number:2}  {title:32} {minutes:3} minutes  {state}", flush=True)


@np.errstate(all="ignore")
def main(argv):
    """The command: the list, or one exercise. Raises UserError; exits with 1 if it is wrong."""
    parser = command_line.Parser(description=(__doc__ or "").partition("\n")[0])
    which = "which exercise (default: the list)"
    parser.add_argument("number", nargs="?", type=int, choices=EXERCISES, help=which)
    parser.add_argument("--answers", type=Path, default=ANSWERS, metavar="FILE")
    args = parser.parse_args(argv)
    if not args.answers.is_file():
        raise UserError(f"{args.answers}: there is no such file of answers")
    if args.number is None:
        return print_list(args.answers)
    right, line = verdict_apart(args.number, args.answers)
    print(line, flush=True)
    show = EXERCISES[args.number].show
    if show and (right or args.number in SHOWN_WHEN_WRONG):
        try:
            show(Answers(args.answers))
        except Exception as error:  # what was wrong with it has been said
            print(f"  nothing to show: {one_line(str(error), 76)}")
    if not right:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(command_line.run(main, sys.argv[1:]))
