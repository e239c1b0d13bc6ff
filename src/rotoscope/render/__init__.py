"""What people look at: overlays, contact sheets and cutouts, made from arrays one frame at a time."""

from rotoscope.render.colours import track_colour
from rotoscope.render.contact_sheet import ContactSheet
from rotoscope.render.cutout import CutoutFolder, cutout
from rotoscope.render.overlay import overlay
from rotoscope.render.timeline import Timeline

__all__ = ["ContactSheet", "CutoutFolder", "Timeline", "cutout", "overlay", "track_colour"]
