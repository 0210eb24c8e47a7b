"""The experiments of single chapters: each module serves one notebook and nothing imports it.

What a second chapter needs, or a reader would want to use, belongs in a folder below."""
