"""Each plugin checked by what packets do: one file a plugin, and the chains that people run."""
