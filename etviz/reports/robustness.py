"""The page that `python -m etviz.robustness` writes: every number and sentence in it follows from measurements."""

from etviz.analysis.robustness import AXES, SHARES, Curve
from etviz.evaluation.comparison import FLOORS, SURE
from etviz.evaluation.one_class import SCORES, OneClass
from etviz.evaluation.transfer import paired_cost

NAME = "robustness"  # of its files
FLOOR = "Navier-Stokes"  # the better of the fillers that learn nothing


def make_page(
    setting: dict, curves: dict[str, dict[str, Curve]], transfer: list[dict], one_class: dict[str, list[OneClass]]
) -> str:
    """The page in Markdown.

    Args:
        setting: what the numbers depend on, as the command's JSON holds it.
        curves: by axis and name, from `etviz.analysis.robustness_curves`.
        transfer: `etviz.evaluation.transfer.transfer_rows`'.
        one_class: by the checkpoint's name, from `etviz.evaluation.one_class.one_class`.
    """
    lines = [
        f"# Beyond what they were trained for: {setting['dataset']}",
        "",
        f"Written by `{setting['command']}`, which measures everything below anew from the shipped checkpoints: "
        f"the same images, masks and damage for all, seed {setting['seed']}.",
    ]
    if curves:
        lines += ["", *curve_lines(setting, curves)]
    if transfer:
        lines += ["", *transfer_lines(transfer)]
    if one_class:
        lines += ["", *one_class_lines(setting, one_class)]
    return "\n".join([*lines, ""])


# ---- curves ------------------------------------------------------------------------------------------------------


def curve_lines(setting: dict, curves: dict[str, dict[str, Curve]]) -> list[str]:
    """The figure, a table for each axis, and what is to be seen there."""
    lines = [
        "## Other masks, damaged pictures",
        "",
        f"Masked PSNR in dB on {setting['images']:,} test images, higher is better; bands and ± are 95% intervals over "
        f"images. Where nothing else is said, a share of {setting['ratio']:g} of the patches is hidden, at random. "
        "Damage is done to the visible patches, and the hidden ones are compared with the picture as it was; under "
        "another brightness, with the picture as bright as what is visible, which clipping leaves with less contrast: "
        "far from 0 there is less to get wrong, and curves rise. Blur mixes visible pixels only.",
        "",
        f"![Masked PSNR along each axis]({NAME}.png)",
    ]
    for axis, by_name in curves.items():
        lines += ["", f"### {heading(axis)}", "", *curve_table(axis, by_name), "", *curve_sentences(axis, by_name)]
    return lines


def heading(axis: str) -> str:
    """An axis's title with its unit, as a sentence begins."""
    title, unit = AXES[axis].title, AXES[axis].unit
    return title[0].upper() + title[1:] + (f" ({unit})" if unit else "")


def level_text(axis: str, level) -> str:
    """A level as the tables say it."""
    if isinstance(level, str):
        return level
    if axis in SHARES:
        return f"{level:.0%}"
    return f"{level:+g}" if axis == "brightness" and level else f"{level:g}"


def curve_table(axis: str, by_name: dict[str, Curve]) -> list[str]:
    """Lines of a Markdown table: a row a filling, a column a level."""
    levels = next(iter(by_name.values())).levels
    lines = [f"| | {' | '.join(level_text(axis, level) for level in levels)} |", "|---|" + "---:|" * len(levels)]
    for name, curve in by_name.items():
        halves = (curve.high - curve.low) / 2
        cells = [f"{psnr:.2f} ± {half:.2f}" for psnr, half in zip(curve.psnr.tolist(), halves.tolist(), strict=True)]
        lines.append(f"| {called(name)} | {' | '.join(cells)} |")
    return lines


def called(name: str) -> str:
    """A checkpoint as code, a floor by its name."""
    return name if name in FLOORS else f"`{name}`"


def curve_sentences(axis: str, by_name: dict[str, Curve]) -> list[str]:
    """What the table says of the models, in words."""
    models = {name: curve for name, curve in by_name.items() if name not in FLOORS}
    return [f"- {sentence}" for sentence in (*losses(axis, models), *against_floor(axis, models, by_name.get(FLOOR)))]


def losses(axis: str, models: dict[str, Curve]) -> list[str]:
    """How much the strongest damage costs each model; nothing for axes that have no undamaged level to begin with."""
    levels = next(iter(models.values())).levels
    if levels[0] != 0:
        return []
    lost = {name: (curve.psnr[0] - curve.psnr[-1]).item() for name, curve in models.items()}
    words = ", ".join(f"{name} {lost[name]:.2f}" for name in sorted(lost, key=lost.get))
    return [f"From 0 to {level_text(axis, levels[-1])}, dB lost, the least first: {words}."]


