"""Content as vectors: which content a video has, its vectors, their fusion, and what is similar."""
