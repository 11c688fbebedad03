"""A stand-in for the vendor's ``pynn_brainscales.brainscales2``, for tests, where no chip is.

It offers the documented interface and enforces its rules, as strictly as they are written
down and where in doubt more strictly: one run between two resets, weights of one sign in a
projection, no delays, no unknown arguments, nothing set before the network is mapped, the
router's limits, milliseconds of the chip's own time, the 8 ns clock, spikes that get lost.
What it computes comes from a drawn chip with deviations that the caller does not see, and with
a weight of one bit, a recording delay and noise of its own. It is not shipped.

``pynn.py`` is the module that stands in; ``network.py`` holds populations and projections,
``state.py`` the singleton, ``router.py`` the limits, ``substrate.py`` the physics, and
``control.py`` what a test may do to the chip: choose it, stall it, lose spikes.
"""
