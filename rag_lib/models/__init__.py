"""Where weights come from, and how they are changed.

A model's name goes in; the model and its tokenizer come out, from what was installed with the course or from the hub.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "weights": """
            BASE GENERATOR MUSEUM_DIFFERENCE MUSEUM_ENCODER ModelUnavailable load_generator load_minilm
            load_tokenizer
        """,
        "reader": "BartReader",
        "warm_start": "bart_from_bert",
        "chat": "CHAT CHAT_BASE bundled_chat load_chat",
        "adapters": "LowRank adapter_weights add_adapter add_side_paths apply_adapter merge_adapter",
    },
)
