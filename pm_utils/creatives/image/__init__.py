"""Still ads: a conditional GAN, a flow, baselines without a network, and their judges."""
