"""Propose-Reduce (Seq Mask R-CNN): every instance of a whole video, proposed from key frames, reduced to the best."""
