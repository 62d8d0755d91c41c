"""The viewer: recent requests, searches and stories as pages, over any store, and a story as one file."""
