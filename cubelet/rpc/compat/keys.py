"""Names that are contract: annotations and labels of CubeSandbox, and our own notes."""

from __future__ import annotations

from cubelet.rpc.validate import RESERVED_PREFIX

UPDATE_ACTION = "cube.master.update_action"
DESIRED_ID = "cube.master.desired.sandbox.id"

#: Sandbox label, stamped at create, for the filters of List.
PRODUCT = "cube.product"

#: Container labels that List adds.
CONTAINER_TYPE = "io.kubernetes.cri.container-type"
CONTAINER_NAME = "io.kubernetes.cri.container-name"
SANDBOX_ID = "io.kubernetes.cri.sandbox-id"

#: What Create was told and List gives back, as annotations of the spec that no reply shows.
NOTED_NAME = f"{RESERVED_PREFIX}container-name"
NOTED_IMAGE = f"{RESERVED_PREFIX}image"
NOTED_CPU = f"{RESERVED_PREFIX}cpu"
NOTED_MEM = f"{RESERVED_PREFIX}mem"
NOTED_CPU_LIMIT = f"{RESERVED_PREFIX}cpu-limit"
NOTED_MEM_LIMIT = f"{RESERVED_PREFIX}mem-limit"

#: ext_info: why a request failed, by the stable names of core.faults.Reason.
REASON = "reason"
