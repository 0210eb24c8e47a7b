"""Rows per second and quality of our Deep Interest Network beside deepctr-torch's, on one log.

Both see the same rows in the same batches of 1,024, with the same widths, the same starting spread
of embeddings and the same optimizer (fused Adam, 3e-3). They take turns epoch by epoch in one
process, so that a busy machine slows both. Rates are the best of all epochs. Run it by
`make bench`, or with `python bench/din.py --help` for other sizes.
"""

import argparse
import contextlib
import io
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from pm_utils.evaluation.ranking import roc_auc
from pm_utils.evaluation.recommendation import log_losses
from pm_utils.targeting.interest.networks import DeepInterestNet
from pm_utils.targeting.interest.simulated import ClickLog, simulated_clicks

USERS, ITEMS, LENGTH, WIDTH = 5000, 10_000, 20, 16
ATTENTION, HIDDEN = (64, 16), (256, 128)
BATCH, LEARNING_RATE, SPREAD = 1024, 3e-3, 0.1


class Ours(nn.Module):
    """`DeepInterestNet` with an embedding of the user as facts, as the peer has it."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"width": WIDTH, "facts": WIDTH, "attention": ATTENTION, "hidden": HIDDEN}
        self.net, self.users = DeepInterestNet(ITEMS, **sizes), nn.Embedding(USERS, WIDTH)
        nn.init.normal_(self.users.weight, std=SPREAD)
        nn.init.normal_(self.net.items.weight, std=SPREAD)
        self.net.items.weight.data[0] = 0

    def forward(self, user: torch.Tensor, item: torch.Tensor, history: torch.Tensor):
        """User (B,), item (B,), history (B, T) → logit (B,)."""
        return self.net(item, history, self.users(user))


class OurContender:
    """Slices of tensors, fused Adam, nothing else."""

    name = "pm_utils DeepInterestNet"

    def __init__(self, log: ClickLog, train: int) -> None:
        torch.manual_seed(0)
        history = log.history.astype(np.int32)
        self.rows = [torch.from_numpy(part) for part in (log.user, log.item, history)]
        self.click, self.train, self.model = torch.from_numpy(log.click), train, Ours()
        self.optimizer = torch.optim.Adam(self.model.parameters(), LEARNING_RATE, fused=True)

    def bare_epoch(self, batches: list[torch.Tensor]) -> None:
        """One pass: the forward pass, the loss, the backward pass, the step."""
        self.model.train()
        for rows in batches:
            self.optimizer.zero_grad()
            logit = self.model(*(part.index_select(0, rows) for part in self.rows))
            binary_cross_entropy_with_logits(logit, self.click.index_select(0, rows)).backward()
            self.optimizer.step()

    def api_epoch(self, epoch: int) -> None:
        """The same after shuffling the rows, which is all that a caller has to do."""
        generator = torch.Generator().manual_seed(epoch)
        self.bare_epoch(torch.randperm(self.train, generator=generator).split(BATCH))

    def score(self, batch: int) -> np.ndarray:
        """Chances of the test rows, in pieces whose layers fit a processor's cache."""
        self.model.eval()
        with torch.inference_mode():
            rest = torch.arange(self.train, len(self.click)).split(min(batch, 1024))
            logits = [self.model(*(part[rows] for part in self.rows)) for rows in rest]
            return torch.cat(logits).sigmoid().numpy()


