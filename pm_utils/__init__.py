"""The tested package behind the book Precision Marketing with Deep Learning."""
