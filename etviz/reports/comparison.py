"""The report that `python -m etviz.compare` writes: every number and every verdict in it follows from measurements."""

import itertools
from collections.abc import Iterable, Sequence

from etviz.evaluation.comparison import SPEED_BATCH, SURE, Difference, Entry, difference, ranked
from etviz.evaluation.metric_info import LPIPS_NETS, METRICS
from etviz.evaluation.scores import left_out_words
from etviz.models import ENERGY_MODELS

NAME = "comparison"  # of its files
OTHER_LOSSES = {  # by what a model's card calls it
    "simmim": "SimMIM, by the absolute error",
    "beit": "BEiT, by the cross-entropy of codes",
    "mixedae": "MixedAE, on mixtures of images, with a contrastive loss beside the error",
}


def make_page(setting: dict, entries: list[Entry], floors: list[Entry], by_ratio: dict[str, list[float]]) -> str:
    """The report in Markdown; every number in it comes from the measurements.

    Args:
        setting: what the numbers depend on, as the command's JSON holds it.
        entries, floors: in any order.
        by_ratio: by name, masked PSNR in dB at each of the setting's ratios.
    """
    return "\n".join(
        [
            f"# Models on the same masks: {setting['dataset']}",
            "",
            f"Written by `{command(setting['dataset'])}`, which measures everything below anew from the shipped "
            "checkpoints. "
            f"{setting['images']:,} test images, {setting['hidden_patches']} of {setting['patches']} patches hidden, "
            f"mask seed {setting['mask_seed']}: the same masks for all.",
            "",
            "## Quality",
            "",
            *quality_table(ranked(entries), ranked(floors)),
            "",
            "Masked MSE and PSNR are of the hidden pixels alone, ± one standard error over images; PSNR and SSIM of "
            "the completed picture flatter, since its visible pixels are right by construction. Higher is better, but "
            f"for the MSE{', LPIPS and FID' if perceptual_columns(entries + floors) else ''}. k-NN "
            "(20 neighbours, cosine) and linear probe are accuracies on the test images' labels, ± one standard error "
            f"in points, from {setting['probe_images']:,} training images, by the mean of the patch tokens with "
            f"nothing hidden.{_which_tokens(entries)}",
            *left_out(setting["left_out"]),
            "",
            f"![Masked PSNR of each model]({NAME}-psnr.png)",
            "",
            "## Cost",
            "",
            *cost_table(ranked(entries)),
            "",
            f"FLOPs are counted for one image, memory for a float32 training step of {SPEED_BATCH} images. Training "
            "time is the card's, an upper bound where the machine did other work meanwhile. Speeds were measured for "
            f"this page, {SPEED_BATCH} images at once in float32, on {setting['device']}."
            f"{''.join(_trained_twice(entry) for entry in ranked(entries) if entry.ceiling is not None)}",
            "",
            "## The same pictures, the same masks",
            "",
            f"![A row a picture, a column a model]({NAME}-grid.png)",
            "",
            "Given patches are shown as they are; beneath each picture stands the PSNR of its hidden pixels.",
            "",
            "## Against the mask ratio",
            "",
            f"![Masked PSNR against the share of patches hidden]({NAME}-ratios.png)",
            "",
            *ratio_table(setting["ratios"], ranked(entries) + ranked(floors), by_ratio),
            "",
            f"Masked PSNR in dB, on the first {setting['ratio_images']:,} of the images, so with a standard error of "
            f"about {_spread(entries, setting['ratio_images']):.2f} dB. {trained_at(entries)} "
            f"{over_ratios(setting['ratios'], entries, by_ratio)}",
            "",
            "## Reading it",
            "",
            *(f"- {sentence}" for sentence in reading(ranked(entries), floors)),
            "",
        ]
    )


def command(dataset: str) -> str:
    """What writes the page of a dataset into its place."""
    return "python -m etviz.compare" + ("" if dataset == "cifar10" else f" dataset={dataset} out=docs/{dataset}")


