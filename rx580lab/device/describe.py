"""What a driver says of its platforms and devices, as plain data."""

from __future__ import annotations

from typing import Any

import pyopencl as cl

__all__ = ["describe", "pci_address", "pick"]


def pci_address(device: Any) -> str | None:
    """``0000:01:00.0`` where the driver tells it (AMD topology, KHR or NVIDIA queries), else None."""
    try:
        topology = device.topology_amd
        return f"0000:{topology.bus & 0xFF:02x}:{topology.device:02x}.{topology.function:x}"
    except (cl.Error, AttributeError):
        pass
    try:
        return f"0000:{device.pci_bus_id_nv:02x}:{device.pci_slot_id_nv >> 3:02x}.{device.pci_slot_id_nv & 7:x}"
    except (cl.Error, AttributeError):
        return None


def _board(device: Any) -> str | None:
    try:
        return str(device.board_name_amd).strip() or None
    except (cl.Error, AttributeError):
        return None


def describe(platform: Any, device: Any) -> dict[str, Any]:
    """The driver's own words on a device, JSON-able."""
    kind = cl.device_type
    return {
        "platform": platform.name.strip(),
        "platform_version": platform.version.strip(),
        "device": device.name.strip(),
        "board": _board(device),
        "vendor": device.vendor.strip(),
        "driver": device.driver_version.strip(),
        "version": device.version.strip(),
        "opencl_c": device.opencl_c_version.strip(),
        "is_gpu": bool(device.type & kind.GPU) and not bool(device.type & kind.CPU),
        "compute_units": int(device.max_compute_units),
        "max_clock_mhz": int(device.max_clock_frequency) or None,
        "work_group": int(device.max_work_group_size),
        "lds_bytes": int(device.local_mem_size),
        "memory_bytes": int(device.global_mem_size),
        "allocation_bytes": int(device.max_mem_alloc_size),
        "base_align_bytes": int(device.mem_base_addr_align) // 8,
        "extensions": sorted(device.extensions.split()),
        "pci_address": pci_address(device),
    }


def pick(platform_name: str, index: int) -> Any:
    """The pyopencl device with this platform name and place within it."""
    for platform in cl.get_platforms():
        if platform.name.strip() == platform_name:
            return platform.get_devices()[index]
    raise LookupError(f"platform {platform_name!r} is gone")
