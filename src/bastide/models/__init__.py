"""Language models: the catalogue, how weights are fetched and admitted, and who they are."""
