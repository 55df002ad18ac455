"""Random questions of every kind, as a page may ask them."""

import math
import random

from etviz.ui.service import Service

KINDS = (
    *("trace", "quality", "attention", "memories", "memories_of_patch", "memory_places", "gradient_lines"),
    *("energy_plane", "perturbations", "memory_sheet", "choices", "token_energies", "energy_band", "gallery"),
    *("compare", "training", "runs", "epochs", "first_steps", "memory_use"),
)


class Asker:
    """Draws questions about a service's models and pictures; the same ones for the same seed."""

    def __init__(self, service: Service, seed: int):
        self.service, self.random = service, random.Random(seed)

    def question(self, kind: str) -> dict:
        """One question of a kind."""
        model = self.random.choice(list(self.service.checkpoints))
        asked = {"kind": kind, "picture": self.picture(), **self.column(model)}
        more = {
            "trace": {"seq": self.random.randrange(1000)},
            "attention": {"patch": self.random.randrange(self.patches(model))},
            "memories_of_patch": {"patch": self.random.randrange(self.patches(model))},
            "memory_places": {"memory": self.random.randrange(self.memories(model))},
            "perturbations": {"noise": self.random.uniform(0, 1), "seed": self.random.randrange(2**32)},
            "gallery": {"dataset": self.service.galleries[0], "page": 0, "label": self.label()},
            "compare": {"columns": [self.column(name) for name in self.service.checkpoints]},
            "epochs": {"run": model, "steps": self.random.choice([None, 1, 5])},
            "training": {"run": model},
        }
        return asked | more.get(kind, {})

    def column(self, model: str) -> dict:
        """A model, a mask on its grid, and how to descend."""
        return {"model": model, "mask": self.mask(self.patches(model)), "settings": self.settings(model)}

    def mask(self, patches: int) -> str:
        share = self.random.choice([0.2, 0.5, 0.85, 0.85, 1.0])
        bits = "".join("1" if self.random.random() < share else "0" for _ in range(patches))
        return f"{int(bits, 2) or 1:0{patches // 4}x}"  # something is hidden

    def settings(self, model: str) -> dict | None:
        """The model's own more often than not, or a bit off."""
        if self.random.random() < 0.4:
            return None
        descent = self.service.model(model).descent
        rule = self.random.choice(["fixed", "backtracking", "sphere", None])
        return {
            "steps": self.random.choice([None, self.random.randint(2, 14)]),
            "step_size": self.random.choice([None, descent.step_size * math.exp(self.random.uniform(-1, 0.7))]),
            "beta": self.random.choice([None, descent.beta * math.exp(self.random.uniform(-0.7, 0.7))]),
            "rule": rule,
            "settle": rule == "sphere" and self.random.random() < 0.3,
        }

    def picture(self) -> dict:
        dataset = self.service.galleries[0]
        return {"dataset": dataset, "index": self.random.randrange(len(self.service.pictures(dataset, 32).images))}

    def label(self) -> str | None:
        return self.random.choice([None, *self.service.pictures(self.service.galleries[0], 32).classes])

    def patches(self, model: str) -> int:
        return self.service.model(model).num_patches

    def memories(self, model: str) -> int:
        return len(self.service.model(model).descent.blocks[0].memories)
