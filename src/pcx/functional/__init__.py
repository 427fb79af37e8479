"""pxf: JAX's transforms over objects. Keyword arguments are tracked: the params that a function changes are changed
in the caller's objects."""

from ._args import PerParam as PerParam
from ._branches import cond, switch
from ._grad import value_and_grad
from ._jit import jit
from ._loops import scan, while_loop
from ._vmap import vmap

__all__ = ["cond", "jit", "scan", "switch", "value_and_grad", "vmap", "while_loop"]
