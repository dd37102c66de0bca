"""The gate `performance`: the candidate is no slower than the live release, beyond measured noise."""
