// The room Residency.
