"""Models that another region, or their maker, runs: Bedrock and Anthropic's own API."""
