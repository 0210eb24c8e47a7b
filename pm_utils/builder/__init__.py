"""The builder behind the `pm` command: it runs the notebooks and builds the book from them.

It knows notebooks and pages, never models, and nothing else imports it."""
