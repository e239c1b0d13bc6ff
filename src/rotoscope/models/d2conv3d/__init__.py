"""D2Conv3D (WACV 2022): 3DC-Seg revised, with convolutions that choose their own dilation."""
