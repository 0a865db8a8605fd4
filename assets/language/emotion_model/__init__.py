"""The emotion model: how it is trained, fitted to decide, measured, registered and judged. What it makes of texts is beside this."""
