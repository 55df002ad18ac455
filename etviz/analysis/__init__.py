"""What a trained model and a trace tell beyond the reconstruction: pure computation, which `etviz.plots` draws."""

from etviz.analysis.anomaly import anomaly_map, anomaly_score, covering_masks, roc_auc, roc_auc_standard_error
from etviz.analysis.attention import AttentionEntropy, AttentionRoles, attention_entropy, attention_roles
from etviz.analysis.band import EnergyBand, band_of, energies_in_chunks, energy_band
from etviz.analysis.classes import ClassMeans, mean_by_class, psnr_by_class, psnr_gain_by_class
from etviz.analysis.landscape import (
    EnergyPlane,
    GradientLine,
    PrincipalPlane,
    energy_along_gradient,
    energy_plane,
    energy_rows,
    principal_plane,
)
from etviz.analysis.memories import (
    memory_energy,
    memory_energy_by_token,
    memory_energy_of_token,
    memory_frequency,
    memory_patches,
    memory_use,
    top_memories,
)
from etviz.analysis.perturbations import Perturbations, perturbed_descents, undisturbed_descent
from etviz.analysis.robustness import AXES, Curve, damage, psnr_by_ratio, robustness_curves
from etviz.analysis.snapshots import SnapshotFrame, snapshot_frames

__all__ = [
    "AXES",
    "AttentionEntropy",
    "AttentionRoles",
    "ClassMeans",
    "Curve",
    "EnergyBand",
    "EnergyPlane",
    "GradientLine",
    "Perturbations",
    "PrincipalPlane",
    "SnapshotFrame",
    "anomaly_map",
    "anomaly_score",
    "attention_entropy",
    "attention_roles",
    "band_of",
    "covering_masks",
    "damage",
    "energies_in_chunks",
    "energy_along_gradient",
    "energy_band",
    "energy_plane",
    "energy_rows",
    "mean_by_class",
    "memory_energy",
    "memory_energy_by_token",
    "memory_energy_of_token",
    "memory_frequency",
    "memory_patches",
    "memory_use",
    "perturbed_descents",
    "principal_plane",
    "psnr_by_class",
    "psnr_by_ratio",
    "psnr_gain_by_class",
    "robustness_curves",
    "roc_auc",
    "roc_auc_standard_error",
    "snapshot_frames",
    "top_memories",
    "undisturbed_descent",
]
