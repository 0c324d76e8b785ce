"""The execution of a permitted call: one disposable container, observed, limited and killable."""
