"""The native API: stubs generated from proto/cubelet/api. Imported by rpc and cli only."""
