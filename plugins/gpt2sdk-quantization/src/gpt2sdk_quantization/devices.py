"""Devices that a machine may lack."""

import torch

from gpt2sdk import PlacementError


def check_present(device: torch.device) -> None:
    """Make sure that a device is there.

    Raises:
        PlacementError: If it is not.
    """
    try:
        torch.empty(0, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise PlacementError(
            f"{device} is not there: {error}. Choose another device, or install a build of torch "
            "for it"
        ) from error
