"""Training without a subject: the loop, scaling, networks side by side, Newton's method.

What is trained, and on which rows, is the business of the folders above."""
