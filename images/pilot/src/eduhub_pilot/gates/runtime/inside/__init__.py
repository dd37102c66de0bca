"""Runs inside the image that the gate `runtime` examines: looks at its Python code and prints what it found, as JSON.

The gate hands these files to a foreign interpreter (`python3 -c`), so they need nothing but Python 3.6 and the standard
library. They write no file and judge nothing: what of this stops an upgrade is for the pilot to say, who also knows
what blue said.
"""
