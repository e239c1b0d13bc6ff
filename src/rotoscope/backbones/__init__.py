"""Networks that turn pictures or clips into maps: plain modules, built from keyword arguments."""
