// The room ReferenceBackend.
