"""The application put together, its own pages, and the server that runs it."""
