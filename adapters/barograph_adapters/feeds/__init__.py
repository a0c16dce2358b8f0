"""Where new bars come from: one module a source, one factory a feed, each called from ``[paper] feeds``."""
