"""The builder behind the `pm` command: it runs the notebooks and builds the book from them."""
