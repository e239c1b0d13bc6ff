"""Clips made from still pictures: layers that move, bend, hide one another, seen by a camera that moves too.

`motion` draws paths and bends, `cutouts` cuts things out, `layers` renders them with torch, `scenes` decides what is in
a clip, `released` is the published 3DC-Seg's own chain of changes, `warps` that of STEm-Seg.
"""
