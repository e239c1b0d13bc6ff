"""Clips with exact ground truth, drawn by the package: the demo's and the tests' material."""

from rotoscope.data.synthetic.clip import SyntheticClip
from rotoscope.data.synthetic.disc import moving_disc_clip

__all__ = ["SyntheticClip", "moving_disc_clip"]
