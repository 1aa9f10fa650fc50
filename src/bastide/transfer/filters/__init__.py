"""What a filter does with an item. Each runs in a process of its own: see `__main__.py`."""
