"""The one-way gate between regions: signed bundles, the line of filters, release by two people."""
