// The room CPUBackend.
