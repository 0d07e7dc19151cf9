"""From a measurement to a decision about RawShares. Pure."""