def left_out(needs: dict[str, str]) -> list[str]:
    """A paragraph about the metrics that lack their weights, by title the file each needs; none where none does."""
    where = "The folder that `ETVIZ_WEIGHTS` names is searched, and `weights.download=true` fetches them."
    return ["", f"{left_out_words(needs)} {where}"] if needs else []


def _which_tokens(entries: list[Entry]) -> str:
    descend = any(entry.card.get("model") in ENERGY_MODELS for entry in entries)
    steps = " An Energy Transformer's tokens are those after its last step; `python -m etviz.probe` reads every step's."
    return steps if descend else ""


def _trained_twice(entry: Entry) -> str:
    return (
        f" {called(entry)} stands on a tokenizer that was trained before it: of its parameters, "
        f"{entry.costs['trained_parameters']:,} are its own and the rest the tokenizer's, whose training is in none of "
        "these numbers."
    )


def _spread(entries: list[Entry], images: int) -> float:
    """Standard error in dB of a masked PSNR over fewer images than were measured, of the entry with the widest."""
    return max(e.metrics["masked_psnr_standard_error"] * (len(e.errors) / images) ** 0.5 for e in entries)


def trained_at(entries: list[Entry]) -> str:
    """The share of patches that each model learned with."""
    by_share: dict[float | None, list[str]] = {}
    for entry in entries:
        by_share.setdefault(entry.card.get("ratio"), []).append(entry.name)
    carries = "the other shares show how far that carries."
    if None in by_share:
        return f"Each model was trained at one share only, {carries}"
    if len(by_share) == 1:
        return f"Every model was trained with {next(iter(by_share)):.0%} hidden, {carries}"
    most, *rest = sorted(by_share.items(), key=lambda item: -len(item[1]))
    exceptions = listed([f"{listed(names)} with {share:.0%}" for share, names in rest])
    return f"The models were trained with {most[0]:.0%} hidden, but {exceptions}: {carries}"


def perceptual_columns(entries: list[Entry]) -> dict[str, str]:
    """Headers of LPIPS and FID of the completed picture, by metric, as far as they were measured."""
    wanted = [*(f"completed_lpips_{net}" for net in LPIPS_NETS), "completed_fid"]
    return {name: METRICS[name].label for name in wanted if any(name in entry.metrics for entry in entries)}


def quality_table(entries: list[Entry], floors: list[Entry]) -> list[str]:
    """Lines of a Markdown table."""
    further = perceptual_columns(entries + floors)
    columns = ["masked MSE", "masked PSNR", "completed PSNR", "completed SSIM", *further.values(), "k-NN"]
    head = f"| | {' | '.join(columns)} | linear probe |"
    rule = "|---|" + "---:|" * (len(columns) + 1)
    return [head, rule, *(_quality_row(entry, further) for entry in entries + floors)]


def _quality_row(entry: Entry, further: Iterable[str]) -> str:
    metrics = entry.metrics
    cells = [
        called(entry),
        f"{metrics['masked_mse']:.5f}",
        f"{metrics['masked_psnr']:.2f} ± {metrics['masked_psnr_standard_error']:.2f} dB",
        f"{metrics['completed_psnr']:.2f} dB",
        f"{metrics['completed_ssim']:.3f}",
        *(METRICS[name].format(metrics[name]) if name in metrics else "" for name in further),
        *(_accuracy(entry, key) for key in ("knn", "linear")),
    ]
    return f"| {' | '.join(cells)} |"


def _accuracy(entry: Entry, key: str) -> str:
    if key not in entry.accuracy:
        return ""
    return f"{entry.accuracy[key]:.1%} ± {100 * _variance(entry, key) ** 0.5:.1f}"


def _variance(entry: Entry, key: str) -> float:
    """Of an accuracy over test images."""
    return entry.accuracy[key] * (1 - entry.accuracy[key]) / len(entry.errors)


