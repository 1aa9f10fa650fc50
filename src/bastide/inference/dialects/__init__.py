"""Other providers' bodies, each as a Converse request, and its answer back: those of InvokeModel,
family by family, and those of bedrock-mantle."""
