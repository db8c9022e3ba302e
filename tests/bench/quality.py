"""How near made pictures come to their original: `quality.py < JOBS`, run by a Python that has numpy and Pillow.

A job is a line of JSON: the original, and made pictures of one size by name. An answer is one, too: for each name the PSNR (dB, over
red, green and blue) and the SSIM (of the luma), against the original decoded whole and reduced by Lanczos with three lobes in floating
point, in the gamma of the file, without rounding between the steps: what both programs aim at. Pictures with a profile are taken to
sRGB by it first, the original as well as what was made: one program converts them, and the other passes the profile on.

Source: Wang, Bovik, Sheikh, Simoncelli 2004 (SSIM: Gaussian window of 11 × 11, sigma 1.5, K1 0.01, K2 0.03).
"""

import io
import json
import sys
from functools import lru_cache

import numpy
from PIL import Image, ImageCms, ImageOps

WINDOW = numpy.exp(-((numpy.arange(11) - 5) ** 2) / (2 * 1.5**2))
WINDOW /= WINDOW.sum()
LUMA = numpy.array([0.299, 0.587, 0.114])


SRGB = ImageCms.createProfile("sRGB")


def in_srgb(path):
    """The picture as it is to be seen."""
    picture = Image.open(path)
    profile = picture.info.get("icc_profile")
    if profile and picture.mode == "RGB":
        return ImageCms.profileToProfile(picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), SRGB)
    return picture.convert("RGB")


@lru_cache(maxsize=2)
def reduced(original, size):
    """The reference, 0 to 255."""
    picture = ImageOps.exif_transpose(in_srgb(original))
    channels = [channel.convert("F").resize(size, Image.LANCZOS) for channel in picture.split()]
    return numpy.clip(numpy.stack([numpy.asarray(channel, dtype=numpy.float64) for channel in channels], axis=-1), 0, 255)


def blurred(plane):
    """The plane seen through the window, without its margins."""
    for axis in (0, 1):
        length = plane.shape[axis] - 10
        parts = [weight * plane.take(range(shift, shift + length), axis=axis) for shift, weight in enumerate(WINDOW)]
        plane = numpy.sum(parts, axis=0)
    return plane


def ssim(one, other):
    one, other = one @ LUMA, other @ LUMA
    mean_one, mean_other = blurred(one), blurred(other)
    spread_one = blurred(one * one) - mean_one**2
    spread_other = blurred(other * other) - mean_other**2
    together = blurred(one * other) - mean_one * mean_other
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_one * mean_other + c1) * (2 * together + c2)
    return float(numpy.mean(likeness / ((mean_one**2 + mean_other**2 + c1) * (spread_one + spread_other + c2))))


def judged(original, made):
    picture = in_srgb(made)
    reference = reduced(original, picture.size)
    pixels = numpy.asarray(picture, dtype=numpy.float64)
    error = numpy.mean((pixels - reference) ** 2)
    return {"psnr": float(10 * numpy.log10(255**2 / error)) if error else 99.0, "ssim": ssim(pixels, reference)}


for line in sys.stdin:
    job = json.loads(line)
    print(json.dumps({name: judged(job["original"], path) for name, path in job["made"].items()}), flush=True)
