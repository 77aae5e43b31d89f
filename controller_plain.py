"""The controller, one search, written for reading: an LSTM that samples a cell, and REINFORCE.

    python controller_plain.py        the first three updates of a search, with their numbers

    rng = np.random.default_rng(0)
    weights = start_weights(rng, H=64)
    tensors = forward(rng.gumbel(size=(S, K)), **weights)    one cell, and all that led to it
    gradient = backward(A, w, **tensors, **weights)          {"dlogits", "dh", ..., "dWx", ...}

One network is one cell: 6 operations, chosen one after the other, each from a softmax over 5. For
each edge t = 0 .. 5, from the step before (at first: the start token, zeros, zeros),

    z_t = Wx[a_{t-1}] + h_{t-1} Wh + b       four blocks of H numbers, for i, f, g and o
    i_t, f_t, o_t = sigmoid(z_t)             input, forget and output gate, 0..1
    g_t = tanh(z_t)                          candidate for the cell state, -1..1
    c_t = f_t c_{t-1} + i_t g_t              keep some of the old state, add some of the new
    h_t = o_t tanh(c_t)                      show some of it
    logits_t = h_t Wo + bo
    p_t = softmax(logits_t)
    a_t ~ p_t                                the operation on edge t

The reward R is given once per network, after the sixth choice; all six choices share it. After
every network, Adam goes one step down the gradient of

    loss = -A sum_t log p_t[a_t] - w sum_t E_t        A = R - b,  E_t = -sum_k p_t[k] log p_t[k]

    letter   meaning                                            shape         here
    S, K     steps = edges of a cell; operations                              6, 5
    V        what may stand before an edge: K operations, or the start token   6
    H        hidden units of the LSTM                                         64
    a        operations chosen; a[-1] is the start token        (S+1,)
    c, h     cell state, hidden state; [-1] is the start        (S+1, H)
    i f g o  gates and candidate                                (S, H) each
    p        probability of each operation                      (S, K)
    Wx Wh b  from token, h and 1 to z; columns i, f, g, o       (V, 4H), (H, 4H), (4H,)
    Wo bo    from h and 1 to the logits                         (H, K), (K,)
    R b A    reward, baseline (not the bias b), advantage       numbers
    E, w     entropy of a step, and its weight                  (S,), number
    dQ       gradient of the loss with respect to Q, for any Q  as Q

`controller_numpy.py` computes the same for many searches at once, and fast; the tests hold the one
against the other. LSTM: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
REINFORCE: Williams 1992. Adam: Kingma and Ba 2015. Left out: speed."""

import sys

import command_line  # first: is Python new enough?  # isort: skip
import numpy as np

import nas_benchmark
from nas_benchmark import OPERATIONS, SHORT, cell_to_row
from nas_reward import T_MS, latency_reward, proposed

S = 6
K = len(OPERATIONS)
V = K + 1
START = K  # the token before the first edge
INIT_RANGE = 0.1  # weights start in U(-0.1, 0.1); biases at 0, the forget gate's at 1


def start_weights(rng, H):
    """Weights before learning: a dict of Wx, Wh, b, Wo and bo, those of controller_numpy."""
    size = (V + H + 1) * 4 * H + (H + 1) * K
    weights = from_vector(rng.uniform(-INIT_RANGE, INIT_RANGE, size), H)
    weights["b"][:] = 0.0
    weights["b"][H : 2 * H] = 1.0  # remember: sigmoid(1) = 73% of c survives a step
    weights["bo"][:] = 0.0
    return weights


def from_vector(theta, H):
    """The dict of weights that controller_numpy keeps as one vector theta (P,).

    theta holds Wx, Wh, b, Wo and bo in this order, each row by row."""
    shapes = dict(Wx=(V, 4 * H), Wh=(H, 4 * H), b=(4 * H,), Wo=(H, K), bo=(K,))
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    parts = np.split(np.array(theta, float), ends[:-1])
    return {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}


