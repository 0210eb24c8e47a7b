"""Network families of the book, one module per family."""
