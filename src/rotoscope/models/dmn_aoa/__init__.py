"""DMN-AOA (ICCV 2021): follows given objects by matching proposals with templates that are read from memory."""
