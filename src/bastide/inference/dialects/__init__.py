"""Other providers' bodies, each as a Converse request, and its answer back: InvokeModel's, family by
family, and those of bedrock-mantle.
"""
