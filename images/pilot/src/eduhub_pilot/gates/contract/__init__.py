"""The gate `contract`: the candidate answers as the live release does."""
