"""The serving views: what the batch layer has settled merged with what the speed layer knows since."""
