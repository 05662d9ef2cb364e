"""Trains the network: data, degradation, adversarial training, evaluation, export."""
