// The room OpSuite.
