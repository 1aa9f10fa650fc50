"""bedrock-runtime: conversations with language models, and the engines that run them."""
