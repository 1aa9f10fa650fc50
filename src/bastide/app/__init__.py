"""The composition root: the only folder that knows everyone, and that only joins them."""
