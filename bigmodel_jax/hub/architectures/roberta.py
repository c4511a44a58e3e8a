"""RoBERTa (Liu et al. 2019): BERT without types of tokens, its positions counted from 2."""

from bigmodel_jax.hub.architectures import bert
from bigmodel_jax.hub.layout import Head, dense, norm
from bigmodel_jax.hub.settings import Setting

OFFSET = 2  # their rows of positions 0 and 1 are never used
MODEL, PREFIX = "bert", "roberta."
SETTINGS = tuple(
    Setting("max_position_embeddings", "max_length", 514, shift=OFFSET)
    if setting.theirs == "max_position_embeddings"
    else setting
    for setting in bert.SETTINGS
)
FIXED, IGNORED = bert.FIXED, bert.IGNORED
OURS = {**bert.OURS, "position_offset": OFFSET}
PARAMETERS = bert.encoder(PREFIX)
_MASKED = (
    *dense("lm_head.dense", "mlm/dense"),
    *norm("lm_head.layer_norm", "mlm/norm"),
    ("lm_head.bias", "", "mlm/bias"),
)
_UNUSED = (r"roberta\.pooler\..*",)
HEADS = {
    "RobertaForMaskedLM": Head({"head": "lm"}, _MASKED, _UNUSED),
    "RobertaForSequenceClassification": Head(
        {"head": "classify", "pooling": "first"},
        (*dense("classifier.dense", "pooler"), *dense("classifier.out_proj", "classifier")),
        _UNUSED,
    ),
    "RobertaForTokenClassification": Head(
        {"head": "tag"}, dense("classifier", "classifier"), _UNUSED
    ),
    "RobertaForQuestionAnswering": Head(
        {"head": "span"}, dense("qa_outputs", "classifier"), _UNUSED
    ),
    "RobertaModel": Head(
        {"head": "pooled", "pooling": "first"}, dense("roberta.pooler.dense", "pooler")
    ),
}
BUFFERS = (r"roberta\.embeddings\.position_ids",)
TIES = (
    ("lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight"),
    ("lm_head.decoder.bias", "lm_head.bias"),
)
