// The room OpenCLBackend.
