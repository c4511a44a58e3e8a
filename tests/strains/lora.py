"""LoRA around a classifier, whose upper layer's part waits for some steps, with decay by layer."""

from configs import imdb


def config():
    made = imdb.get_config("transformer,tiny").to_dict()
    made["model"]["dtype"] = "float32"
    made["task"] = dict(name="lora", task=made["task"], rank=2)
    train, later = ("lora/.*", "head/.*"), (("lora/encoder/block_1/.*", "5 steps"),)
    made["optimizer"] |= dict(lr=0.02, train=train, layer_decay=0.8, unfreeze=later)
    return made
