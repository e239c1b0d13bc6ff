"""Pure tensor and array functions, one idea a file."""
