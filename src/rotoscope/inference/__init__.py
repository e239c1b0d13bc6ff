"""From a name and a source to results: loading, sessions, the pipeline, many videos."""
