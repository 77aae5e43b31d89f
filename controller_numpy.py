"""Who chooses: an LSTM that writes cells, and REINFORCE, which teaches it, by hand in NumPy.

One network is one cell: 6 operations, chosen one after the other, each from a softmax over 5. The
LSTM sees the operation that it chose before (at first, a start token). After every network,

    loss = -(R - b) sum_t log pi(a_t) - c sum_t H_t         H_t = -sum_k p_tk log p_tk

is pushed downhill once by Adam. It is no measure of success: watch the reward instead.

The leading axis is the run. Many searches, of different rewards and seeds, advance in lockstep,
each with its own weights, reward and random stream; no run sees another. To read the code as that
of a single search, drop the letter N.

    letter   meaning                                        shape            here
    N        runs in lockstep                                                16
    S        steps = edges of a cell                                         6
    K        operations to choose from                                       5
    V        tokens: the operations and the start token                      6
    H        hidden units of the LSTM                                        64
    x        input of a step: [one-hot token, h, 1]         (N, S+1, V+H+1)
    W        weights and, in the last row, bias             (N, V+H+1, 4H)
    i f g o  the LSTM's gates: input, forget, cell, output  (N, S, 4, H)
    c        cell state; c[:, t+1] follows c[:, t]          (N, S+1, H)
    h        hidden state; kept in x, next to the 1         (N, S+1, H)
    Wo       weights and bias from h to the logits          (N, H+1, K)
    a        chosen operations, one cell per run            (N, S)
    R, b     reward and its baseline                        (N,)
    dA       derivative of the loss by A, for any A         as A

LSTM: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000. REINFORCE:
Williams 1992. Adam: Kingma and Ba 2015. Left out: layers, attention, batches, PPO.
"""

import numpy as np

from nas_benchmark import OPERATIONS, cell_to_row

S, K = 6, len(OPERATIONS)
V = K + 1  # token K is the start token
INIT_RANGE = 0.1  # weights start in U(-0.1, 0.1); biases at 0, the forget gate's at 1


