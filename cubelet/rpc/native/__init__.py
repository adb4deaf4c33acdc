"""The native API, cubelet.api.v1: one file per service, and the translations they share."""
