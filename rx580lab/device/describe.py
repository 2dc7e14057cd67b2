"""What a driver says of its platforms and devices, as plain data."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pyopencl as cl

__all__ = ["describe", "pci_address", "pick"]

_PCI_BUS_INFO_KHR = 0x410F  # CL_DEVICE_PCI_BUS_INFO_KHR


class _PciBusInfo(ctypes.Structure):
    """``cl_device_pci_bus_info_khr`` of the extension's specification."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("domain", "bus", "device", "function")]


def pci_address(device: Any) -> str | None:
    """``0000:01:00.0`` where the driver tells it (AMD topology, KHR or NVIDIA queries), else None.

    Rigs hold several equal cards; this is what tells them apart, and what sysfs knows a card by.
    """
    extensions = device.extensions.split()
    if "cl_khr_pci_bus_info" in extensions:
        return _khr_address(device)
    try:
        if "cl_amd_device_attribute_query" in extensions:
            place = device.topology_amd
            return f"0000:{place.bus & 0xFF:02x}:{place.device:02x}.{place.function:x}"
        if "cl_nv_device_attribute_query" in extensions:
            return f"0000:{device.pci_bus_id_nv:02x}:{device.pci_slot_id_nv >> 3:02x}.{device.pci_slot_id_nv & 7:x}"
    except (cl.Error, AttributeError):
        return None  # some drivers announce the extension and refuse the query
    return None


def _khr_address(device: Any) -> str | None:
    # pyopencl does not know this query; the loader that it brought does.
    info = _PciBusInfo()
    loaders = sorted((Path(cl.__file__).parent / ".libs").glob("libOpenCL*")) or [Path("libOpenCL.so.1")]
    get_info = ctypes.CDLL(str(loaders[0])).clGetDeviceInfo
    handle = ctypes.c_void_p(device.int_ptr)
    size = ctypes.c_size_t(ctypes.sizeof(info))
    if get_info(handle, ctypes.c_uint32(_PCI_BUS_INFO_KHR), size, ctypes.byref(info), None) != 0:
        return None
    return f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.{info.function:x}"


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
