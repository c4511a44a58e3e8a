"""BERT (Devlin et al. 2019), as transformers' BertFor... classes save it."""

from bigmodel_jax.hub.layout import Head, attention, dense, norm
from bigmodel_jax.hub.settings import Setting

MODEL, PREFIX = "bert", "bert."
SETTINGS = (
    Setting("vocab_size", "vocabulary_size"),
    Setting("max_position_embeddings", "max_length", 512),
    Setting("type_vocab_size", "num_types", 2),
    Setting("hidden_size", "width"),
    Setting("intermediate_size", "mlp_dim"),
    Setting("num_hidden_layers", "num_layers"),
    Setting("num_attention_heads", "num_heads"),
    Setting("layer_norm_eps", "norm_epsilon", 1e-12),
    Setting("hidden_dropout_prob", "dropout", 0.1),
    Setting("hidden_act", "mlp", "gelu", {"gelu": "gelu", "gelu_new": "gelu_tanh"}),
)
FIXED = {
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
    "chunk_size_feed_forward": (0,),
    "pruned_heads": ({},),
}
IGNORED = ("directionality", *(f"pooler_{x}" for x in (
    "fc_size", "num_attention_heads", "num_fc_layers", "size_per_head", "type",
)))  # fmt: skip
OURS = {"positions": "learned", "norm_first": False, "position_offset": 0}


def encoder(prefix: str):
    """The rows of the encoder alone, which RoBERTa has under another prefix."""
    layer, block = f"{prefix}encoder.layer.{{}}", "encoder/block_{}"
    self = f"{layer}.attention.self"
    names = f"{self}.query {self}.key {self}.value {layer}.attention.output.dense"
    return (
        (f"{prefix}embeddings.word_embeddings.weight", "", "embed/embedding"),
        (f"{prefix}embeddings.position_embeddings.weight", "", "positions/embedding"),
        (f"{prefix}embeddings.token_type_embeddings.weight", "", "types/embedding"),
        *norm(f"{prefix}embeddings.LayerNorm", "embed_norm"),
        *attention(names, f"{block}/attention"),
        *norm(f"{layer}.attention.output.LayerNorm", f"{block}/attention_norm"),
        *dense(f"{layer}.intermediate.dense", f"{block}/mlp/up"),
        *dense(f"{layer}.output.dense", f"{block}/mlp/down"),
        *norm(f"{layer}.output.LayerNorm", f"{block}/mlp_norm"),
    )


PARAMETERS = encoder(PREFIX)
_MASKED = (
    *dense("cls.predictions.transform.dense", "mlm/dense"),
    *norm("cls.predictions.transform.LayerNorm", "mlm/norm"),
    ("cls.predictions.bias", "", "mlm/bias"),
)
_POOLER = dense("bert.pooler.dense", "pooler")
_CLASSIFIER = dense("classifier", "classifier")
_UNUSED = (r"bert\.pooler\..*", r"cls\.seq_relationship\..*")
HEADS = {
    "BertForMaskedLM": Head({"head": "lm"}, _MASKED, _UNUSED),
    "BertForPreTraining": Head({"head": "lm"}, _MASKED, _UNUSED, whole=False),
    "BertForSequenceClassification": Head(
        {"head": "classify", "pooling": "first"}, (*_POOLER, *_CLASSIFIER)
    ),
    "BertForTokenClassification": Head({"head": "tag"}, _CLASSIFIER, _UNUSED),
    "BertForQuestionAnswering": Head({"head": "span"}, dense("qa_outputs", "classifier"), _UNUSED),
    "BertModel": Head({"head": "pooled", "pooling": "first"}, _POOLER),
}
BUFFERS = (r"bert\.embeddings\.position_ids",)
TIES = (
    ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    ("cls.predictions.decoder.bias", "cls.predictions.bias"),
)
