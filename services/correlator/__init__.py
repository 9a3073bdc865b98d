"""The stream processor: packed observations in, raised alerts out."""