# --- Forward ----------------------------------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(logits):
    """(K,) -> (K,); logits stay small here, so that no maximum need be subtracted."""
    return np.exp(logits) / np.exp(logits).sum()


def forward(noise, Wx, Wh, b, Wo, bo, h_start=0.0, c_start=0.0):
    """Write one cell, a[:S]: returns a dict of the tensors of all steps.

    noise (S, K) decides what is sampled. The Gumbel-max trick: if it follows Gumbel's distribution,
    argmax(logits + noise) is a draw from softmax(logits). Only checks give other start states than
    0. Arrays with S + 1 entries keep the start in their last one, [-1]: the step before step 0."""
    H = len(Wh)
    a = np.full(S + 1, START)
    i, f, g, o = np.zeros((4, S, H))
    c, h = np.zeros((2, S + 1, H))
    c[-1] = c_start
    h[-1] = h_start
    p = np.zeros((S, K))
    for t in range(S):
        z = Wx[a[t - 1]] + h[t - 1] @ Wh + b
        zi, zf, zg, zo = np.split(z, 4)  # (H,) each
        i[t] = sigmoid(zi)
        f[t] = sigmoid(zf)
        g[t] = np.tanh(zg)
        o[t] = sigmoid(zo)
        c[t] = f[t] * c[t - 1] + i[t] * g[t]
        h[t] = o[t] * np.tanh(c[t])
        logits = h[t] @ Wo + bo
        p[t] = softmax(logits)
        a[t] = np.argmax(logits + noise[t])
    return dict(a=a, i=i, f=f, g=g, o=o, c=c, h=h, p=p)


def teacher_forcing_noise(cell):
    """Noise (..., S, K) with which any controller chooses this cell (..., S)."""
    return np.where(np.eye(K)[cell] == 1, np.inf, 0.0)


def log_probability(a, p, **_):  # **_: the other tensors
    """log P(cell) = sum_t log p_t[a_t], from the tensors of `forward`."""
    return sum(np.log(p[t, a[t]]) for t in range(S))


def entropy(p, **_):
    """E_t of each step, (S,), from the tensors of `forward`."""
    return -(p * np.log(p)).sum(axis=1)


def loss(A, w, **tensors):
    """What `backward` differentiates: -A log P(cell) - w sum_t E_t."""
    return -A * log_probability(**tensors) - w * entropy(**tensors).sum()


# --- Backward ---------------------------------------------------------------------------------


def backward(A, w, a, i, f, g, o, c, h, p, Wx, Wh, b, Wo, bo):
    """The gradient of `loss` with respect to each tensor: a dict of dlogits, dh, ... dbo.

    Each line undoes the forward line quoted above it, in reverse order. What is used twice collects
    its derivative twice (+=): h_t feeds logits_t and z_{t+1}, c_t feeds h_t and c_{t+1}."""
    E = entropy(p)
    dlogits = np.zeros_like(p)
    dc, dh = np.zeros((2, *h.shape))  # [-1]: with respect to the start states
    di, df, dg, do = np.zeros((4, *i.shape))
    dz = np.zeros((S, len(b)))
    dWx = np.zeros_like(Wx)
    dWh = np.zeros_like(Wh)
    db = np.zeros_like(b)
    dWo = np.zeros_like(Wo)
    dbo = np.zeros_like(bo)
    for t in reversed(range(S)):
        # loss = -A log p[a] - w E
        #   log p[a] = logits_a - log sum_k exp(logits_k)  =>  d(-log p[a]) / dlogits = p - one_hot
        #   E = -sum_k p_k log p_k                         =>  d(-E) / dlogits = p (log p + E)
        one_hot = np.eye(K)[a[t]]
        dlogits[t] = A * (p[t] - one_hot)
        dlogits[t] += w * p[t] * (np.log(p[t]) + E[t])

        # logits = h Wo + bo: logits_k = sum_j h_j Wo_jk, so dh_j = sum_k Wo_jk dlogits_k
        dh[t] += Wo @ dlogits[t]
        dWo += np.outer(h[t], dlogits[t])
        dbo += dlogits[t]

        # h = o tanh(c)
        do[t] = dh[t] * np.tanh(c[t])
        dc[t] += dh[t] * o[t] * (1 - np.tanh(c[t]) ** 2)

        # c = f c_before + i g
        df[t] = dc[t] * c[t - 1]
        dc[t - 1] += dc[t] * f[t]
        di[t] = dc[t] * g[t]
        dg[t] = dc[t] * i[t]

        # i, f, o = sigmoid(z),  g = tanh(z)
        dzi = di[t] * i[t] * (1 - i[t])
        dzf = df[t] * f[t] * (1 - f[t])
        dzg = dg[t] * (1 - g[t] ** 2)
        dzo = do[t] * o[t] * (1 - o[t])
        dz[t] = np.concatenate([dzi, dzf, dzg, dzo])

        # z = Wx[a_before] + h_before Wh + b
        dWx[a[t - 1]] += dz[t]
        dh[t - 1] += Wh @ dz[t]
        dWh += np.outer(h[t - 1], dz[t])
        db += dz[t]
    of_state = dict(dlogits=dlogits, dh=dh, dc=dc)
    of_gates = dict(do=do, di=di, df=df, dg=dg, dz=dz)
    of_weights = dict(dWx=dWx, dWh=dWh, db=db)
    of_output = dict(dWo=dWo, dbo=dbo)
    return of_state | of_gates | of_weights | of_output


