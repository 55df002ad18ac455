"""The page of `python -m etviz.compare`, made from its JSON alone: every number and verdict in it was measured."""

import itertools
from collections.abc import Iterable, Sequence

from etviz.evaluation.comparison import SPEED_BATCH
from etviz.evaluation.features import NEIGHBOURS
from etviz.evaluation.metric_info import LPIPS_NETS, METRICS
from etviz.evaluation.paired import DIFFER, better
from etviz.models import ENERGY_MODELS
from etviz.reports.render import code, render
from etviz.reports.words import left_out_words

NAME = "comparison"  # of its files
FORMAT = "comparison 3"  # of its JSON: count on when what the page needs changes
OTHER_LOSSES = {  # by what a model's card calls it
    "simmim": "SimMIM, which minimises the absolute error",
    "beit": "BEiT, which predicts codes by cross-entropy",
    "mixedae": "MixedAE, which unmixes images and has a contrastive loss as well",
}

Entry = dict  # one model or floor of the document, with its name


def make_page(document: dict) -> str:
    """The page in Markdown.

    Args:
        document: what the command's comparison.json holds.
    """
    entries = ranked([{"name": name} | entry for name, entry in document["entries"].items()])
    models, floors = ([entry for entry in entries if entry["floor"] == wanted] for wanted in (False, True))
    groups = as_groups(models, document["trainings"])
    return render(
        "comparison.md",
        name=NAME,
        setting=document,
        differ=DIFFER,
        batch=SPEED_BATCH,
        neighbours=NEIGHBOURS,
        descends=any(entry["card"].get("model") in ENERGY_MODELS for entry in models),
        quality=quality_table(models, floors),
        trainings=trainings_table(document["trainings"]),
        further=list(perceptual_columns(entries)),
        left_out=left_out_words(document["left_out"]) if document["left_out"] else "",
        costs=cost_table(models),
        tokenizers=[entry for entry in models if entry["ceiling"] is not None],
        ratios=ratio_table(document["ratios"], entries),
        ratio_spread=ratio_spread(models, document),
        drawn_once=len(groups) < len(models),
        shares=shares_in_training(models),
        by_ratio=floors_by_level(document["ratio_floors"]),
        **reading(document, models, groups, floors),
    )


def ranked(entries: Iterable[Entry]) -> list[Entry]:
    """The best first, by masked MSE."""
    return sorted(entries, key=lambda entry: entry["metrics"]["masked_mse"])


def as_groups(models: Sequence[Entry], trainings: dict[str, dict]) -> list[Entry]:
    """The trainings of each recipe as one entry, the best first: their mean scores, and what else the first one has."""
    by_name = {entry["name"]: entry for entry in models}
    groups = ([by_name[name] for name in group["members"]] for group in trainings.values())
    return ranked(_as_one(group) for group in groups)


def _as_one(group: Sequence[Entry]) -> Entry:
    return group[0] | {part: _means([one[part] for one in group]) for part in ("metrics", "accuracy")}


def _means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(one[name] for one in scores) / len(scores) for name in scores[0]}


def called(entry: Entry) -> str:
    """A checkpoint's name as code, a floor's as it is."""
    return entry["name"] if entry["floor"] else code(entry["name"])


# ---- tables ------------------------------------------------------------------------------------------------------


def perceptual_columns(entries: Sequence[Entry]) -> dict[str, str]:
    """Headers of LPIPS and FID of the completed picture, by metric, for those that were measured."""
    wanted = [*(f"completed_lpips_{net}" for net in LPIPS_NETS), "completed_fid"]
    return {name: METRICS[name].label for name in wanted if any(name in entry["metrics"] for entry in entries)}


def quality_table(models: Sequence[Entry], floors: Sequence[Entry]) -> list[list[str]]:
    """The heading, then a row for each."""
    further = perceptual_columns([*models, *floors])
    head = ["masked MSE", "masked PSNR", "completed PSNR", "completed SSIM", *further.values(), "k-NN", "linear probe"]
    return [["", *head], *(_quality_row(entry, further) for entry in [*models, *floors])]


def _quality_row(entry: Entry, further: Iterable[str]) -> list[str]:
    metrics = entry["metrics"]
    return [
        called(entry),
        f"{metrics['masked_mse']:.5f}",
        f"{metrics['masked_psnr']:.2f} ± {metrics['masked_psnr_standard_error']:.2f} dB",
        f"{metrics['completed_psnr']:.2f} dB",
        f"{metrics['completed_ssim']:.3f}",
        *(METRICS[name].format(metrics[name]) if name in metrics else "" for name in further),
        *(_accuracy(entry, key) for key in ("knn", "linear")),
    ]


def _accuracy(entry: Entry, key: str) -> str:
    """An accuracy and its standard error in percentage points, from the binomial distribution."""
    if key not in entry["accuracy"]:
        return ""
    share = entry["accuracy"][key]
    return f"{share:.1%} ± {100 * (share * (1 - share) / entry['images']) ** 0.5:.1f}"


