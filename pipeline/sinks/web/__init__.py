"""The browser sink: a page that shows all cameras, and what other programs take from the same address."""
