"""Messages of ttrpc, the Task and the Events service: generated from proto/shimclient/api."""
