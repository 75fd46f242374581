"""Conditional GAN with a projection discriminator (Miyato & Koyama 2018, arXiv:1802.05637).

For the logistic loss, the best discriminator of pairs (x, y) of image and label is the logarithm of a ratio of
densities, data's p and the generator's q, which splits in two (section 3):

    D(x, y) = log p(x, y) / q(x, y) = log p(y|x) / q(y|x) + log p(x) / q(x)

If both p(y|x) and q(y|x) are softmax regressions on features phi(x), the first part is linear in them but for what does
not depend on y. So D is given that form:

    D(x, y) = <v_y, phi(x)> + psi(phi(x))

with one learned vector v_y a class: the label is projected on the image's features, not glued to its pixels. The
generator G is told the label by conditional batch normalisation: each class has its own scale and shift after each
norm, and nothing else (section 4). Losses are the hinge's (Eq. 16 and 17 of arXiv:1802.05957), with the label of the
real image also asked of G:

    L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y))          L_G = -E D(G(z, y), y)

and every weight of D, v_y too, is divided by its largest singular value by power iteration, one a step of D.

The nets are convolutional, where the paper's are residual; phi(x) is all of the coarsest map, where theirs is its sum
over places. Steps, rates and the average that samples are SNGAN's.
"""

from __future__ import annotations

from bench import Presets, generator
from generators import sngan

# "paper": Adam and n of section 4; nets as wide as SNGAN's
PRESETS: Presets = {**sngan.PRESETS, "tiny": {"width": 16, "latent": 64, "lr": 1e-3}}


@generator("projection_gan", modalities={"image"}, paper="arXiv:1802.05637", presets=PRESETS)
class ProjectionGAN(sngan.SNGAN):
    """Class-conditional GAN: projection discriminator, conditional batch normalisation, spectral norm, hinge loss.

    Hyperparameters and losses as of SNGAN.
    Raises Unsupported for data without labels, and for what SNGAN refuses: binary pixels, channels that are not 1 or 3,
    sides that are not 3 to 8 pixels doubled.
    """

    conditional = True
