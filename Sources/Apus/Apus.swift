// The room Apus.
