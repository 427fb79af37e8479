"""A learning rule of one's own, beside those of the library. Run: python examples/own_rule.py

Equilibrium propagation in one method: settle with the output free, settle again with the output nudged towards its
target, and learn from the difference of the two weight gradients.
"""

import jax
import jax.numpy as jnp
import optax

import pcx as px
import pcx.data as pxd
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt


class TwoPhases(pxl.Rule):
    """Learn from a settling with the output pulled towards the target, less one with it at its own prediction.

    **Arguments:**

    - `optim_w`, `optim_h`: how weights and values move, Optax transformations.
    - `T`: the number of inference steps of each phase.
    - `beta`: how far towards the target the output is pulled, above 0 to 1.
    """

    def __init__(self, optim_w, optim_h, T: int, beta: float = 0.5):
        super().__init__(optim_w)
        if not 0 < beta <= 1:
            raise ValueError(f"TwoPhases: beta must be above 0 and at most 1, got {beta}")
        self.optim_h, self.T, self.beta = optim_h, T, beta

    def learn(self, bound, forward, memory):
        def settled(clamped):
            landscape = bound.landscape(clamped, forward=forward)
            start = landscape.start()
            solution = pxi.relax(landscape, start, descent=self.optim_h, stop=self.T)
            return landscape.weight_gradient(solution.nodes), solution, landscape.energies(start)

        predicted = {name: forward.u[name] for name in forward.targets}
        nudged = {name: u + self.beta * (forward.targets[name] - u) for name, u in predicted.items()}
        pulled, solution, before = settled(nudged)
        free, _, _ = settled(predicted)
        gradient = jax.tree.map(lambda a, b: (a - b) / self.beta, pulled.gradient, free.gradient)
        # With `before`, settling that goes uphill is noticed; with `first_bad`, the node that is not finite.
        return pxl.Update(gradient, pulled.energies, before=before, steps=solution.steps, first_bad=solution.first_bad)


def main() -> None:
    data = pxd.two_moons(512, 512)
    optim_w, optim_h = optax.adam(1e-2), optax.sgd(0.2)
    rules = {
        "two phases": TwoPhases(optim_w, optim_h, T=16),
        "pc": pxl.pc(optim_w, optim_h, T=16),
        "backprop": pxl.backprop(optim_w),
    }
    for name, rule in rules.items():
        px.RKG.seed(0)
        model = pxm.MLP([2, 16, 16, 2], act=jnp.tanh)
        run = pxt.fit(model, rule, data.train, data.test, epochs=10, batch_size=64, show=False)
        print(f"{name:11} {run.ended}, accuracy {run.last('validation_accuracy')[0]:.1%}")


if __name__ == "__main__":
    main()