# --- Learning ---------------------------------------------------------------------------------


def adam(theta, g, m, v, t, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Step t = 1, 2, ... of Adam (Algorithm 1) for gradient g: returns the new theta, m and v."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)  # m starts at 0, so early means are too small by this factor
    v_hat = v / (1 - beta2**t)
    theta = theta - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return theta, m, v


class Reinforce:
    """One search. `tensors` and `gradient` are those of the network sampled last.

    baseline_decay=None: no baseline, b = 0."""

    def __init__(self, seed, hidden, learning_rate, entropy_weight, baseline_decay):
        self.rng = np.random.default_rng(seed)
        self.weights = start_weights(self.rng, hidden)
        self.moments = dict.fromkeys(self.weights, (0.0, 0.0))  # m and v of Adam
        self.t = 0
        self.learning_rate = learning_rate
        self.entropy_weight = entropy_weight
        self.baseline_decay = baseline_decay
        self.baseline = None  # b, from the first reward on

    def search(self, reward_table, samples):
        """Draw `samples` cells and learn from each; returns the rows.

        reward_table (15625,): R of every cell, by row."""
        rows = []
        for _ in range(samples):
            row = cell_to_row(self.sample())
            self.learn(reward_table[row])
            rows.append(row)
        return rows

    def sample(self):
        """Draw one cell (S,) from the present policy."""
        noise = self.rng.gumbel(size=(S, K))
        self.tensors = forward(noise, **self.weights)
        return self.tensors["a"][:S]

    def learn(self, R):
        """One REINFORCE update from the reward R of the cell just sampled."""
        self.step(self.gradient_of(R))

    def gradient_of(self, R):
        """The gradient of the loss for the cell just sampled, whose reward is R.

        b is a moving average of the rewards before R. It must not contain R itself: the gradient
        would be biased. Before the first reward there is none: then b = R, and A = 0."""
        decay = self.baseline_decay
        if self.baseline is None:
            self.baseline = 0.0 if decay is None else R
        self.A = R - self.baseline
        self.gradient = backward(self.A, self.entropy_weight, **self.tensors, **self.weights)
        if decay is not None:
            self.baseline = decay * self.baseline + (1 - decay) * R
        return self.gradient

    def step(self, gradient):
        """One step of Adam, for a gradient {"dWx", "dWh", ...}: of one cell, or a mean of many."""
        self.t += 1
        for name, theta in self.weights.items():
            g = gradient["d" + name]
            m, v = self.moments[name]
            theta, m, v = adam(theta, g, m, v, self.t, self.learning_rate)
            self.weights[name] = theta
            self.moments[name] = (m, v)


# --- The lesson: the first three updates of a search ------------------------------------------

# Larger steps than in nas_search, so that each can be seen; entropy weight 0, to be simple.
LESSON = dict(hidden=64, learning_rate=3e-3, entropy_weight=0.0, baseline_decay=0.9)
JUDGED = {
    1: "better than usual: draw it more often",
    -1: "worse than usual: draw it less often",
}


def first_updates():
    """The text that this script prints: the numbers of three updates, and what each means."""
    benchmark = nas_benchmark.load(nas_benchmark.SURROGATE)
    search = Reinforce(seed=4, **LESSON)
    decay = LESSON["baseline_decay"]
    text = f"A search with the proposed reward, T = {T_MS:g} ms, seed 4; {benchmark.name}\n"
    text += ", ".join(f"{name} {value:g}" for name, value in LESSON.items()) + "\n"
    table = "\n   cell                             ACC   LAT ms       R       b        A"
    table += "  P before     P after\n"
    why_b = "no reward before this one: b = R"
    for number in (1, 2, 3):
        cell = search.sample()
        row = cell_to_row(cell)
        words = " ".join(SHORT[k] for k in cell)
        accuracy = benchmark.accuracy[row]
        ms = benchmark.latency_ms[row]
        R = proposed(accuracy, ms)
        before = np.exp(log_probability(**search.tensors))
        search.learn(R)
        A = search.A
        b = R - A
        again = forward(teacher_forcing_noise(cell), **search.weights)
        after = np.exp(log_probability(**again))
        p = search.tensors["p"][0]  # before the update
        one_hot = np.eye(K)[cell[0]]
        dlogits = search.gradient["dlogits"][0]
        text += f"\nNetwork {number}\n"
        for name, value, meaning in (
            ("cell", words, "one operation for each of the six edges"),
            ("ACC", f"{accuracy:.4f}", "accuracy, looked up in the benchmark"),
            ("LAT", f"{ms:.2f}", "latency in ms, looked up as well"),
            ("L", f"{latency_reward(ms):.4f}", "log_T(1.5 T - LAT), Eq. 4"),
            ("R", f"{R:.4f}", "0.9 ACC + 0.1 L, Eq. 5: the reward"),
            ("b", f"{b:.4f}", why_b),
            ("A", f"{A:+.4f}", f"R - b, {JUDGED.get(np.sign(A), 'nothing to learn from')}"),
            ("edge 0->1", in_columns(SHORT, "<8"), "the first of the six softmaxes"),
            ("p", in_columns(p, "<8.4f"), "softmax(logits), before the update"),
            ("one-hot", in_columns(one_hot, "<8.0f"), "1 where the operation was sampled"),
            ("dlogits", in_columns(dlogits, "<+8.4f"), "A (p - one-hot); logits move against it"),
            ("P(cell)", f"{before:.3e}", "product of the six p[a] before the update,"),
            ("", f"{after:.3e}", "and after it (1/15625 = 6.400e-05)"),
        ):
            text += f"  {name:10} {value:40} {meaning}\n"
        table += f"{number}  {words:29}{accuracy:8.2%}{ms:8.2f}{R:8.4f}{b:8.4f}{A:+9.4f}"
        table += f"  {before:.3e} -> {after:.3e}\n"
        why_b = f"{decay:g} * {b:.4f} + {1 - decay:.2g} * {R:.4f}: b and R above"
    return text + table


def in_columns(values, form):
    """The values (K,), each printed in this form, in one line."""
    return "".join(format(value, form) for value in values)


def main(argv):
    """The command: prints the lesson. Raises UserError."""
    command_line.Parser(description=(__doc__ or "").partition("\n")[0]).parse_args(argv)
    print(first_updates(), end="")


if __name__ == "__main__":
    sys.exit(command_line.run(main, sys.argv[1:]))
