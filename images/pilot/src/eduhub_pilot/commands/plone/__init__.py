"""Commands about our own Plone and its data. The work is done by a program in Plone's image, eduhub_plone.backup."""