def cost_table(entries: list[Entry]) -> list[str]:
    """Lines of a Markdown table."""
    head = (
        "| | parameters | rebuild, MFLOP | train, MFLOP | training memory, MiB | images seen | training time | "
        "train, images/s | rebuild, images/s |"
    )
    return [head, "|---|" + "---:|" * 8, *(_cost_row(entry) for entry in entries)]


def _cost_row(entry: Entry) -> str:
    cost, card = entry.costs, entry.card
    peak, seen, seconds = cost["peak_bytes"], card.get("images_seen"), card.get("seconds")
    cells = [
        f"`{entry.name}`",
        f"{cost['parameters']:,}",
        f"{cost['reconstruct_flops'] / 1e6:,.0f}",
        f"{cost['training_flops'] / 1e6:,.0f}",
        "" if peak is None else f"{peak / 2**20:,.0f}",
        "" if seen is None else f"{seen:,}",
        "" if seconds is None else f"{seconds / 60:,.0f} min",
        f"{cost['trained_per_second']:,.0f}",
        f"{cost['images_per_second']:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def ratio_table(ratios: list[float], entries: list[Entry], by_ratio: dict[str, list[float]]) -> list[str]:
    """Lines of a Markdown table."""
    rows = [f"| {called(entry)} | {' | '.join(f'{psnr:.2f}' for psnr in by_ratio[entry.name])} |" for entry in entries]
    return [f"| | {' | '.join(f'{ratio:.0%}' for ratio in ratios)} |", "|---|" + "---:|" * len(ratios), *rows]


def over_ratios(ratios: list[float], entries: list[Entry], by_ratio: dict[str, list[float]]) -> str:
    """Where the best filler that learns nothing is ahead of how many models."""
    floor = by_ratio["Navier-Stokes"]
    where: dict[str, list[str]] = {}
    for index, ratio in enumerate(ratios):
        ahead = sum(floor[index] > by_ratio[entry.name][index] for entry in entries)
        whom = "every model" if ahead == len(entries) else "no model" if not ahead else f"{ahead} of {len(entries)}"
        where.setdefault(whom, []).append(f"{ratio:.0%}")
    return f"Navier-Stokes is ahead of {'; of '.join(f'{whom} at {listed(at)}' for whom, at in where.items())}."


def called(entry: Entry) -> str:
    """A checkpoint's name as code, a floor's as it is."""
    return f"`{entry.name}`" if entry.costs else entry.name


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def reading(entries: list[Entry], floors: list[Entry]) -> list[str]:
    """Sentences that the numbers bear out, and what they cannot tell. ``entries`` are ranked."""
    sentences = [_against_floors(entries, floors)]
    sentences += [_ahead(difference(better, worse)) for better, worse in itertools.pairwise(entries)]
    sentences += _further_apart(entries)
    sentences += [_bounded(entry) for entry in entries if entry.ceiling is not None]
    if len(entries) > 1:
        sentences += [_by_ssim(entries), _representation(entries), _dearest(entries)]
    return [*sentences, *_limits(entries)]


def _against_floors(entries: list[Entry], floors: list[Entry]) -> str:
    floor = ranked(floors)[0]
    below = [e.name for e in entries if e.errors.mean() >= floor.errors.mean() or not difference(e, floor).sure]
    psnr = f"{floor.name} ({floor.metrics['masked_psnr']:.2f} dB)"
    if not below:
        gains = [entry.metrics["masked_psnr"] - floor.metrics["masked_psnr"] for entry in entries]
        return (
            f"Every model beats {psnr}, the better of the fillers that learn nothing, beyond {SURE:g} standard errors: "
            f"by {min(gains):.2f} to {max(gains):.2f} dB."
        )
    return f"Not beyond {SURE:g} standard errors better than {psnr}, which learns nothing: {', '.join(below)}."


def _ahead(gap: Difference) -> str:
    verdict = "ahead of" if gap.sure else "not to be told apart from"
    return (
        f"{gap.better} is {verdict} {gap.worse}: its masked MSE is lower by {gap.mse:.6f} ± {gap.standard_error:.6f} "
        "on the same images and masks."
    )


def _further_apart(entries: list[Entry]) -> list[str]:
    """Pairs that no pair of neighbours speaks for: not neighbours, and not told apart."""
    ranks = itertools.combinations(range(len(entries)), 2)
    pairs = [(entries[a], entries[b]) for a, b in ranks if b - a > 1]
    alike = [f"{a.name} from {b.name}" for a, b in pairs if not difference(a, b).sure]
    return [f"Nor can these be told apart, which are no neighbours: {'; '.join(alike)}."] if alike else []


def _by_ssim(entries: list[Entry]) -> str:
    order = sorted(entries, key=lambda entry: -entry.metrics["completed_ssim"])
    names = listed([f"{entry.name} ({entry.metrics['completed_ssim']:.3f})" for entry in order])
    return f"SSIM puts them in {'the same' if order == entries else 'another'} order: {names}."


def _dearest(entries: list[Entry]) -> str:
    flops = sorted(entries, key=lambda entry: entry.costs["reconstruct_flops"])
    speed = sorted(entries, key=lambda entry: entry.costs["images_per_second"])
    more = flops[-1].costs["reconstruct_flops"] / flops[0].costs["reconstruct_flops"]
    faster = speed[-1].costs["images_per_second"] / speed[0].costs["images_per_second"]
    return (
        f"To rebuild an image takes {flops[-1].name} {more:.1f} times the FLOPs of {flops[0].name}; the fastest here, "
        f"{speed[-1].name}, rebuilds {faster:.1f} times as many images a second as {speed[0].name}. Equally many "
        "images seen are not equally much computing."
    )


def _bounded(entry: Entry) -> str:
    return (
        f"{entry.name} draws with the codes of a tokenizer: with every code right it would reach "
        f"{entry.ceiling:.2f} dB, its ceiling."
    )


def _representation(entries: list[Entry]) -> str:
    best, second, *_ = sorted(entries, key=lambda entry: -entry.accuracy["linear"])
    accuracy, rank = f"{best.accuracy['linear']:.1%}", entries.index(best) + 1
    found = f"The linear probe reads classes best from {best.name} ({accuracy}), whose reconstructions rank {rank} of "
    verdict = " too." if rank == 1 else ": rebuilding well and knowing what a picture shows are not the same."
    return f"{found}{len(entries)}{verdict}{_nearly(best, second)}"


def _nearly(best: Entry, second: Entry) -> str:
    """A warning where the two best linear probes cannot be told apart, each taken by itself."""
    gap = best.accuracy["linear"] - second.accuracy["linear"]
    if gap > SURE * (_variance(best, "linear") + _variance(second, "linear")) ** 0.5:
        return ""
    return f" {second.name} ({second.accuracy['linear']:.1%}) is within {SURE:g} standard errors of it."


def _limits(entries: list[Entry]) -> list[str]:
    seen = {entry.card.get("images_seen") for entry in entries}
    budget = f"{seen.pop():,} training images each" if len(seen) == 1 and None not in seen else "different budgets"
    tokenizers = ", a tokenizer's own aside" if any(entry.ceiling is not None for entry in entries) else ""
    largest = max(entry.costs["parameters"] for entry in entries)
    kinds = {entry.card.get("model") for entry in entries}
    own = [sentence for kind, sentence in OTHER_LOSSES.items() if kind in kinds]
    return [
        "The standard errors are over test images and know nothing of another training. Of pairs that do not differ, "
        f"about one in twenty exceeds {SURE:g} of them by chance.",
        "Learning rates were chosen in short runs (checkpoints/README.md), which may have found a better one for some "
        "models than for others; sizes, masks and budgets are not the papers', so no published number compares.",
        f"These are models of at most {largest:,} parameters after {budget}{tokenizers}, one training run and one "
        "seed each: "
        "another seed may well change the order of neighbours. Nothing here says how they compare at full size.",
        "The mean squared error rewards blur: it says little of how real a picture looks."
        + (f" Judged here by what it was not trained for: {'; '.join(own)}." if own else ""),
    ]
