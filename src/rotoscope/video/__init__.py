"""Open, read, seek and write video; the only room that imports `av`."""

from rotoscope.video.ahead import read_ahead
from rotoscope.video.opening import find_videos, is_video_path, open_video
from rotoscope.video.source import Video
from rotoscope.video.writer import VideoWriter

__all__ = ["Video", "VideoWriter", "find_videos", "is_video_path", "open_video", "read_ahead"]