def against_floor(axis: str, models: dict[str, Curve], floor: Curve | None) -> list[str]:
    """At which levels a model is not ahead of the floor; one sentence for all models that are so at the same."""
    if floor is None:
        return []
    behind: dict[tuple, list[str]] = {}
    for name, curve in models.items():
        places = tuple(i for i in range(len(curve.levels)) if curve.psnr[i] <= floor.psnr[i])
        behind.setdefault(places, []).append(name)
    sentences = []
    for places, names in behind.items():
        where = ", ".join(level_text(axis, floor.levels[i]) for i in places)
        verb = "is" if len(names) == 1 else "are"
        tail = f"no better than {FLOOR} at {where}" if places else f"better than {FLOOR} at every level"
        sentences.append(f"{' and '.join(names) if len(names) < 3 else ', '.join(names)} {verb} {tail}.")
    return sentences


# ---- transfer ----------------------------------------------------------------------------------------------------


def transfer_lines(rows: list[dict]) -> list[str]:
    """The table of models and datasets, and what it costs to have learned from the other one."""
    places = list(dict.fromkeys(row["dataset"] for row in rows))
    probed = all("accuracy" in row for row in rows)
    head = [f"{place}: masked PSNR" for place in places] + [f"{place}: linear probe" for place in places] * probed
    lines = [
        "## On another dataset",
        "",
        f"Masked PSNR ± one standard error over {rows[0]['images']:,} test images of each, the same masks for all."
        + " The linear probe reads that dataset's labels from features of its own images, 95% interval." * probed,
        "",
        f"| | trained on | {' | '.join(head)} |",
        "|---|---|" + "---:|" * len(head),
    ]
    for name in dict.fromkeys(row["checkpoint"] for row in rows):
        own = {row["dataset"]: row for row in rows if row["checkpoint"] == name}
        cells = [f"{own[p]['masked_psnr']:.2f} ± {own[p]['masked_psnr_standard_error']:.2f} dB" for p in places]
        cells += [percent(own[p]) for p in places] * probed
        lines.append(f"| `{name}` | {own[places[0]]['trained_on']} | {' | '.join(cells)} |")
    return [*lines, "", *(f"- {cost_sentence(row)}" for row in paired_cost(rows))]


def percent(row: dict) -> str:
    """An accuracy with its interval."""
    return f"{row['accuracy']:.1%} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def cost_sentence(row: dict) -> str:
    """What one model loses on a dataset for having learned from the other."""
    gap = f"{row['cost']:+.6f} ± {row['standard_error']:.6f} in masked MSE, on the same images and masks"
    if abs(row["cost"]) <= SURE * row["standard_error"]:
        return f"On {row['dataset']}, {row['other']} cannot be told from {row['own']}, which learned from it: {gap}."
    better = "behind" if row["cost"] > 0 else "ahead of"
    return f"On {row['dataset']}, {row['other']} is {better} {row['own']}, which learned from it: {gap}."


# ---- one class against the rest ----------------------------------------------------------------------------------


def one_class_lines(setting: dict, by_name: dict[str, list[OneClass]]) -> list[str]:
    """Means over classes by each score, and every class by the ratio."""
    names = list(by_name)
    count = setting["one_class_epochs"]
    epochs = f"{count} epoch" + "s" * (count != 1)
    means = {name: {s: sum(row.auc[s] for row in rows) / len(rows) for s in SCORES} for name, rows in by_name.items()}
    lines = [
        "## One class against the rest",
        "",
        f"Each class in turn is what is normal, all others are anomalies: ROC AUC over {setting['one_class_images']:,} "
        "test images, 0.5 is chance. Every image is rebuilt under eight masks that hide half of it, every patch four "
        "times. *error* is the checkpoint's own, which has seen pictures of every class; *adapted* that of a copy "
        f"trained for {epochs} more on the normal class alone; *ratio* the second over the first.",
        "",
        "| mean over classes | error | adapted | ratio |",
        "|---|---:|---:|---:|",
        *(f"| `{name}` | {' | '.join(f'{means[name][s]:.3f}' for s in SCORES)} |" for name in names),
        "",
        f"| ratio, by class | {' | '.join(f'`{name}`' for name in names)} |",
        "|---|" + "---:|" * len(names),
    ]
    for rows in zip(*by_name.values(), strict=True):
        cells = [f"{row.auc['ratio']:.3f} ± {row.standard_error['ratio']:.3f}" for row in rows]
        lines.append(f"| {rows[0].name} | {' | '.join(cells)} |")
    own = [row for rows in by_name.values() for row in rows]
    low, high = min(own, key=lambda row: row.auc["error"]), max(own, key=lambda row: row.auc["error"])
    best = max(names, key=lambda name: means[name]["ratio"])
    return [
        *lines,
        "",
        "± is DeLong's standard error over images.",
        "",
        f"- The plain error tells how predictable a picture is, not whether it belongs: by class it goes from "
        f"{low.auc['error']:.2f} ({low.name}) to {high.auc['error']:.2f} ({high.name}).",
        f"- The ratio asks whether what was learned from the class helped: {means[best]['ratio']:.3f} on the mean over "
        f"classes by {best}, the highest here.",
        "- One training run a class, one seed; published detectors, which learn from features, do better.",
    ]
