"""From a question and passages to a text.

Questions with their sources and a job go in; generations come out: texts with their places, probabilities and tokens.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "jobs": "ANSWER JOBS Job QUOTE REPLY REWRITE SUMMARIZE",
        "prompts": """
            BUNDLED INSTRUCTIONS PLAIN PREFIXES Prompt PromptFormat QuestionTooLong build_prompt
            conversation
        """,
        "decoding": "Hypothesis Marks Seq2SeqStep beam_search greedy nucleus sample top_k",
        "constraints": "PassageConstraint SentenceConstraint allowed_next continuation_pieces empty_words",
        "encoding": "encode_apart shift_right token_log_probabilities",
        "generators": "Decoding Generation Generator Place Token",
        "confidence": "Confidence",
        "evidence": "Quotation evidence_logs missing_probability positions runs sentences",
        "seq2seq": "Seq2SeqGenerator",
        "sentence_ranker": "SentenceRanker",
        "reader": "EvidenceReader",
        "chat_prompts": "NO_ANSWER build_chat_prompt",
        "chat": "ChatGenerator",
        "guide": "GuidedChat",
        "catalogue": "GENERATORS make_generator",
    },
)
