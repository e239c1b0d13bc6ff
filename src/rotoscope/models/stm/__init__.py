"""STM (ICCV 2019): follows given objects by reading a memory of earlier frames and their masks."""
