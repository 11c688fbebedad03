"""The activity log: an HDF5 file that opens after a kill at any moment."""
