"""Starts Plone in a container: reads the environment, makes what is missing, serves."""
