"""Data sets for training and testing, made from photographs and from released sets."""
