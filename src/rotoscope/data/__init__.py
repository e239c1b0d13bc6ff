"""Data sets, clips for training, rendered clips with known truth."""