class Controller:
    """N independent LSTM policies over cells, one per random generator in `rngs`.

    `theta` (N, P) holds all parameters; W and Wo are views into it, dW and dWo into `grad` (N, P).
    dtype float32 is for speed, float64 for checking gradients.
    """

    def __init__(self, rngs, hidden=64, dtype=np.float32):
        N, H = len(rngs), hidden
        self.N, self.H = N, H
        self.theta = np.empty((N, (V + H + 1) * 4 * H + (H + 1) * K), dtype)
        self.grad = np.zeros_like(self.theta)
        self.W, self.Wo = self._views(self.theta)
        self.dW, self.dWo = self._views(self.grad)
        for theta, rng in zip(self.theta, rngs, strict=True):
            theta[:] = rng.uniform(-INIT_RANGE, INIT_RANGE, theta.size)
        self.W[:, -1] = 0.0
        self.W[:, -1, H : 2 * H] = 1.0  # remember by default
        self.Wo[:, -1] = 0.0

        def zeros(*shape):  # (N, steps, ...), with the runs of one step side by side in memory
            return np.zeros((shape[1], N, *shape[2:]), dtype).swapaxes(0, 1)

        self.x = zeros(N, S + 1, V + H + 1)
        self.x[:, 0, K] = 1.0  # the start token
        self.x[:, :, -1] = 1.0  # what multiplies the bias
        self.c = zeros(N, S + 1, H)
        self.tanh_c = zeros(N, S, H)
        self.z = zeros(N, S, 4 * H)
        self.gates = self.z.reshape(N, S, 4, H)  # the same memory: a gate replaces its z
        self.logits = zeros(N, S, K)
        self.a = np.zeros((N, S), int)
        self.one_hot = np.eye(K, V, dtype=dtype)
        self.dz = zeros(N, S, 4 * H)
        self.J = zeros(N, S, 4, H)

    def _views(self, flat):
        """Split (N, P) into (N, V+H+1, 4H) and (N, H+1, K), sharing memory."""
        N, H = self.N, self.H
        cut = (V + H + 1) * 4 * H
        return flat[:, :cut].reshape(N, V + H + 1, 4 * H), flat[:, cut:].reshape(N, H + 1, K)

    @property
    def h(self):
        """Hidden states (N, S+1, H); h[:, 0] is the initial state, zero unless you set it."""
        return self.x[:, :, V:-1]

    # --- forward ------------------------------------------------------------------------------

    def sample(self, noise):
        """Draw one cell per run; returns a (N, S) and keeps what `gradient` needs.

        noise (N, S, K): Gumbel noise, for argmax(logits + noise) is a draw from softmax(logits).
        """
        for t in range(S):
            gates = self.gates[:, t]  # (N, 4, H)
            _row_times_matrix(self.x[:, t], self.W, out=self.z[:, t])  # z = x W
            _activate(gates)
            i, f, g, o = gates.swapaxes(0, 1)  # (N, H) each
            c, tanh_c, h = self.c[:, t + 1], self.tanh_c[:, t], self.h[:, t + 1]  # (N, H)
            np.multiply(f, self.c[:, t], out=c)
            c += i * g  # c' = f c + i g
            np.tanh(c, out=tanh_c)
            np.multiply(o, tanh_c, out=h)  # h' = o tanh(c')
            _row_times_matrix(self.x[:, t + 1, V:], self.Wo, out=self.logits[:, t])  # [h', 1] Wo
            self.a[:, t] = (self.logits[:, t] + noise[:, t]).argmax(axis=1)
            self.x[:, t + 1, :V] = self.one_hot[self.a[:, t]]
        return self.a

    # --- backward -----------------------------------------------------------------------------

    def gradient(self, advantage, entropy_weight):
        """Gradient of the loss for the cells just sampled; returns `grad` (N, P).

        advantage (N,): R - b. Each reverse line stands below the forward line that it undoes.
        The entropy of each step is differentiated as it stands; that earlier choices also decide
        which entropies are met later is left out, as is usual.
        """
        N, H = self.N, self.H
        A = advantage.astype(self.theta.dtype)[:, None, None]  # (N, 1, 1)

        # loss = -A log p[a] - c H
        log_p = _log_softmax(self.logits)  # (N, S, K)
        p = np.exp(log_p)
        entropy = -(p * log_p).sum(axis=2, keepdims=True)  # (N, S, 1)
        chosen = self.x[:, 1:, :K]  # (N, S, K), one-hot: each choice is the next step's input
        dlogits = A * (p - chosen) + entropy_weight * p * (log_p + entropy)  # (N, S, K)

        # logits = [h', 1] Wo
        np.matmul(_transposed(self.x[:, 1:, V:]), dlogits, out=self.dWo)
        dh_out = dlogits @ _transposed(self.Wo[:, :-1])  # (N, S, H)

        # What one unit of dc (for i, f, g) or of dh (for o, and c through tanh) makes of z
        i, f, g, o = self.gates.transpose(2, 0, 1, 3)  # (N, S, H) each
        J, dgates = self.J, self.dz.reshape(N, S, 4, H)  # (N, S, 4, H)
        J[:, :, 0] = g * i * (1 - i)  # c' = f c + i g,   i = sigmoid(z)
        J[:, :, 1] = self.c[:, :-1] * f * (1 - f)  #      f = sigmoid(z)
        J[:, :, 2] = i * (1 - g * g)  #                   g = tanh(z)
        J[:, :, 3] = self.tanh_c * o * (1 - o)  # h' = o tanh(c'),   o = sigmoid(z)
        Jc = o * (1 - self.tanh_c * self.tanh_c)  # (N, S, H)

        Wh_T = _transposed(self.W[:, V:-1])  # (N, 4H, H)
        dh_next = dc_next = 0.0  # nothing follows the last step
        for t in reversed(range(S)):
            dh = dh_out[:, t] + dh_next  # (N, H): h' feeds the logits and the next step
            dc = dh * Jc[:, t] + dc_next  # (N, H): c' feeds h' and the next c
            dgates[:, t, :3] = J[:, t, :3] * dc[:, None]
            dgates[:, t, 3] = J[:, t, 3] * dh
            dh_next = _row_times_matrix(self.dz[:, t], Wh_T)  # z = x W, x = [one-hot, h, 1]
            dc_next = dc * f[:, t]  # c' = f c + i g

        # z = x W, all steps at once
        np.matmul(_transposed(self.x[:, :-1]), self.dz, out=self.dW)
        return self.grad

    # --- the whole policy ---------------------------------------------------------------------

    def enumerate(self):
        """Probability of every cell under the present policy: (N, 15625), by row.

        The cells share beginnings: 1 + 5 + ... + 3125 = 3,906 of them, all of one length at once.
        """
        N, H = self.N, self.H
        Wx, Wh_b = self.W[:, :V], self.W[:, V:]  # (N, V, 4H), (N, H+1, 4H)
        h1 = self.x[:, :1, V:]  # (N, 1, H+1): [h, 1] of every beginning
        c = self.c[:, :1]  # (N, 1, H)
        token = Wx[:, K:]  # (N, 1, 4H): what each next token adds to z; the start token alone
        log_p = np.zeros((N, 1), self.theta.dtype)  # (N, beginnings)
        for _ in range(S):
            z = (h1 @ Wh_b)[:, :, None] + token[:, None]  # (N, beginnings, tokens, 4H)
            gates = _activate(z.reshape(N, -1, 4, H))
            i, f, g, o = gates.transpose(2, 0, 1, 3)
            c = f * np.repeat(c, token.shape[1], axis=1) + i * g
            h1 = np.ones((N, c.shape[1], H + 1), c.dtype)
            h1[:, :, :-1] = o * np.tanh(c)
            log_p = (log_p[:, :, None] + _log_softmax(h1 @ self.Wo)).reshape(N, -1)
            token = Wx[:, :K]  # from now on, each operation is tried
        return np.exp(log_p)


