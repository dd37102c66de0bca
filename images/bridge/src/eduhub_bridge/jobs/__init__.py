"""Bulk operations and exports: kept, carried out, followed, resumed."""
