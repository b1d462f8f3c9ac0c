"""The store of a run: journal, parts, lock, recovery and views."""

from corpus.store.store import Store, Writer, WritingStore, open_reader, open_writer

__all__ = ["Store", "Writer", "WritingStore", "open_reader", "open_writer"]
