"""The watchlist: entries and their second approval, blinding and sealing keys, and every look at identifying
data."""
