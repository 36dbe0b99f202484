// The room Sampling.
