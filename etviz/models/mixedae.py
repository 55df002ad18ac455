"""A mixed autoencoder after MixedAE (Chen et al. 2023, arXiv 2303.17152), not compared with the authors' code.

The ideas are the paper's (section 3). Images are taken in groups, and each group is mixed into one image: every patch
comes from one image of the group, equally many from each. A segment embedding tells each token which image it comes
from, and a token attends only to the keys that fit it best ("homologous attention": a softmax over the top k logits).
After the encoder the tokens are unmixed: the decoder gets each image's own tokens, with mask tokens elsewhere, and
rebuilds the patches that the image did not contribute. A supervised contrastive loss on the cosines between the
encoder's tokens treats those of one image as positives.

The following choices are ours. Some fill in what the paper leaves open, some suit small images, and none was checked
against the paper's numbers:
    - groups of 4, so that the encoder works on a quarter of each image's patches, like MAE's;
    - k = N / group, the number of patches that an image contributes;
    - homologous attention in every encoder layer and in no decoder layer;
    - the contrastive loss on the encoder's last, layer-normed tokens, with temperature 0.25 and weight 0.1;
    - segment embeddings in the encoder only, since a decoder sequence holds one image;
    - no CLS token, fixed sine and cosine positions, MAE's initialisation, no drop path;
    - mean squared error in normalised units, without normalisation by patch.

Two consequences matter for comparisons. A mixture hides 48 of an image's 64 patches, whatever share other models are
trained with. And with 54 patches hidden, the 10 visible tokens are fewer than k, so that each attends to all of them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.base import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    MaskedImageModel,
    by_hidden_count,
    check_at_least_one,
    check_heads,
    mean_by_image,
    mean_where,
)
from etviz.models.initialise import xavier_
from etviz.models.positions import sincos_positions
from etviz.options import Depth, NonNegative, Positive, Ratio, Size

TOKEN_STD = 0.02  # of the initial mask token and segments


class MixedAE(MaskedImageModel):
    """An encoder over patches mixed from a group of images, a decoder that unmixes them.

    It is trained on mixtures (`loss`) and tested on single images (`predict_patches`). A single image is the first of
    its group and contributes its visible patches; no image contributes the others. Its tokens then attend to tokens of
    the same image only, as homologous attention is trained to.

    Raises `UsageError` for sizes that do not fit.

    Args:
        img_size, patch_size, in_chans: the image and its patches, in pixels.
        embed_dim, depth, num_heads, mlp_ratio: the encoder's width, layers, heads, and hidden width per embed_dim.
        decoder_embed_dim, decoder_depth, decoder_num_heads: the same of the decoder.
        group: how many images are mixed into one: the paper's 1 / r.
        contrast: weight of the homologous contrastive loss beside the reconstruction.
        temperature: of its softmax.
        mean, std: normalisation by channel.
    """

    positions: Tensor  # (N, D), a buffer
    decoder_positions: Tensor  # (N, D'), a buffer

    def __init__(
        self,
        *,
        img_size: Size = 32,
        patch_size: Size = 4,
        in_chans: Size = 3,
        embed_dim: Size = 192,
        depth: Depth = 12,
        num_heads: Size = 3,
        mlp_ratio: Ratio = 4.0,
        decoder_embed_dim: Size = 192,
        decoder_depth: Depth = 4,
        decoder_num_heads: Size = 3,
        group: Size = 4,
        contrast: NonNegative = 0.1,
        temperature: Positive = 0.25,
        mean: tuple[float, ...] = CIFAR10_MEAN,
        std: tuple[Positive, ...] = CIFAR10_STD,
    ):
        super().__init__(img_size, patch_size, in_chans, mean, std)
        if not 2 <= group <= self.num_patches:
            raise UsageError(f"group must be 2 to {self.num_patches} images, not {group}.")
        self.group, self.contrast, self.temperature = group, contrast, temperature
        self.own_ratio = 1 - 1 / group
        keys = self.num_patches // group
        self.embed = nn.Linear(self.patch_dim, embed_dim)
        self.segments = nn.Parameter(TOKEN_STD * torch.randn(group, embed_dim))
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads, mlp_ratio, keys) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dim)
        self.to_decoder = nn.Linear(embed_dim, decoder_embed_dim)
        self.mask_token = nn.Parameter(TOKEN_STD * torch.randn(decoder_embed_dim))
        self.decoder_blocks = nn.ModuleList(
            Block(decoder_embed_dim, decoder_num_heads, mlp_ratio) for _ in range(decoder_depth)
        )
        self.decoder = nn.Sequential(nn.LayerNorm(decoder_embed_dim), nn.Linear(decoder_embed_dim, self.patch_dim))
        positions = (sincos_positions(self.num_patches, dim) for dim in (embed_dim, decoder_embed_dim))
        for name, table in zip(("positions", "decoder_positions"), positions, strict=True):
            self.register_buffer(name, table, persistent=False)
        xavier_(self)

    # ---- training: mixtures ------------------------------------------------------------------------------------------

    def loss(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """Reconstruction and homologous contrast of mixtures within the batch, a scalar.

        Neighbours in the batch form groups; if the last group is short, the first images fill it up. Which image a
        patch comes from is drawn here, with PyTorch's global generator. The mixture decides what is hidden (a share of
        1 - 1/group of each image), so ``mask`` and ``num_hidden`` are checked but not used.
        """
        self.check_inputs(images, mask)
        batch = images.shape[0]
        index = torch.arange(-(-batch // self.group) * self.group, device=images.device) % batch
        patches = self.to_patches(images[index]).unflatten(0, (-1, self.group))  # (B/G, G, N, P)
        owner = self.draw_owners(patches.shape[0], images.device)
        encoded = self.encode_mixture(patches, owner)
        members = torch.arange(self.group, device=images.device)
        hidden = (owner[:, None] != members[:, None]).flatten(0, 1)  # (B, N)
        own = encoded.repeat_interleave(self.group, dim=0)  # (B, N, D)
        predicted = self.decode(own, hidden).to(self.mean.dtype)
        error = (predicted - patches.flatten(0, 1)).square().mean(dim=2)
        return mean_by_image(error, hidden) + self.contrast * homologous_contrast(encoded, owner, self.temperature)

    def draw_owners(self, groups: int, device: torch.device) -> Tensor:
        """Which image of its group each patch of a mixture comes from: (groups, N), equally often each, 0 to G - 1."""
        ranks = torch.rand(groups, self.num_patches, device=device).argsort(dim=1).argsort(dim=1)
        return ranks * self.group // self.num_patches

    def encode_mixture(self, patches: Tensor, owner: Tensor) -> Tensor:
        """Mix and encode: patches (b, G, N, P) in normalised units, owner (b, N) -> tokens (b, N, D)."""
        mixed = patches.gather(1, owner[:, None, :, None].expand(-1, 1, -1, patches.shape[3]))[:, 0]
        return self._encode(self.embed(mixed) + self.positions + self.segments[owner])

    def _encode(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def decode(self, encoded: Tensor, hidden: Tensor) -> Tensor:
        """Unmix and rebuild: encoder tokens (B, N, D), in place, but for hidden (B, N) ones -> (B, N, P)."""
        tokens = torch.where(hidden[:, :, None], self.mask_token, self.to_decoder(encoded)) + self.decoder_positions
        for block in self.decoder_blocks:
            tokens = block(tokens)
        return self.decoder(tokens)

    # ---- prediction for single images --------------------------------------------------------------------------------

    def predict_patches(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """See `MaskedImageModel.predict_patches`: the encoder gets the visible patches alone."""
        if num_hidden is None:
            return by_hidden_count(self.predict_patches, images, mask)
        index = mask.byte().argsort(dim=1, stable=True)[:, : self.num_patches - num_hidden]  # visible, in order
        patches = self.visible_patches(images, mask).gather(1, index[:, :, None].expand(-1, -1, self.patch_dim))
        encoded = self._encode(self.embed(patches) + self.positions[index] + self.segments[0])
        places = encoded.new_zeros(*mask.shape, encoded.shape[2])
        return self.decode(places.scatter(1, index[:, :, None].expand_as(encoded), encoded), mask)

    def encode(self, images: Tensor) -> tuple[None, Tensor]:
        """No CLS; the encoder's layer-normed tokens of one image alone, see `MaskedImageModel.encode`."""
        return None, self._encode(self.embed(self.to_patches(images)) + self.positions + self.segments[0])


