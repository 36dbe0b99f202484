// The room ModelGraph.
