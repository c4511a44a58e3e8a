"""DistilBERT (Sanh et al. 2019): half of BERT's layers, no types of tokens, a pooler with a ReLU."""

from bigmodel_jax.hub.layout import Head, attention, dense, norm
from bigmodel_jax.hub.settings import Setting

MODEL, PREFIX = "bert", "distilbert."
SETTINGS = (
    Setting("vocab_size", "vocabulary_size"),
    Setting("max_position_embeddings", "max_length", 512),
    Setting("dim", "width"),
    Setting("hidden_dim", "mlp_dim"),
    Setting("n_layers", "num_layers"),
    Setting("n_heads", "num_heads"),
    Setting("dropout", "dropout", 0.1),
    Setting("activation", "mlp", "gelu", {"gelu": "gelu"}),
)
FIXED = {
    "sinusoidal_pos_embds": (False, True),  # of how the table was made
    "tie_weights_": (True,),
    "tie_word_embeddings": (True,),
    "pruned_heads": ({},),
}
IGNORED: tuple[str, ...] = ()
OURS = {
    "positions": "learned",
    "norm_first": False,
    "num_types": 0,
    "norm_epsilon": 1e-12,
    "pooler_activation": "relu",
}
_LAYER, _BLOCK = "distilbert.transformer.layer.{}", "encoder/block_{}"
_NAMES = " ".join(f"{_LAYER}.attention.{x}_lin" for x in ("q", "k", "v", "out"))
PARAMETERS = (
    ("distilbert.embeddings.word_embeddings.weight", "", "embed/embedding"),
    ("distilbert.embeddings.position_embeddings.weight", "", "positions/embedding"),
    *norm("distilbert.embeddings.LayerNorm", "embed_norm"),
    *attention(_NAMES, f"{_BLOCK}/attention"),
    *norm(f"{_LAYER}.sa_layer_norm", f"{_BLOCK}/attention_norm"),
    *dense(f"{_LAYER}.ffn.lin1", f"{_BLOCK}/mlp/up"),
    *dense(f"{_LAYER}.ffn.lin2", f"{_BLOCK}/mlp/down"),
    *norm(f"{_LAYER}.output_layer_norm", f"{_BLOCK}/mlp_norm"),
)
_MASKED = (
    *dense("vocab_transform", "mlm/dense"),
    *norm("vocab_layer_norm", "mlm/norm"),
    ("vocab_projector.bias", "", "mlm/bias"),
)
HEADS = {
    "DistilBertForMaskedLM": Head({"head": "lm"}, _MASKED),
    "DistilBertForSequenceClassification": Head(
        {"head": "classify", "pooling": "first"},
        (*dense("pre_classifier", "pooler"), *dense("classifier", "classifier")),
    ),
    "DistilBertForTokenClassification": Head({"head": "tag"}, dense("classifier", "classifier")),
    "DistilBertForQuestionAnswering": Head({"head": "span"}, dense("qa_outputs", "classifier")),
    "DistilBertModel": Head({"head": "pooled", "pooling": "mean"}),
}
BUFFERS: tuple[str, ...] = ()
TIES = (("vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"),)
