"""Generated ratings with a structure to be found; not real data.

For quick starts and tests. Users and items have a leaning and a taste in two dimensions; a user rates
mostly what many rate and what suits the user, near the sum of the leanings and the product of the tastes.
"""

import hashlib
from functools import cached_property

import numpy as np

from bigmodel_jax.data.rating_tables import FoldedRatings, Table
from bigmodel_jax.errors import UserError

VERSION, FOLDS = 1, 5  # the first to be raised when any rating changes


class Reader(FoldedRatings):
    """Ratings 1 to 5, in five folds.

    Args:
        users, items: how many there are.
        each: ratings of a user.
        fold: which fold is the test part, 1 to 5.
        seed: of everything.
    """

    name, synthetic, scale = "synthetic_ratings", True, (1.0, 5.0)

    def __init__(
        self,
        users: int = 200,
        items: int = 100,
        each: int = 30,
        fold: int = 1,
        seed: int = 0,
        data_dir: str | None = None,
    ):
        del data_dir  # for prepared data sets
        if not (users > 0 and 5 <= each <= items):
            raise UserError(
                f"synthetic_ratings needs users of 5 ratings or more, of as many items or more; here "
                f"are users={users}, each={each} and items={items}."
            )
        self._sizes, self._seed = (users, items, each), seed
        super().__init__(fold)

    def fingerprint(self) -> str:
        """sha256 of the generator's version and its arguments."""
        identity = (self.name, VERSION, *self._sizes, self._seed, self.fold)
        return hashlib.sha256(repr(identity).encode()).hexdigest()

    @cached_property
    def whole(self) -> Table:
        users, items, each = self._sizes
        rng = np.random.RandomState(self._seed)  # whose streams are frozen
        tastes, kinds = rng.normal(size=(users, 2)), rng.normal(size=(items, 2))
        suits = tastes @ kinds.T / 2
        leanings = rng.normal(0, 0.4, (users, 1)) + rng.normal(0, 0.4, items)
        exact = 3.4 + leanings + suits + rng.normal(0, 0.3, (users, items))
        # Gumbel noise: `each` items are drawn without return, by these odds.
        odds = suits + rng.normal(0, 1, items) + rng.gumbel(size=(users, items))
        item = np.argsort(-odds, axis=1)[:, :each]
        rating = np.clip(np.rint(np.take_along_axis(exact, item, 1)), *self.scale)
        return Table(
            user=np.repeat(np.arange(users), each),
            item=item.ravel(),
            rating=rating.ravel().astype(np.float32),
            time=np.tile(np.arange(each), users),
            fold=rng.randint(1, FOLDS + 1, users * each),
            user_names=tuple(map(str, range(1, users + 1))),
            item_names=tuple(f"Item {i}" for i in range(1, items + 1)),
        )
