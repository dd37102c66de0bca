"""What the typed endpoints take and give. `fields` holds what Plone names itself, under its names, unchanged."""
