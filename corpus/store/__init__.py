"""The store of a run: journal, parts, lock, recovery and views."""

from corpus.store.store import Store, Writer, WritingStore, open_reader, open_writer
from corpus.store.views import LAST_VERSION

__all__ = ["LAST_VERSION", "Store", "Writer", "WritingStore", "open_reader", "open_writer"]
