"""The data of a training: a corpus becomes documents, documents become token ids on disk, and these become batches.

In this order: `corpora`, `documents`, `encoding`, `shards`, `packing`, `batches`.
"""
