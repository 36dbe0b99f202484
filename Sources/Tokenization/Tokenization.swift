// The room Tokenization.
