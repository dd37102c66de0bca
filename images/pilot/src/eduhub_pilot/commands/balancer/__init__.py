"""Commands that tell an institution's own balancer, before several hosts, to go from this one or to come."""
