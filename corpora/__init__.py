"""Text in, addressable blocks out: readers, the embedded corpus, the vocabulary, the memory-mapped store."""
