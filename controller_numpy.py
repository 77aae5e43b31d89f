"""The controller, vectorised over many searches: an LSTM that samples cells, and REINFORCE.

This is `controller_plain.py` for N searches in lockstep, in NumPy; read that one first: equations,
letters and sources are the same. The leading axis is the run. Many searches, of different rewards
and seeds, advance together, each with its own weights, reward and random stream; no run sees
another. To read the code as that of a single search, drop the letter N. After every network, Adam
takes one step on

    loss = -(R - b) sum_t log p_t[a_t] - w sum_t E_t         E_t = -sum_k p_t[k] log p_t[k]

which does not measure progress: the reward does.

    letter   meaning                                          shape            here
    N        runs in lockstep                                                  16
    S, K, V  steps; operations; operations and start token                     6, 5, 6
    H        hidden units of the LSTM                                          64
    x        after step t, what the next one reads:           (N, S+1, V+H+1)
             [one-hot a_t, h_t, 1]; x[:, -1] at the start
    W        weights and, in the last row, bias               (N, V+H+1, 4H)
    z        x W: four blocks of H columns, for i, f, g, o    (N, S, 4H)
    i f g o  gates and candidate                              (N, S, H) each
    c, h     states after step t; [:, -1] at the start        (N, S+1, H) each
             (h is kept in x, next to the 1)
    Wo       weights and bias from h to the logits            (N, H+1, K)
    p, a     probabilities; chosen operations                 (N, S, K), (N, S)
    R, b, A  reward, its baseline, advantage R - b            (N,) each
    E, w     entropy of each step, and its weight             (N, S), ()
    P        parameters of a run, W and Wo in one row         (6 + 64 + 1) 256 + 65 * 5 = 18,501
    dQ       gradient of the loss with respect to Q           as Q

Left out: layers, attention, batches, PPO."""

import numpy as np

from controller_plain import INIT_RANGE, START, K, S, V
from nas_benchmark import cell_to_row

BEFORE = np.arange(S) - 1  # step t starts from what stands at t - 1; at first, at -1


