"""3DC-Seg (BMVC 2020): salient moving foreground with a fully 3D network."""
