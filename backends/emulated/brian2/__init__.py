"""The emulated chip as a Brian2 model, compiled once for each shape of network."""
