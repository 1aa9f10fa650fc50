"""What finds things in a text: personal data, attacks on a prompt, harm, and what no source says.

Pure functions from text to findings and scores. A region runs them in a caged process of their own
(`program.py`), since they meet hostile text; decision 0061 has their figures.
"""