def _activate(z):
    """i, f, o = sigmoid(z) and g = tanh(z), in place, for z (..., 4, H) in the order i f g o.

    As sigmoid(z) = 1/2 + tanh(z/2) / 2, one tanh serves all four.
    """
    scale = np.array([0.5, 0.5, 1.0, 0.5], z.dtype)[:, None]  # (4, 1)
    shift = np.array([0.5, 0.5, 0.0, 0.5], z.dtype)[:, None]
    z *= scale
    np.tanh(z, out=z)
    z *= scale
    z += shift
    return z


def _log_softmax(logits):
    """log softmax over the last axis, (..., K) -> (..., K)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _row_times_matrix(row, matrix, out=None):
    """One row and one matrix per run: (N, A) times (N, A, B) -> (N, B), into `out` if given."""
    if out is None:
        return np.matmul(row[:, None], matrix)[:, 0]
    return np.matmul(row[:, None], matrix, out=out[:, None])[:, 0]


def _transposed(matrices):
    """(N, A, B) -> (N, B, A), a view."""
    return matrices.swapaxes(1, 2)


class Adam:
    """Adam (Kingma and Ba 2015, Algorithm 1 with the faster order of its section 2).

    theta (N, P) is changed in place by `step`. The moments are kept without their factors
    1 - beta, which is the same as m / (1 - beta1) and v / (1 - beta2) of the paper.
    """

    def __init__(self, theta, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.theta = theta
        self.learning_rate, self.beta1, self.beta2 = learning_rate, beta1, beta2
        self.epsilon = epsilon
        self.m, self.v = np.zeros_like(theta), np.zeros_like(theta)  # (N, P)
        self.work = np.empty_like(theta)
        self.t = 0

    def step(self, grad):
        """theta -= learning_rate * m^ / (sqrt(v^) + epsilon), for grad (N, P)."""
        self.t += 1
        m_scale = (1 - self.beta1) / (1 - self.beta1**self.t)  # m^ = m_scale * m
        v_scale = (1 - self.beta2) / (1 - self.beta2**self.t)  # v^ = v_scale * v
        m, v, work = self.m, self.v, self.work
        m *= self.beta1
        m += grad  # m = beta1 m + g
        v *= self.beta2
        v += np.multiply(grad, grad, out=work)  # v = beta2 v + g^2
        np.sqrt(v, out=work)
        work += self.epsilon / v_scale**0.5
        np.divide(m, work, out=work)  # m / (sqrt(v) + epsilon / sqrt(v_scale))
        work *= self.learning_rate * m_scale / v_scale**0.5
        self.theta -= work


class Reinforce:
    """N searches in lockstep: controller, optimiser, baseline and random stream of each.

    seeds: one integer per run. Runs with the same seed start from the same weights and draw the
    same noise, whatever their rewards: the comparison of two rewards is paired.
    """

    def __init__(self, seeds, hidden, learning_rate, entropy_weight, baseline_decay):
        self.rngs = [np.random.default_rng(seed) for seed in seeds]
        self.controller = Controller(self.rngs, hidden)
        self.adam = Adam(self.controller.theta, learning_rate)
        self.entropy_weight, self.baseline_decay = entropy_weight, baseline_decay
        self.baseline = None  # (N,), from the first reward on

    def search(self, reward, samples):
        """Draw `samples` cells per run, learning from each; returns rows (N, samples).

        reward (N, 15625): what each run is paid for each cell, by row.
        """
        N = len(self.rngs)
        runs = np.arange(N)
        rows = np.empty((N, samples), np.int32)
        noise = np.stack([rng.gumbel(size=(samples, S, K)) for rng in self.rngs], axis=1)
        noise = noise.astype(np.float32)  # (samples, N, S, K)
        for n in range(samples):
            rows[:, n] = cell_to_row(self.controller.sample(noise[n]))
            R = reward[runs, rows[:, n]]  # (N,)
            self.learn(R)
        return rows

    def learn(self, R):
        """One REINFORCE update from the rewards R (N,) of the cells just sampled."""
        if self.baseline is None:
            self.baseline = R.copy()
        gradient = self.controller.gradient(R - self.baseline, self.entropy_weight)
        self.adam.step(gradient)
        self.baseline += (1 - self.baseline_decay) * (R - self.baseline)  # moving average of R
