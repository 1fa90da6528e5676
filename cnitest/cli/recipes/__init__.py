"""``cnitest new``: files that a plugin's author starts from, written from templates and what the directory holds."""
