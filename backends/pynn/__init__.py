"""One session for all simulators behind PyNN, a dialect for each."""
