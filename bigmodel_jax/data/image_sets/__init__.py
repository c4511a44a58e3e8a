"""Where images lie: one layout a file.

    class Set:
        name: str
        label_names: tuple[str, ...]        # index = label id
        labels: dict[str, np.ndarray]       # split -> int32 [images]; in the order of the files
        def identity(self) -> Iterable[str] # what the set is, to be hashed
        def read(self, split, i) -> bytes | np.ndarray   # a file's content, or uint8 [H, W(, C)];
                                                         # raises pixels.Unreadable
        def place(self, split, i) -> str    # what to call image i in a message

A set can be pickled, and read by several processes.
"""
