"""The explorer: a page that shows a piece of sky, and all that can be asked of it, as one URL."""
