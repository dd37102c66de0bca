"""Every setting of the product is described once, in the YAML files here; all else about it is made from there."""
