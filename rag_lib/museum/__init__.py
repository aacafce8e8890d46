"""All that knows of this one museum.

Its files go in; typed records come out, and how well the system serves it. The museum's stages of training are here.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "collection": """
            Dialogue Evidence Question Summary Turn load_articles load_dialogues
            load_dossiers load_products load_questions load_splits load_summaries
            load_visitor_questions load_visitors purchases_of
        """,
        "measure": "gold_passages",
        "retriever_recipe": "load_ranks",
    },
)
