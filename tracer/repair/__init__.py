"""Recordings that were not completed, or are in too many pieces: whole ones are made of them."""
