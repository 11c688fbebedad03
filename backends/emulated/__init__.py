"""The emulated chip: drawn imperfections, knobs to calibrate, two solvers of one model."""
