"""What all analog chips of one family share: knobs, placement, clock, weights in steps."""
