"""What shall we say? Generators of headlines, images and clips, one folder each.

Networks, training and judges of ads. Who gets which ad is decided in `decisions` and `loop`."""
