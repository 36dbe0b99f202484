// The room GGUF.
