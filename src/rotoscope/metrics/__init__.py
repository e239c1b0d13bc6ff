"""Scores of masks and tracks, each with the protocol of its benchmark; numpy and the standard library only."""
