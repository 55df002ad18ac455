"""The page of `python -m etviz.robustness`, made from its JSON alone: every number and verdict in it was measured."""

from etviz.analysis.robustness import AXES, SHARES
from etviz.evaluation.one_class import SCORES
from etviz.evaluation.paired import DIFFER, better
from etviz.reports.comparison import floors_by_level
from etviz.reports.render import code, plain, render

NAME = "robustness"  # of its files
FORMAT = "robustness 2"  # of its JSON: count on when what the page needs changes


def make_page(document: dict) -> str:
    """The page in Markdown.

    Args:
        document: what the command's robustness.json holds.
    """
    return render(
        "robustness.md",
        name=NAME,
        setting=document,
        differ=DIFFER,
        axes=[axis_part(axis, document) for axis in document["curves"]],
        transfer=transfer_part(document["transfer"], document["transfer_cost"]) if document["transfer"] else None,
        one_class=one_class_part(document["one_class"]) if document["one_class"] else None,
    )


# ---- curves ------------------------------------------------------------------------------------------------------


def axis_part(axis: str, document: dict) -> dict:
    """One axis: its heading, its table, what the damage costs each model, and how models do against the floors."""
    by_name, floors = document["curves"][axis], document["floors"]
    levels = next(iter(by_name.values()))["levels"]
    return {
        "title": heading(axis),
        "table": curve_table(axis, by_name, floors),
        "from": level_text(axis, levels[0]),
        "to": level_text(axis, levels[-1]),
        "losses": losses(by_name, floors),
        "verdicts": against_floors(axis, document["against_floors"][axis]),
    }


def heading(axis: str) -> str:
    """An axis's title with its unit, as a heading."""
    title, unit = AXES[axis].title, AXES[axis].unit
    return title[0].upper() + title[1:] + (f" ({unit})" if unit else "")


def level_text(axis: str, level: float | str) -> str:
    """A level as the tables write it."""
    if isinstance(level, str):
        return level
    if axis in SHARES:
        return f"{level:.0%}"
    return f"{level:+g}" if axis == "brightness" and level else f"{level:g}"


def called(name: str, floors: list[str]) -> str:
    """A checkpoint's name as code, a floor's as it is."""
    return name if name in floors else code(name)


def curve_table(axis: str, by_name: dict[str, dict], floors: list[str]) -> list[list[str]]:
    """The heading, then a row for each model and floor, with a column for each level."""
    levels = next(iter(by_name.values()))["levels"]
    rows = [["", *(level_text(axis, level) for level in levels)]]
    for name, curve in by_name.items():
        columns = zip(curve["psnr"], curve["low"], curve["high"], strict=True)
        rows.append([called(name, floors), *(f"{psnr:.2f} ± {(high - low) / 2:.2f}" for psnr, low, high in columns)])
    return rows


def losses(by_name: dict[str, dict], floors: list[str]) -> list[dict]:
    """What the strongest damage costs each model, the least first; none for axes that do not begin undamaged."""
    found = [
        {"name": name, "lost": curve["loss"]["psnr"], "half": curve["loss"]["half"]}
        for name, curve in by_name.items()
        if name not in floors and "loss" in curve
    ]
    return sorted(found, key=lambda one: one["lost"])


def against_floors(axis: str, rows: list[dict]) -> list[dict]:
    """Where models are not better than the best floor; models for which that is at the same levels stand together.

    Args:
        axis: a key of `etviz.analysis.robustness.AXES`.
        rows: of `etviz.evaluation.paired.against_floors`.
    """
    behind: dict[str, dict[str, list[str]]] = {row["first"]: {"alike": [], "worse": []} for row in rows}
    for found in floors_by_level(rows):
        for kind in ("alike", "worse"):
            for name in found[kind]:
                behind[name][kind].append(f"{level_text(axis, found['level'])} ({found['floor']})")
    together: dict[tuple, list[str]] = {}
    for name, places in behind.items():
        together.setdefault((tuple(places["alike"]), tuple(places["worse"])), []).append(name)
    return [{"names": names, "alike": alike, "worse": worse} for (alike, worse), names in together.items()]


# ---- transfer ----------------------------------------------------------------------------------------------------


def transfer_part(rows: list[dict], costs: list[dict]) -> dict:
    """The table of models and datasets, and what it costs to have learned from the other one."""
    places = list(dict.fromkeys(row["dataset"] for row in rows))
    probed = all("accuracy" in row for row in rows)
    head = [f"{plain(place)}: masked PSNR" for place in places]
    if probed:
        head += [f"{plain(place)}: linear probe" for place in places]
    table = [["", "trained on", *head]]
    for name in dict.fromkeys(row["checkpoint"] for row in rows):
        own = {row["dataset"]: row for row in rows if row["checkpoint"] == name}
        cells = [f"{own[p]['masked_psnr']:.2f} ± {own[p]['masked_psnr_standard_error']:.2f} dB" for p in places]
        if probed:
            cells += [percent(own[p]) for p in places]
        table.append([code(name), plain(own[places[0]]["trained_on"]), *cells])
    verdicts = [row | {"better": better(row)} for row in costs]
    return {"table": table, "probed": probed, "images": rows[0]["images"], "costs": verdicts}


def percent(row: dict) -> str:
    """An accuracy with its interval."""
    return f"{row['accuracy']:.1%} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


# ---- one class against the rest ----------------------------------------------------------------------------------


def one_class_part(by_name: dict[str, list[dict]]) -> dict:
    """Means over classes by each score, every class by the ratio, and the extremes."""
    names = list(by_name)
    means = {
        name: {s: sum(row["auc"][s] for row in rows) / len(rows) for s in SCORES} for name, rows in by_name.items()
    }
    classes = [
        [plain(rows[0]["name"]), *(f"{row['auc']['ratio']:.3f} ± {row['standard_error']['ratio']:.3f}" for row in rows)]
        for rows in zip(*by_name.values(), strict=True)
    ]
    every = [row for rows in by_name.values() for row in rows]
    by_error = sorted(every, key=lambda row: row["auc"]["error"])
    best = max(names, key=lambda name: means[name]["ratio"])
    return {
        "means": [[code(name), *(f"{means[name][score]:.3f}" for score in SCORES)] for name in names],
        "names": names,
        "classes": classes,
        "lowest": {"name": by_error[0]["name"], "auc": by_error[0]["auc"]["error"]},
        "highest": {"name": by_error[-1]["name"], "auc": by_error[-1]["auc"]["error"]},
        "best": {"name": best, "auc": means[best]["ratio"]},
    }


def mean_auc(rows: list[dict], score: str) -> float:
    """The mean over classes of a score's area under the curve."""
    return sum(row["auc"][score] for row in rows) / len(rows)
