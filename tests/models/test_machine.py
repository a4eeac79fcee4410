"""Device, precision, threads."""

import pytest
import torch

from metier.errors import RecipeError
from metier.models import machine as machines
from metier.models.machine import Machine, machine, processes, seeded


def test_cpu():
    found = machine("cpu", "fp32")
    assert (found.device.type, found.precision, found.rank, found.world) == ("cpu", "fp32", 0, 1)
    with found.autocast():
        assert not torch.is_autocast_enabled("cpu")


def test_bf16_by_hand():
    with machine("cpu", "bf16").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("found", "precision"), [({"avx512_vnni": True}, "fp32"), ({"avx512_bf16": True, "amx_bf16": False}, "bf16")]
)
def test_precision_is_what_the_processor_multiplies_fast(monkeypatch, found, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert machine("cpu").precision == precision


def test_rates():
    assert machines.cpu_rate(64, 64, 64) > 1e6


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_no_such_device(device):
    with pytest.raises(RecipeError, match="There is no device"):
        machine(device)


def test_fewer_than_no_threads():
    with pytest.raises(RecipeError, match="-3 threads"):
        machine("cpu", threads=-3)


def test_alone_there_is_nothing_to_share(monkeypatch):
    found = Machine(torch.device("cpu"), torch.float32, 1)
    tensor = torch.ones(3)
    found.average([tensor])
    found.share([tensor])
    found.own_noise(3)
    found.leave()
    assert tensor.tolist() == [1, 1, 1]
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert processes() == 4 and machine("cpu", "fp32").world == 1, "who only predicts joins nobody"


def test_seeded_leaves_the_generator_as_it_was():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with seeded(1):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(1):
        assert torch.equal(torch.rand(3), first)
