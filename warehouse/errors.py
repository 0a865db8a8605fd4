"""The base of what the warehouse refuses. Each error is defined where it is raised; a command prints it and stops."""


class WarehouseError(Exception):
    """Something the warehouse refuses; its text is for a person and names the remedy."""
