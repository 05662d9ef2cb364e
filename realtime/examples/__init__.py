"""Programs that read the stream: to learn from, to copy, to begin with."""