def trainings_table(trainings: dict[str, dict]) -> list[list[str]]:
    """The heading, then a row for each recipe of which several trainings are known; nothing where there is none."""
    head = ["trainings with other seeds", "number", "masked PSNR, mean", "standard deviation", "95% interval of it"]
    several = [group for group in trainings.values() if len(group["members"]) > 1]
    return [head, *(_training_row(group) for group in several)] if several else []


def _training_row(group: dict) -> list[str]:
    spread = group["masked_psnr"]
    return [
        ", ".join(map(code, group["members"])),
        str(len(group["members"])),
        f"{spread['mean']:.2f} dB",
        f"{spread['deviation']:.3f} dB",
        f"{spread['low']:.3f} to {spread['high']:.3f} dB",
    ]


COSTS = (
    *("parameters", "rebuild, MFLOP", "train, MFLOP", "training memory, MiB", "images seen", "training time"),
    *("train, images/s", "rebuild, images/s"),
)


def cost_table(models: Sequence[Entry]) -> list[list[str]]:
    """The heading, then a row for each."""
    return [["", *COSTS], *(_cost_row(entry) for entry in models)]


def _cost_row(entry: Entry) -> list[str]:
    cost, card = entry["costs"], entry["card"]
    peak, seen, seconds = cost["peak_bytes"], card.get("images_seen"), card.get("seconds")
    return [
        called(entry),
        f"{cost['parameters']:,}",
        f"{cost['reconstruct_flops'] / 1e6:,.0f}",
        f"{cost['training_flops'] / 1e6:,.0f}",
        "" if peak is None else f"{peak / 2**20:,.0f}",
        "" if seen is None else f"{seen:,}",
        "" if seconds is None else f"{seconds / 60:,.0f} min",
        f"{cost['trained_per_second']:,.0f}",
        f"{cost['images_per_second']:,.0f}",
    ]


def ratio_table(ratios: Sequence[float], entries: Sequence[Entry]) -> list[list[str]]:
    """Masked PSNR in dB: a column for each ratio, the models before the floors."""
    drawn = [entry for entry in entries if entry["psnr_by_ratio"] is not None]
    ordered = sorted(drawn, key=lambda entry: entry["floor"])
    rows = [[called(entry), *(f"{psnr:.2f}" for psnr in entry["psnr_by_ratio"])] for entry in ordered]
    return [["", *(f"{ratio:.0%}" for ratio in ratios)], *rows]


def floors_by_level(rows: list[dict]) -> list[dict]:
    """For each level the best floor, and which models are better, worse, or cannot be told apart from it.

    Args:
        rows: of `etviz.evaluation.paired.against_floors`.
    """
    found = []
    for level in dict.fromkeys(row["level"] for row in rows):
        own = [row for row in rows if row["level"] == level]
        groups = {key: [] for key in ("better", "alike", "worse")}
        for row in own:
            best = better(row)
            groups["alike" if best is None else "better" if best == row["first"] else "worse"].append(row["first"])
        found.append({"level": level, "floor": own[0]["second"], **groups})
    return found


def ratio_spread(models: Sequence[Entry], setting: dict) -> float:
    """Standard error in dB of a masked PSNR over the images of the ratios, of the model with the widest."""
    fewer = (setting["images"] / setting["ratio_images"]) ** 0.5
    return max(entry["metrics"]["masked_psnr_standard_error"] * fewer for entry in models)


def shares_in_training(models: Sequence[Entry]) -> list[dict]:
    """The shares of patches that the models were trained with, the commonest first; none where one is unknown."""
    by_share: dict[str, list[str]] = {}
    for entry in models:
        share = entry["card"].get("ratio")
        if share is None:
            return []
        words = "any share" if share == "mixture" else f"{share:.0%}"
        by_share.setdefault(words, []).append(entry["name"])
    return [{"share": s, "names": by_share[s]} for s in sorted(by_share, key=lambda share: -len(by_share[share]))]


# ---- what the numbers say ----------------------------------------------------------------------------------------


def reading(document: dict, models: list[Entry], groups: list[Entry], floors: list[Entry]) -> dict:
    """The facts of the page's last section, by the names that the template uses.

    ``models`` are ranked, and ``groups`` are `as_groups` of them.
    """
    apart = Verdicts(document["paired"])
    return {
        "pairs": len(groups) * (len(groups) - 1) // 2,
        "floors": against_best_floor(document["against_floors"], models, floors),
        "neighbours_by_error": [apart.gap(*pair) for pair in itertools.pairwise(groups)],
        "alike": alike_further_apart(groups, apart),
        "ssim": by_ssim(groups, apart),
        "probes": by_probe(groups, apart),
        "effort": effort(groups),
        "limits": limits(groups),
        "single": [name for name, group in document["trainings"].items() if len(group["members"]) == 1],
    }


