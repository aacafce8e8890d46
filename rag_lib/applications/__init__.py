"""What the system is for: whole applications on the rooms below.

A visitor's words or a text come in; what the application makes of them goes out, with the passages that say so.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "shop": "Product Purchase Visitor product_text",
        "wishes": "Wish parse_wish",
        "recommendation": """
            Blend ItemKNN NothingFits Popularity Recommendation Recommender ShopAssistant TextProfile co_purchases
            open_products
        """,
        "open_domain": "CAUSES Outcome Results anatomy cause is_mended load_results",
        "grounding": "Claim GroundingSettings Grounds",
        "rewriting": "AddedNames Exchange GeneratorRewriter Names Rewriter as_said concatenated pronouns",
        "small_talk": "small_talk without_small_talk",
        "short_answers": "is_denied opening",
        "dialogue": "Conversation Reply State UnreadableTurn check_turn",
        "extraction": """
            NotAbout choose lead leans mmr pagerank read_for relevance sentences_of textrank word_overlap
        """,
        "summarization": "METHODS Summary map_reduce read_document refine retrieve_first summarize",
    },
)
