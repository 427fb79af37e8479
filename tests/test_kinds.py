"""Kinds of results that could be wrong without a word, or of use that once broke, each with the tests of what prevents
it. The table says where to look; that the tests are there is tested here."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# Each kind with files of tests, and in them the tests; a file alone is about the kind as a whole.
KINDS = {
    # -- wrong without a word --
    "targets of several outputs go by the order of the model, or by name": """
        learning/test_held_nodes.py: test_targets_go_by_the_order_of_the_model_or_by_name
            test_targets_that_name_no_node_are_refused test_the_order_of_the_model_is_that_of_what_is_shown
        training/test_targets.py: test_a_history_is_in_the_order_of_the_model""",
    "settling from anywhere; settled is not said before the wave, nor of a small rate": """
        inference/test_anywhere.py: test_four_steps_and_four_more_are_eight test_from_random_values_all_nodes_move
            test_the_start_of_another_batch_or_of_other_weights_is_no_forward_pass
            test_layer_time_is_refused_from_elsewhere test_nothing_is_settled_before_the_error_has_come
            test_a_small_rate_does_not_pass_for_rest""",
    "a bound problem with a batch of another size; predict and what was called before": """
        learning/test_held_nodes.py: test_a_problem_of_another_batch_size_is_refused
            test_what_predict_gives_does_not_depend_on_earlier_calls""",
    "configuration that functions read": """
        core/test_configuration.py
        training/test_output.py: test_configuration_that_functions_read_is_described
            test_constants_of_a_class_are_described test_a_resume_under_another_configuration_is_refused""",
    "threads": "core/test_threads.py",
    "noise of an optimiser that is the same in every batch": """
        utils/test_optim_factory.py: test_each_init_draws_anew_inside_what_is_traced
            test_a_step_in_another_call_has_the_noise_of_its_init test_each_node_draws_its_own""",
    "masks whose predicates see no values": """
        utils/test_mask.py: test_predicates_are_asked_with_the_values test_axes_by_shape""",
    "masks and labels of Optax over another tree than the model's": """
        utils/test_optim_factory.py: test_masks_and_labels_of_optax_mean_what_they_say""",
    "params that an optimiser leaves out without a word": """
        utils/test_optim.py: test_allow_none_leaves_all_as_it_is test_a_missing_gradient_inside_a_node_skips_it
            test_params_in_no_node_have_each_an_optimiser
        utils/test_optim_factory.py: test_a_late_param_is_stepped_where_nothing_is_kept_of_it""",
    "the direction of a metric, for the best epoch and for early stopping": """
        training/test_better.py: test_the_direction_of_a_metric_is_asked_for test_a_direction_without_a_metric
            test_the_best_is_the_best_in_the_direction_given test_patience_in_both_directions
            test_an_accuracy_stops_in_its_direction
        training/test_best_weights.py: test_each_network_has_its_best test_a_resumed_run_keeps_what_best_means""",
    "averages over an epoch weigh samples": """
        training/test_better.py: test_an_epoch_is_the_mean_over_its_samples test_several_networks_and_a_smaller_batch
            test_means_over_a_resume test_a_batch_that_failed_is_not_counted test_one_sample_alone_in_a_batch
        cli/test_one_line.py: test_a_network_that_stopped_counts_with_its_last_value""",
    "transformations that couple the samples of a batch": """
        inference/test_anywhere.py: test_a_sample_settles_as_it_does_alone
        inference/test_by_sample.py""",
    "settling that goes uphill; numbers of an epoch that are not finite": """
        learning/test_uphill.py training/test_uphill.py""",
    "layers that no error reaches; parts and options that would do nothing": """
        learning/test_reach.py
        cli/test_no_effect.py
        training/test_what_is_given.py: test_what_needs_a_folder_and_has_none_is_said
            test_a_batch_size_that_batches_do_not_have_is_said test_what_has_no_effect_beside_the_rest_is_said
            test_a_data_folder_without_an_effect""",
    "options that are neither one thing nor the other, and names that stand for nothing": """
        training/test_what_is_given.py: test_what_is_neither_true_nor_false test_networks_that_are_not_there
            test_arguments_of_the_wrong_kind test_a_rule_that_is_none
        training/test_targets.py: test_an_accuracy_of_other_shapes_is_refused
        training/test_weights.py: test_what_is_no_model
        training/test_resume.py: test_checkpoints_go_by_their_numbers""",
    "empty paths": """
        training/test_what_is_given.py: test_empty_paths
        cli/test_one_line.py: test_empty_words""",
    "weights that no gradient comes to: unused, on side branches, behind stop_gradient": """
        learning/test_idle.py""",
    "rates of 0, entries for clamped nodes, names of no nodes, factors of 0, kept values of another batch": """
        learning/test_without_effect.py""",
    "memory that went bad, and a chain that forgets": "learning/test_sound.py",
    "weights of another network": "training/test_load_run.py cli/test_load_run.py training/test_weights.py",
    "labels that wrap around, or are no class; the accuracy of one-hot targets": """
        learning/test_held_nodes.py: test_labels_beyond_what_jax_keeps_are_refused_at_every_door
            test_labels_that_are_no_class_are_refused_or_give_no_number
        training/test_targets.py: test_labels_beyond_what_jax_keeps_are_refused
            test_one_hot_targets_have_an_accuracy""",
    "weights inside an output's energy": "learning/test_held_nodes.py: test_weights_in_an_outputs_energy_learn",
    "a value that is read through a rule": """
        learning/test_held_nodes.py: test_a_value_read_through_a_rule_has_an_error_at_the_start""",
    "a clamp in the model's own call": """
        learning/test_held_nodes.py: test_what_the_call_holds_is_not_overruled_by_the_batch""",
    "a held node with children": """
        learning/test_held_nodes.py:
            test_what_is_predicted_from_a_held_node_is_predicted_from_what_it_is_held_at""",
    "a network without hidden nodes": """
        learning/test_held_nodes.py: test_a_network_without_hidden_nodes_takes_the_delta_rules_step""",
    "what a node of one's own keeps beside its value; shapes that only broadcast": """
        energy/test_nodes_of_subclasses.py: test_a_param_of_a_node_that_is_not_kept_is_refused_where_it_is_read
            test_targets_that_only_broadcast_are_refused
            test_a_prediction_that_broadcasts_has_the_gradients_of_the_sum
        predictive_coding/test_vode.py: test_shapes_that_do_not_broadcast""",
    "tracers that are left in the caller's objects": """
        functional/test_grad.py: test_a_param_given_by_place_keeps_its_value_and_gets_no_tracer""",
    "optimisers that turn rounding into steps": """
        inference/test_anywhere.py: test_rounding_moves_nothing
        inference/test_late_moves.py""",
    "infinite input": "learning/test_held_nodes.py: test_an_infinite_input_is_said_though_it_saturates",
    "optimisers of values that hold values": """
        inference/test_anywhere.py: test_an_optimiser_that_holds_values_is_not_proved_idle
        learning/test_held_nodes.py: test_zil_gives_an_optimiser_the_values_that_move""",
    "layers and nodes that stand in no tree": "core/test_hidden.py",
    "damaged files, and data that changed": """
        training/test_damage.py
        training/test_held_out.py: test_streams_that_changed_between_run_and_resume""",
    # -- what broke, or was missing --
    "batch normalisation before the first training call": """
        nn/test_stateful.py: test_batch_norm_before_the_first_training_call
            test_an_untrained_network_with_batch_norm_can_be_looked_at""",
    "donated states; strict promotion": "learning/test_buffers_and_dtypes.py",
    "effects in a model's call": "energy/test_effects.py",
    "signals": "training/test_signals.py",
    "go on if there is a run, else begin; starts that were killed": "training/test_begin.py",
    "optimisers that want the loss; numbers of any library; options of the wrong kind": """
        learning/test_told_the_loss.py
        utils/test_optim.py: test_optimisers_that_want_the_loss_are_told_it""",
    "the best epoch's weights come back; a sweep is shown by setting; overwriting": """
        training/test_best_weights.py
        cli/test_one_line.py: test_a_sweep_is_listed_by_setting_the_best_first""",
    "transformations by node": """
        inference/test_anywhere.py: test_a_transformation_for_each_node test_rules_check_the_names_of_nodes""",
    "copies, pickles, other processes": "learning/test_copies.py",
    "held-out data that are streamed; batches without an input": "training/test_held_out.py",
    "weights of samples, missing targets, nodes that are held in part": """
        learning/test_samples.py training/test_weighted.py""",
    "a network for each direction": "learning/test_joint.py",
    "sizes that are none, of layers and models; complex numbers": """
        nn/test_sizes.py
        learning/test_without_effect.py: test_complex_numbers_are_refused_by_node
            test_what_a_model_makes_real_is_taken test_values_of_another_kind_are_refused""",
    "arrays and keys of other libraries; typed random keys in an optimiser": """
        core/test_arrays.py
        training/test_resume.py: test_an_optimiser_that_keeps_a_random_key""",
    # -- first guesses and messages --
    "a bare call, wrong shapes, bare modules, nodes inside transformations": "energy/test_door.py",
    "metrics, callbacks and options of fit; short reprs": "training/test_what_is_given.py",
    "rules, models and energies of one's own": "training/test_own_rule.py cli/test_own.py",
    "what a rule or a part of one's own returns: shapes, names, keys, changes in place": "learning/test_returned.py",
    "networks and rules of one's own in the command": "cli/test_own.py",
    "nothing is left in the user's home": "cli/test_home.py",
    # -- the machine around it --
    "nothing that a repository's configuration names is run": "training/test_commit.py",
    "nothing is written through a link": "training/test_links.py",
    "every failure of the command is one line": "cli/test_one_line.py",
}


def named(text: str) -> dict[str, list[str]]:
    """The files of a row, each with the tests that it names."""
    found: dict[str, list[str]] = {}
    for word in text.split():
        if word.startswith("test_"):
            found[list(found)[-1]].append(word)
        else:
            found[word.rstrip(":")] = []
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_a_kind_are_there(kind):
    files = named(KINDS[kind])
    assert files
    for file, names in files.items():
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
        assert there
        assert set(names) <= there
