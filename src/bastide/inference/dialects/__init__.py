"""The bodies of InvokeModel, family by family: each as a Converse request, and its answer back."""
