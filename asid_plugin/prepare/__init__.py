"""Make data sets for training and testing from photographs and released sets."""
