"""Small networks for the strains, with names for their axes."""

import flax.linen as nn
import jax.numpy as jnp

from bigmodel_jax.sharding import axes, shard

INIT = nn.initializers.lecun_normal()


class Net(nn.Module):
    """Dense, optional batch normalisation, dense."""

    features: int
    norm: bool = True
    width: int = 16

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Dense(self.width, kernel_init=axes(INIT, None, "mlp"), name="hidden")(x)
        if self.norm:
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")(x)
        x = shard(nn.relu(x), "batch", "mlp")
        return nn.Dense(self.features, kernel_init=axes(INIT, "mlp", None), name="out")(x)


class Model(nn.Module):
    """A generator with batch normalisation and a discriminator; also used as a plain classifier."""

    latent: int = 4
    features: int = 4

    def setup(self):
        self.generator = Net(self.features)
        self.discriminator = Net(1, norm=False)

    def generate(self, z, *, train=False):
        return self.generator(z, train=train)

    def judge(self, x):
        return self.discriminator(x)[:, 0]

    def __call__(self, z, *, train=False):
        return self.judge(self.generate(z, train=train)), jnp.zeros(())
