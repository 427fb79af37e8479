"""What to cite of a rule."""

import optax
import pytest

import pcx.learning as pxl

OPTIM = optax.sgd(0.1)
RULES = {
    "backprop": (pxl.backprop(OPTIM), ["rumelhart1986learning"]),
    "zil": (pxl.zil(OPTIM), ["song2020can", "salvatori2021predictive"]),
    "hil": (pxl.hil(OPTIM), ["pinchetti2024benchmarking"]),
    "pc": (pxl.pc(OPTIM, OPTIM, T=4), ["whittington2017approximation"]),
    "ipc": (pxl.ipc(OPTIM, OPTIM, T=4), ["salvatori2024stable"]),
    "mcpc": (pxl.mcpc(OPTIM, 0.1, T=4), ["oliviers2024learning"]),
    "fpa": (pxl.fpa(OPTIM, OPTIM, T=4), ["millidge2022predictive"]),
    "epc": (pxl.epc(OPTIM, OPTIM, T=4), ["goemaere2025error"]),
    "nudged": (pxl.nudged(OPTIM, OPTIM, 4, beta=0.1), ["pinchetti2024benchmarking", "scellier2017equilibrium"]),
    "hybrid": (pxl.hybrid(OPTIM, OPTIM, T=4), ["tschantz2023hybrid"]),
    "bpc": (pxl.bpc(OPTIM, OPTIM, T=4), ["oliviers2025bidirectional"]),
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_references(name):
    rule, keys = RULES[name]
    found = rule.cite()
    assert [entry.partition("{")[2].partition(",")[0] for entry in found.entries] == keys
    assert len(found.text.splitlines()) == len(keys)
    assert "no year" not in found.text
    assert " ()" not in found.text
    printed = str(found)
    assert printed.startswith(f"{rule.name}:\n\n{found.text}")
    assert printed.endswith(found.bibtex)


def test_a_reference_in_words():
    assert pxl.zil(OPTIM).cite().text.splitlines()[0] == (
        "Yuhang Song, Thomas Lukasiewicz, Zhenghua Xu and Rafal Bogacz (2020). Can the Brain Do Backpropagation? Exact "
        "Implementation of Backpropagation in Predictive Coding Networks. Advances in Neural Information Processing "
        "Systems."
    )
    assert pxl.epc(OPTIM, OPTIM, T=4).cite().text.startswith("Cédric Goemaere, ")


class Own(pxl.Rule):
    """A rule of one's own.

    ```bibtex
    @misc{own,
        author = {A. Person}, title = {A {Rule}}, year = {2026},
    }
    ```
    """

    name = "own"  # pyright: ignore

    def learn(self, bound, forward, memory):
        raise NotImplementedError


class Bare(pxl.Rule):
    name = "bare"  # pyright: ignore

    def learn(self, bound, forward, memory):
        raise NotImplementedError


def test_a_rule_of_ones_own_brings_its_references():
    assert Own(OPTIM).cite().text == "A. Person (2026). A {Rule}."
    assert str(Bare(OPTIM).cite()) == "bare: no reference is known"