class Controller:
    """N LSTM policies over cells, one per generator in `rngs`; float64 is for checks.

    W and Wo are views into `theta` (N, P), which holds all parameters; dW and dWo are views into
    `grad` (N, P) in the same way."""

    def __init__(self, rngs, hidden=64, dtype=np.float32):
        H = hidden
        self.N, self.H = len(rngs), H
        P = (V + H + 1) * 4 * H + (H + 1) * K
        self.theta = np.empty((self.N, P), dtype)
        self.grad = np.zeros_like(self.theta)
        self._make_buffers()
        self._make_views()
        for theta, rng in zip(self.theta, rngs, strict=True):
            theta[:] = rng.uniform(-INIT_RANGE, INIT_RANGE, theta.size)
        self.W[:, -1] = 0.0
        self.W[:, -1, H : 2 * H] = 1.0  # remember: 73% of c survives a step
        self.Wo[:, -1] = 0.0

    def _make_views(self):
        """The arrays that share memory with another one."""
        self.W, self.Wo = self._weights_in(self.theta)
        self.dW, self.dWo = self._weights_in(self.grad)
        self.h = self.x[:, :, V:-1]

    def _weights_in(self, flat):
        """(N, P) -> W (N, V+H+1, 4H) and Wo (N, H+1, K), sharing memory."""
        size_of_Wo = (self.H + 1) * K
        W = flat[:, :-size_of_Wo]
        Wo = flat[:, -size_of_Wo:]
        return W.reshape(self.N, -1, 4 * self.H), Wo.reshape(self.N, -1, K)

    def __setstate__(self, arrays):
        """For copy and pickle, which copy each array by itself: the views are made again."""
        self.__dict__ = arrays
        self._make_views()

    def _make_buffers(self):
        """Arrays that every network is computed in; kept for speed. Skip this at first reading."""
        N, H, dtype = self.N, self.H, self.theta.dtype

        def zeros(steps, width):
            """(N, steps, width), in memory step by step: each step (N, width) is contiguous."""
            return np.zeros((steps, N, width), dtype).swapaxes(0, 1)

        self.x = zeros(S + 1, V + H + 1)
        self.x[:, -1, START] = 1.0  # the first token
        self.x[:, :, -1] = 1.0  # what multiplies the bias; h starts at 0
        self.c = zeros(S + 1, H)
        self.tanh_c = zeros(S, H)
        self.gates = zeros(S, 4 * H)  # first z, then i, f, g, o in its place
        self.logits = zeros(S, K)
        self.a = np.zeros((N, S), int)
        self.dz = zeros(S, 4 * H)
        self.one_hot = np.eye(K, V, dtype=dtype)
        self.scale = np.repeat([0.5, 0.5, 1.0, 0.5], H).astype(dtype)  # see _activate
        self.shift = np.repeat([0.5, 0.5, 0.0, 0.5], H).astype(dtype)

    def _activate(self, z):
        """i, f, o = sigmoid(z) and g = tanh(z), in place, for z (..., 4H): four views (..., H).

        One tanh serves all four, because sigmoid(z) = 1/2 + tanh(z/2) / 2: 10% faster."""
        z *= self.scale
        np.tanh(z, out=z)
        z *= self.scale
        z += self.shift
        return self._split(z)

    def _split(self, z):
        """(..., 4H) -> the blocks of i, f, g and o, (..., H) each, as views."""
        H = self.H
        return z[..., :H], z[..., H : 2 * H], z[..., 2 * H : 3 * H], z[..., 3 * H :]

    def sample(self, noise):
        """Draw one cell per run, a (N, S), from Gumbel noise (N, S, K).

        The Gumbel-max trick: argmax(logits + noise) is a draw from softmax(logits). So each run's
        noise can be drawn beforehand, from a stream of its own. Keeps what `gradient` needs."""
        x, h, c, tanh_c = self.x, self.h, self.c, self.tanh_c
        gates, logits, a = self.gates, self.logits, self.a
        for t in range(S):
            gates[:, t] = batched_vecmat(x[:, t - 1], self.W)  # z = x W
            i, f, g, o = self._activate(gates[:, t])  # (N, H) each
            c[:, t] = f * c[:, t - 1] + i * g
            np.tanh(c[:, t], out=tanh_c[:, t])
            h[:, t] = o * tanh_c[:, t]
            logits[:, t] = batched_vecmat(x[:, t, V:], self.Wo)  # logits = [h, 1] Wo
            a[:, t] = (logits[:, t] + noise[:, t]).argmax(axis=1)
            x[:, t, :V] = self.one_hot[a[:, t]]
        return a

    def gradient(self, advantage, entropy_weight):
        """Gradient of the loss for the cells just sampled, advantage A (N,): `grad` (N, P).

        Each reverse line stands below the forward line that it undoes. The entropy bonus is
        differentiated only where it is earned: that an early choice changes the entropy of later
        steps is ignored, as is usual."""
        x, c, tanh_c, dz = self.x, self.c, self.tanh_c, self.dz
        A = advantage.astype(self.theta.dtype)[:, None, None]  # (N, 1, 1)

        # loss = -A log p[a] - w E
        #   log p[a] = logits_a - log sum_k exp(logits_k)  =>  d(-log p[a]) / dlogits = p - one_hot
        #   E = -sum_k p_k log p_k                         =>  d(-E) / dlogits = p (log p + E)
        log_p = log_softmax(self.logits)  # (N, S, K)
        p = np.exp(log_p)
        E = -(p * log_p).sum(axis=2, keepdims=True)  # (N, S, 1)
        one_hot = x[:, :S, :K]  # (N, S, K): each choice is the next step's input
        dlogits = A * (p - one_hot) + entropy_weight * p * (log_p + E)  # (N, S, K)

        # logits = [h, 1] Wo, all steps at once
        h1 = x[:, :S, V:]  # (N, S, H+1)
        np.matmul(transpose(h1), dlogits, out=self.dWo)
        dh_out = dlogits @ transpose(self.Wo[:, :-1])  # (N, S, H)

        # Local slopes J (controller_plain multiplies them one by one), all steps at once:
        # dz = J dc for i, f, g; dz = Jo dh; dc += Jc dh
        i, f, g, o = self._split(self.gates)  # (N, S, H) each
        Ji = g * i * (1 - i)  # c = f c_before + i g,  i = sigmoid(z)
        Jf = c[:, BEFORE] * f * (1 - f)  #             f = sigmoid(z)
        Jg = i * (1 - g * g)  #                        g = tanh(z)
        Jo = tanh_c * o * (1 - o)  # h = o tanh(c),    o = sigmoid(z)
        Jc = o * (1 - tanh_c * tanh_c)

        dzi, dzf, dzg, dzo = self._split(dz)  # (N, S, H) each
        Wh_T = transpose(self.W[:, V:-1])  # (N, 4H, H)
        dc = 0.0
        for t in reversed(range(S)):
            dh = dh_out[:, t]  # (N, H): h feeds the logits,
            if t + 1 < S:  # and the next step: z = x W with x = [one-hot, h, 1]
                dh = dh + batched_vecmat(dz[:, t + 1], Wh_T)
                dc = dc * f[:, t + 1]  # the conveyor belt: c feeds the next step's f c
            dc = dc + Jc[:, t] * dh  # (N, H)
            dzi[:, t] = Ji[:, t] * dc
            dzf[:, t] = Jf[:, t] * dc
            dzg[:, t] = Jg[:, t] * dc
            dzo[:, t] = Jo[:, t] * dh

        # z = x W, all steps at once
        np.matmul(transpose(x[:, BEFORE]), dz, out=self.dW)
        return self.grad

    def probabilities(self):
        """Probability of every cell under the present policy: (N, 15625), by row."""
        return np.stack([self._probabilities(n) for n in range(self.N)])

    def _probabilities(self, n):
        """Run n's: (15625,). Cells that begin alike share LSTM steps.

        Step t is done once for each of the 5^t beginnings, all in one batch (B, ...)."""
        Wx = self.W[n, :V]  # (V, 4H)
        Wh1 = self.W[n, V:]  # (H+1, 4H)
        h1 = self.x[n, -1:, V:]  # (B, H+1), [h, 1] with B = 1
        c = self.c[n, -1:]  # (B, H)
        token = Wx[START:]  # (1, 4H): what the next token adds to z; the start token alone
        log_p = np.zeros((1, 1), self.theta.dtype)  # (B, 1)
        for _ in range(S):
            z = (h1 @ Wh1)[:, None] + token  # (B / tokens, tokens, 4H)
            i, f, g, o = self._activate(z.reshape(-1, 4 * self.H))  # (B, H) each
            c = f * np.repeat(c, len(token), axis=0) + i * g  # (B, H)
            h1 = np.ones((len(c), self.H + 1), c.dtype)
            h1[:, :-1] = o * np.tanh(c)
            log_p = log_p + log_softmax(h1 @ self.Wo[n])  # (B, K)
            log_p = log_p.reshape(-1, 1)  # every choice begins a cell of its own
            token = Wx[:K]  # (K, 4H): from now on, every operation is tried
        return np.exp(log_p.ravel())


