"""Steps of rules against loops over `jax.grad` of the whole energy, in plain JAX."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.predictive_coding as pxc

from .problems import LEVELLED, ce, dense, error, jit, mlp, normal, se, seeded, weights

pytestmark = pytest.mark.usefixtures("double")
NETS = {"se": LEVELLED["tanh-se"], "ce": mlp([3, 5, 5, 4, 2], "tanh", entropy=True)}
L = 4  # layers
# Adam multiplies what is left of a gradient by its rate over eps, at every step: with the usual eps rounding errors,
# where gradients should be zero, grow into whole steps.
EPS = 0.1
NODES = [f"vodes[{i}]" for i in range(L - 1)]


@dataclasses.dataclass(frozen=True)
class Energy:
    """The energy of an MLP with tanh units, summed over the batch, at values `h` of its hidden nodes."""

    entropy: bool = False

    def predictions(self, w: Any, h: Any, x: Any) -> list[Any]:
        above = [x, *[h[n] for n in NODES]]
        us = [jax.vmap(lambda a, i=i: dense(w, f"layers[{i}]", a))(a) for i, a in enumerate(above)]
        return [*[jnp.tanh(u) for u in us[:-1]], us[-1]]

    def forward(self, w: Any, x: Any) -> tuple[dict[str, Any], Any]:
        h: dict[str, Any] = {}
        for i, name in enumerate(NODES):
            x = jnp.tanh(jax.vmap(lambda a, i=i: dense(w, f"layers[{i}]", a))(x))
            h[name] = x
        return h, jax.vmap(lambda a: dense(w, f"layers[{L - 1}]", a))(x)

    def __call__(self, w: Any, h: Any, x: Any, y: Any, scale: Any = 1.0, p: Any = None) -> Any:
        p = p or {}
        *us, last = self.predictions(w, h, x)
        total = scale * jnp.sum(jax.vmap(ce if self.entropy else se)(last, y))
        for name, u in zip(NODES, us, strict=True):
            q = jnp.broadcast_to(p.get(name, 1.0), u.shape)
            total += jnp.sum(0.5 * q * (h[name] - u) ** 2 - 0.5 * jnp.log(q))
        return total


class Hand:
    """A hand-written rule: weights learn by Adam, values by `optim_h`."""

    def __init__(self, model: Any, x: Any, optim_h: Any, entropy: bool = False, p: Any = None) -> None:
        self.energy, self.x, self.optim_h, self.p = Energy(entropy), x, optim_h, p
        self.w: Any = weights(model)
        self.optim_w = optax.adam(1e-2, eps=EPS)
        self.state_w = self.optim_w.init(self.w)
        self.slopes = jit(jax.grad(self.energy, (0, 1)))

    def learn(self, gradient: Any) -> None:
        mean = jax.tree.map(lambda g: g / self.x.shape[0], gradient)
        updates, self.state_w = self.optim_w.update(mean, self.state_w, self.w)
        self.w = optax.apply_updates(self.w, updates)

    def settle(self, h: Any, y: Any, T: int, groups: Any = None, scale: Any = 1.0) -> Any:
        """`groups(t)`: the nodes that move at step t, one group after the other; all together by default."""
        states: dict[str, Any] = {}
        for t in range(T):
            for group in [NODES] if groups is None else groups(t):
                slope = self.slopes(self.w, h, self.x, y, scale, self.p)[1]
                moved = {}
                for n in group:
                    state = states[n] if n in states else self.optim_h.init(h[n])
                    update, states[n] = self.optim_h.update(slope[n], state, h[n])
                    moved[n] = h[n] + update
                h = h | moved
        return h

    def gradient(self, h: Any, y: Any, scale: Any = 1.0) -> Any:
        return self.slopes(self.w, h, self.x, y, scale, self.p)[0]


W = optax.adam(1e-2, eps=EPS)
OPTIMISERS = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.7),
    "nesterov": optax.sgd(0.05, momentum=0.9, nesterov=True),
    "adam": optax.adam(0.05, eps=EPS),
}
SCHEDULES: dict[str, tuple[Any, Any]] = {
    "all": (pxi.AllNodes(), None),
    "wave": (pxi.WaveFront(), None),
    "down": (pxi.Sweeps("down"), lambda t: [[n] for n in NODES[::-1]]),
    "up": (pxi.Sweeps("up"), lambda t: [[n] for n in NODES]),
    "layers": (pxi.LayerTime(), lambda t: [[NODES[L - 2 - t]]] if t <= L - 2 else []),
}


def stepped(rule: Any, energy: str = "se", steps: int = 2) -> tuple[Any, Any]:
    """Weights after some steps on one batch."""
    known = NETS[energy]
    state, step = rule.init(known.build(), known.batch()), jit(rule.step)
    info: Any = None
    for _ in range(steps):
        state, info = step(state, known.batch())
        assert int(info.result) == 0
    return state, info


def hand(optim_h: Any, energy: str = "se", p: Any = None) -> tuple[Hand, Any]:
    known = NETS[energy]
    x, y = known.batch()
    return Hand(known.build(), x, optim_h, energy == "ce", p), y


@pytest.mark.parametrize(
    ("optimiser", "schedule", "energy", "T"),
    [
        ("sgd", "wave", "ce", 5),
        ("sgd", "all", "se", 5),
        ("momentum", "wave", "se", 5),
        ("adam", "wave", "se", 5),
        ("adam", "wave", "ce", 2),
        ("nesterov", "all", "se", 3),
        ("momentum", "down", "se", 3),
        ("adam", "up", "se", 3),
        ("sgd", "layers", "se", 5),
        ("sgd", "layers", "ce", 2),
    ],
)
def test_pc(optimiser, schedule, energy, T):
    parts, groups = SCHEDULES[schedule]
    state, info = stepped(pxl.pc(W, OPTIMISERS[optimiser], T, schedule=parts), energy)
    plain, y = hand(OPTIMISERS[optimiser], energy)
    total: Any = None
    for _ in range(2):
        h = plain.settle(plain.energy.forward(plain.w, plain.x)[0], y, T, groups)
        total = plain.energy(plain.w, h, plain.x, y) / plain.x.shape[0]
        plain.learn(plain.gradient(h, y))
    assert error(state.weights, plain.w) <= 1e-10
    assert float(info.energy) == pytest.approx(float(total), rel=1e-10)


@pytest.mark.parametrize("start", ["zeros", "kept"])
@pytest.mark.parametrize("schedule", ["wave", "down"])
@pytest.mark.hasty
def test_pc_from_other_starts(start, schedule):
    parts, groups = SCHEDULES[schedule]
    rule = pxl.pc(W, OPTIMISERS["momentum"], 4, schedule=parts, start=pxl.Zeros() if start == "zeros" else pxl.Kept())
    state, _ = stepped(rule, steps=3)
    plain, y = hand(OPTIMISERS["momentum"])
    h = plain.energy.forward(plain.w, plain.x)[0]
    for _ in range(3):
        h = plain.settle(jax.tree.map(jnp.zeros_like, h) if start == "zeros" else h, y, 4, groups)
        plain.learn(plain.gradient(h, y))
    assert error(state.weights, plain.w) <= 1e-10


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_ipc(optimiser):
    state, _ = stepped(pxl.ipc(W, OPTIMISERS[optimiser], 4), "ce")
    plain, y = hand(OPTIMISERS[optimiser], "ce")
    for _ in range(2):
        h = plain.energy.forward(plain.w, plain.x)[0]
        states = plain.optim_h.init(h)
        for _ in range(4):
            by_weights, by_nodes = plain.slopes(plain.w, h, plain.x, y)
            updates, states = plain.optim_h.update(by_nodes, states)
            h = optax.apply_updates(h, updates)
            plain.learn(by_weights)
    assert error(state.weights, plain.w) <= 1e-10


NUDGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "positive": ("se", {"beta": 0.2}),
    "negative": ("se", {"beta": -0.2}),
    "negative ce": ("ce", {"beta": -0.2}),
    "centred": ("se", {"beta": 0.2, "centred": True}),
    "alternating": ("ce", {"beta": 0.2, "alternate": True}),
    "following": ("ce", {"beta": -0.2, "follow": True}),
    "following, centred": ("se", {"beta": 0.2, "follow": True, "centred": True}),
}


@pytest.mark.parametrize("name", NUDGES)
@pytest.mark.hasty
def test_nudged(name):
    energy, options = NUDGES[name]
    beta, follow = options["beta"], options.get("follow", False)
    state, _ = stepped(pxl.nudged(W, OPTIMISERS["momentum"], 5, **options), energy, steps=3)
    plain, y = hand(OPTIMISERS["momentum"], energy)

    def phase(b: float) -> Any:
        h, u = plain.energy.forward(plain.w, plain.x)
        predicted = jax.nn.softmax(u) if energy == "ce" else u
        held, scale = (y, b) if follow else (predicted - b * (predicted - y), 1.0)
        return plain.gradient(plain.settle(h, held, 5, scale=scale), held, scale)

    for i in range(3):
        if "centred" in options:
            gradient = jax.tree.map(lambda a, b: (a - b) / (2 * beta), phase(beta), phase(-beta))
        else:
            b = beta if "alternate" not in options or i % 2 == 0 else -beta
            gradient = jax.tree.map(lambda g, b=b: g / b, phase(b))
        plain.learn(gradient)
    assert error(state.weights, plain.w) <= 1e-10


def test_the_average_over_a_chain():
    # Without noise, a chain is descent.
    state, _ = stepped(pxl.mcpc(W, 0.1, 6, burn_in=2, variance=0.0))
    plain, y = hand(optax.sgd(0.1))
    for _ in range(2):
        h, parts = plain.energy.forward(plain.w, plain.x)[0], []
        for _ in range(6):
            h = plain.settle(h, y, 1)
            parts.append(plain.gradient(h, y))
        plain.learn(jax.tree.map(lambda *g: sum(g) / 4, *parts[2:]))
    assert error(state.weights, plain.w) <= 1e-10


def test_fixed_precisions():
    p = {"vodes[0]": jnp.array([0.5, 1.0, 2.0, 0.7, 1.5]), "vodes[2]": jnp.float64(3.0)}
    state, info = stepped(pxl.pc(W, OPTIMISERS["sgd"], 5, precision=p))
    plain, y = hand(OPTIMISERS["sgd"], p=p)
    total: Any = None
    for _ in range(2):
        h = plain.settle(plain.energy.forward(plain.w, plain.x)[0], y, 5)
        total = plain.energy(plain.w, h, plain.x, y, p=p) / plain.x.shape[0]
        plain.learn(plain.gradient(h, y))
    assert error(state.weights, plain.w) <= 1e-10
    assert float(info.energy) == pytest.approx(float(total), rel=1e-10)


@pytest.mark.parametrize("per", ["node", "feature"])
@pytest.mark.hasty
def test_precisions_learn_down_the_energy_with_its_log_determinant(per):
    precision = pxl.LearnedPrecision(optax.sgd(0.3), initial=2.0, per=per, nodes=tuple(NODES))
    state, _ = stepped(pxl.pc(W, OPTIMISERS["sgd"], 5, precision=precision))
    plain, y = hand(OPTIMISERS["sgd"])
    shapes = {"vodes[0]": (5,), "vodes[1]": (5,), "vodes[2]": (4,)}
    log = {n: jnp.full(shapes[n] if per == "feature" else (), jnp.log(2.0)) for n in NODES}
    for _ in range(2):
        plain.p = {n: jnp.exp(v) for n, v in log.items()}
        h = plain.settle(plain.energy.forward(plain.w, plain.x)[0], y, 5)

        def mean(log, h=h):
            return plain.energy(plain.w, h, plain.x, y, p={n: jnp.exp(v) for n, v in log.items()}) / plain.x.shape[0]

        slope = jax.grad(mean)(log)
        plain.learn(plain.gradient(h, y))
        # The mean over the features that share a precision: a rate means the same for every width.
        shared = {n: 1 if per == "feature" else shapes[n][0] for n in NODES}
        log = {n: log[n] - 0.3 * slope[n] / shared[n] for n in NODES}
    assert error(state.weights, plain.w) <= 1e-10
    assert error(state.memory["log_precision"], log) <= 1e-10


@pytest.mark.parametrize("per", ["node", "feature"])
def test_at_its_optimum_a_precision_is_one_over_the_mean_squared_error(per):
    # In Z-IL the output's error is that of the forward pass, whatever the precision.
    precision = pxl.LearnedPrecision(optax.sgd(0.3), per=per, nodes=("vodes[3]",))
    rule = pxl.zil(optax.set_to_zero(), precision=precision)
    known = NETS["se"]
    state = rule.init(known.build(), known.batch())
    state, infos = jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, known.batch()), s, None, 300))(state)
    squares = jnp.mean((known.batch()[1] - infos.output[-1]) ** 2, axis=0 if per == "feature" else None)
    assert jnp.allclose(jnp.exp(-state.memory["log_precision"]["vodes[3]"]), squares, rtol=1e-8)


# -- pairs of networks ----------------------------------------------------------------------------------------------


class Both(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.generative = pxm.MLP([2, 4, 5, 3], jnp.tanh)
        self.recognition = pxm.MLP([3, 5, 4, 2], jnp.tanh)


@pytest.mark.hasty
def test_pairs_of_networks():
    model = seeded(Both)
    x, y = normal(1, 6, 3), normal(2, 6, 2)
    w = weights(model)

    def net(w, part, i, a):
        u = jax.vmap(lambda a: dense(w, f"{part}.layers[{i}]", a))(a)
        return jnp.tanh(u) if i < 2 else u

    def generative(w, h):  # h: from the input's side to the latent's
        low, high = h
        errors = [
            high - net(w, "generative", 0, y),
            low - net(w, "generative", 1, high),
            x - net(w, "generative", 2, low),
        ]
        return sum(0.5 * jnp.sum(e**2) for e in errors)

    def recognition(w, h):
        low, high = h
        errors = [
            low - net(w, "recognition", 0, x),
            high - net(w, "recognition", 1, low),
            y - net(w, "recognition", 2, high),
        ]
        return sum(0.5 * jnp.sum(e**2) for e in errors)

    def by_hand(w, settling, learning):
        low = net(w, "recognition", 0, x)
        h = [low, net(w, "recognition", 1, low)]
        for _ in range(4):
            h = [a - 0.1 * g for a, g in zip(h, jax.grad(settling, 1)(w, h), strict=True)]
        slope = jax.grad(learning)(w, h)
        return {p: v - 0.2 * slope[p] / 6 for p, v in w.items()}

    def both(w, h):
        return 0.7 * generative(w, h) + 0.4 * recognition(w, h)

    def each(w, h):
        return generative(w, h) + recognition(w, h)

    for rule, settling, learning in (
        (pxl.hybrid(optax.sgd(0.2), optax.sgd(0.1), 4), generative, each),
        (pxl.bpc(optax.sgd(0.2), optax.sgd(0.1), 4, generative=0.7, discriminative=0.4), both, both),
    ):
        state, info = jit(rule.step)(rule.init(model, (x, y)), (x, y))
        assert int(info.result) == 0
        assert error(state.weights, jit(lambda w, s=settling, e=learning: by_hand(w, s, e))(w)) <= 1e-12
        output = net(w, "recognition", 2, net(w, "recognition", 1, net(w, "recognition", 0, x)))
        assert jnp.allclose(info.output, output)


def test_mupc_learns():
    model = seeded(pxm.MuMLP, [3, 8, 8, 8, 8, 2])
    rule = pxl.pc(optax.adam(0.02), optax.sgd(0.1), 4)
    batch = normal(1, 16, 3), normal(2, 16, 2)
    _, infos = jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, batch), s, None, 100))(rule.init(model, batch))
    assert not infos.result.any()
    assert float(infos.loss[-1]) < 0.5 * float(infos.loss[0])
