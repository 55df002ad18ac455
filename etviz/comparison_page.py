"""The report that `python -m etviz.compare` writes: every number and every verdict in it follows from measurements."""

import itertools

from etviz.comparison import SURE, Difference, Entry, difference, ranked

NAME = "comparison"  # of its files


def make_page(setting: dict, entries: list[Entry], floors: list[Entry]) -> str:
    """The report in Markdown; every number in it comes from the measurements."""
    return "\n".join(
        [
            f"# Models on the same masks: {setting['dataset']}",
            "",
            "Written by `python -m etviz.compare`, which measures everything below anew from the shipped checkpoints. "
            f"{setting['images']:,} test images, {setting['hidden_patches']} of {setting['patches']} patches hidden, "
            f"mask seed {setting['mask_seed']}: the same masks for all.",
            "",
            "## Quality",
            "",
            *quality_table(ranked(entries), ranked(floors)),
            "",
            "Masked MSE and PSNR are of the hidden pixels alone, ± one standard error over images; PSNR and SSIM of "
            "the completed picture flatter, since its visible pixels are right by construction. k-NN "
            f"(20 neighbours, cosine) and linear probe are accuracies on the test images' labels from "
            f"{setting['probe_images']:,} training images, from the mean of the patch tokens with nothing hidden.",
            "",
            f"![Masked PSNR of each model]({NAME}-psnr.png)",
            "",
            "## Cost",
            "",
            *cost_table(ranked(entries)),
            "",
            f"FLOPs are counted for one image, memory for a float32 training step of 64 images. Training time is the "
            f"card's, on the device that it names; rebuilding was timed on {setting['device']}.",
            "",
            "## The same pictures, the same masks",
            "",
            f"![A row a picture, a column a model]({NAME}-grid.png)",
            "",
            "## Against the mask ratio",
            "",
            f"![Masked PSNR against the share of patches hidden]({NAME}-ratios.png)",
            "",
            f"On {setting['ratio_images']:,} of the images. All models were trained at {setting['ratio']:.0%} only.",
            "",
            "## Reading it",
            "",
            *(f"- {sentence}" for sentence in reading(ranked(entries), floors)),
            "",
        ]
    )


def quality_table(entries: list[Entry], floors: list[Entry]) -> list[str]:
    """Lines of a Markdown table."""
    head = "| | masked MSE | masked PSNR | completed PSNR | completed SSIM | k-NN | linear probe |"
    return [head, "|---|---:|---:|---:|---:|---:|---:|", *(_quality_row(entry) for entry in entries + floors)]


def _quality_row(entry: Entry) -> str:
    metrics = entry.metrics
    cells = [
        f"`{entry.name}`" if entry.card else entry.name,
        f"{metrics['masked_mse']:.5f}",
        f"{metrics['masked_psnr']:.2f} ± {metrics['masked_psnr_standard_error']:.2f} dB",
        f"{metrics['completed_psnr']:.2f} dB",
        f"{metrics['completed_ssim']:.3f}",
        *(f"{entry.accuracy[key]:.1%}" if key in entry.accuracy else "" for key in ("knn", "linear")),
    ]
    return f"| {' | '.join(cells)} |"


def cost_table(entries: list[Entry]) -> list[str]:
    """Lines of a Markdown table."""
    head = (
        "| | parameters | rebuild, MFLOP | train, MFLOP | training memory, MiB | images seen | training time | "
        "trained, images/s | rebuilt, images/s |"
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
        f"{seen / seconds:,.0f}" if seen and seconds else "",
        f"{cost['images_per_second']:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def reading(entries: list[Entry], floors: list[Entry]) -> list[str]:
    """Sentences that the numbers bear out, and what they cannot tell. ``entries`` are ranked."""
    sentences = [_against_floors(entries, floors)]
    sentences += [_ahead(difference(better, worse)) for better, worse in itertools.pairwise(entries)]
    sentences += [_bounded(entry) for entry in entries if entry.ceiling is not None]
    if len(entries) > 1:
        sentences.append(_representation(entries))
    return [*sentences, *_limits(entries)]


def _against_floors(entries: list[Entry], floors: list[Entry]) -> str:
    floor = ranked(floors)[0]
    below = [e.name for e in entries if e.errors.mean() >= floor.errors.mean() or not difference(e, floor).sure]
    psnr = f"{floor.name} ({floor.metrics['masked_psnr']:.2f} dB)"
    if not below:
        return (
            f"Every model beats {psnr}, the better of the fillers that learn nothing, beyond {SURE:g} standard errors."
        )
    return f"Not beyond {SURE:g} standard errors better than {psnr}, which learns nothing: {', '.join(below)}."


def _ahead(gap: Difference) -> str:
    verdict = "ahead of" if gap.sure else "not to be told apart from"
    return (
        f"{gap.better} is {verdict} {gap.worse}: its masked MSE is lower by {gap.mse:.6f} ± {gap.standard_error:.6f} "
        "on the same images and masks."
    )


def _bounded(entry: Entry) -> str:
    return (
        f"{entry.name} draws with the codes of a tokenizer: with every code right it would reach "
        f"{entry.ceiling:.2f} dB, and no more."
    )


def _representation(entries: list[Entry]) -> str:
    best = max(entries, key=lambda entry: entry.accuracy["linear"])
    accuracy, rank = f"{best.accuracy['linear']:.1%}", f"{entries.index(best) + 1} of {len(entries)}"
    return (
        f"The linear probe reads classes best from {best.name} ({accuracy}), whose reconstructions rank {rank}: "
        "rebuilding well and knowing what a picture shows are not the same."
    )


def _limits(entries: list[Entry]) -> list[str]:
    seen = {entry.card.get("images_seen") for entry in entries}
    budget = f"{seen.pop():,} training images each" if len(seen) == 1 and None not in seen else "different budgets"
    largest = max(entry.costs["parameters"] for entry in entries)
    return [
        f"These are models of at most {largest:,} parameters after {budget}, one training run and one seed each: "
        "another seed may well change the order of neighbours. Nothing here says how they compare at full size.",
        "The mean squared error rewards blur. A model whose loss is another one (SimMIM: absolute error; BEiT: codes) "
        "is judged here by what it was not trained for.",
    ]
