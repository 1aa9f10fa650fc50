"""Words that say nothing of what a text is about."""

# Lucene's list: what an index leaves out.
OF_AN_INDEX = frozenset([
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they",
    "this", "to", "was", "will", "with",
])  # fmt: skip
# And others that every sentence may have, be it about anything.
OF_SPEECH = OF_AN_INDEX | frozenset([
    "about", "after", "all", "also", "any", "been", "before", "being", "between", "both", "can",
    "could", "did", "do", "does", "during", "each", "from", "had", "has", "have", "he", "her",
    "his", "how", "i", "its", "may", "me", "might", "more", "most", "must", "my", "other",
    "our", "over", "shall", "she", "should", "so", "some", "than", "them", "those", "under",
    "we", "were", "what", "when", "where", "which", "who", "why", "would", "you", "your",
])  # fmt: skip
