"""What all web endpoints share: problems, strictness, OpenAPI, streams, clients that leave."""
