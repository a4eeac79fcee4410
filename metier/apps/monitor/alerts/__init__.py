"""From what the detectors say to what people are told: the life of an alert, and the way of a notice."""
