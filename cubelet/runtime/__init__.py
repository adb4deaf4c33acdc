"""Adapters that run sandboxes: what implements `cubelet.engine.ports.Runtime` and `Hooks`.

One class, `adapter.ShimRuntime`, serves every runtime whose sandboxes have a shim process that
speaks containerd's Task API; a small value (`kinds.Kind`) says how they differ. Around it:

* `bundle`, `templates`, `places`: what is laid down on disk for a sandbox before its shim starts;
* `launch`, `links`, `note`, `reach`: starting a shim, the one connection to it, the file by which
  it is found again where the record knows nothing of it, and the way from a record to all that;
* `answers`, `faults`: what a shim said, as evidence and as faults of the core;
* `snapshots`: where they lie, and how one is taken and restored;
* `heal`: freezing and thawing a container past its shim, where the kernel contradicts the shim;
* `removal`, `remains`, `identity`, `cgroups`, `mounts`: ending everything a sandbox has, hung or
  half made;
* `orphanage`, `survey`, `sighting`, `processes`: finding what is here of any sandbox, owned by a
  record or not;
* `events`, `hooks`: hints from shims to the engine, and HTTP calls before a pause;
* `config`, `probe`, `registry`: which runtimes are usable here, and why others are not.

Only app imports it, by `registry`, `events` and `hooks`. It imports shimclient and, of cubelet, the
engine's ports and the core.
"""
