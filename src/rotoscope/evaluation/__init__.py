"""What `rotoscope evaluate` and `rotoscope export` do: find the files, score them, lay the figures out."""
