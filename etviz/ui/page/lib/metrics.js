/** What each metric is. Written by `python -m etviz.metric_info`: change it there. */

export const METRIC_INFO = {
  "masked_mse": {
    "label": "masked MSE",
    "text": "Mean squared error over the hidden pixels alone, of values in 0 to 1. From 0 to 1, no unit; lower is better. Shows how well the missing part was guessed.",
    "better": "lower"
  },
  "masked_psnr": {
    "label": "masked PSNR",
    "text": "Peak signal-to-noise ratio over the hidden pixels alone: -10 log10 of the MSE. From 0 up, in decibels (dB); higher is better. Shows how well the missing part was guessed.",
    "better": "higher"
  },
  "masked_psnr_image_mean": {
    "label": "masked PSNR by image",
    "text": "Peak signal-to-noise ratio over the hidden pixels alone: -10 log10 of the MSE. Of each image, then averaged. From 0 up, in decibels (dB); higher is better. Shows how well the missing part was guessed. Gives easy pictures more weight than the PSNR of the mean error does.",
    "better": "higher"
  },
  "completed_mse": {
    "label": "completed MSE",
    "text": "Mean squared error over all pixels of the completed picture, whose visible pixels are as given, of values in 0 to 1. From 0 to 1, no unit; lower is better. Rates the finished picture, and flatters it: the visible pixels are right by construction.",
    "better": "lower"
  },
  "completed_psnr": {
    "label": "completed PSNR",
    "text": "Peak signal-to-noise ratio over all pixels of the completed picture, whose visible pixels are as given: -10 log10 of the MSE. From 0 up, in decibels (dB); higher is better. Rates the finished picture, and flatters it: the visible pixels are right by construction.",
    "better": "higher"
  },
  "completed_psnr_image_mean": {
    "label": "completed PSNR by image",
    "text": "Peak signal-to-noise ratio over all pixels of the completed picture, whose visible pixels are as given: -10 log10 of the MSE. Of each image, then averaged. From 0 up, in decibels (dB); higher is better. Rates the finished picture, and flatters it: the visible pixels are right by construction. Gives easy pictures more weight than the PSNR of the mean error does.",
    "better": "higher"
  },
  "completed_ssim": {
    "label": "completed SSIM",
    "text": "Structural similarity of the completed picture and the original, in 11x11 windows. From -1 to 1, no unit; higher is better. Shows whether edges and textures are kept, which the MSE does not see.",
    "better": "higher"
  },
  "completed_lpips_alex": {
    "label": "completed LPIPS (alex)",
    "text": "Learned perceptual distance of the completed picture and the original: between features of alex. From 0 up, no unit; lower is better. Estimates how different people would find the two; blur costs more than in the MSE.",
    "better": "lower"
  },
  "completed_lpips_vgg": {
    "label": "completed LPIPS (vgg)",
    "text": "Learned perceptual distance of the completed picture and the original: between features of vgg. From 0 up, no unit; lower is better. Estimates how different people would find the two; blur costs more than in the MSE.",
    "better": "lower"
  },
  "completed_lpips_squeeze": {
    "label": "completed LPIPS (squeeze)",
    "text": "Learned perceptual distance of the completed picture and the original: between features of squeeze. From 0 up, no unit; lower is better. Estimates how different people would find the two; blur costs more than in the MSE.",
    "better": "lower"
  },
  "completed_fid": {
    "label": "completed FID",
    "text": "Frechet distance between Inception features of all completed pictures and of all originals. From 0 up, no unit; lower is better. Shows whether the pictures look real as a set, not whether each is right. Falls with the number of images: compare only equal numbers of images.",
    "better": "lower"
  },
  "raw_mse": {
    "label": "raw MSE",
    "text": "Mean squared error over all pixels of the raw reconstruction, in which the visible patches are predicted too, of values in 0 to 1. From 0 to 1, no unit; lower is better. Shows how the model redraws what it was shown; models are trained on hidden patches alone.",
    "better": "lower"
  },
  "raw_psnr": {
    "label": "raw PSNR",
    "text": "Peak signal-to-noise ratio over all pixels of the raw reconstruction, in which the visible patches are predicted too: -10 log10 of the MSE. From 0 up, in decibels (dB); higher is better. Shows how the model redraws what it was shown; models are trained on hidden patches alone.",
    "better": "higher"
  },
  "raw_psnr_image_mean": {
    "label": "raw PSNR by image",
    "text": "Peak signal-to-noise ratio over all pixels of the raw reconstruction, in which the visible patches are predicted too: -10 log10 of the MSE. Of each image, then averaged. From 0 up, in decibels (dB); higher is better. Shows how the model redraws what it was shown; models are trained on hidden patches alone. Gives easy pictures more weight than the PSNR of the mean error does.",
    "better": "higher"
  },
  "raw_ssim": {
    "label": "raw SSIM",
    "text": "Structural similarity of the raw reconstruction and the original, in 11x11 windows. From -1 to 1, no unit; higher is better. Shows whether edges and textures are kept, which the MSE does not see.",
    "better": "higher"
  },
  "raw_lpips_alex": {
    "label": "raw LPIPS (alex)",
    "text": "Learned perceptual distance of the raw reconstruction and the original: between features of alex. From 0 up, no unit; lower is better. Estimates how different people would find the two; blur costs more than in the MSE.",
    "better": "lower"
  },
  "raw_lpips_vgg": {
    "label": "raw LPIPS (vgg)",
    "text": "Learned perceptual distance of the raw reconstruction and the original: between features of vgg. From 0 up, no unit; lower is better. Estimates how different people would find the two; blur costs more than in the MSE.",
    "better": "lower"
  },
  "raw_lpips_squeeze": {
    "label": "raw LPIPS (squeeze)",
    "text": "Learned perceptual distance of the raw reconstruction and the original: between features of squeeze. From 0 up, no unit; lower is better. Estimates how different people would find the two; blur costs more than in the MSE.",
    "better": "lower"
  },
  "raw_fid": {
    "label": "raw FID",
    "text": "Frechet distance between Inception features of all raw pictures and of all originals. From 0 up, no unit; lower is better. Shows whether the pictures look real as a set, not whether each is right. Falls with the number of images: compare only equal numbers of images.",
    "better": "lower"
  }
};
