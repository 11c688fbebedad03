"""``LoopNetwork`` among other modules of torch: optimizers, layers before and after it, copies."""

from __future__ import annotations

import copy
import importlib.util
import io

import numpy as np
import pytest
import torch
from torch import nn

from hxloop import LoopNetwork, NetworkSpec, get_backend, get_loss, initial_weights
from hxloop.errors import NetworkError

SPEC = NetworkSpec.feed_forward(4, 6, 3)
WEIGHTS = initial_weights(SPEC, [1.6, 1.4], [0.6, 0.6], seed=0)
LOSS = get_loss("time-to-first-spike", xi=0.1)
GENERATOR = torch.Generator().manual_seed(0)
INPUTS = 1.5 * torch.rand(8, 4, dtype=torch.float64, generator=GENERATOR)
LABELS = torch.randint(0, 3, (8,), generator=GENERATOR)


def network(name="ideal", **options):
    return LoopNetwork(get_backend(name, **options).open(SPEC, seed=1), WEIGHTS)


def chip():
    return network("emulated-chip", solver="event", weight_lsb=0.04)


def loss_of(module, inputs=INPUTS):
    return LOSS(module(inputs)[0], LABELS)


@pytest.mark.parametrize("make", [network, chip])
@pytest.mark.parametrize("name", ["SGD", "AdamW", "RMSprop", "Rprop", "NAdam", "Adagrad"])
def test_any_optimizer_lowers_the_loss(name, make):
    module = make()
    optimizer = vars(torch.optim)[name](module.parameters(), lr=0.02)
    before = float(loss_of(module).detach())
    for _ in range(10):
        optimizer.zero_grad()
        loss_of(module).backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    assert float(loss_of(module).detach()) < before


def test_lbfgs_runs_the_network_as_often_as_it_wants():
    module = network()
    optimizer = torch.optim.LBFGS(module.parameters(), lr=0.1, max_iter=5)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(module)
        loss.backward()
        return loss.detach()

    first = float(optimizer.step(closure))
    assert float(loss_of(module).detach()) < first


def test_an_averaged_model_averages_and_runs():
    module = network()
    averaged = torch.optim.swa_utils.AveragedModel(module)
    with torch.no_grad():
        for step in (0.0, 0.2):
            module.weights[0] += step
            averaged.update_parameters(module)
    np.testing.assert_allclose(averaged.module.weight_arrays()[0], WEIGHTS[0] + 0.1)
    expected = LoopNetwork(module.session, averaged.module.parameters_held())(INPUTS)[0]
    assert torch.equal(averaged(INPUTS)[0], expected)
    assert averaged.module.session is module.session


def test_a_state_dict_goes_to_a_file_and_back():
    module, file = network(), io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = LoopNetwork(module.session, [np.zeros_like(each) for each in WEIGHTS])
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(INPUTS)[0], module(INPUTS)[0])
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict({"weights.0": torch.zeros(3, 6), "weights.1": torch.zeros(6, 3)})


class Encoder(nn.Module):
    """Features become spike times, an analog network runs, a layer reads it out."""

    def __init__(self, core):
        super().__init__()
        self.encode, self.core, self.read = nn.Linear(5, 4), core, nn.Linear(3, 2)

    def forward(self, features):
        times = 1.5 * torch.sigmoid(self.encode(features))
        spikes, _ = self.core(times)
        return self.read(torch.exp(-spikes).float())


@pytest.mark.parametrize("make", [network, chip])
def test_layers_before_and_after_it_are_trained(make):
    torch.manual_seed(0)
    model, features = Encoder(make()), torch.rand(8, 5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(features), LABELS % 2)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert all(float(each.grad.abs().sum()) > 0 for each in model.parameters())
    assert torch.equal(copy.deepcopy(model)(features), model(features)) or make is chip


def test_the_gradient_of_input_times_is_exact():
    module = network()

    def finite(times):
        found = module(times)[0]
        return torch.where(torch.isfinite(found), found, 0.0)

    assert torch.autograd.gradcheck(finite, INPUTS.clone().requires_grad_(), eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_parameters_of_other_types_are_run_at_their_values(dtype):
    module = network().to(dtype)
    rounded = [torch.tensor(each).to(dtype).double().numpy() for each in WEIGHTS]
    expected = LoopNetwork(module.session, rounded)(INPUTS)[0]
    spikes, _ = module(INPUTS)
    assert torch.equal(spikes, expected)
    torch.exp(-spikes).sum().backward()
    assert all(each.grad.dtype == dtype for each in module.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
def test_parameters_on_a_gpu_beside_a_substrate_on_the_cpu():
    module = network().cuda()
    loss_of(module).backward()
    assert all(each.grad.is_cuda and each.grad.abs().sum() > 0 for each in module.parameters())


def test_parameters_without_values_are_refused():
    module = network().to("meta")
    with pytest.raises(NetworkError, match=r"weights\[0\].*'meta'"):
        module(INPUTS)


def test_what_is_held_fixed_is_not_trained():
    module = network()
    module.weights[0].requires_grad_(False)
    loss_of(module).backward()
    assert module.weights[0].grad is None and module.weights[1].grad is not None
    with torch.no_grad():
        assert not module(INPUTS)[0].requires_grad


@pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="lightning is not installed"
)
@pytest.mark.filterwarnings("ignore")  # what lightning says of its own parts
def test_in_a_lightning_module():
    import lightning

    class Lit(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.core = network()

        def training_step(self, batch, index):
            times, labels = batch
            return LOSS(self.core(times)[0], labels)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.01)

    module = Lit()
    before = float(loss_of(module.core).detach())
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(INPUTS, LABELS), batch_size=4
    )
    trainer = lightning.Trainer(
        max_epochs=5, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, loader)
    assert float(loss_of(module.core).detach()) < before
