"""What an agency brings as a model: read strictly, brought into GGUF, judged. All of it runs in a
cage; nothing here is imported by what runs outside, but for `facts.py`."""
