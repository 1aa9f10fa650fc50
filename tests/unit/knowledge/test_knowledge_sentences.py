"""Answers that say what they rest on, as a model writes them."""

from bastide.knowledge.sentences import SentenceReader


def test_what_is_deeper_than_it_can_be_read_is_no_sentence():
    reader = SentenceReader(passages=1)
    assert reader.read('{"sentences": [{"text": "So.", "sources": [1]}, {"text": ')[0].text == "So."
    assert reader.read("[" * 100_000) == []
