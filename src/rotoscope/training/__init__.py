"""The training loop; not imported to run inference."""
