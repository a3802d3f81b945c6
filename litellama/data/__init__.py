"""What a model reads in training: corpora to documents, documents to token shards, shards to batches."""
