"""The published OpenAPI document: how it is made, and what a change of it breaks."""
