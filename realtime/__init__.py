"""From a camera to a stream of enhanced eyes."""
