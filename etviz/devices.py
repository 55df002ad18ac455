"""Devices: which one to compute on, what to call it, and the precision it computes in."""

import torch

from etviz.errors import UsageError


def pick_device(name: str | None = None) -> torch.device:
    """The device to compute on: as named, or with None or "auto" the fastest there is (cuda, mps, cpu).

    Raises:
        UsageError: no such device here.
    """
    if name in (None, "auto"):
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise UsageError(f"There is no device {name!r} here: try auto or cpu.") from error
    return torch.device(name)


def resolve_precision(precision: str, device: torch.device) -> str:
    """What "auto" means on a device: bf16-mixed on CUDA and on CPUs with bf16 instructions, else 32-true."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    if device.type == "cpu":
        return "bf16-mixed" if cpu_has_bf16() else "32-true"
    return "32-true"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware (AVX-512 BF16 or AMX): about four times fp32's rate."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def describe_device(device: torch.device) -> str:
    """A device in words, for cards: the GPU's name, or the CPU's with its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        name = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name") or "CPU"
        threads = torch.get_num_threads()
        return f"{name} CPU, {threads} thread{'s' if threads > 1 else ''}"
    return str(device)