class Peer:
    """deepctr-torch's DIN, by its own `fit` and `predict`, and by a bare loop around its model."""

    name = "deepctr-torch DIN"

    def __init__(self, log: ClickLog, train: int) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat
            from deepctr_torch.models import DIN
        past = SparseFeat("hist_item", ITEMS + 1, WIDTH, embedding_name="item")
        columns = [
            SparseFeat("user", USERS, WIDTH),
            SparseFeat("item", ITEMS + 1, WIDTH),
            VarLenSparseFeat(past, LENGTH, length_name="length"),
        ]
        sizes = {"att_hidden_size": ATTENTION, "dnn_hidden_units": HIDDEN, "init_std": SPREAD}
        self.model, self.train = DIN(columns, ["item"], seed=0, **sizes), train
        self.model.compile(
            torch.optim.Adam(self.model.parameters(), LEARNING_RATE, fused=True),
            "binary_crossentropy",
        )
        self.rows = {"user": log.user, "item": log.item, "hist_item": log.history}
        self.rows["length"] = (log.history > 0).sum(1)
        self.click = log.click
        wide = [self.rows[name].reshape(len(log.user), -1) for name in self.model.feature_index]
        self.wide, self.target = torch.from_numpy(np.hstack(wide)).float(), torch.tensor(log.click)

    def bare_epoch(self, batches: list[torch.Tensor]) -> None:
        """One pass as its `fit` makes it, without data loader and metrics."""
        self.model.train()
        for rows in batches:
            probability = self.model(self.wide[rows]).squeeze(1)
            self.model.optim.zero_grad()
            loss = binary_cross_entropy(probability, self.target[rows], reduction="sum")
            (loss + self.model.get_regularization_loss()).backward()
            self.model.optim.step()

    def api_epoch(self, epoch: int) -> None:
        """One pass by its `fit`."""
        torch.manual_seed(epoch)
        rows = {name: part[: self.train] for name, part in self.rows.items()}
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self.model.fit(rows, self.click[: self.train], batch_size=BATCH, epochs=1, verbose=0)

    def score(self, batch: int) -> np.ndarray:
        """Chances of the test rows, by its `predict`."""
        rest = {name: part[self.train :] for name, part in self.rows.items()}
        return self.model.predict(rest, batch)[:, 0]


def seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - processor


def compare(log: ClickLog, train: int, epochs: int) -> None:
    """Let both train and score in turns, and print what came of it."""
    test = slice(train, None)
    truth, click = log.probability[test], log.click[test]
    print(f"oracle: AUC {roc_auc(click, truth):.4f}, log loss {loss(click, truth):.4f}")
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    contenders = [OurContender(log, train), Peer(log, train)]
    for epoch in range(epochs):  # by the API: what is learned counts
        for who in contenders:
            took = seconds(lambda who=who, epoch=epoch: who.api_epoch(epoch))
            taken.setdefault((who.name, "train API"), []).append(took)
            for batch in (1024, 8192):
                took = min(seconds(lambda who=who, b=batch: who.score(b)) for _ in range(5))
                taken.setdefault((who.name, f"score {batch}"), []).append(took)
            probability = who.score(1024).astype(float)
            print(
                f"epoch {epoch + 1}  {who.name:26s} AUC {roc_auc(click, probability):.4f}  "
                f"log loss {loss(click, probability):.4f}",
                flush=True,
            )
    for epoch in range(2):  # bare loops, on a part of the rows
        generator = torch.Generator().manual_seed(epoch)
        batches = torch.randperm(train, generator=generator)[: train // 4].split(BATCH)
        for who in contenders:
            took = seconds(lambda who=who, batches=batches: who.bare_epoch(batches))
            taken.setdefault((who.name, "train bare loop"), []).append(took)
    report(taken, {"train API": train, "train bare loop": train // 4}, len(log.click) - train)


def loss(click: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean log loss in nats."""
    return float(log_losses(click[None], probability[None])[0])


def report(taken: dict, rows: dict[str, int], scored: int) -> None:
    """Print rows per second, the best of all turns, and how many times the peer's ours are."""
    print(f"\n{'rows per second':18s}{'':4s}{'ours':>10s}{'peer':>10s}{'ratio':>8s}")
    for work in dict.fromkeys(work for _, work in taken):
        for clock, at in (("wall", 0), ("CPU", 1)):
            rate = [
                rows.get(work, scored) / min(took[at] for took in taken[name, work])
                for name in (OurContender.name, Peer.name)
            ]
            print(f"{work:17s}{clock:>5s}{rate[0]:10,.0f}{rate[1]:10,.0f}{rate[0] / rate[1]:8.2f}")


def main() -> None:
    """Read the sizes, and compare on histories of all lengths, then on full ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=100_000, help="training rows")
    parser.add_argument("--test", type=int, default=20_000, help="test rows")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--full-epochs", type=int, default=1, help="epochs without any pads")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(f"{asked.threads} threads, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    sizes = {"users": USERS, "items": ITEMS, "length": LENGTH, "seed": 0}
    for shortest, epochs in ((1, asked.epochs), (LENGTH, asked.full_epochs)):
        log = simulated_clicks(asked.train + asked.test, shortest=shortest, **sizes)
        pads = (log.history == 0).mean()
        print(f"\n--- histories of {shortest} to {LENGTH} items, {pads:.0%} pads")
        compare(log, asked.train, epochs)


if __name__ == "__main__":
    main()
