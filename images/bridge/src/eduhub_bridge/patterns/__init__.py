"""Small asynchronous pieces that the endpoints are made of; each stands alone."""