class Block(nn.Module):
    """A pre-norm Transformer layer, whose queries attend to all keys or to the ``keys`` that fit best."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, keys: int | None = None):
        super().__init__()
        check_heads(dim, num_heads)
        check_at_least_one(mlp_width=mlp_ratio * dim)
        self.num_heads, self.keys = num_heads, keys
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, int(mlp_ratio * dim)), nn.GELU(), nn.Linear(int(mlp_ratio * dim), dim))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, D) -> (B, N, D)."""
        query, key, value = self.qkv(self.norm1(x)).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = homologous_attention(query, key, value, self.keys)  # (B, H, N, Y)
        x = x + self.project(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


def homologous_attention(query: Tensor, key: Tensor, value: Tensor, keys: int | None) -> Tensor:
    """Attention in which every query keeps its ``keys`` largest logits and drops the rest; None keeps all.

    query, key, value (B, H, N, Y) -> (B, H, N, Y). A tie at the last place kept keeps both.
    """
    if keys is None or keys >= key.shape[2]:
        return F.scaled_dot_product_attention(query, key, value)
    logits = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
    least = logits.topk(keys, dim=3).values[..., -1:]
    return logits.masked_fill(logits < least, -torch.inf).softmax(dim=3) @ value


def homologous_contrast(tokens: Tensor, owner: Tensor, temperature: float) -> Tensor:
    """Mean over tokens and their positives of -log softmax of the cosines, each token against all others.

    Args:
        tokens: (b, N, D), of b mixtures.
        owner: (b, N), the image each comes from; tokens of one image are positives of one another.
        temperature: divides the cosines.

    Returns:
        A scalar.
    """
    unit = F.normalize(tokens.float(), dim=2)
    itself = torch.eye(tokens.shape[1], dtype=torch.bool, device=tokens.device)
    logits = (unit @ unit.transpose(1, 2) / temperature).masked_fill(itself, -torch.inf)
    positive = (owner[:, :, None] == owner[:, None, :]) & ~itself
    surprise = torch.logsumexp(logits, dim=2, keepdim=True) - logits.masked_fill(itself, 0.0)
    return mean_where(surprise, positive)
