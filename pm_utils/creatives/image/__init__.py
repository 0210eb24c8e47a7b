"""Still ads: a conditional GAN, a flow, rivals without a network, and their judges."""