def batched_vecmat(x, W):
    """x W, one small product per run: (N, X) and (N, X, Y) -> (N, Y)."""
    return (x[:, None] @ W)[:, 0]


def transpose(M):
    """M^T, run by run: (N, X, Y) -> (N, Y, X), a view."""
    return M.swapaxes(1, 2)


def log_softmax(logits):
    """log softmax over the last axis, (..., K) -> (..., K)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class Adam:
    """Adam (Kingma and Ba 2015) on theta (N, P), in place.

    m and v are theirs divided by 1 - beta1 and by 1 - beta2; `step` puts these factors into m_scale
    and v_scale. All is done in place, because the obvious five lines (`controller_plain.adam`)
    allocate 1 MB arrays at each step, which can take longer than everything else together."""

    def __init__(self, theta, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.theta = theta
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.m = np.zeros_like(theta)
        self.v = np.zeros_like(theta)
        self.scratch = np.empty_like(theta)
        self.t = 0

    def step(self, grad):
        """theta -= learning_rate * m^ / (sqrt(v^) + epsilon), for grad (N, P)."""
        self.t += 1
        m_scale = (1 - self.beta1) / (1 - self.beta1**self.t)  # m^ = m_scale * m
        v_scale = (1 - self.beta2) / (1 - self.beta2**self.t)  # v^ = v_scale * v
        m, v, scratch = self.m, self.v, self.scratch
        m *= self.beta1
        m += grad  # m = beta1 m + g
        v *= self.beta2
        v += np.multiply(grad, grad, out=scratch)  # v = beta2 v + g^2
        np.sqrt(v, out=scratch)
        scratch += self.epsilon / v_scale**0.5
        np.divide(m, scratch, out=scratch)  # m / (sqrt(v) + epsilon / sqrt(v_scale))
        scratch *= self.learning_rate * m_scale / v_scale**0.5
        self.theta -= scratch


class Reinforce:
    """Searches in lockstep, one per integer in `seeds`.

    Runs with the same seed start from the same weights and draw the same noise, whatever their
    rewards: the comparison of two rewards is paired. baseline_decay=None: no baseline, b = 0."""

    def __init__(
        self, seeds, hidden, learning_rate, entropy_weight, baseline_decay, dtype=np.float32
    ):
        self.rngs = [np.random.default_rng(seed) for seed in seeds]
        self.controller = Controller(self.rngs, hidden, dtype)
        self.adam = Adam(self.controller.theta, learning_rate)
        self.entropy_weight = entropy_weight
        self.baseline_decay = baseline_decay
        self.baseline = None  # b (N,), from the first reward on

    def search(self, reward_tables, samples):
        """Draw `samples` cells per run, learning from each; returns rows (N, samples).

        reward_tables (N, 15625): R of each cell, by row, for each run."""
        N = len(self.rngs)
        rows = np.empty((N, samples), np.int32)
        noise = [rng.gumbel(size=(samples, S, K)) for rng in self.rngs]
        noise = np.stack(noise, axis=1).astype(self.controller.theta.dtype)
        for n in range(samples):
            cells = self.controller.sample(noise[n])
            rows[:, n] = cell_to_row(cells)
            self.learn(reward_tables[np.arange(N), rows[:, n]])
        return rows

    def learn(self, R):
        """One REINFORCE update from the rewards R (N,) of the cells just sampled.

        b is a moving average of the rewards before R. It must not contain R itself: the gradient
        would be biased. Before the first reward, b = R and A = 0: only the entropy bonus acts."""
        decay = self.baseline_decay
        if self.baseline is None:
            self.baseline = np.zeros_like(R) if decay is None else R
        A = R - self.baseline
        gradient = self.controller.gradient(A, self.entropy_weight)
        self.adam.step(gradient)
        if decay is not None:
            self.baseline = self.baseline + (1 - decay) * A  # decay b + (1 - decay) R
