"""What `cluster.serve.http.server` was called before: clusters of then still name it to Ray."""

import warnings

from cluster.serve.http.server import middlewares

__all__ = ["middlewares"]

warnings.warn("cluster.serve.server is now cluster.serve.http.server", FutureWarning, stacklevel=2)
