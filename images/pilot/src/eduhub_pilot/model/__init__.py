"""What is true of a host and of a rollout: values, documents and their checks. No input, output or clock."""
