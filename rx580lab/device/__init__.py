"""Finding, probing and opening OpenCL devices; their arrays and events.

With ``compile/`` the only importer of pyopencl: above these two there are only our Device, Array, Kernel and Event.
"""

from rx580lab.device.array import Array, Slot
from rx580lab.device.cache import cache_dir, data_dir
from rx580lab.device.core import Device, open_device
from rx580lab.device.event import Event
from rx580lab.device.find import DeviceInfo, find_device, list_devices
from rx580lab.device.limits import LIMITS, Limits
from rx580lab.device.scratch import scratch_from
from rx580lab.device.sysfs import sensors, shader_clock_reader

__all__ = [
    "LIMITS",
    "Array",
    "Device",
    "DeviceInfo",
    "Event",
    "Limits",
    "Slot",
    "cache_dir",
    "data_dir",
    "find_device",
    "list_devices",
    "open_device",
    "scratch_from",
    "sensors",
    "shader_clock_reader",
]
