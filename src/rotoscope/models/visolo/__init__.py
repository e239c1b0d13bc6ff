"""VISOLO (CVPR 2022): finds, names and follows every instance of a video online, on a grid of cells."""
