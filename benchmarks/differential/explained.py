"""Differences that are meant, by program and by a pattern of the names of values: each with its reason.

A pattern that no difference matches any more is reported as out of date.
"""

STATUS = "the status that was there before comes back after a step, also when blocks nest"
RESTORED = "a step ends as it would have also on an exception"
KEY_MOVES = "a vmap moves the global key only where something is drawn"
ONE_KEY = "RKG(n) is an array of n keys for every n, also 1"
REACHES_THROUGH = "params go wherever their value would: the published package has no float, int, len or iter of them"
JAX_TAKES = "functions of JAX take params as arrays"
AUGMENTED = "every augmented operator changes the box: the published package has three of them"
READS_AS_EMPTY = "a dict of params that was cleared reads as empty"
ANY_OBJECT = "trees of objects are walked too, not only pytrees"
SAYS_SO = "a ValueError says what is wrong"
RETURNS_ITSELF = "set returns the param"
CACHES = "a cache is a dict of params, and that a param"
SAME_STATIC = "a module that is flattened and made again holds the same statics"
FORWARDS = "statics forward truth to their value"
SET_ON_VALUES = "px.set gives x where obj is no param"
NOT = "the published package negates no mask: `~` gives True"
WHOLE = "a pattern matches the whole status"
COPIED = "params are copied and pickled: the published package's recurse without end"
ONE_CHILD = "a module that another refers to twice is one child"
SCALAR = "an energy inside a vmap is a scalar, also of shapes that broadcast"
NO_SHARED_FILES = "the published package writes shared params as objects that NumPy does not load"
TRANSPOSED = "the published package's ConvTranspose can't be made"
USE_BIAS = "the published package's LayerNorm has a bias whatever use_bias says"

EXPLAINED: dict[str, dict[str, str]] = {
    "param_augmented_operators": {"*": AUGMENTED},
    "param_unary_operators": {"*": REACHES_THROUGH},
    "param_in_jax_functions": {"*": JAX_TAKES},
    "param_as_a_tree": {"subclasses": CACHES, "params of params": CACHES},
    "functions_get_and_set": {"*": SET_ON_VALUES},
    "param_dict_items": {"set": RETURNS_ITSELF},
    "param_dict_cleared": {"*": READS_AS_EMPTY},
    "param_dict_in_transforms": {"forgotten": READS_AS_EMPTY},
    "static_values": {"truth": FORWARDS, "set": RETURNS_ITSELF},
    "static_trees": {"*": SAME_STATIC},
    "module_structures": {"whatever the order": "equal attributes are an equal structure whatever their order"},
    "module_modes": {"dropout by mode": "mode() flips the inference flag of layers as train() and eval() do"},
    "module_mode_at_first": {"no mode": "mode() without a value says the mode"},
    "tree_extract_params": {"objects": ANY_OBJECT},
    "tree_inject_values": {"values": "tree_inject takes plain values, too", "objects": ANY_OBJECT},
    "tree_inject_some": {
        "filtered params": SAYS_SO,
        "too few": SAYS_SO,
        "too few, not strict": "what is missing stays",
    },
    "key_shapes": {"one of many": ONE_KEY},
    "key_in_vmap_without_draws": {"*": KEY_MOVES},
    "network_reinforcement": {"key": KEY_MOVES},
    "arguments_after_an_exception": {"vmap": "the exception of the function arrives, and not one about tracers"},
    "import_other_modules": {"*": "modules that no program is known to import"},
    "switch_list": {"*": "branches may be a list"},
    "grad_of_a_tuple_without_aux": {"value": "a function that returns more than the scalar says so by has_aux"},
    "grad_with_argnums": {"a number": "argnums may be a number"},
    "mask_not": {"*": NOT},
    "mask_and_not": {"*": NOT},
    "mask_to_makes_a_new_one": {
        "*": "`to` gives a new mask: the published package changes the one that it is called on"
    },
    "mask_of_shared_params": {"mapped": "the second reference to a shared param is None"},
    "optim_arguments_of_step": {
        "to the whole module": "apply_updates takes the module, as step does",
        "gradients stay": "gradients are never changed in place",
    },
    "layer_conv_transpose_1d": {"ended": TRANSPOSED},
    "layer_conv_transpose_2d": {"ended": TRANSPOSED},
    "layer_norm_without_bias": {"*": USE_BIAS},
    "files_of_shared_params": {"*": NO_SHARED_FILES},
    "files_that_do_not_fit": {"other shape": "an array of another shape is refused"},
    "step_status_afterwards": {"*": STATUS},
    "step_and_exceptions": {"*": RESTORED},
    "step_on_plain_modules": {"clearing": "a plain module may be cleared, too"},
    "energy_module_statuses": {"by hand": STATUS},
    "vode_call": {"without a status": "a node without a value gives its prediction, not None"},
    "vode_set_and_get": {"no cache": READS_AS_EMPTY},
    "rules_when_read": {"of another call": "what rules derived is forgotten when a value is set"},
    "rules_that_read_themselves": {"u": "a rule that reads its own name means the stored value"},
    "rules_that_store_no_u": {"h": READS_AS_EMPTY},
    "rules_that_both_match": {"when read": "a warning says that two rules match"},
    "rules_match_the_whole_status": {"*": WHOLE},
    "rules_malformed": {"no arrow": "a malformed rule is refused when the node is built"},
    "energies_on_a_sample": {"zero *": "zero_energy has the shape of h"},
    "pytree_copies": {"a deep copy": COPIED},
    "pytree_pickles": {"*": COPIED},
    "pytree_nodes_twice": {"*": ONE_CHILD},
    "use_in_axes": {"a number": "in_axes may be a number"},
    "energies_that_broadcast": {"*": SCALAR},
    "energy_module_without_children": {"energy": "a module without nodes has energy 0.0"},
}
