"""Scores without a subject: ranking, resampling, calibration, distances, importance.

A score that needs to know what a customer, an ad or an experiment is lives with its subject."""
