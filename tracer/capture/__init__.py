"""Where raw events come from: the kernel, a saved raw stream, the seeded generator. All yield blocks of records."""
