"""Shared by all tests: one compute thread, what shares a worker, and what is left to test-all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
# How long an example takes says how busy the machine is.
settings.register_profile("hxloop", deadline=None)
settings.load_profile("hxloop")

# Left to ``make test-all``, by the name of the test, and which faster one sees the same fault.
SLOW = {
    # The session and its order of things are the adapter's, and these are seen on pynn-nest.
    r"test_backend_conforms\[pynn-neuron-[0-9.]+-"
    r"(batch-size|threads|memory|forked-child|fault-\S+|shapes|nothing-left-open|reopen"
    r"|closed-session-refuses|tau-ratio-(1|1.7|2)|a-b-a|second-session)\]": "the same on pynn-nest",
    # Half a second each, for opening a session of Brian2's. What is of its own stays: when it
    # spikes, in which unit, at both ends of the ratios, and what it declares.
    r"test_backend_conforms\[pynn-brian2-0.05-"
    r"(?!protocol|capabilities|time-resolution|time-unit|potentials|tau-ratio-(0.5|5)\]"
    r"|grazing-crossing|gradients|(all-spikes|loops)\])": "the same on pynn-nest",
    # Sessions of their own, half a second to two each.
    r"test_backend_conforms\[pynn-neuron-[0-9.]+-"
    r"(refractory-times|reset-potential|bursts|no-refractory-time|once-beside-many|bad-\S+"
    r"|trains-\S+|silent-trains|several-forms-agree|inputs-that-spike-again"
    r"|loops?-\S+|\S+-delays|delays-\S+|skip-connections)\]": (
        "all-spikes and loops, all of them on pynn-nest, and the spikes of a network with "
        "everything, step by step, in test_pynn_grid_trains.py"
    ),
    r"test_backend_conforms\[ideal-single-(?!protocol|time-resolution|gradients|all-spikes"
    r"|tau-ratio)": "the same in double precision",
    r"test_backend_conforms\[emulated-chip-event-(calibrated|uncalibrated)-(memory|threads"
    r"|forked-child|second-session|fault-\S+|bad-\S+)\]": "the same without imperfections",
    r"test_(strong_weights|silence_and_simultaneous|what_is_reported|a_b_a|gradient_agrees"
    r"|training_through|other_time_constants|spike_times_agree|a_run_that_dies)\w*\[pynn-brian2": (
        "the same on pynn-nest, and the conformance suite on pynn-brian2"
    ),
    r"test_(training_through|other_time_constants|closing_neuron_frees|weights_beyond_the_range)"
    r"\w*\[pynn-neuron": "the same on pynn-nest, and the conformance suite on pynn-neuron",
    r"test_short_version_of_mnist_learns\[mnist-(deep-dale|eight|eight-dale|16x16-in-the-loop)-": (
        "mnist, mnist-16x16 and mnist-deep; Dale's law and chips in tests of their own"
    ),
    r"test_results_of_a_run_are_kept_and_evaluate": "the kept results are held by the READMEs",
    r"test_two_programs_agree_to_the_digit": "test_the_published_recording_from_file_to_claims",
    r"test_synchronization_study.py::test_a_short_version_runs_and_goes_on": (
        "its tables, its options and what it is made of, each in a test of its own"
    ),
    # Compiling a model takes twenty seconds; the suite runs the compiled solver for chains.
    r"test_emulated_chip_brian2_trains.py::test_a_compiled_model_computes_the_same": (
        "the same equations on numpy, in the tests around it"
    ),
    r"test_emulated_chip_brian2_trains.py::test_(samples_and_spikes_beyond|neurons_of_a_bad)": (
        "test_noise_and_fixed_pattern_are_those_of_the_exact_solver"
    ),
    r"test_brian2_accuracy.py::test_(jitter_of_any_strength|the_error_falls|nearly_equal)": (
        "the accuracy that the conformance suite finds at the default step"
    ),
    r"test_emulated_chip_delays.py::test_(a_busy_delay_neuron|delay_neurons_that_are_free"
    r"|in_a_loop_too|noise_of_delay)\w*(\[brian2|$|@)": (
        "the same with the exact solver, and Brian2 against it in all_spikes of the suite"
    ),
    r"test_emulated_chip_solvers.py::test_(the_solvers_come_closer|both_solvers_see)\w*\["
    r"(calibrated|with strong jitter|with jitter)": "the same uncalibrated, where they differ more",
    # Each takes half a second to two for the readable reference, which is slow.
    r"test_unequal_neurons_on_a_clock_are_the_reference\[(0.5|0.02)-(1e-06|0.01|0.03)\]": (
        "the finest clock with all spreads, and the widest spread with all clocks"
    ),
    r"test_profile_of_a_layer_adds_up\[0.0\]": "the same with unequal neurons",
    r"test_agrees_with_brute_force\[reference-r=(0.5|1.7|2)\]": "the kernels at these ratios",
    r"test_peaks_are_those_of_a_dense_scan\[(False|True)-(dendritic|axonal)\]": (
        "without delays, and with one for each connection"
    ),
    # Sizes of tests by simulation: of each claim one case stays.
    r"test_claim_sizes.py::\S+\[40-(sizes1|40)\]": "the same with other sizes",
    r"test_separability_of_two_states_of_one_kind_seldom_differs\[40\]": "test_pathways_of_two",
    r"test_a_training_killed_at_a_random_moment_goes_on": (
        "test_kill_minus_9_and_resume_is_bit_for_bit, and stops at every moment of recording"
    ),
    r"test_activity_kill.py::test_at_random_moments": "test_at_every_change_of_the_file",
    r"test_one_writer_at_a_time\[killed\]": "the same with one that ends",
    r"test_an_honest_backend_passes_whatever_its_limits\[Small\(max_layers=None\S* "
    r".*(latency=0.1|tau_ratios=None, weight_limit=None, latency=0.0)": "the same with limits",
    r"test_a_stopped_calibration_is_the_same_to_the_last_bit": (
        "test_an_interrupted_calibration_goes_on_where_it_was"
    ),
    r"test_a_training_with_each_loss_learns\[time-weighted": "spike-count and max-membrane",
    r"test_brian2_cache.py::test_a_killed_(process|training)_leaves": (
        "test_a_parent_that_is_killed_leaves_the_folder_to_its_child"
    ),
    r"test_brian2_solver.py::test_(numpy_target_agrees|another_user_of_brian2)": (
        "both solvers against each other, compiled and not"
    ),
}


# Before xdist looks for groups: it hung a file's tests on nothing, and both workers made the files'
# calibrations, trainings and pages.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file share a worker, and with it compiled models, pages and open simulators.

    Files whose tests say otherwise (the suite on every backend) are left alone.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        if any(re.search(pattern, item.nodeid) for pattern in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=["some", pytest.param("all", marks=pytest.mark.slow)])
def moments(request: pytest.FixtureRequest) -> Callable[[Iterable[int]], list[int]]:
    """Which of many moments a program is stopped at: every fourth and both ends, or all of them.

    What one moment leaves behind its neighbours mostly do, too; ``make test-all`` tries them all.
    """

    def chosen(every: Iterable[int]) -> list[int]:
        found = list(every)
        if request.param == "all":
            return found
        return sorted({*found[:2], *found[::4], *found[-2:]})

    return chosen


@pytest.fixture(params=[3, pytest.param(1, marks=pytest.mark.slow)])
def step(request: pytest.FixtureRequest) -> int:
    """From one moment a program is stopped at to the next, where their number is not known."""
    return int(request.param)
