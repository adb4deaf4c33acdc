"""The master-compatible API: stubs generated from proto/cubelet/services. Imported by rpc only."""