class Verdicts:
    """What the paired tests say of two models."""

    def __init__(self, rows: list[dict]):
        self.rows = {(row["first"], row["second"], row["metric"]): row for row in rows}

    def row(self, first: Entry, second: Entry, metric: str) -> dict | None:
        """The tests of two models by one metric, in either order; None where they were not compared by it."""
        names = first["name"], second["name"]
        return self.rows.get((*names, metric)) or self.rows.get((*names[::-1], metric))

    def alike(self, first: Entry, second: Entry, metric: str = "masked_mse") -> bool:
        """Whether the tests cannot tell them apart."""
        row = self.row(first, second, metric)
        return row is not None and better(row) is None

    def gap(self, best: Entry, other: Entry) -> dict:
        """By how much the second one's masked MSE is higher, with its interval, and why the tests say what they say."""
        row = self.row(best, other, "masked_mse")
        if row is None:
            raise KeyError(f"{best['name']} and {other['name']} were not compared.")
        ends = row["difference"], row["low"], row["high"]
        mse, low, high = ends if row["first"] == other["name"] else (-ends[0], -ends[2], -ends[1])
        found = {"best": best["name"], "other": other["name"], "differ": better(row) is not None}
        return found | {"reason": row["reason"]} | {"mse": mse, "low": low, "high": high}


def against_best_floor(rows: list[dict], models: list[Entry], floors: list[Entry]) -> dict:
    """The best floor under the page's own masks, and which models are not better than it."""
    best = floors[0]
    gains = [entry["metrics"]["masked_psnr"] - best["metrics"]["masked_psnr"] for entry in models]
    return {
        "best": best["name"],
        "psnr": best["metrics"]["masked_psnr"],
        "count": len(floors),
        "not_beaten_by": [row["first"] for row in rows if better(row) != row["first"]],
        "gains": [min(gains), max(gains)],
    }


def alike_further_apart(models: list[Entry], apart: Verdicts) -> list[list[str]]:
    """Pairs that are not neighbours in the ranking and still cannot be told apart."""
    ranks = itertools.combinations(range(len(models)), 2)
    pairs = [(models[a], models[b]) for a, b in ranks if b - a > 1]
    return [[a["name"], b["name"]] for a, b in pairs if apart.alike(a, b)]


def by_ssim(models: list[Entry], apart: Verdicts) -> dict:
    """The order by completed SSIM, and which neighbours in it cannot be told apart."""
    order = sorted(models, key=lambda entry: -entry["metrics"]["completed_ssim"])
    pairs = [pair for pair in itertools.pairwise(order) if apart.alike(*pair, "completed_ssim")]
    return {
        "same": order == models,
        "order": [{"name": entry["name"], "ssim": entry["metrics"]["completed_ssim"]} for entry in order],
        "alike": [[a["name"], b["name"]] for a, b in pairs],
    }


def by_probe(models: list[Entry], apart: Verdicts) -> dict:
    """The model whose features a linear probe reads best, and which ones cannot be told apart from it."""
    best, *others = sorted(models, key=lambda entry: -entry["accuracy"]["linear"])
    alike = [entry for entry in others if apart.alike(best, entry, "linear")]
    return {
        "best": best["name"],
        "accuracy": best["accuracy"]["linear"],
        "rank": models.index(best) + 1,
        "alike": [{"name": entry["name"], "accuracy": entry["accuracy"]["linear"]} for entry in alike],
    }


def effort(models: list[Entry]) -> dict:
    """The extremes of FLOPs and speed."""
    flops = sorted(models, key=lambda entry: entry["costs"]["reconstruct_flops"])
    speed = sorted(models, key=lambda entry: entry["costs"]["images_per_second"])
    return {
        "dearest": flops[-1]["name"],
        "cheapest": flops[0]["name"],
        "times_flops": flops[-1]["costs"]["reconstruct_flops"] / flops[0]["costs"]["reconstruct_flops"],
        "fastest": speed[-1]["name"],
        "slowest": speed[0]["name"],
        "times_speed": speed[-1]["costs"]["images_per_second"] / speed[0]["costs"]["images_per_second"],
    }


def limits(models: list[Entry]) -> dict:
    """What bounds every conclusion: sizes, budgets, and what the models were trained for."""
    seen = {entry["card"].get("images_seen") for entry in models}
    kinds = {entry["card"].get("model") for entry in models}
    return {
        "parameters": max(entry["costs"]["parameters"] for entry in models),
        "images_seen": seen.pop() if len(seen) == 1 else None,
        "tokenizers": any(entry["ceiling"] is not None for entry in models),
        "other_losses": [sentence for kind, sentence in OTHER_LOSSES.items() if kind in kinds],
    }
