"""Is it more than was to be expected? Baseline, detectors, their threshold, and what they are worth on a history."""
