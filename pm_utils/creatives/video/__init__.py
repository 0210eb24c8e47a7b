"""Clips: a VAE and a GAN, lines beside them, judges of motion, and a player."""
