"""A kit: one file with the toolkit, and with all that it fetches or builds elsewhere, for a place without a network.

Unpacked it is a checkout with a directory `kit`: a manifest, wheels, Debian packages, images, SBOMs.
"""
