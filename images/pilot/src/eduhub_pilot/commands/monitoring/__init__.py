"""What a host tells a monitoring system."""
